"""`sweep-results verify`: is every point there once, and unchanged?"""

from typing import Annotated

import typer

from sweep.commands.cli import FAILED, Folder, Rows, RunName, app, find
from sweep.commands.tables import say


@app.command(epilog="Example:  sweep-results verify seed_question --sample 1000")
def verify(
    run: RunName,
    results_dir: Folder = "results",
    sample: Annotated[int, typer.Option(min=0, help="Random points to compute again.")] = 200,
    limit: Rows = 40,
) -> None:
    """Prove that a run holds every point exactly once, unchanged; exit code 1 if it does not.

    Reads every row, compares parameters with the plan, checksums with what was written, and
    computes random points again.
    """
    from sweep.results.verify import verify as problems_of

    found = find(results_dir, run)
    problems = list(problems_of(found.store, sample))
    say(*problems[: limit or None])
    if problems:
        say(f"{found.name}: {len(problems):,} problems.")
        raise typer.Exit(FAILED)
    say(f"{found.name}: every point is there exactly once, and nothing was changed.")
