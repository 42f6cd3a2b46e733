"""Which policy and which list layout: exact counting, topping up all, 2 or 14 pointers."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from sweep.results.answers.comparisons import WORKLOAD, percent_more, versus


def is_exact_counting_worth_it(results: pl.LazyFrame) -> pl.LazyFrame:
    """Counting each split's descriptors against always wanting 513: see `versus`."""
    by = ("desc_capacity", "memslot_gib", *WORKLOAD)
    return versus(results, "policy", "kernel", "exact_demand", by)


def opportunistic_top_up(results: pl.LazyFrame) -> pl.LazyFrame:
    """Filling every cache at each drop against filling what is short: see `versus`."""
    by = ("desc_capacity", "memslot_gib", *WORKLOAD)
    return versus(results, "policy", "kernel", "opportunistic", by)


def top_up_sentences(rows: pl.DataFrame) -> list[str]:
    said = versus_sentences(rows, "kernel", "opportunistic")
    known = rows.drop_nulls("optimum_drops")
    if known.height:
        above = percent_more(known["other_drops"], known["optimum_drops"])
        said.append(
            "Of what any policy could do with the same caches, it does the best in "
            f"{(above <= 0).sum()} of {known.height} cases; at worst it costs "
            f"{above.quantile(1):.1f} % more."
        )
    return said


def ext_2_or_14(results: pl.LazyFrame) -> pl.LazyFrame:
    """Descriptors of 2 SPTE pointers against 14: see `versus`; the optimum is with 14."""
    by = ("desc_capacity", "memslot_gib", "alias_degree", *WORKLOAD)
    return versus(results, "pte_list_ext", 14, 2, by)


def versus_sentences(rows: pl.DataFrame, usual: str, other: str) -> list[str]:
    """How often `other` is better, how often worse, and where most, from the rows of `versus`."""
    change = pl.col("change_percent")
    fewer, more = rows.filter(change < 0), rows.filter(change > 0)
    said = [
        f"{other} instead of {usual}: fewer lock drops in {fewer.height} of {rows.height} cases, "
        f"more in {more.height}."
    ]
    most = {
        "saves": fewer.filter(change == change.min()),
        "costs": more.filter(change == change.max()),
    }
    for word, cases in most.items():
        said += [f"It {word} most {_case(case)}." for case in cases.head(1).iter_rows(named=True)]
    return said


def _case(case: Mapping[str, Any]) -> str:
    optimum = case["optimum_drops"]
    best = "" if optimum is None else f" ({optimum:,.0f} at best)"
    names = [c for c in case if not c.endswith(("_drops", "_percent"))]
    return (
        f"({case['change_percent']:+.1f} %) from {case['usual_drops']:,.0f} to "
        f"{case['other_drops']:,.0f} lock drops{best} at "
        + ", ".join(f"{c} {case[c]:g}" for c in names)
    )
