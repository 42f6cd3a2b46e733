"""`sweep-results status`, `verify` and `compact`: the files of a run."""

from typing import Annotated

import typer

from sweep.commands.cli import FAILED, Folder, Form, Rows, RunName, app, find
from sweep.commands.tables import Format, say, write


@app.command(epilog="Example:  sweep-results status seed_question --format json")
def status(run: RunName, results_dir: Folder = "results", form: Form = Format.table) -> None:
    """How a run is doing: progress, rate, time left, failures, and who writes it.

    Reads the run's folder alone, so it works from any machine that sees the folder.
    """
    from sweep.results.description import facts
    from sweep.results.runs import find as find_run
    from sweep.results.status import status as read_status

    found = read_status(find_run(results_dir, run).store)
    write(facts(found, in_words=form is Format.table), form, "Status", 0)


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


@app.command(epilog="Example:  sweep-results compact seed_question --by desc_capacity")
def compact(
    run: RunName,
    results_dir: Folder = "results",
    by: Annotated[str, typer.Option(help="Axis to sort by, if not the usual one.")] = "",
) -> None:
    """Rewrite a finished run as few large files, sorted by the axis that people filter most."""
    from sweep.results.compact import compact as rewrite

    found = find(results_dir, run)
    made = rewrite(found.store, by)
    say(f"{found.name}: {len(made['files'])} files, sorted by {made['by']}")
