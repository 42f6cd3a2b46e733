"""Which capacities are right: 553 descriptors, 40 pages, and what a fleet pays for them."""

import polars as pl

from sweep.results.answers.comparisons import (
    BESIDE,
    DROPS,
    FULL_KIB,
    WORKLOAD,
    percent_more,
    summary,
    told,
)
from sweep.results.answers.seed_question import TOLERANCE
from sweep.results.bounds import with_bounds


def is_553_right(results: pl.LazyFrame) -> pl.LazyFrame:
    """For each workload the fewest lock drops of any capacity, and what 553 costs beside it.

    `enough_capacity` is the smallest capacity within 5 % of the fewest, `extra_kib` what it takes
    more than 553 when full; `regret_percent` is how many more lock drops 553 costs than the fewest.
    `unbounded_drops` and `optimum_drops` are bounds of what 553 costs (see `versus`).
    """
    capacity, kib = pl.col("desc_capacity"), pl.col("full_kib")
    ours, enough = capacity == 553, DROPS.min() * (1 + TOLERANCE) >= DROPS
    regret = percent_more(pl.col("drops_553"), pl.col("least_drops"))
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


def sentences_on_553(rows: pl.DataFrame) -> list[str]:
    right = pl.col("regret_percent") <= 100 * TOLERANCE
    fine = ", ".join(rows.filter(right)["workload"]) or "none of the workloads"
    return [
        f"553 costs at most 5 % more lock drops than any capacity swept for: {fine}.",
        *told(
            rows.filter(~right),
            "{workload}: 553 costs {regret_percent:.0f} % more than the fewest possible, "
            "{drops_553:,.0f} instead of {least_drops:,.0f}; {enough_capacity} descriptors are "
            "enough, for {extra_kib:.1f} KiB more.",
        ),
    ]


def is_40_right(results: pl.LazyFrame) -> pl.LazyFrame:
    """Each page-cache capacity against 40, with 553 descriptors: see `summary`."""
    return summary(results.filter(desc_capacity=553), "object_capacity", 40, WORKLOAD)


def sentences_on_40(rows: pl.DataFrame) -> list[str]:
    """What some capacities change against 40, over all workloads together."""
    columns = ("full_kib", "nr_lock_drops", "hold_p99_us")
    means = rows.group_by("object_capacity").agg(pl.col(columns).mean())
    at_40 = means.row(by_predicate=pl.col("object_capacity") == 40, named=True)
    against = means.select(
        "object_capacity",
        pl.col("full_kib") - at_40["full_kib"],
        *(percent_more(pl.col(c), at_40[c]) for c in columns[1:]),
    )
    asked = pl.DataFrame({"object_capacity": [64, 128, 513, 8]})
    return told(
        asked.join(against, on="object_capacity", maintain_order="left"),
        "object_capacity {object_capacity} instead of 40: {nr_lock_drops:+.1f} % lock drops, "
        "{full_kib:+,.1f} KiB, holds at the 99th percentile {hold_p99_us:+.1f} % (modelled).",
    )


def fleet_bytes(results: pl.LazyFrame) -> pl.LazyFrame:
    """Each descriptor capacity against 553, over all presets alike (see `summary`), and the memory
    of full caches in `gb_per_million_vms` (10^9 bytes)."""
    rows = summary(results, "desc_capacity", 553, ("policy", "object_capacity"))
    return rows.with_columns((pl.col("full_kib") * 1024 / 1e3).alias("gb_per_million_vms"))


def fleet_sentences(rows: pl.DataFrame) -> list[str]:
    mainline = rows.filter(policy="kernel", object_capacity=40)
    at_553, at_1026 = (mainline.filter(desc_capacity=c).row(0, named=True) for c in (553, 1026))
    drops, gb = at_553["nr_lock_drops"], at_553["gb_per_million_vms"]
    cheaper = rows.filter(
        pl.col("nr_lock_drops") <= drops, pl.col("full_kib") <= at_553["full_kib"]
    )
    best = cheaper.sort("nr_lock_drops", "full_kib").row(0, named=True)
    return [
        f"A million VMs with 553 descriptors keep {gb:,.1f} GB in full caches; 1026 would keep "
        f"{at_1026['gb_per_million_vms'] - gb:,.1f} GB more for {at_1026['change_percent']:+.1f} % "
        "lock drops, over all presets alike.",
        f"For no more memory, the fewest lock drops have policy {best['policy']}, object_capacity "
        f"{best['object_capacity']} and {best['desc_capacity']} descriptors: "
        f"{percent_more(best['nr_lock_drops'], drops):+.1f} %.",
    ]
