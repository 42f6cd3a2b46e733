"""The named answers: each question with its table and the sentences that follow from the rows.

Modules stand for what is asked about: `capacity`, `policy`, `time`, `limits`, and the question that
began it, `seed_question`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from sweep.results.answers import capacity, limits, policy, seed_question, time
from sweep.results.answers.question import Answer, Question
from sweep.results.bounds import with_optimum

ANSWERS: Final[Mapping[str, Question]] = {
    "seed_question": seed_question.SEED_QUESTION,
    "is_553_right": capacity.IS_553_RIGHT,
    "is_40_right": capacity.IS_40_RIGHT,
    "is_exact_counting_worth_it": policy.IS_EXACT_COUNTING_WORTH_IT,
    "opportunistic_top_up": policy.OPPORTUNISTIC_TOP_UP,
    "ext_2_or_14": policy.EXT_2_OR_14,
    "flush_flavours": time.FLUSH_FLAVOURS,
    "clear_chunks": time.CLEAR_CHUNKS,
    "where_enospc_starts": limits.WHERE_ENOSPC_STARTS,
    "starvation": time.STARVATION,
    "fleet_bytes": capacity.FLEET_BYTES,
}
"""What each experiment asks, by its name."""


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
