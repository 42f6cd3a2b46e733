"""Derived: what no capacity and no policy can beat."""

import polars as pl
from polars.testing import assert_frame_equal

from sweep.results.bounds import with_bounds


def test_each_row_stands_beside_its_bounds():
    # 300 pages with two same-role aliases each: 300 shadow pages, 40 at a time: 8 drops at least.
    results = pl.LazyFrame(
        {
            "desc_capacity": [513, 513, 553],
            "object_capacity": [40, 40, 40],
            "policy": ["kernel", "exact_opportunistic", "kernel"],
            "nr_sp_created": [300, 300, 0],
            "nr_lock_drops": [307, 9, 0],
        }
    )
    bounds = pl.LazyFrame(
        {
            "unbounded_drops": [1, 1, 0],
            "floor_drops": [8, 8, 0],
            "optimum_drops": [9, 9, None],
        }
    )
    assert_frame_equal(with_bounds(results), pl.concat([results, bounds], how="horizontal"))
