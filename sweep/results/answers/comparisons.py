"""What the answers share: two values of a parameter, or all of them, side by side."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from sweep.results.bounds import with_bounds

DROPS: Final = pl.col("nr_lock_drops")
FULL_KIB: Final = (pl.col("full_bytes").mean() / 1024).alias("full_kib")
"""Memory of full caches."""

WORKLOAD: Final = ("distinct_role_ratio", "alias_ratio")
BESIDE: Final = pl.col("unbounded_drops", "optimum_drops")
"""Bounds that stand beside each comparison of capacities or policies."""


def told(rows: pl.DataFrame, sentence: str) -> list[str]:
    """`sentence` for each row, its columns in the braces."""
    return [sentence.format(**row) for row in rows.iter_rows(named=True)]


def percent_more(new: Any, old: Any) -> Any:
    """How much larger `new` is than `old`, in percent: of numbers, columns or expressions."""
    return (new / old - 1) * 100


def versus(
    results: pl.LazyFrame, choice: str, usual: Any, other: Any, by: Sequence[str]
) -> pl.LazyFrame:
    """Mean lock drops under two values of `choice`, and the change from `usual` to `other`.

    One row for each group of `by` that has both: `usual_drops`, `other_drops`, `unbounded_drops`
    (caches that never run dry), `optimum_drops` (what no policy can beat with the usual caches,
    null if the run lacks it), `change_percent`.
    """
    sides = {"usual_drops": usual, "other_drops": other}
    means = [DROPS.filter(pl.col(choice) == v).mean().alias(name) for name, v in sides.items()]
    change = percent_more(pl.col("other_drops"), pl.col("usual_drops"))
    # One optimum holds for all policies.
    same_caches = pl.lit(True) if choice == "policy" else pl.col(choice) == usual
    return (
        with_bounds(results).group_by(by)
        .agg(*means, BESIDE.filter(same_caches).mean()).drop_nulls(list(sides))
        .with_columns(pl.when(pl.col("usual_drops") > 0).then(change).alias("change_percent"))
        .sort(by)
    )  # fmt: skip


def summary(results: pl.LazyFrame, choice: str, usual: Any, by: Sequence[str] = ()) -> pl.LazyFrame:
    """Means for each value of `choice` in each group of `by`.

    `full_kib` is the memory of full caches, `hold_p99_us` and `total_ms` are modelled;
    `change_percent` is how the lock drops differ from those where `choice` is `usual`. Their bounds
    are `unbounded_drops` and `optimum_drops` (see `versus`).
    """
    base = DROPS.filter(pl.col(choice) == usual).first().over(list(by) or pl.lit(0))
    return (
        with_bounds(results).group_by(*by, choice)
        .agg(
            DROPS.mean(), BESIDE.mean(), FULL_KIB,
            (pl.col("hold_ns_p99").mean() / 1e3).alias("hold_p99_us"),
            (pl.col("total_ns").mean() / 1e6).alias("total_ms"),
        )
        .with_columns(percent_more(DROPS, base).alias("change_percent"))
        .sort(*by, choice)
    )  # fmt: skip
