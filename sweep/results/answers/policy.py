"""Which policy and which list layout: exact counting, topping up all, 2 or 14 pointers."""

from functools import partial
from typing import Final

import polars as pl

from sweep.results.answers.comparisons import EVERY_ROW, WORKLOAD, versus, versus_sentences
from sweep.results.answers.question import Question


def is_exact_counting_worth_it(results: pl.LazyFrame) -> pl.LazyFrame:
    """Counting each split's descriptors against always wanting 513: see `versus`."""
    by = ("desc_capacity", "memslot_gib", *WORKLOAD)
    return versus(results, "policy", "kernel", "exact_demand", by)


IS_EXACT_COUNTING_WORTH_IT: Final = Question(
    is_exact_counting_worth_it,
    partial(versus_sentences, usual="kernel", other="exact_demand"),
    needs={"policy": ["kernel", "exact_demand"]},
    bounded=EVERY_ROW,
)


def opportunistic_top_up(results: pl.LazyFrame) -> pl.LazyFrame:
    """Filling every cache at each drop against filling what is short: see `versus`."""
    by = ("desc_capacity", "memslot_gib", *WORKLOAD)
    return versus(results, "policy", "kernel", "opportunistic", by)


def _top_up_sentences(rows: pl.DataFrame) -> list[str]:
    said = versus_sentences(rows, "kernel", "opportunistic")
    known = rows.drop_nulls("optimum_drops")
    if known.height:
        above = 100 * (known["other_drops"] / known["optimum_drops"] - 1)
        said.append(
            f"Of what any policy could do with the same caches, it does the best in "
            f"{(above <= 0).sum()} of {known.height} cases; at worst it costs "
            f"{above.quantile(1):.1f} % more."
        )
    return said


OPPORTUNISTIC_TOP_UP: Final = Question(
    opportunistic_top_up,
    _top_up_sentences,
    needs={"policy": ["kernel", "opportunistic"]},
    bounded=EVERY_ROW,
)


def ext_2_or_14(results: pl.LazyFrame) -> pl.LazyFrame:
    """Descriptors of 2 SPTE pointers against 14: see `versus`; the optimum is with 14."""
    by = ("desc_capacity", "memslot_gib", "alias_degree", *WORKLOAD)
    return versus(results, "pte_list_ext", 14, 2, by)


EXT_2_OR_14: Final = Question(
    ext_2_or_14,
    partial(versus_sentences, usual="14 pointers", other="2 pointers"),
    needs={"pte_list_ext": [2, 14]},
    bounded=pl.col("pte_list_ext") == 14,
)
