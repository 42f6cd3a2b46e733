"""What no capacity and no policy can beat, beside each row."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from core.parameters import BY_NAME
from sweep.results.columns import parameters_in

CREATED: Final = pl.col("nr_sp_created")
UNBOUNDED: Final = (CREATED > 0).cast(pl.Int64)
"""Lock drops if caches never ran dry: the one that fills them, if anything is split at all."""

FLOOR: Final = (CREATED + pl.col("object_capacity") - 1) // pl.col("object_capacity")
"""Lock drops that the page caches cost alone: ceil(shadow pages made / object_capacity).

A drop brings at most `object_capacity` pages, so fewer drops cannot do, however many descriptors
are cached.
"""

BOUNDS: Final = ("unbounded_drops", "floor_drops", "optimum_drops")
"""The columns that `with_bounds` adds."""

EVERY_ROW: Final = pl.lit(True)
BEST_POLICY: Final = "exact_opportunistic"
MAX_ROWS: Final = 50_000
MAX_SPTES: Final = 100_000_000
"""Optima are computed for no more rows, and huge SPTEs of workloads, than this: a second or two."""


def with_bounds(results: pl.LazyFrame) -> pl.LazyFrame:
    """`results` and, unless they are there, three bounds of `nr_lock_drops`, each in drops.

    `unbounded_drops`: caches that never run dry, one cold drop. `floor_drops`: the page caches
    alone. `optimum_drops`: the fewest that any policy reaches with the row's own caches, which is
    what `exact_opportunistic` does; null unless the run has that row.
    """
    columns = results.collect_schema().names()
    if "optimum_drops" in columns:
        return results
    same = parameters_in(columns, but=["policy"])
    best = results.filter(policy=BEST_POLICY)
    optimum = best.group_by(same).agg(optimum_drops=pl.col("nr_lock_drops").min())
    bounded = results.with_columns(unbounded_drops=UNBOUNDED, floor_drops=FLOOR)
    return bounded.join(optimum, on=same, how="left", maintain_order="left", nulls_equal=True)


def with_optimum(results: pl.LazyFrame, shown: pl.Expr = EVERY_ROW) -> pl.LazyFrame:
    """`with_bounds`, and where the run lacks an optimum the engine computes it.

    Only for rows that are `shown`, if the run is no larger than `MAX_ROWS` and `MAX_SPTES`, and has
    every parameter; rows that are recorded, expected or depend on time are left out.
    """
    rows = with_bounds(results)
    columns = results.collect_schema().names()
    if not BY_NAME.keys() <= set(columns) or results.select(pl.len()).collect().item() > MAX_ROWS:
        return rows
    on = parameters_in(columns, but=["policy"])
    drawn = (pl.col("path") == "") & (pl.col("engine") == "replay")
    lacks = pl.col("optimum_drops").is_null() & pl.col("error").is_null()
    lacking = rows.filter(lacks, drawn, shown)
    points = lacking.select(*on, "nr_huge_sptes").unique(on, maintain_order=True).collect()
    workloads = points.unique([name for name in on if name != "desc_capacity"])
    if not 0 < workloads["nr_huge_sptes"].sum() <= MAX_SPTES:
        return rows
    found = _with_computed(points.select(on))
    return (
        rows.join(found.lazy(), on=on, how="left", maintain_order="left", nulls_equal=True)
        .with_columns(pl.col("optimum_drops").fill_null(pl.col("computed")))
        .drop("computed")
    )


def _with_computed(points: pl.DataFrame) -> pl.DataFrame:
    """`points`, and in `computed` the fewest lock drops of any policy (null: the point failed)."""
    from sweep.model import Engine  # which most readers never need
    from sweep.shard import evaluate

    columns = {name: np.array(points[name].to_list()) for name in points.columns}
    columns["policy"] = np.full(points.height, BEST_POLICY)
    found, errors = evaluate(columns, Engine("auto", {}))
    drops = enumerate(found["nr_lock_drops"].tolist())
    known = [None if row in errors else int(nr_drops) for row, nr_drops in drops]
    return points.with_columns(pl.Series("computed", known, pl.Int64))


def in_words(results: pl.LazyFrame, point: Mapping[str, Any]) -> str:
    """The bounds of the first row that has the values of `point`; empty if they are not known."""
    row = with_optimum(results.filter(**point).head(1)).select(BOUNDS).collect()
    if row.is_empty() or row["optimum_drops"][0] is None:
        return ""
    unbounded, floor, optimum = row.row(0)
    return (
        f"no policy costs fewer than {optimum:,} lock drops; the page caches alone cost {floor:,}, "
        f"caches that never run dry {unbounded:,}"
    )
