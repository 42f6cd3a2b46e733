"""`sweep-results compare`: two runs side by side."""

from typing import Annotated

import typer

from sweep.commands.cli import (
    FAILED,
    Folder,
    Form,
    Rows,
    RunName,
    Table,
    app,
    find,
    known,
    words,
)
from sweep.commands.tables import Format, write_one


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
