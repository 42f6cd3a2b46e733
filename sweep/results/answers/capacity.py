"""Which capacities are right: 553 descriptors, 40 pages, and what a fleet pays for them."""

from functools import partial
from typing import Final

import polars as pl

from sweep.results.answers.comparisons import (
    BESIDE,
    DROPS,
    EVERY_ROW,
    FULL_KIB,
    WORKLOAD,
    instead_sentences,
    percent_more,
    summary,
)
from sweep.results.answers.question import Question
from sweep.results.answers.seed_question import TOLERANCE
from sweep.results.bounds import with_bounds

_AT_553: Final = pl.col("desc_capacity") == 553


def is_553_right(results: pl.LazyFrame) -> pl.LazyFrame:
    """For each workload the fewest lock drops of any capacity, and what 553 costs beside it.

    `enough_capacity` is the smallest capacity within 5 % of the fewest, `extra_kib` what it takes
    more than 553 when full; `regret_percent` is how many more lock drops 553 costs than the fewest.
    `unbounded_drops` and `optimum_drops` are bounds of what 553 costs (see `versus`).
    """
    capacity, kib = pl.col("desc_capacity"), pl.col("full_kib")
    ours, enough = capacity == 553, DROPS.min() * (1 + TOLERANCE) >= DROPS
    regret = 100 * (pl.col("drops_553") / pl.col("least_drops") - 1)
    return (
        with_bounds(results)
        .group_by("workload", "memslot_gib", "desc_capacity")
        .agg(DROPS.mean(), FULL_KIB, pl.col("floor_drops").mean(), BESIDE.mean())
        .group_by("workload", "memslot_gib")
        .agg(
            BESIDE.filter(ours).first(),
            pl.col("floor_drops").first(),
            DROPS.filter(ours).first().alias("drops_553"),
            DROPS.min().alias("least_drops"),
            capacity.filter(enough).min().alias("enough_capacity"),
            (kib.filter(enough).min() - kib.filter(ours).first()).alias("extra_kib"),
        )
        .with_columns(regret.alias("regret_percent"))
        .sort("regret_percent", "workload", "memslot_gib")
    )


def _is_553_right_sentences(rows: pl.DataFrame) -> list[str]:
    right = pl.col("regret_percent") <= 100 * TOLERANCE
    fine = ", ".join(rows.filter(right)["workload"]) or "none of the workloads"
    return [f"553 costs at most 5 % more lock drops than any capacity swept for: {fine}."] + [
        f"{r['workload']}: 553 costs {r['regret_percent']:.0f} % more than the fewest possible, "
        f"{r['drops_553']:,.0f} instead of {r['least_drops']:,.0f}; {r['enough_capacity']} "
        f"descriptors are enough, for {r['extra_kib']:.1f} KiB more."
        for r in rows.filter(~right).iter_rows(named=True)
    ]


IS_553_RIGHT: Final = Question(
    is_553_right,
    _is_553_right_sentences,
    needs={"desc_capacity": [553]},
    bounded=_AT_553,
)


def is_40_right(results: pl.LazyFrame) -> pl.LazyFrame:
    """Each page-cache capacity against 40, with 553 descriptors: see `summary`."""
    mainline = results.filter(pl.col("desc_capacity") == 553)
    return summary(mainline, "object_capacity", 40, WORKLOAD)


IS_40_RIGHT: Final = Question(
    is_40_right,
    partial(instead_sentences, choice="object_capacity", usual=40, values=(64, 128, 513, 8)),
    needs={"object_capacity": [40], "desc_capacity": [553]},
    bounded=_AT_553,
)


def fleet_bytes(results: pl.LazyFrame) -> pl.LazyFrame:
    """Each descriptor capacity against 553, over all presets alike (see `summary`), and the memory
    of full caches in `gb_per_million_vms` (10^9 bytes)."""
    rows = summary(results, "desc_capacity", 553, ("policy", "object_capacity"))
    return rows.with_columns((pl.col("full_kib") * 1024 / 1e3).alias("gb_per_million_vms"))


def _fleet_sentences(rows: pl.DataFrame) -> list[str]:
    mainline = rows.filter(policy="kernel", object_capacity=40)
    by_capacity = {r["desc_capacity"]: r for r in mainline.iter_rows(named=True)}
    ours, doubled = by_capacity[553], by_capacity[1026]
    cheaper = rows.filter(
        (pl.col("nr_lock_drops") <= ours["nr_lock_drops"])
        & (pl.col("full_kib") <= ours["full_kib"])
    ).sort("nr_lock_drops", "full_kib")
    best = cheaper.row(0, named=True)
    more = doubled["gb_per_million_vms"] - ours["gb_per_million_vms"]
    return [
        f"A million VMs with 553 descriptors keep {ours['gb_per_million_vms']:,.1f} GB in full "
        f"caches; 1026 would keep {more:,.1f} GB more for {doubled['change_percent']:+.1f} % lock "
        "drops, over all presets alike.",
        f"For no more memory, the fewest lock drops have policy {best['policy']}, object_capacity "
        f"{best['object_capacity']} and {best['desc_capacity']} descriptors: "
        f"{percent_more(best['nr_lock_drops'], ours['nr_lock_drops'])}.",
    ]


FLEET_BYTES: Final = Question(
    fleet_bytes,
    _fleet_sentences,
    needs={"policy": ["kernel"], "object_capacity": [40], "desc_capacity": [553, 1026]},
    bounded=EVERY_ROW,
)
