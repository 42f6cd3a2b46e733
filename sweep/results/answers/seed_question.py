"""The question of June 2022: does the descriptor cache need 513, 553 or 1026 objects?"""

from bisect import bisect_right
from functools import partial
from typing import Any, Final

import polars as pl

from sweep.results.bounds import FLOOR, UNBOUNDED, in_words

CAPACITIES: Final = (513, 553, 1026)
TOLERANCE: Final = 0.05
"""A capacity is enough if its lock drops exceed those of the page caches alone by no more than
this share, or by one drop."""

ENOUGH: Final = (*map(str, CAPACITIES), "none")
"""The smallest of the capacities that is enough; if 513 is, the capacity is irrelevant."""
_GROUP: Final = ("distinct_role_ratio", "memslot_gib", "alias_ratio")


def seed_question(results: pl.LazyFrame) -> pl.LazyFrame:
    """One row for each role sharing, memslot size and aliasing ratio.

    `floor_drops` is what the page caches cost alone, `unbounded_drops` what caches cost that never
    run dry. For each capacity C there are `drops_C` (mean lock drops) and `standing_C_kib` (of full
    caches, which stand until the VM is destroyed); `saved_C_per_kib` is what each KiB saves over
    the next smaller capacity. `enough` is one of `ENOUGH`, null if the run lacks a capacity.
    """
    drops, kib = pl.col("nr_lock_drops"), pl.col("full_bytes") / 1024
    bounds = {"unbounded_drops": UNBOUNDED.mean(), "floor_drops": FLOOR.mean()}
    cost = {f"drops_{c}": drops.filter(desc_capacity=c).mean() for c in CAPACITIES}
    memory = {f"standing_{c}_kib": kib.filter(desc_capacity=c).mean() for c in CAPACITIES}
    return (
        results.filter(pl.col("desc_capacity").is_in(CAPACITIES) & pl.col("error").is_null())
        .group_by(_GROUP)
        .agg(**bounds, **cost, **memory)
        .with_columns(saved_553_per_kib=_saved(513, 553), saved_1026_per_kib=_saved(553, 1026))
        .with_columns(enough=_enough())
        .sort(_GROUP)
    )


def _saved(small: int, large: int) -> pl.Expr:
    drops = pl.col(f"drops_{small}") - pl.col(f"drops_{large}")
    kib = pl.col(f"standing_{large}_kib") - pl.col(f"standing_{small}_kib")
    return drops / kib


def _enough() -> pl.Expr:
    floor = pl.col("floor_drops")
    allowed = pl.max_horizontal(floor * (1 + TOLERANCE), floor + 1)
    drops = {str(c): pl.col(f"drops_{c}") for c in CAPACITIES}
    small = (pl.when(d <= allowed).then(pl.lit(name)) for name, d in drops.items())
    is_known = pl.all_horizontal(d.is_not_null() for d in drops.values())
    return pl.when(is_known).then(pl.coalesce(*small, pl.lit(ENOUGH[-1])))


def seed_sentences(answer: pl.DataFrame) -> list[str]:
    """The answer in three sentences, from the rows of `seed_question`."""
    answer = answer.drop_nulls("enough").with_columns(
        pl.col("enough").replace_strict(ENOUGH, range(len(ENOUGH))).alias("level")
    )
    roles = answer.partition_by("distinct_role_ratio", maintain_order=True)
    if not roles:
        return ["This run lacks one of the capacities 513, 553 and 1026, so it cannot answer."]
    irrelevant, enough, too_few = map("; ".join, zip(*map(_places, roles), strict=True))
    return [
        "Capacity is irrelevant (513, 553 and 1026 all stay within 5 % of the lock drops that the "
        f"page caches cost anyhow) {irrelevant}.",
        f"553 is enough, and 513 is not, {enough}.",
        f"Even 1026 is not enough {too_few}.",
    ]


def _places(rows: pl.DataFrame) -> list[str]:
    """Where 513 is enough, where it takes 553, where 1026 is not: for one sharing of roles."""
    last, above = zip(*map(partial(_crossover, rows), range(len(CAPACITIES))), strict=True)
    until = [", the largest swept," if a is None else f" (not at {a:g})" for a in above]
    if last[0] is None:
        irrelevant = "at no aliasing ratio swept"
    else:
        irrelevant = f"up to an aliasing ratio of {last[0]:g}{until[0]}"
    if above[0] is not None and last[1] is not None and last[1] >= above[0]:
        enough = f"from {above[0]:g} up to {last[1]:g}{until[1]}"
    else:
        saved = rows.select(1 - pl.col("drops_553").sum() / pl.col("drops_513").sum()).item()
        enough = f"nowhere (it saves {100 * saved:.1f} % of the lock drops of 513)"
    if above[2] is None:
        too_few = f"nowhere up to {last[2]:g}"
    else:
        worst = _worst(rows)
        times = worst["drops_1026"] / worst["floor_drops"]
        too_few = (
            f"from {above[2]:g} on (at {_place(worst)} it costs {worst['drops_1026']:,.0f} lock "
            f"drops, {times:.1f} times the page caches' own)"
        )
    sharing = _sharing(rows["distinct_role_ratio"][0])
    return [f"{place} when {sharing}" for place in (irrelevant, enough, too_few)]


def _crossover(rows: pl.DataFrame, level: int) -> tuple[float | None, float | None]:
    """The last aliasing ratio up to which every memslot size is at most at `level` (an index into
    ENOUGH), and the next one swept; None where there is no such ratio."""
    worst = rows.group_by("alias_ratio").agg(pl.col("level").max()).sort("alias_ratio")
    ratios = [None, *worst["alias_ratio"], None]
    at = bisect_right(worst["level"].cum_max().to_list(), level)
    return ratios[at], ratios[at + 1]


def _sharing(ratio: float) -> str:
    named: dict[float, str] = {0: "aliases share a role", 1: "each alias has a role of its own"}
    return named.get(ratio, f"{ratio:.0%} of aliases have a role of their own")


def _worst(rows: pl.DataFrame) -> dict[str, Any]:
    return rows.sort(pl.col("drops_1026") / pl.col("floor_drops")).row(-1, named=True)


def _place(row: dict[str, Any]) -> str:
    return f"a ratio of {row['alias_ratio']:g} and {row['memslot_gib']:,.0f} GiB"


def seed_bounds(results: pl.LazyFrame, answer: pl.DataFrame) -> list[str]:
    """What cannot be beaten where 1026 costs most above the page caches, in a sentence."""
    known = answer.drop_nulls("enough")
    if known.is_empty():
        return []
    worst = _worst(known)
    point = {name: worst[name] for name in _GROUP} | {"desc_capacity": CAPACITIES[-1]}
    if not (bounds := in_words(results, point)):
        return []
    sharing = _sharing(worst["distinct_role_ratio"])
    return [f"At {_place(worst)} with 1026 descriptors, when {sharing}, {bounds}."]
