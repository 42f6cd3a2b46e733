"""`sweep-results best`, `compare`, `explain` and `report`: what to set, what differs, and why."""

from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.cli import FAILED, Folder, Form, Rows, RunName, Table, app, find, known, words
from sweep.commands.tables import Format, say, write, write_one


@app.command(
    epilog="Example:  sweep-results best seed_question --minimize nr_lock_drops "
    "--within 'standing_bytes<=300KiB' --by memslot_gib,alias_ratio"
)
def best(
    run: RunName,
    minimize: Annotated[str, typer.Option(help="The column to make small.")] = "nr_lock_drops",
    within: Annotated[
        list[str] | None,
        typer.Option(help="A limit to keep: COLUMN<=NUMBER[UNIT], also >=, < and >. Repeatable."),
    ] = None,
    by: Annotated[
        str,
        typer.Option(help="Recommend for each value of these columns: A,B. Default: all that vary"),
    ] = "",
    weights: Annotated[
        str,
        typer.Option(help="A fleet: a csv file of parameter columns and `share`, a row a VM kind."),
    ] = "",
    table: Table = "",
    results_dir: Folder = "results",
    form: Form = Format.table,
    limit: Rows = 40,
) -> None:
    """Recommend cache sizes and a policy, with every alternative's regret and the Pareto front.

    Tables: recommended, alternatives, pareto. Draws (the seed) are averaged. Options that break a
    limit in any point, or lack a point, are no alternatives. Beside lock drops stand their bounds:
    caches that never run dry, the page caches alone, and the optimum for the same caches (policy
    exact_opportunistic), from the run or, if that takes no more than seconds, computed here.
    With --weights, one answer for a whole fleet, with lock drops and bytes for each million VMs.
    """
    from sweep.results import best as b
    from sweep.results.bounds import with_optimum
    from sweep.results.columns import OUTCOME_NAMES, groups
    from sweep.results.formats import named
    from sweep.results.runs import SCHEMA

    found = find(results_dir, run)
    rows, names = found.scan(), list(SCHEMA)
    known([minimize], OUTCOME_NAMES, "--minimize")
    limits = [b.Limit.parse(text) for text in within or ()]
    known([rule.column for rule in limits], names, "--within")
    by_these = known(words(by), names, "--by") or groups(rows)
    if weights:
        by_these, options = [], b.fleet(rows, b.read_mix(weights, rows), minimize, limits)
    else:
        bounded = with_optimum(rows) if minimize == "nr_lock_drops" else rows
        options = b.alternatives(bounded, minimize, limits, by_these)
    options = options.collect(engine="streaming").lazy()
    tables = {
        "recommended": b.recommended(options, by_these),
        "alternatives": options,
        "pareto": b.pareto_front(options, by_these),
    }
    frames = {name: frame.collect() for name, frame in tables.items()}
    if form is not Format.table:
        return write_one(frames, table, form, limit)
    same = b.same_everywhere(frames["alternatives"])
    shown = {name: frame.drop(same, strict=False) for name, frame in frames.items()}
    write_one(shown, table, form, limit)
    if nr_without := frames["recommended"][minimize].null_count():
        say(f"Nothing keeps every limit in {nr_without} groups: their rows are empty.")
    say(f"The same everywhere: {named(same)}.")


