"""What no capacity and no policy can beat, beside each row."""

from typing import Final

import polars as pl

from sweep.results.columns import parameters_in

CREATED: Final = pl.col("nr_sp_created")
FLOOR: Final = (CREATED + pl.col("object_capacity") - 1) // pl.col("object_capacity")
"""Lock drops that the page caches cost alone: ceil(shadow pages made / object_capacity).

A drop brings at most `object_capacity` pages, so fewer drops cannot do, however many descriptors
are cached.
"""

BOUNDS: Final = ("unbounded_drops", "floor_drops", "optimum_drops")
"""The columns that `with_bounds` adds."""


def with_bounds(results: pl.LazyFrame) -> pl.LazyFrame:
    """`results` and three bounds of `nr_lock_drops`, each in drops.

    `unbounded_drops`: caches that never run dry, one cold drop. `floor_drops`: the page caches
    alone. `optimum_drops`: the fewest that any policy reaches with the row's own caches, which is
    what `exact_opportunistic` does; null unless the run has that row.
    """
    columns = results.collect_schema().names()
    same = [name for name in parameters_in(columns) if name != "policy"]
    optimum = (
        results.filter(pl.col("policy") == "exact_opportunistic")
        .group_by(same)
        .agg(pl.col("nr_lock_drops").min().alias("optimum_drops"))
    )
    return results.with_columns(
        (CREATED > 0).cast(pl.Int64).alias("unbounded_drops"), FLOOR.alias("floor_drops")
    ).join(optimum, on=same, how="left", maintain_order="left", nulls_equal=True)
