"""The named answers: for each experiment its table, and the sentences that follow from the rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import polars as pl

from sweep.results import questions as q
from sweep.results.bounds import with_optimum
from sweep.results.seed import TOLERANCE, seed_bounds, seed_question, seed_sentences


@dataclass(frozen=True)
class Answer:
    """The rows of a named answer, and the sentences that follow from them."""

    rows: pl.DataFrame
    sentences: list[str]


@dataclass(frozen=True)
class Question:
    """How a run is asked: for a table, and for the sentences that its rows amount to.

    A run that lacks one of the values in `needs` has no answer. Questions that compare capacities
    or policies show the optimum of the rows that are `bounded`.
    """

    table: Callable[[pl.LazyFrame], pl.LazyFrame]
    sentences: Callable[[pl.DataFrame], list[str]]
    needs: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    bounded: pl.Expr | None = None


def answer(name: str, results: pl.LazyFrame) -> Answer:
    """What the experiment `name` says about `results`; empty if it is none of `ANSWERS`."""
    if name not in ANSWERS:
        return Answer(pl.DataFrame(), [])
    question = ANSWERS[name]
    usable = results.filter(pl.col("error").is_null())
    if lacking := _lacking(question.needs, usable):
        return Answer(pl.DataFrame(), [f"This run cannot answer: it lacks {lacking}."])
    if question.bounded is not None:
        usable = with_optimum(usable, question.bounded)
    rows = question.table(usable).collect(engine="streaming")
    if rows.is_empty():
        return Answer(rows, ["No point of it has an outcome yet."])
    more = seed_bounds(usable, rows) if name == "seed_question" else []
    return Answer(rows, question.sentences(rows) + more)


def _lacking(needs: Mapping[str, Sequence[Any]], usable: pl.LazyFrame) -> str:
    """Which of the values that `needs` has for a column a run does not hold, in words."""
    taken = usable.select(pl.col(column).unique().implode() for column in needs).collect()
    lacking = ((c, v) for c, values in needs.items() for v in values if v not in taken[c][0])
    return ", ".join(f"{column} {value}" for column, value in lacking)


def _versus_sentences(rows: pl.DataFrame, usual: str, other: str) -> list[str]:
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


def _top_up_sentences(rows: pl.DataFrame) -> list[str]:
    said = _versus_sentences(rows, "kernel", "opportunistic")
    known = rows.drop_nulls("optimum_drops")
    if known.height:
        above = 100 * (known["other_drops"] / known["optimum_drops"] - 1)
        said.append(
            f"Of what any policy could do with the same caches, it does the best in "
            f"{(above <= 0).sum()} of {known.height} cases; at worst it costs "
            f"{above.quantile(1):.1f} % more."
        )
    return said


def _where(case: Mapping[str, Any]) -> str:
    names = [c for c in case if not c.endswith(("_drops", "_percent"))]
    drops = f"from {case['usual_drops']:,.0f} to {case['other_drops']:,.0f} lock drops"
    if case["optimum_drops"] is not None:
        drops += f" ({case['optimum_drops']:,.0f} at best)"
    return f"{drops} at " + ", ".join(f"{c} {case[c]:g}" for c in names)


def _instead(rows: pl.DataFrame, choice: str, usual: Any, values: Sequence[Any]) -> list[str]:
    """What each of `values` changes against `usual`, over all groups together."""
    means = rows.group_by(choice).agg(pl.col("nr_lock_drops", "full_kib", "hold_p99_us").mean())
    by_value = {row[choice]: row for row in means.iter_rows(named=True)}
    base = by_value[usual]
    return [
        f"{choice} {value:g} instead of {usual:g}: "
        f"{_more(row['nr_lock_drops'], base['nr_lock_drops'])} lock drops, "
        f"{row['full_kib'] - base['full_kib']:+,.1f} KiB, holds at the 99th percentile "
        f"{_more(row['hold_p99_us'], base['hold_p99_us'])} (modelled)."
        for value in values
        if (row := by_value.get(value))
    ]


def _more(new: float, old: float) -> str:
    return f"{100 * (new / old - 1):+.1f} %"


def _is_553_right_sentences(rows: pl.DataFrame) -> list[str]:
    right = pl.col("regret_percent") <= 100 * TOLERANCE
    fine = ", ".join(rows.filter(right)["workload"]) or "none of the workloads"
    return [f"553 costs at most 5 % more lock drops than any capacity swept for: {fine}."] + [
        f"{r['workload']}: 553 costs {r['regret_percent']:.0f} % more than the fewest possible, "
        f"{r['drops_553']:,.0f} instead of {r['least_drops']:,.0f}; {r['enough_capacity']} "
        f"descriptors are enough, for {r['extra_kib']:.1f} KiB more."
        for r in rows.filter(~right).iter_rows(named=True)
    ]


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


def _enospc_sentences(rows: pl.DataFrame) -> list[str]:
    said = []
    for part in reversed(rows.partition_by("distinct_role_ratio", maintain_order=True)):
        role, hit = part["distinct_role_ratio"][0], part.drop_nulls("first_degree")
        if hit.is_empty():
            most = part.select(pl.max("largest_degree")).item()
            said.append(f"With distinct_role_ratio {role:g}, none up to {most} mappings a page.")
            continue
        first = hit.sort("first_degree", -pl.col("alias_ratio")).row(0, named=True)
        said.append(
            f"With distinct_role_ratio {role:g}, ENOSPC from {first['first_degree']} mappings a "
            f"page on (alias_ratio {first['alias_ratio']:g}, {first['memslot_gib']:g} GiB)."
        )
    return said


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
        f"{_more(best['nr_lock_drops'], ours['nr_lock_drops'])}.",
    ]


_ALL: Final = pl.lit(True)
_AT_553: Final = pl.col("desc_capacity") == 553

ANSWERS: Final[Mapping[str, Question]] = {
    "seed_question": Question(seed_question, seed_sentences),
    "is_553_right": Question(
        q.is_553_right, _is_553_right_sentences, {"desc_capacity": [553]}, _AT_553
    ),
    "is_40_right": Question(
        q.is_40_right,
        partial(_instead, choice="object_capacity", usual=40, values=(64, 128, 513, 8)),
        {"object_capacity": [40], "desc_capacity": [553]},
        _AT_553,
    ),
    "is_exact_counting_worth_it": Question(
        q.is_exact_counting_worth_it,
        partial(_versus_sentences, usual="kernel", other="exact_demand"),
        {"policy": ["kernel", "exact_demand"]},
        _ALL,
    ),
    "opportunistic_top_up": Question(
        q.opportunistic_top_up,
        _top_up_sentences,
        {"policy": ["kernel", "opportunistic"]},
        _ALL,
    ),
    "ext_2_or_14": Question(
        q.ext_2_or_14,
        partial(_versus_sentences, usual="14 pointers", other="2 pointers"),
        {"pte_list_ext": [2, 14]},
        pl.col("pte_list_ext") == 14,
    ),
    "flush_flavours": Question(q.flush_flavours, _flush_sentences, {"flush": ["f0", "f1", "f2"]}),
    "clear_chunks": Question(q.clear_chunks, _clear_sentences, {"clear_chunk_gib": [1.0]}),
    "where_enospc_starts": Question(q.where_enospc_starts, _enospc_sentences),
    "starvation": Question(
        q.starvation, _starvation_sentences, {"preempt_on_contention": [False, True]}
    ),
    "fleet_bytes": Question(
        q.fleet_bytes,
        _fleet_sentences,
        {"policy": ["kernel"], "object_capacity": [40], "desc_capacity": [553, 1026]},
        _ALL,
    ),
}
"""What each experiment asks, by its name."""
