"""How a walk over the memslot goes: how long mmu_lock is held, and where splitting ends early.

All times are modelled.
"""

from typing import Final

import polars as pl

from sweep.results.answers.choices import DROPS, WORKLOAD, percent_more, summary, told

_UNSPLIT: Final = pl.col("nr_unsplit") / pl.col("nr_huge_sptes")


def flush_flavours(results: pl.LazyFrame) -> pl.LazyFrame:
    """How long mmu_lock is held under each flush flavour, by running vCPUs, in ms (modelled).

    `f1_percent` is how much longer f1 holds it than f0, `f1_more_drops` its further lock drops.
    """
    held = pl.col("lock_held_ns") / 1e6
    f0_drops, f1_drops = (DROPS.filter(flush=f).sum() for f in ("f0", "f1"))
    by = ("ratio_1g", "rounds", "running_vcpus")
    return (
        results.group_by(by)
        .agg(
            *(held.filter(flush=f).mean().alias(f"{f}_ms") for f in ("f0", "f1", "f2")),
            f1_more_drops=f1_drops - f0_drops,
        )
        .with_columns(f1_percent=percent_more(pl.col("f1_ms"), pl.col("f0_ms")))
        .sort(by)
    )


def flush_sentences(rows: pl.DataFrame) -> list[str]:
    most = rows.filter(pl.col("running_vcpus") == pl.col("running_vcpus").max())
    drops = rows.select(pl.col("f1_more_drops").abs().max()).item()
    same = not ((rows["f0_ms"] - rows["f2_ms"]).abs() > 1e-9).any()
    return [
        *told(
            most.sort("f1_percent").tail(1),
            "With {running_vcpus} running vCPUs f1 holds mmu_lock {f1_ms:,.0f} ms where f0 holds "
            "it {f0_ms:,.0f} ms ({f1_percent:+,.0f} %, modelled).",
        ),
        f"Its lock drops differ from those of f0 by up to {drops:,} in a case."
        if drops
        else "It changes no lock drop, so no cache size wins the flushes back.",
        f"f2 {'costs the same as' if same else 'differs from'} f0 everywhere in this run.",
    ]


def clear_chunks(results: pl.LazyFrame) -> pl.LazyFrame:
    """Each chunk size against 1 GiB (see `summary`); `call_ms` is one call's share of the time."""
    rows = summary(results, "clear_chunk_gib", 1.0, ("memslot_gib", *WORKLOAD))
    share = pl.min_horizontal(pl.col("clear_chunk_gib") / pl.col("memslot_gib"), 1.0)
    return rows.with_columns(call_ms=pl.col("total_ms") * share)


def clear_sentences(rows: pl.DataFrame) -> list[str]:
    most = rows.select(pl.col("change_percent").abs().max()).item()
    calls = rows.group_by("clear_chunk_gib").agg(pl.col("call_ms").max()).sort("clear_chunk_gib")
    (small, least), (large, longest) = calls.row(0), calls.row(-1)
    return [
        "Chunk sizes change "
        + (f"lock drops by up to {most:.1f} %." if most else "no lock drop: caches are kept.")
        + f" One call takes {least:,.1f} ms at most with {small:g} GiB, "
        f"{longest:,.1f} ms with {large:g} GiB (modelled).",
    ]


def where_enospc_starts(results: pl.LazyFrame) -> pl.LazyFrame:
    """The fewest mappings of an aliased page at which a split ends with ENOSPC.

    `first_degree` is null if none of those swept does; `worst_unsplit_ratio` is the largest share
    of huge SPTEs left.
    """
    degree, by = pl.col("alias_degree"), ("memslot_gib", *WORKLOAD)
    return (
        results.group_by(by)
        .agg(
            first_degree=degree.filter(pl.col("nr_enospc") > 0).min(),
            largest_degree=degree.max(),
            worst_unsplit_ratio=_UNSPLIT.max(),
        )
        .sort(by)
    )


def enospc_sentences(rows: pl.DataFrame) -> list[str]:
    said = []
    for part in reversed(rows.partition_by("distinct_role_ratio", maintain_order=True)):
        hit = part.drop_nulls("first_degree").sort("first_degree", -pl.col("alias_ratio"))
        said += told(
            hit.head(1),
            "With distinct_role_ratio {distinct_role_ratio:g}, ENOSPC from {first_degree} mappings "
            "a page on (alias_ratio {alias_ratio:g}, {memslot_gib:g} GiB).",
        ) or told(
            part.sort("largest_degree").tail(1),
            "With distinct_role_ratio {distinct_role_ratio:g}, none up to {largest_degree} "
            "mappings a page.",
        )
    return said


def starvation(results: pl.LazyFrame) -> pl.LazyFrame:
    """How much longer a split takes if it yields to waiting vCPUs, `slower_ratio` times (modelled).

    `unsplit_ratio` is the share of huge SPTEs that it never reached.
    """
    by = ("running_vcpus", "think_ns", "memslot_gib")
    time = pl.col("total_ns")
    yielding = time.filter(preempt_on_contention=True).mean()
    slower = yielding / time.filter(preempt_on_contention=False).mean()
    left = _UNSPLIT.filter(preempt_on_contention=True).max()
    return results.group_by(by).agg(slower_ratio=slower, unsplit_ratio=left).sort(by)


def starvation_sentences(rows: pl.DataFrame) -> list[str]:
    rows = rows.with_columns(think_us=pl.col("think_ns") / 1e3)
    stuck = rows.filter(pl.col("unsplit_ratio") > 0).sort("running_vcpus", -pl.col("think_ns"))
    ended = rows.filter(pl.col("unsplit_ratio") == 0).sort("slower_ratio")
    starved = told(
        stuck.head(1),
        "Eager splitting does not end from {running_vcpus} vCPUs on that fault every {think_us:g} "
        "us (modelled).",
    )
    slowest = told(
        ended.tail(1),
        "Where it does end, it takes up to {slower_ratio:.1f} times as long ({running_vcpus} "
        "vCPUs, {think_us:g} us between faults; modelled).",
    )
    return [*(starved or ["Eager splitting ends everywhere in this run."]), *slowest]
