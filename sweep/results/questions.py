"""The tables behind the named answers: pure functions, a frame in and a frame out."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from sweep.results.bounds import with_bounds
from sweep.results.seed import TOLERANCE

_DROPS: Final = pl.col("nr_lock_drops")
_KIB: Final = (pl.col("full_bytes").mean() / 1024).alias("full_kib")
_WORKLOAD: Final = ("distinct_role_ratio", "alias_ratio")
_BESIDE: Final = pl.col("unbounded_drops", "optimum_drops")
"""Bounds that stand beside each comparison of capacities or policies."""


def versus(
    results: pl.LazyFrame, choice: str, usual: Any, other: Any, by: Sequence[str]
) -> pl.LazyFrame:
    """Mean lock drops under two values of `choice`, and the change from `usual` to `other`.

    One row for each group of `by` that has both: `usual_drops`, `other_drops`, `unbounded_drops`
    (caches that never run dry), `optimum_drops` (what no policy can beat with the usual caches,
    null if the run lacks it), `change_percent`.
    """
    sides = {"usual_drops": usual, "other_drops": other}
    means = [_DROPS.filter(pl.col(choice) == v).mean().alias(name) for name, v in sides.items()]
    change = 100 * (pl.col("other_drops") / pl.col("usual_drops") - 1)
    # One optimum holds for all policies.
    same_caches = pl.lit(True) if choice == "policy" else pl.col(choice) == usual
    return (
        with_bounds(results).group_by(by)
        .agg(*means, _BESIDE.filter(same_caches).mean()).drop_nulls(list(sides))
        .with_columns(pl.when(pl.col("usual_drops") > 0).then(change).alias("change_percent"))
        .sort(by)
    )  # fmt: skip


def summary(results: pl.LazyFrame, choice: str, usual: Any, by: Sequence[str] = ()) -> pl.LazyFrame:
    """Means for each value of `choice` in each group of `by`.

    `full_kib` is the memory of full caches, `hold_p99_us` and `total_ms` are modelled;
    `change_percent` is how the lock drops differ from those where `choice` is `usual`. Their bounds
    are `unbounded_drops` and `optimum_drops` (see `versus`).
    """
    base = _DROPS.filter(pl.col(choice) == usual).first().over(list(by) or pl.lit(0))
    return (
        with_bounds(results).group_by(*by, choice)
        .agg(
            _DROPS.mean(), _BESIDE.mean(), _KIB,
            (pl.col("hold_ns_p99").mean() / 1e3).alias("hold_p99_us"),
            (pl.col("total_ns").mean() / 1e6).alias("total_ms"),
        )
        .with_columns((100 * (_DROPS / base - 1)).alias("change_percent"))
        .sort(*by, choice)
    )  # fmt: skip


def is_553_right(results: pl.LazyFrame) -> pl.LazyFrame:
    """For each workload the fewest lock drops of any capacity, and what 553 costs beside it.

    `enough_capacity` is the smallest capacity within 5 % of the fewest, `extra_kib` what it takes
    more than 553 when full; `regret_percent` is how many more lock drops 553 costs than the fewest.
    `unbounded_drops` and `optimum_drops` are bounds of what 553 costs (see `versus`).
    """
    capacity, kib = pl.col("desc_capacity"), pl.col("full_kib")
    ours, enough = capacity == 553, _DROPS.min() * (1 + TOLERANCE) >= _DROPS
    regret = 100 * (pl.col("drops_553") / pl.col("least_drops") - 1)
    return (
        with_bounds(results)
        .group_by("workload", "memslot_gib", "desc_capacity")
        .agg(_DROPS.mean(), _KIB, pl.col("floor_drops").mean(), _BESIDE.mean())
        .group_by("workload", "memslot_gib")
        .agg(
            _BESIDE.filter(ours).first(),
            pl.col("floor_drops").first(),
            _DROPS.filter(ours).first().alias("drops_553"),
            _DROPS.min().alias("least_drops"),
            capacity.filter(enough).min().alias("enough_capacity"),
            (kib.filter(enough).min() - kib.filter(ours).first()).alias("extra_kib"),
        )
        .with_columns(regret.alias("regret_percent"))
        .sort("regret_percent", "workload", "memslot_gib")
    )


def is_40_right(results: pl.LazyFrame) -> pl.LazyFrame:
    """Each page-cache capacity against 40, with 553 descriptors: see `summary`."""
    mainline = results.filter(pl.col("desc_capacity") == 553)
    return summary(mainline, "object_capacity", 40, _WORKLOAD)


def is_exact_counting_worth_it(results: pl.LazyFrame) -> pl.LazyFrame:
    """Counting each split's descriptors against always wanting 513: see `versus`."""
    by = ("desc_capacity", "memslot_gib", *_WORKLOAD)
    return versus(results, "policy", "kernel", "exact_demand", by)


