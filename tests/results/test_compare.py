"""Derived: two runs of three literal rows each, side by side."""

import polars as pl
from polars.testing import assert_frame_equal

from sweep.results.compare import (
    beside_bounds,
    biggest_changes,
    changed_columns,
    joined,
    row_counts,
    settings_that_differ,
    varying_in,
)


def run(policy, capacities, drops, held):
    return pl.LazyFrame(
        {
            "policy": [policy] * 3,
            "desc_capacity": capacities,
            "nr_lock_drops": drops,
            "lock_held_ns": held,
            "error": [None] * 3,
        },
        schema_overrides={"error": pl.String},
    )


A = run("kernel", [513, 514, 553], [307, 157, 15], [1.0, 2.0, 4.0])
B = run("opportunistic", [514, 553, 1026], [160, 8, 8], [2.0, 4.1, 4.0])


def test_settings_with_one_value_in_each_run_are_what_is_compared():
    want = pl.LazyFrame({"setting": ["policy"], "a": ["kernel"], "b": ["opportunistic"]})
    assert_frame_equal(settings_that_differ(A, B), want)


def test_rows_of_one_run_only_are_counted_beside_those_that_changed():
    counts = row_counts(joined(A, B, ignore=["policy"]))
    want = pl.LazyFrame(
        {
            "side": ["both", "only in A", "only in B"],
            "nr_rows": [2, 1, 1],
            "changed_rows": [2, 0, 0],
        }
    )
    assert_frame_equal(counts, want)


def test_without_ignoring_what_differs_no_row_is_in_both():
    assert row_counts(joined(A, B)).collect()["side"].to_list() == ["only in A", "only in B"]


def test_columns_that_changed_are_summed_over_the_rows_in_both():
    want = pl.LazyFrame(
        {
            "column": ["nr_lock_drops", "lock_held_ns"],
            "changed_rows": [2, 1],
            "total_a": [172.0, 6.0],
            "total_b": [168.0, 6.1],
            "least_change": [-7.0, 0.0],
            "largest_change": [3.0, 0.1],
        }
    )
    assert_frame_equal(changed_columns(joined(A, B, ignore=["policy"])), want)


def test_a_change_within_the_tolerance_is_none():
    pairs = joined(A, B, ignore=["policy"])
    # 160 is 1.9 % more than 157 and 4.1 is 2.5 % more than 4; 8 is 47 % less than 15.
    changed = changed_columns(pairs, tolerance=0.03).collect()
    assert changed.select("column", "changed_rows").rows() == [("nr_lock_drops", 1)]
    assert row_counts(pairs, tolerance=0.03).collect()["changed_rows"].to_list() == [1, 0, 0]


def test_the_biggest_regression_and_improvement_come_with_their_point():
    want = pl.LazyFrame(
        {
            "kind": ["regression", "improvement"],
            "desc_capacity": [514, 553],
            "a": [157, 15],
            "b": [160, 8],
            "change": [3, -7],
        }
    )
    assert_frame_equal(biggest_changes(joined(A, B, ignore=["policy"]), "nr_lock_drops"), want)


def test_a_run_equals_itself():
    counts = row_counts(joined(A, A)).collect()
    assert counts.rows() == [("both", 3, 0)]
    assert changed_columns(joined(A, A)).collect().is_empty()


def bounded_run(*rows):
    """Rows of (policy, desc_capacity, nr_lock_drops) with 40 pages a refill."""
    columns = ["policy", "desc_capacity", "nr_lock_drops"]
    same = pl.lit(40).alias("object_capacity"), pl.lit(300).alias("nr_sp_created")
    error = pl.lit(None, pl.String).alias("error")
    return pl.LazyFrame(rows, schema=columns, orient="row").with_columns(*same, error)


def test_changes_of_lock_drops_stand_beside_the_bounds_of_either_run():
    # The second run also has the best policy at 553, but not at 513.
    one = bounded_run(("kernel", 513, 307), ("kernel", 553, 15))
    other = bounded_run(("kernel", 513, 300), ("kernel", 553, 12), ("exact_opportunistic", 553, 8))
    changes = biggest_changes(joined(one, other), "nr_lock_drops")
    rows = beside_bounds(changes, one, other).collect()
    kept = ["desc_capacity", "a", "b", "unbounded_drops", "optimum_a", "optimum_b"]
    assert rows.select(kept).rows() == [(513, 307, 300, 1, None, None), (553, 15, 12, 1, None, 8)]


def test_no_changes_have_no_bounds():
    one = bounded_run(("kernel", 513, 307))
    assert (
        beside_bounds(biggest_changes(joined(one, one), "nr_lock_drops"), one, one)
        .collect()
        .is_empty()
    )


def test_only_what_varies_tells_rows_apart():
    assert varying_in(joined(A, B, ignore=["policy"]).collect()) == ["desc_capacity"]
