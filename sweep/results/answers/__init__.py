"""The named answers: each question with its table and the sentences that follow from the rows.

Modules stand for what is asked about: the question that began it (`seed_question`), `choices`
between capacities and policies, and how `walks` go.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import polars as pl

from sweep.results.answers import choices, seed_question, walks
from sweep.results.bounds import EVERY_ROW, with_optimum
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


_AT_553: Final = pl.col("desc_capacity") == 553
_AT_14: Final = pl.col("pte_list_ext") == 14

_QUESTIONS: Final = (
    Question(
        seed_question.seed_question, seed_question.seed_sentences, further=seed_question.seed_bounds
    ),
    Question(choices.is_553_right, choices.capacity_sentences, {"desc_capacity": [553]}, _AT_553),
    Question(
        choices.is_40_right, choices.page_cache_sentences,
        {"object_capacity": [40], "desc_capacity": [553]}, _AT_553,
    ),
    Question(
        choices.is_exact_counting_worth_it,
        partial(choices.versus_sentences, usual="kernel", other="exact_demand"),
        {"policy": ["kernel", "exact_demand"]}, EVERY_ROW,
    ),
    Question(
        choices.opportunistic_top_up, choices.top_up_sentences,
        {"policy": ["kernel", "opportunistic"]}, EVERY_ROW,
    ),
    Question(
        choices.ext_2_or_14,
        partial(choices.versus_sentences, usual="14 pointers", other="2 pointers"),
        {"pte_list_ext": [2, 14]}, _AT_14,
    ),
    Question(walks.flush_flavours, walks.flush_sentences, {"flush": ["f0", "f1", "f2"]}),
    Question(walks.clear_chunks, walks.clear_sentences, {"clear_chunk_gib": [1.0]}),
    Question(walks.where_enospc_starts, walks.enospc_sentences),
    Question(
        walks.starvation, walks.starvation_sentences, {"preempt_on_contention": [False, True]}
    ),
    Question(
        choices.fleet_bytes, choices.fleet_sentences,
        {"policy": ["kernel"], "object_capacity": [40], "desc_capacity": [553, 1026]}, EVERY_ROW,
    ),
)  # fmt: skip

ANSWERS: Final[Mapping[str, Question]] = {q.table.__name__: q for q in _QUESTIONS}
"""What each experiment asks, by its name, which its table bears too."""


def answer(name: str, results: pl.LazyFrame) -> Answer:
    """What the experiment `name` says about `results`; empty if it is none of `ANSWERS`."""
    if name not in ANSWERS:
        return Answer(pl.DataFrame(), [])
    question = ANSWERS[name]
    usable = results.filter(pl.col("error").is_null())
    if lacking := _lacking(question.needs, usable):
        return Answer(pl.DataFrame(), [f"This run cannot answer: it lacks {lacking}."])
    if question.bounded is not None:
        usable = with_optimum(usable, question.bounded)
    rows = question.table(usable).collect(engine="streaming")
    if rows.is_empty():
        return Answer(rows, ["No point of it has an outcome yet."])
    return Answer(rows, question.sentences(rows) + question.further(usable, rows))


def _lacking(needs: Mapping[str, Sequence[Any]], usable: pl.LazyFrame) -> str:
    """Which of the values that `needs` has for a column a run does not hold, in words."""
    taken = usable.select(pl.col(column).unique().implode() for column in needs).collect()
    lacking = ((c, v) for c, values in needs.items() for v in values if v not in taken[c][0])
    return ", ".join(f"{column} {value}" for column, value in lacking)


def without_constants(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The columns that vary, and in words what does not and what the bounds are."""
    if rows.height < 2:
        return rows, []
    same = {c: rows[c][0] for c in rows.columns if rows[c].n_unique() == 1 and c != "enough"}
    notes = [f"The same in every row: {known}."] if (known := named(same)) else []
    shown = rows.drop(same)
    if "optimum_drops" in shown.columns:
        notes.append(BOUNDS_IN_WORDS)
    return shown, notes
