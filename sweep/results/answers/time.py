"""How long mmu_lock is held and a split takes: flushes, chunks, waiting vCPUs. All modelled."""

from typing import Final

import polars as pl

from sweep.results.answers.comparisons import DROPS, WORKLOAD, summary
from sweep.results.answers.question import Question


def flush_flavours(results: pl.LazyFrame) -> pl.LazyFrame:
    """How long mmu_lock is held under each flush flavour, by running vCPUs, in ms (modelled).

    `f1_percent` is how much longer f1 holds it than f0, `f1_more_drops` its further lock drops.
    """
    held = pl.col("lock_held_ns") / 1e6
    means = [held.filter(pl.col("flush") == f).mean().alias(f"{f}_ms") for f in ("f0", "f1", "f2")]
    longer = 100 * (pl.col("f1_ms") / pl.col("f0_ms") - 1)
    drops = [DROPS.filter(pl.col("flush") == f).sum() for f in ("f1", "f0")]
    by = ("ratio_1g", "rounds", "running_vcpus")
    return (
        results.group_by(by)
        .agg(*means, (drops[0] - drops[1]).alias("f1_more_drops"))
        .with_columns(longer.alias("f1_percent"))
        .sort(by)
    )


def _flush_sentences(rows: pl.DataFrame) -> list[str]:
    most = rows.filter(pl.col("running_vcpus") == pl.col("running_vcpus").max())
    worst = most.sort("f1_percent").row(-1, named=True)
    drops = rows.select(pl.col("f1_more_drops").abs().max()).item()
    same = rows.filter((pl.col("f0_ms") - pl.col("f2_ms")).abs() > 1e-9).is_empty()
    return [
        f"With {worst['running_vcpus']} running vCPUs f1 holds mmu_lock {worst['f1_ms']:,.0f} ms "
        f"where f0 holds it {worst['f0_ms']:,.0f} ms ({worst['f1_percent']:+,.0f} %, modelled).",
        f"Its lock drops differ from those of f0 by up to {drops:,} in a case."
        if drops
        else "It changes no lock drop, so no cache size wins the flushes back.",
        f"f2 {'costs the same as' if same else 'differs from'} f0 everywhere in this run.",
    ]


FLUSH_FLAVOURS: Final = Question(
    flush_flavours, _flush_sentences, needs={"flush": ["f0", "f1", "f2"]}
)


def clear_chunks(results: pl.LazyFrame) -> pl.LazyFrame:
    """Each chunk size against 1 GiB (see `summary`); `call_ms` is one call's share of the time."""
    rows = summary(results, "clear_chunk_gib", 1.0, ("memslot_gib", *WORKLOAD))
    share = pl.min_horizontal(pl.col("clear_chunk_gib") / pl.col("memslot_gib"), 1.0)
    return rows.with_columns((pl.col("total_ms") * share).alias("call_ms"))


def _clear_sentences(rows: pl.DataFrame) -> list[str]:
    most = rows.select(pl.col("change_percent").abs().max()).item()
    calls = rows.group_by("clear_chunk_gib").agg(pl.col("call_ms").max()).sort("clear_chunk_gib")
    (small, least), (large, longest) = calls.row(0), calls.row(-1)
    return [
        "Chunk sizes change "
        + (f"lock drops by up to {most:.1f} %." if most else "no lock drop: caches are kept.")
        + f" One call takes {least:,.1f} ms at most with {small:g} GiB, "
        f"{longest:,.1f} ms with {large:g} GiB (modelled).",
    ]


CLEAR_CHUNKS: Final = Question(clear_chunks, _clear_sentences, needs={"clear_chunk_gib": [1.0]})


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


def _starvation_sentences(rows: pl.DataFrame) -> list[str]:
    stuck = rows.filter(pl.col("unsplit_ratio") > 0)
    ended = rows.filter(pl.col("unsplit_ratio") == 0).sort("slower_ratio").tail(1)
    slowest = [
        f"Where it does end, it takes up to {done['slower_ratio']:.1f} times as long "
        f"({done['running_vcpus']} vCPUs, {done['think_ns'] / 1e3:g} us between faults; modelled)."
        for done in ended.iter_rows(named=True)
    ]
    if stuck.is_empty():
        return ["Eager splitting ends everywhere in this run.", *slowest]
    first = stuck.sort("running_vcpus", -pl.col("think_ns")).row(0, named=True)
    return [
        f"Eager splitting does not end from {first['running_vcpus']} vCPUs on that fault every "
        f"{first['think_ns'] / 1e3:g} us (modelled).",
        *slowest,
    ]


STARVATION: Final = Question(
    starvation, _starvation_sentences, needs={"preempt_on_contention": [False, True]}
)