def opportunistic_top_up(results: pl.LazyFrame) -> pl.LazyFrame:
    """Filling every cache at each drop against filling what is short: see `versus`."""
    by = ("desc_capacity", "memslot_gib", *_WORKLOAD)
    return versus(results, "policy", "kernel", "opportunistic", by)


def ext_2_or_14(results: pl.LazyFrame) -> pl.LazyFrame:
    """Descriptors of 2 SPTE pointers against 14: see `versus`; the optimum is with 14."""
    by = ("desc_capacity", "memslot_gib", "alias_degree", *_WORKLOAD)
    return versus(results, "pte_list_ext", 14, 2, by)


def flush_flavours(results: pl.LazyFrame) -> pl.LazyFrame:
    """How long mmu_lock is held under each flush flavour, by running vCPUs, in ms (modelled).

    `f1_percent` is how much longer f1 holds it than f0, `f1_more_drops` its further lock drops.
    """
    held = pl.col("lock_held_ns") / 1e6
    means = [held.filter(pl.col("flush") == f).mean().alias(f"{f}_ms") for f in ("f0", "f1", "f2")]
    longer = 100 * (pl.col("f1_ms") / pl.col("f0_ms") - 1)
    drops = [_DROPS.filter(pl.col("flush") == f).sum() for f in ("f1", "f0")]
    by = ("ratio_1g", "rounds", "running_vcpus")
    return (
        results.group_by(by)
        .agg(*means, (drops[0] - drops[1]).alias("f1_more_drops"))
        .with_columns(longer.alias("f1_percent"))
        .sort(by)
    )


def clear_chunks(results: pl.LazyFrame) -> pl.LazyFrame:
    """Each chunk size against 1 GiB (see `summary`); `call_ms` is one call's share of the time."""
    rows = summary(results, "clear_chunk_gib", 1.0, ("memslot_gib", *_WORKLOAD))
    share = pl.min_horizontal(pl.col("clear_chunk_gib") / pl.col("memslot_gib"), 1.0)
    return rows.with_columns((pl.col("total_ms") * share).alias("call_ms"))


def where_enospc_starts(results: pl.LazyFrame) -> pl.LazyFrame:
    """The fewest mappings of an aliased page at which a split ends with ENOSPC.

    `first_degree` is null if none of those swept does; `worst_unsplit_ratio` is the largest share
    of huge SPTEs left.
    """
    degree = pl.col("alias_degree")
    return (
        results.group_by("memslot_gib", *_WORKLOAD)
        .agg(
            degree.filter(pl.col("nr_enospc") > 0).min().alias("first_degree"),
            degree.max().alias("largest_degree"),
            (pl.col("nr_unsplit") / pl.col("nr_huge_sptes")).max().alias("worst_unsplit_ratio"),
        )
        .sort("memslot_gib", *_WORKLOAD)
    )


def starvation(results: pl.LazyFrame) -> pl.LazyFrame:
    """How much longer a split takes if it yields to waiting vCPUs, `slower_ratio` times (modelled).

    `unsplit_ratio` is the share of huge SPTEs that it never reached.
    """
    yields = pl.col("preempt_on_contention")
    by = ("running_vcpus", "think_ns", "memslot_gib")
    times = pl.col("total_ns").filter(yields).mean() / pl.col("total_ns").filter(~yields).mean()
    left = (pl.col("nr_unsplit") / pl.col("nr_huge_sptes")).filter(yields).max()
    return (
        results.group_by(by)
        .agg(times.alias("slower_ratio"), left.alias("unsplit_ratio"))
        .sort(by)
    )  # fmt: skip


def fleet_bytes(results: pl.LazyFrame) -> pl.LazyFrame:
    """Each descriptor capacity against 553, over all presets alike (see `summary`), and the memory
    of full caches in `gb_per_million_vms` (10^9 bytes)."""
    rows = summary(results, "desc_capacity", 553, ("policy", "object_capacity"))
    return rows.with_columns((pl.col("full_kib") * 1024 / 1e3).alias("gb_per_million_vms"))
