"""The named answer of a run, printed: its rows, then what they amount to."""

from pathlib import Path
from typing import Final

import polars as pl

from sweep.results import about
from sweep.results.answers import ANSWERS, answer
from sweep.results.columns import Format
from sweep.results.runs import Run, open_run
from sweep.results.tables import cell, say, write

MAX_TOLD: Final = 400
"""A finished run prints no more rows of its answer than this."""


def tell(run: Run, form: Format = Format.table, limit: int = 0) -> None:
    """Print the answer of the run's experiment, or write its rows in another format.

    ValueError if the run is none of the experiments that have an answer.
    """
    name = str(run.plan["name"])
    if name not in ANSWERS:
        raise ValueError(
            f"{run.name} is of no experiment with a named answer: {', '.join(ANSWERS)}. "
            "Ask it with sweep-results best, sql or report."
        )
    found = answer(name, run.scan())
    if form is not Format.table:
        return write(found.rows, form)
    shown, same = _without_constants(found.rows)
    if shown.width:
        write(shown, form, limit=limit)
    if same:
        say(f"The same in every row: {same}.")
    say("", *about.question(run)[:1], "", *found.sentences)


def _without_constants(rows: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    if rows.height < 2:
        return rows, ""
    same = [c for c in rows.columns if rows[c].n_unique() == 1 and c != "enough"]
    return rows.drop(same), ", ".join(f"{c} {cell(rows[c][0])}" for c in same)


def announce(uri: str, experiment: str) -> None:
    """Print the answer of a run that has just finished, if its experiment has one."""
    if experiment not in ANSWERS:
        return
    run = open_run(uri)
    tell(run, limit=MAX_TOLD)
    is_near = Path(uri) == Path("results").resolve() / run.name
    say("", f"More: sweep-results report {run.name if is_near else uri} -o report.html")
