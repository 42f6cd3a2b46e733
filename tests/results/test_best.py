"""Derived: recommendations on a handful of literal rows."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sweep.results.best import (
    Limit,
    alternatives,
    fleet,
    in_words,
    pareto_front,
    recommended,
)

KIB = 1024
# Two workloads under three capacities. 553 and 1026 tie on `small`, where 553 is the cheaper.
ROWS = pl.LazyFrame(
    {
        "workload": ["small"] * 3 + ["large"] * 3,
        "desc_capacity": [513, 553, 1026] * 2,
        "nr_lock_drops": [20, 13, 13, 900, 850, 600],
        "standing_bytes": [236 * KIB, 241 * KIB, 304 * KIB] * 2,
        "hold_ns_p99": [1.0, 2.0, 3.0, 1.0, 2.0, 3.0],
        "error": [None] * 6,
    },
    schema_overrides={"error": pl.String},
)


def test_the_best_of_each_group_names_its_ties_and_takes_the_one_with_less_memory():
    got = recommended(alternatives(ROWS, by=["workload"]), by=["workload"])
    want = pl.LazyFrame(
        {
            "workload": ["large", "small"],
            "desc_capacity": [1026, 553],
            "nr_lock_drops": [600.0, 13.0],
            "hold_ns_p99": [3.0, 2.0],
            "standing_bytes": [304.0 * KIB, 241.0 * KIB],
            "nr_points": [1, 1],
            "nr_ties": [0, 1],
            "ties": ["", "desc_capacity=1026"],
        }
    )
    assert_frame_equal(got, want)


def test_a_group_in_which_nothing_keeps_the_limits_stays_with_an_empty_row():
    limit = Limit.parse("nr_lock_drops<=20")
    got = recommended(alternatives(ROWS, within=[limit], by=["workload"]), by=["workload"])
    want = {"workload": ["large", "small"], "desc_capacity": [None, 553], "nr_ties": [None, 1]}
    assert_frame_equal(got.select(list(want)), pl.LazyFrame(want))


def test_regret_is_what_each_alternative_costs_more_than_the_best_that_keeps_the_limits():
    limit = Limit.parse("standing_bytes<=250KiB")
    got = alternatives(ROWS, within=[limit], by=["workload"])
    columns = ["workload", "desc_capacity", "worst_standing_bytes", "admissible", "regret"]
    want = pl.LazyFrame(
        {
            "workload": ["large"] * 3 + ["small"] * 3,
            "desc_capacity": [553, 513, 1026] * 2,
            "worst_standing_bytes": [241 * KIB, 236 * KIB, 304 * KIB] * 2,
            "admissible": [True, True, False] * 2,
            "regret": [0.0, 50.0, None, 0.0, 7.0, None],
        }
    )
    assert_frame_equal(got.select(columns), want)


def test_a_recommendation_is_said_in_words():
    few = pl.DataFrame({"desc_capacity": [513, 553, 553], "policy": ["kernel"] * 3})
    assert in_words(few) == [
        "For the fewest lock drops: desc_capacity 553 in 2 of 3 cases, 513 in 1 of 3 cases."
    ]
    many = pl.DataFrame({"desc_capacity": [513, 553, 600, 640, 1026, 2049, 2049]})
    assert in_words(many) == [
        "For the fewest lock drops: desc_capacity 513 to 2,049, half of the 7 cases at most 640."
    ]


def test_an_option_whose_point_failed_is_no_recommendation():
    failed = pl.when((pl.col("workload") == "small") & (pl.col("desc_capacity") == 1026))
    some = ROWS.with_columns(failed.then(pl.lit("no memory")).alias("error"))
    got = alternatives(some).select("desc_capacity", "nr_points", "admissible", "regret")
    # Means over both workloads: (20 + 900) / 2 and (13 + 850) / 2; 1026 lacks the small one.
    want = {
        "desc_capacity": [553, 513, 1026],
        "nr_points": [2, 2, 1],
        "admissible": [True, True, False],
        "regret": [0.0, 460.0 - 431.5, None],
    }
    assert_frame_equal(got, pl.LazyFrame(want))


def test_options_that_cover_other_workloads_are_not_compared():
    apart = ROWS.filter(
        ((pl.col("workload") == "small") & (pl.col("desc_capacity") == 513))
        | ((pl.col("workload") == "large") & (pl.col("desc_capacity") == 553))
    )
    assert alternatives(apart).collect()["admissible"].sum() == 1


def test_the_pareto_front_leaves_out_what_another_row_beats_everywhere():
    rows = pl.LazyFrame(
        {
            "desc_capacity": [513, 553, 600, 1026],
            "nr_lock_drops": [20.0, 13.0, 13.0, 13.0],
            "hold_ns_p99": [1.0, 2.0, 2.0, 1.5],
            "standing_bytes": [236.0, 241.0, 247.0, 304.0],
            "admissible": [True] * 4,
        }
    )
    assert pareto_front(rows).collect()["desc_capacity"].to_list() == [1026, 553, 513]


def test_equal_rows_are_on_the_pareto_front_together():
    rows = pl.LazyFrame(
        {
            "desc_capacity": [513, 514],
            "nr_lock_drops": [7.0, 7.0],
            "standing_bytes": [9.0, 9.0],
            "admissible": [True] * 2,
        }
    )
    assert pareto_front(rows).collect().height == 2


def test_a_fleet_weighs_its_kinds_of_vm():
    mix = pl.DataFrame({"workload": ["small", "large"], "share": [3, 1]})
    got = fleet(ROWS, mix).head(1)
    # A quarter of the VMs is large: 600 / 4 + 13 * 3 / 4 = 159.75 lock drops a VM with 1026.
    want = pl.LazyFrame(
        {
            "desc_capacity": [1026],
            "nr_lock_drops": [159.75],
            "hold_ns_p99": [3.0],
            "standing_bytes": [304.0 * KIB],
            "nr_points": [2],
            "admissible": [True],
            "regret": [0.0],
            "nr_lock_drops_per_million_vms": [159.75e6],
            "standing_bytes_per_million_vms": [304e6 * KIB],
        }
    )
    assert_frame_equal(got, want)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("standing_bytes<=200KiB", Limit("standing_bytes", "<=", 204_800.0)),
        ("hold_ns_p99 < 1.5ms", Limit("hold_ns_p99", "<", 1_500_000.0)),
        ("nr_lock_drops>=820", Limit("nr_lock_drops", ">=", 820.0)),
    ],
)
def test_a_limit_is_a_column_a_relation_and_a_number_with_a_unit(text, limit):
    assert Limit.parse(text) == limit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("standing_bytes~3", "COLUMN<=NUMBER"),
        ("standing_bytes<=3ms", "its units: B, KiB, MiB, GiB"),
        ("nr_lock_drops<=3KiB", "its units: none"),
    ],
)
def test_a_limit_that_says_nothing_is_refused_with_what_would(text, message):
    with pytest.raises(ValueError, match=message):
        Limit.parse(text)
