"""`sweep-results explain`: one point attempt by attempt."""

from typing import Annotated

import typer

from sweep.commands.cli import Folder, Form, Rows, RunName, app, find
from sweep.commands.tables import Format, say, write


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
