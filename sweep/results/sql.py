"""SQL over runs: polars', reading and nothing else."""

import re
from collections.abc import Sequence
from typing import Final

import polars as pl

from sweep.results.runs import Run

_OTHER_FILES: Final = re.compile(r"\bread_\w+", re.IGNORECASE)
_READS: Final = re.compile(r"\s*\(*\s*(select|with|explain|show)\b", re.IGNORECASE)


def query(runs: Sequence[Run], text: str) -> pl.LazyFrame:
    """The rows that `text` selects from `results`: the rows of all `runs`, `run` naming each.

    Each run is a table of its own name too, such as `"seed_question-0123456789ab"`. Raises
    ValueError if `text` does anything but read these tables.
    """
    if _READS.match(text) is None:
        raise ValueError(
            "SQL: only SELECT (also WITH, EXPLAIN, SHOW TABLES); runs are never changed."
        )
    if found := _OTHER_FILES.search(text):
        raise ValueError(
            f"SQL: {found[0]} is refused, because a query sees only the runs it names. "
            "To read other files use the Python door, sweep.results.scan."
        )
    frames = {run.name: run.scan() for run in runs}
    frames["results"] = pl.concat([run.scan() for run in runs], how="diagonal")
    return pl.SQLContext(frames, register_globals=False).execute(text, eager=False)
