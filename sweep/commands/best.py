"""`sweep-results best`: what to set."""

from typing import Annotated

import typer

from sweep.commands.cli import Folder, Form, Rows, RunName, Table, app, find, known, words
from sweep.commands.tables import Format, say, write_one


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
