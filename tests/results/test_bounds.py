"""Derived: what no capacity and no policy can beat."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from core.engine import outcomes
from core.parameters import PARAMETERS
from sweep.results.bounds import BOUNDS, in_words, with_bounds, with_optimum


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


# 64 GiB are 32,768 huge pages, each with a second mapping, under the kernel's policy.
# In one role, a drop brings 40 shadow pages: 820 drops are the least, and 553 descriptors allow it.
# In two roles, every second split takes 512 descriptors: a drop brings enough for one of them.
OPTIMA = {0.0: 820, 1.0: 32_768}


@pytest.fixture(scope="module")
def two_mappings():
    """Both cases as a run would hold them, kernel's policy only."""
    swept = {"alias_ratio": 1.0, "memslot_gib": 64.0, "desc_capacity": 553}
    points = {p.name: np.array([swept.get(p.name, p.default)] * 2) for p in PARAMETERS}
    points["distinct_role_ratio"] = np.array(list(OPTIMA))
    rows = pl.DataFrame(points | outcomes(points)).with_columns(pl.lit(None).alias("error"))
    assert rows["nr_lock_drops"].to_list() == [1619, 32_768]
    return rows.lazy()


def test_an_optimum_that_the_run_lacks_is_computed(two_mappings):
    found = with_optimum(two_mappings).select("distinct_role_ratio", *BOUNDS).collect()
    assert found.rows() == [(0.0, 1, 820, 820), (1.0, 1, 1639, 32_768)]
    shown = with_optimum(two_mappings, pl.col("distinct_role_ratio") == 1).collect()
    assert shown["optimum_drops"].to_list() == [None, 32_768]


def test_an_optimum_of_the_run_itself_is_not_computed_again(two_mappings):
    own = two_mappings.with_columns(pl.lit("exact_opportunistic").alias("policy"))
    own = own.with_columns(nr_lock_drops=pl.lit(7, pl.Int64))
    found = with_optimum(pl.concat([two_mappings, own])).collect()
    assert found["optimum_drops"].to_list() == [7, 7, 7, 7]


def test_no_optimum_is_computed_for_what_the_engine_cannot_draw_or_would_take_long(two_mappings):
    recorded = two_mappings.with_columns(path=pl.lit("mine.txt"))
    average = two_mappings.with_columns(engine=pl.lit("expected"))
    older = two_mappings.drop("timeslice_ns")
    large = two_mappings.with_columns(nr_huge_sptes=pl.lit(10**12))
    for rows in (recorded, average, older, large):
        assert with_optimum(rows).collect()["optimum_drops"].null_count() == 2


def test_bounds_of_one_point_in_words(two_mappings):
    assert in_words(two_mappings, {"distinct_role_ratio": 1.0}) == (
        "no policy costs fewer than 32,768 lock drops; the page caches alone cost 1,639, "
        "caches that never run dry 1"
    )
    assert in_words(two_mappings, {"distinct_role_ratio": 0.5}) == ""