@app.command(epilog="Example:  sweep-results compare seed_question-0123 seed_question-4567")
def compare(
    a: RunName,
    b: RunName,
    metric: Annotated[str, typer.Option(help="What to rank changes by.")] = "nr_lock_drops",
    tolerance: Annotated[
        float, typer.Option(min=0, help="A change of this share of the first value is none.")
    ] = 0.0,
    ignore: Annotated[
        str, typer.Option(help="Parameters not to join rows on: A,B. Default: see above.")
    ] = "",
    table: Table = "",
    results_dir: Folder = "results",
    form: Form = Format.table,
    limit: Rows = 40,
) -> None:
    """Compare two runs: rows only in one, columns changed, biggest regressions and improvements.

    Rows are joined on the parameters that both runs have, except those that have one value in each
    run but not the same, which are what is compared. Tables: rows, columns, changes, settings.
    Changes of lock drops stand beside their bounds: caches that never run dry, and the fewest that
    any policy costs with the caches of each run, from its rows or, if that takes no more than
    seconds, computed here. Exit code 0 if every row is in both runs and equal, else 1.
    """
    from sweep.results import compare as c
    from sweep.results.columns import OUTCOME_NAMES, PARAMETER_NAMES, parameters_in

    known([metric], OUTCOME_NAMES, "--metric")
    known(words(ignore), PARAMETER_NAMES, "--ignore")
    one, other = (find(results_dir, name).scan() for name in (a, b))
    settings = c.settings_that_differ(one, other).collect()
    joined = c.joined(one, other, [*settings["setting"], *words(ignore)])
    pairs = joined.collect(engine="streaming")
    changes = c.biggest_changes(pairs.lazy(), metric)
    if metric == "nr_lock_drops":
        changes = c.beside_bounds(changes.collect().lazy(), one, other)
    tables = {
        "rows": c.row_counts(pairs.lazy(), tolerance),
        "columns": c.changed_columns(pairs.lazy(), tolerance),
        "changes": changes,
    }
    frames = {name: frame.collect() for name, frame in tables.items()}
    if form is Format.table:
        same = set(parameters_in(pairs.columns)) - set(c.varying_in(pairs))
        frames["changes"] = frames["changes"].drop(same)
    write_one(frames | {"settings": settings}, table, form, limit)
    rows = frames["rows"]
    if rows.height != 1 or rows["side"][0] != c.SIDES[0] or rows["changed_rows"][0]:
        raise typer.Exit(FAILED)


@app.command(epilog="Example:  sweep-results explain seed_question --point 0 --limit 20")
def explain(
    run: RunName,
    point: Annotated[int, typer.Option(min=0, help="Number of the point: the column `point`.")],
    csv: Annotated[bool, typer.Option("--csv", help="The same as --format csv.")] = False,
    results_dir: Folder = "results",
    form: Form = Format.table,
    limit: Rows = 40,
) -> None:
    """Replay one point attempt by attempt: cache levels, and why the lock was dropped each time.

    Result 0 is a split, -11 (EAGAIN) a lock drop with its cause: desc, page, both, or policy.
    Levels are objects in the caches afterwards.
    """
    from sweep.results.explain import replayed, sentence

    found = find(results_dir, run)
    attempts = replayed(found, point)
    form = Format.csv if csv else form
    write(attempts, form, f"Point {point} of {found.name}", limit)
    if form is Format.table:
        say(sentence(attempts))


@app.command(epilog="Example:  sweep-results report seed_question -o report.html")
def report(
    run: RunName,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to write the page.")
    ] = "",
    png: Annotated[
        list[str] | None, typer.Option(metavar="CHART=FILE", help="One chart as a picture.")
    ] = None,
    svg: Annotated[
        list[str] | None, typer.Option(metavar="CHART=FILE", help="One chart as a drawing.")
    ] = None,
    results_dir: Folder = "results",
) -> None:
    """Write one HTML file with the answer, charts, tables, settings and assumptions of a run.

    It opens without a network. Charts: staircase, heat, pareto, holds, rises.
    """
    from sweep.results.report import image, page

    found = find(results_dir, run)
    files = {}
    for kind, asked in (("png", png), ("svg", svg)):
        for chart, _, file in (text.partition("=") for text in asked or ()):
            files[file or f"{chart}.{kind}"] = image(found, chart, kind)
    if output or not files:
        files[output or f"{found.name}.html"] = page(found).encode()
    for file, data in files.items():
        Path(file).write_bytes(data)
        say(f"{file}: {len(data) / 1e6:.1f} MB")
