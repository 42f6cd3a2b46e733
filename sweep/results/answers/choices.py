"""Which choice is right: capacities of the caches, policies, list layouts, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from sweep.results.answers.seed_question import TOLERANCE
from sweep.results.bounds import with_bounds

DROPS: Final = pl.col("nr_lock_drops")
FULL_KIB: Final = pl.col("full_bytes").mean() / 1024
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
    is_known = pl.col("usual_drops") > 0
    # One optimum holds for all policies.
    same_caches = pl.lit(True) if choice == "policy" else pl.col(choice) == usual
    return (
        with_bounds(results).group_by(by)
        .agg(*means, BESIDE.filter(same_caches).mean()).drop_nulls(list(sides))
        .with_columns(change_percent=pl.when(is_known).then(change))
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
            DROPS.mean(), BESIDE.mean(), full_kib=FULL_KIB,
            hold_p99_us=pl.col("hold_ns_p99").mean() / 1e3,
            total_ms=pl.col("total_ns").mean() / 1e6,
        )
        .with_columns(change_percent=percent_more(DROPS, base))
        .sort(*by, choice)
    )  # fmt: skip


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


def is_553_right(results: pl.LazyFrame) -> pl.LazyFrame:
    """For each workload the fewest lock drops of any capacity, and what 553 costs beside it.

    `enough_capacity` is the smallest capacity within 5 % of the fewest, `extra_kib` what it takes
    more than 553 when full; `regret_percent` is how many more lock drops 553 costs than the fewest.
    `unbounded_drops`, `optimum_drops` and `floor_drops` are bounds of what 553 costs (see
    `with_bounds`).
    """
    kib = pl.col("full_kib")
    bounds = pl.col("unbounded_drops", "optimum_drops", "floor_drops")
    enough = DROPS.min() * (1 + TOLERANCE) >= DROPS
    regret = percent_more(pl.col("drops_553"), pl.col("least_drops"))
    return (
        with_bounds(results)
        .group_by("workload", "memslot_gib", "desc_capacity")
        .agg(DROPS.mean(), bounds.mean(), full_kib=FULL_KIB)
        .group_by("workload", "memslot_gib")
        .agg(
            bounds.filter(desc_capacity=553).first(),
            drops_553=DROPS.filter(desc_capacity=553).first(),
            least_drops=DROPS.min(),
            enough_capacity=pl.col("desc_capacity").filter(enough).min(),
            extra_kib=kib.filter(enough).min() - kib.filter(desc_capacity=553).first(),
        )
        .with_columns(regret_percent=regret)
        .sort("regret_percent", "workload", "memslot_gib")
    )


def capacity_sentences(rows: pl.DataFrame) -> list[str]:
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


def page_cache_sentences(rows: pl.DataFrame) -> list[str]:
    """What some capacities change against 40, over all workloads together.

    An expectation knows no quantiles of hold times.
    """
    columns = ("full_kib", "nr_lock_drops", "hold_p99_us")
    means = rows.group_by("object_capacity").agg(pl.col(columns).mean())
    at_40 = means.row(by_predicate=pl.col("object_capacity") == 40, named=True)
    against = means.select(
        "object_capacity",
        pl.col("full_kib") - at_40["full_kib"],
        *(percent_more(pl.col(c), at_40[c]) for c in columns[1:]),
    )
    asked = pl.DataFrame({"object_capacity": [64, 128, 513, 8]})
    holds = ", holds at the 99th percentile {hold_p99_us:+.1f} % (modelled)"
    return told(
        asked.join(against, on="object_capacity", maintain_order="left"),
        "object_capacity {object_capacity} instead of 40: {nr_lock_drops:+.1f} % lock drops, "
        "{full_kib:+,.1f} KiB" + (holds if at_40["hold_p99_us"] is not None else "") + ".",
    )


def fleet_bytes(results: pl.LazyFrame) -> pl.LazyFrame:
    """Each descriptor capacity against 553, over all presets alike (see `summary`), and the memory
    of full caches in `gb_per_million_vms` (10^9 bytes)."""
    rows = summary(results, "desc_capacity", 553, ("policy", "object_capacity"))
    return rows.with_columns(gb_per_million_vms=pl.col("full_kib") * 1024 / 1e3)


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
