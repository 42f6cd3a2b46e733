"""Derived: what charts are made of, from a few literal rows."""

import polars as pl
from polars.testing import assert_frame_equal

from sweep.results import chart_rows
from sweep.results.columns import groups, varying

STEPS = pl.LazyFrame(
    {
        "seed": [0, 0, 0, 0, 0],
        "desc_capacity": [513, 514, 553, 554, 1026],
        "object_capacity": [40] * 5,
        "nr_sp_created": [300] * 5,
        "nr_lock_drops": [307, 157, 15, 15, 16],
    }
)


def test_a_staircase_keeps_only_the_capacities_at_which_it_changes_and_the_last():
    want = pl.LazyFrame(
        {
            "desc_capacity": [513, 514, 553, 1026],
            "nr_lock_drops": [307.0, 157.0, 15.0, 16.0],
            "floor_drops": [8.0] * 4,
        }
    )
    assert_frame_equal(chart_rows.staircase(STEPS, []), want)


def test_a_rise_is_a_capacity_that_costs_more_than_the_next_smaller_one():
    want = pl.LazyFrame(
        {
            "desc_capacity": [1026],
            "nr_lock_drops": [16],
            "smaller_capacity": [554],
            "more_drops": [1],
        }
    )
    assert_frame_equal(chart_rows.rises(STEPS, []), want)


def test_what_varies_leaves_out_what_a_preset_sets():
    rows = pl.LazyFrame(
        {
            "workload": ["a", "a", "b", "b"],
            "alias_ratio": [0.1, 0.1, 0.2, 0.2],
            "memslot_gib": [1.0, 2.0, 1.0, 2.0],
            "flush": ["f1"] * 4,
        }
    )
    assert varying(rows) == {"workload": ["a", "b"], "memslot_gib": [1.0, 2.0]}
    assert groups(rows) == ["workload", "memslot_gib"]


def test_a_parameter_with_many_values_is_thinned_to_a_few_with_both_ends():
    rows = pl.LazyFrame({"alias_ratio": [i / 100 for i in range(33)]})
    few, values = chart_rows.thinned(rows, varying(rows))
    assert values["alias_ratio"] == [i / 100 for i in range(0, 33, 4)]
    assert few.collect()["alias_ratio"].to_list() == values["alias_ratio"]


def test_a_chart_gives_up_its_widest_filter_rather_than_grow():
    rows = pl.LazyFrame({"a": range(chart_rows.MAX_ROWS + 1), "b": [0] * (chart_rows.MAX_ROWS + 1)})
    made = chart_rows.fitting(lambda by: rows.group_by(by or pl.lit(0)).agg(pl.len()), ["b", "a"])
    assert made.columns == ["b", "len"]
