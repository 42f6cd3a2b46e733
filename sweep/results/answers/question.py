"""What a question is made of, and an answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from sweep.results.formats import named

BOUNDS_IN_WORDS: Final = (
    "Bounds: optimum_drops is the fewest that any policy costs with the same caches, "
    "unbounded_drops what caches cost that never run dry."
)


@dataclass(frozen=True)
class Answer:
    """The rows of a named answer, and the sentences that follow from them."""

    rows: pl.DataFrame
    sentences: list[str]


@dataclass(frozen=True)
class Question:
    """How a run is asked: for a table, and for the sentences that its rows amount to.

    A run that lacks one of the values in `needs` has no answer. Questions that compare capacities
    or policies show the optimum of the rows that are `bounded`. Sentences that take more than the
    table's rows are `further`: they are given the run's rows too.
    """

    table: Callable[[pl.LazyFrame], pl.LazyFrame]
    sentences: Callable[[pl.DataFrame], list[str]]
    needs: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    bounded: pl.Expr | None = None
    further: Callable[[pl.LazyFrame, pl.DataFrame], list[str]] = lambda results, rows: []


def without_constants(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The columns that vary, and in words what does not and what the bounds are."""
    if rows.height < 2:
        return rows, []
    same = {c: rows[c][0] for c in rows.columns if rows[c].n_unique() == 1 and c != "enough"}
    known = named(same)
    notes = [f"The same in every row: {known}."] if known else []
    shown = rows.drop(same)
    return shown, [*notes, *([BOUNDS_IN_WORDS] if "optimum_drops" in shown.columns else [])]
