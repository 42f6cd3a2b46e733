"""The question of June 2022: does the descriptor cache need 513, 553 or 1026 objects?"""

from collections.abc import Callable
from typing import Any, Final, cast

import polars as pl

from sweep.results.answers.question import Question
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
    run dry. For each capacity C there are `drops_C`
    (mean lock drops) and `standing_C_kib` (of full caches, which stand until the VM is destroyed);
    `saved_C_per_kib` is what each KiB saves over the next smaller capacity. `enough` is one of
    `ENOUGH`, null if the run lacks a capacity.
    """
    kib = (pl.col("full_bytes") / 1024).alias("standing_kib")
    return (
        results.filter(pl.col("desc_capacity").is_in(CAPACITIES) & pl.col("error").is_null())
        .with_columns(kib)
        .group_by(_GROUP)
        .agg(
            UNBOUNDED.mean().alias("unbounded_drops"),
            FLOOR.mean().alias("floor_drops"),
            *(_mean("nr_lock_drops", c).alias(f"drops_{c}") for c in CAPACITIES),
            *(_mean("standing_kib", c).alias(f"standing_{c}_kib") for c in CAPACITIES),
        )
        .with_columns(_saved(513, 553), _saved(553, 1026), _enough())
        .sort(_GROUP)
    )


def _mean(column: str, capacity: int) -> pl.Expr:
    return pl.col(column).filter(pl.col("desc_capacity") == capacity).mean()


def _saved(small: int, large: int) -> pl.Expr:
    drops = pl.col(f"drops_{small}") - pl.col(f"drops_{large}")
    kib = pl.col(f"standing_{large}_kib") - pl.col(f"standing_{small}_kib")
    return (drops / kib).alias(f"saved_{large}_per_kib")


def _enough() -> pl.Expr:
    floor = pl.col("floor_drops")
    allowed = pl.max_horizontal(floor * (1 + TOLERANCE), floor + 1)
    drops = {str(c): pl.col(f"drops_{c}") for c in CAPACITIES}
    small = (pl.when(d <= allowed).then(pl.lit(name)) for name, d in drops.items())
    is_known = pl.all_horizontal(d.is_not_null() for d in drops.values())
    return pl.when(is_known).then(pl.coalesce(*small, pl.lit(ENOUGH[-1]))).alias("enough")


def seed_sentences(answer: pl.DataFrame) -> list[str]:
    """The answer in three sentences, from the rows of `seed_question`."""
    answer = answer.drop_nulls("enough").with_columns(
        pl.col("enough").replace_strict(ENOUGH, range(len(ENOUGH))).alias("level")
    )
    roles = answer.partition_by("distinct_role_ratio", maintain_order=True)
    if not roles:
        return ["This run lacks one of the capacities 513, 553 and 1026, so it cannot answer."]
    return [
        "Capacity is irrelevant (513, 553 and 1026 all stay within 5 % of the lock drops that the "
        f"page caches cost anyhow) {_each(roles, _irrelevant)}.",
        f"553 is enough, and 513 is not, {_each(roles, _is_553_enough)}.",
        f"Even 1026 is not enough {_each(roles, _too_few)}.",
    ]


def _each(roles: list[pl.DataFrame], say: Callable[[pl.DataFrame], str]) -> str:
    return "; ".join(f"{say(rows)} when {_sharing(rows)}" for rows in roles)


def _sharing(rows: pl.DataFrame) -> str:
    ratio = rows["distinct_role_ratio"][0]
    named = {0: "aliases share a role", 1: "each alias has a role of its own"}
    return named.get(ratio, f"{ratio:.0%} of aliases have a role of their own")


def crossover(rows: pl.DataFrame, level: int) -> tuple[float | None, float | None]:
    """The last aliasing ratio up to which every memslot size is at most at `level` (an index into
    ENOUGH), and the next one swept; None where there is no such ratio."""
    worst = rows.group_by("alias_ratio").agg(pl.col("level").max()).sort("alias_ratio")
    above = worst.filter(pl.col("level") > level)["alias_ratio"].min()
    below = worst if above is None else worst.filter(pl.col("alias_ratio") < above)
    return cast(tuple[float | None, float | None], (below["alias_ratio"].max(), above))


def _irrelevant(rows: pl.DataFrame) -> str:
    last, first_not = crossover(rows, 0)
    if last is None:
        return "at no aliasing ratio swept"
    return f"up to an aliasing ratio of {last:g}" + _until(first_not)


def _until(first_not: float | None) -> str:
    return ", the largest swept," if first_not is None else f" (not at {first_not:g})"


def _is_553_enough(rows: pl.DataFrame) -> str:
    (_, start), (last, first_not) = crossover(rows, 0), crossover(rows, 1)
    if start is not None and last is not None and last >= start:
        return f"from {start:g} up to {last:g}{_until(first_not)}"
    saved = rows.select(1 - pl.col("drops_553").sum() / pl.col("drops_513").sum()).item()
    return f"nowhere (it saves {100 * saved:.1f} % of the lock drops of 513)"


def _worst(rows: pl.DataFrame) -> dict[str, Any]:
    return rows.sort(pl.col("drops_1026") / pl.col("floor_drops")).row(-1, named=True)


def seed_bounds(results: pl.LazyFrame, answer: pl.DataFrame) -> list[str]:
    """What cannot be beaten where 1026 costs most above the page caches, in a sentence."""
    known = answer.drop_nulls("enough")
    if known.is_empty():
        return []
    worst = _worst(known)
    point = {name: worst[name] for name in _GROUP} | {"desc_capacity": CAPACITIES[-1]}
    bounds = in_words(results, point)
    roles = _sharing(known.filter(distinct_role_ratio=worst["distinct_role_ratio"]))
    where = f"At {_place(worst)} with 1026 descriptors, when {roles}"
    return [f"{where}, {bounds}."] if bounds else []


def _place(row: dict[str, Any]) -> str:
    return f"a ratio of {row['alias_ratio']:g} and {row['memslot_gib']:,.0f} GiB"


def _too_few(rows: pl.DataFrame) -> str:
    last, start = crossover(rows, 2)
    if start is None:
        return f"nowhere up to {last:g}"
    worst = _worst(rows)
    times = worst["drops_1026"] / worst["floor_drops"]
    return (
        f"from {start:g} on (at {_place(worst)} it costs {worst['drops_1026']:,.0f} lock drops, "
        f"{times:.1f} times the page caches' own)"
    )


SEED_QUESTION: Final = Question(seed_question, seed_sentences, further=seed_bounds)
