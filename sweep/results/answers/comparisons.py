"""Two values of a parameter, or all of them, side by side: tables, and what they say."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from sweep.results.bounds import with_bounds

DROPS: Final = pl.col("nr_lock_drops")
FULL_KIB: Final = (pl.col("full_bytes").mean() / 1024).alias("full_kib")
"""Memory of full caches."""

WORKLOAD: Final = ("distinct_role_ratio", "alias_ratio")
BESIDE: Final = pl.col("unbounded_drops", "optimum_drops")
"""Bounds that stand beside each comparison of capacities or policies."""

EVERY_ROW: Final = pl.lit(True)
"""Where a question compares no capacities, the optimum of each row stands beside it."""


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
    change = 100 * (pl.col("other_drops") / pl.col("usual_drops") - 1)
    # One optimum holds for all policies.
    same_caches = pl.lit(True) if choice == "policy" else pl.col(choice) == usual
    return (
        with_bounds(results).group_by(by)
        .agg(*means, BESIDE.filter(same_caches).mean()).drop_nulls(list(sides))
        .with_columns(pl.when(pl.col("usual_drops") > 0).then(change).alias("change_percent"))
        .sort(by)
    )  # fmt: skip


def versus_sentences(rows: pl.DataFrame, usual: str, other: str) -> list[str]:
    """How often `other` is better, how often worse, and where most, from the rows of `versus`."""
    change = pl.col("change_percent")
    fewer, more = rows.filter(change < 0), rows.filter(change > 0)
    said = [
        f"{other} instead of {usual}: fewer lock drops in {fewer.height} of {rows.height} cases, "
        f"more in {more.height}."
    ]
    for word, some, worst in (("saves", fewer, change.min()), ("costs", more, change.max())):
        if some.height:
            case = some.filter(change == worst).row(0, named=True)
            said.append(f"It {word} most ({case['change_percent']:+.1f} %) {_where(case)}.")
    return said


def _where(case: Mapping[str, Any]) -> str:
    names = [c for c in case if not c.endswith(("_drops", "_percent"))]
    drops = f"from {case['usual_drops']:,.0f} to {case['other_drops']:,.0f} lock drops"
    if case["optimum_drops"] is not None:
        drops += f" ({case['optimum_drops']:,.0f} at best)"
    return f"{drops} at " + ", ".join(f"{c} {case[c]:g}" for c in names)


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
        .with_columns((100 * (DROPS / base - 1)).alias("change_percent"))
        .sort(*by, choice)
    )  # fmt: skip


def instead_sentences(
    rows: pl.DataFrame, choice: str, usual: Any, values: Sequence[Any]
) -> list[str]:
    """What each of `values` changes against `usual`, over all groups of `summary` together."""
    means = rows.group_by(choice).agg(pl.col("nr_lock_drops", "full_kib", "hold_p99_us").mean())
    by_value = {row[choice]: row for row in means.iter_rows(named=True)}
    base = by_value[usual]
    return [
        f"{choice} {value:g} instead of {usual:g}: "
        f"{percent_more(row['nr_lock_drops'], base['nr_lock_drops'])} lock drops, "
        f"{row['full_kib'] - base['full_kib']:+,.1f} KiB, holds at the 99th percentile "
        f"{percent_more(row['hold_p99_us'], base['hold_p99_us'])} (modelled)."
        for value in values
        if (row := by_value.get(value))
    ]


def percent_more(new: float, old: float) -> str:
    """How much larger `new` is than `old`, as `+12.5 %`."""
    return f"{100 * (new / old - 1):+.1f} %"
