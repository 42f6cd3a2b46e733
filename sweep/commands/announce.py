"""What a finished run says: the answer to its experiment, and which points failed."""

import shlex
from pathlib import Path
from typing import Final

from sweep.commands.tables import Format, say, write
from sweep.results import description
from sweep.results.answers import ANSWERS, answer, without_constants
from sweep.results.runs import Run, open_run
from sweep.terminal import clean

MAX_TOLD: Final = 400
"""A finished run prints no more rows of its answer than this."""

MAX_NAMED: Final = 3
"""A run with failed points names no more of them than this."""


def print_answer(run: Run, form: Format = Format.table, limit: int = 0) -> None:
    """Print the answer of the run's experiment, or write its rows in another format.

    ValueError if the run is none of the experiments that have an answer.
    """
    name = run.plan.name
    if name not in ANSWERS:
        raise ValueError(
            f"{run.name} is of no experiment with a named answer: {', '.join(ANSWERS)}. "
            "Ask it with sweep-results best, sql or report."
        )
    found = answer(name, run.scan())
    if form is not Format.table:
        return write(found.rows, form)
    shown, notes = without_constants(found.rows)
    if shown.width:
        write(shown, form, limit=limit)
    say(*notes)
    say("", *description.question(run)[:1], "", *found.sentences)


def announce(uri: str, experiment: str) -> None:
    """Print the answer of a run that has just finished, if its experiment has one."""
    if experiment not in ANSWERS:
        return
    run = open_run(uri)
    print_answer(run, limit=MAX_TOLD)
    say("", f"More: sweep-results report {_called(run)} -o report.html")


def failures(uri: str) -> list[str]:
    """The first failed points of a run with their reasons, and the command that lists them all."""
    run = open_run(uri)
    failed = run.scan().select("point", "error").drop_nulls("error").head(MAX_NAMED)
    first = failed.collect(engine="streaming")
    query = "SELECT point, error FROM results WHERE error IS NOT NULL"
    return [
        *(f"  point {point:,}: {clean(error)}" for point, error in first.iter_rows()),
        f'All that failed: sweep-results sql {_called(run)} "{query}"',
    ]


def _called(run: Run) -> str:
    """How a command names the run: briefly if it lies where commands look."""
    is_near = Path(run.store.uri) == Path("results").resolve() / run.name
    return run.name if is_near else shlex.quote(run.store.uri)
