"""Derived: every named answer on a few literal rows, its table and its sentences."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import sweep.results as r
from sweep.config import CONF
from sweep.results.answers import ANSWERS, answer

FILLER = {
    "memslot_gib": 64.0,
    "alias_ratio": 1.0,
    "distinct_role_ratio": 0.0,
    "alias_degree": 2,
    "workload": "uniform",
    "policy": "kernel",
    "desc_capacity": 553,
    "object_capacity": 40,
    "nr_sp_created": 32_768,
    "nr_lock_drops": 820,
    "full_bytes": 247_048,
    "hold_ns_p99": 738_000.0,
    "total_ns": 854e6,
    "lock_held_ns": 300e6,
    "nr_huge_sptes": 100,
    "nr_unsplit": 0,
    "nr_enospc": 0,
    "error": None,
}


def rows(*given):
    """Literal rows; what is not given is the same everywhere."""
    return pl.LazyFrame([FILLER | row for row in given], schema_overrides={"error": pl.String})


def test_every_experiment_has_its_answer_and_every_answer_its_experiment():
    experiments = {path.stem for path in CONF.glob("experiment/*.yaml")}
    assert set(ANSWERS) == experiments


def test_a_run_without_an_outcome_says_so():
    failed = rows({"error": "ValueError: no"})
    assert answer("where_enospc_starts", failed).sentences == ["No point of it has an outcome yet."]
    assert answer("no such question", failed).sentences == []


@pytest.mark.parametrize(
    ("name", "row", "lacking"),
    [
        ("is_553_right", {"desc_capacity": 513}, "desc_capacity 553"),
        ("is_40_right", {"object_capacity": 8}, "object_capacity 40"),
        ("is_exact_counting_worth_it", {}, "policy exact_demand"),
        ("opportunistic_top_up", {"policy": "opportunistic"}, "policy kernel"),
        ("ext_2_or_14", {"pte_list_ext": 14}, "pte_list_ext 2"),
        ("flush_flavours", {"flush": "f1"}, "flush f0, flush f2"),
        ("clear_chunks", {"clear_chunk_gib": 8.0}, "clear_chunk_gib 1.0"),
        ("starvation", {"preempt_on_contention": True}, "preempt_on_contention False"),
        ("fleet_bytes", {}, "desc_capacity 1026"),
    ],
)
def test_a_run_that_lacks_what_its_answer_compares_says_so(name, row, lacking):
    found = answer(name, rows(row))
    assert found.sentences == [f"This run cannot answer: it lacks {lacking}."]
    assert found.rows.is_empty()


def test_where_splitting_never_ends_nothing_is_said_of_how_long_it_takes():
    case = {"running_vcpus": 64, "think_ns": 5000.0}
    stuck = case | {"preempt_on_contention": True, "nr_unsplit": 100}
    found = answer("starvation", rows(case | {"preempt_on_contention": False}, stuck))
    assert len(found.sentences) == 1


def test_553_is_right_where_no_capacity_saves_more_than_five_percent():
    # Two same-role roots of 64 GiB: 1619 lock drops with 553, 841 with 2065 descriptors.
    results = rows(
        {"workload": "none"},
        {"workload": "none", "desc_capacity": 2065, "full_bytes": 452_680},
        {"workload": "two_roots", "nr_lock_drops": 1619},
        {
            "workload": "two_roots",
            "nr_lock_drops": 870,
            "desc_capacity": 1026,
            "full_bytes": 311_376,
        },
        {
            "workload": "two_roots",
            "nr_lock_drops": 841,
            "desc_capacity": 2065,
            "full_bytes": 452_680,
        },
    )
    want = pl.LazyFrame(
        {
            "workload": ["none", "two_roots"],
            "memslot_gib": [64.0, 64.0],
            "unbounded_drops": [1.0, 1.0],
            "optimum_drops": [None, None],
            "floor_drops": [820.0, 820.0],
            "drops_553": [820.0, 1619.0],
            "least_drops": [820.0, 841.0],
            # 870 is within 5 % of 841, so 1026 will do.
            "enough_capacity": [553, 1026],
            "extra_kib": [0.0, (311_376 - 247_048) / 1024],
            "regret_percent": [0.0, 100 * (1619 / 841 - 1)],
        },
        schema_overrides={"optimum_drops": pl.Float64},
    )
    assert_frame_equal(r.is_553_right(results), want)
    fine, two = answer("is_553_right", results).sentences
    assert fine.endswith("for: none.")
    assert "93 % more than the fewest possible, 1,619 instead of 841; 1026 descriptors" in two


def test_the_bounds_beside_553_are_those_of_its_own_points():
    # Another memory layout has a point with 553 alone: 30 and 90 shadow pages, 1 and 3 refills.
    mixed = rows(
        {"nr_sp_created": 30},
        {"nr_sp_created": 90},
        *({"desc_capacity": c, "nr_sp_created": 30} for c in range(600, 640)),
    )
    assert r.is_553_right(mixed).collect()["floor_drops"].to_list() == [2.0]


def test_another_page_cache_is_weighed_against_40():
    # 32,768 unaliased pages: ceil(32768 / 8) = 4096 drops with 8, ceil(32768 / 128) = 256 with 128.
    results = rows(
        {"alias_ratio": 0.0},
        {"alias_ratio": 0.0, "object_capacity": 8, "nr_lock_drops": 4096, "full_bytes": 109_576,
         "hold_ns_p99": 147_600.0},
        {"alias_ratio": 0.0, "object_capacity": 128, "nr_lock_drops": 256, "full_bytes": 625_096,
         "hold_ns_p99": 2_361_600.0},
    )  # fmt: skip
    table = r.is_40_right(results).collect()
    assert table["object_capacity"].to_list() == [8, 40, 128]
    assert table["change_percent"].to_list() == pytest.approx([399.51, 0.0, -68.78], abs=0.01)
    more, eight = answer("is_40_right", results).sentences
    # 147.6 us is a fifth of 738: 80 % less. 2361.6 is 3.2 times that: 220 % more.
    assert "object_capacity 8 instead of 40: +399.5 % lock drops, -134.2 KiB" in eight
    assert "-80.0 % (modelled)" in eight
    assert "+220.0 % (modelled)" in more


def test_page_caches_are_weighed_without_hold_times_where_an_expectation_has_none():
    unknown = {"hold_ns_p99": None, "engine": "expected"}
    eight = unknown | {"object_capacity": 8, "nr_lock_drops": 4096, "full_bytes": 109_576}
    results = rows(unknown, eight).with_columns(pl.col("hold_ns_p99").cast(pl.Float64))
    want = "object_capacity 8 instead of 40: +399.5 % lock drops, -134.2 KiB."
    assert answer("is_40_right", results).sentences == [want]


@pytest.mark.parametrize(
    ("name", "choice", "usual", "other"),
    [
        ("is_exact_counting_worth_it", "policy", "kernel", "exact_demand"),
        ("opportunistic_top_up", "policy", "kernel", "opportunistic"),
        ("ext_2_or_14", "pte_list_ext", 14, 2),
    ],
)
def test_two_choices_are_compared_case_by_case(name, choice, usual, other):
    # Two roots of 64 GiB: with one role counting saves (1619 -> 880), with two it costs more.
    results = rows(
        {choice: usual, "nr_lock_drops": 1619},
        {choice: other, "nr_lock_drops": 880},
        {choice: usual, "distinct_role_ratio": 1.0, "nr_lock_drops": 32_768},
        {choice: other, "distinct_role_ratio": 1.0, "nr_lock_drops": 34_407},
        {choice: usual, "alias_ratio": 0.0},
        {choice: other, "alias_ratio": 0.0},
        {choice: usual, "alias_ratio": 0.5},  # the other side is missing: no case
    )
    found = answer(name, results)
    assert found.rows["usual_drops"].to_list() == [820.0, 1619.0, 32_768.0]
    assert found.rows["change_percent"].to_list() == pytest.approx([0.0, -45.65, 5.0], abs=0.01)
    cases, saves, costs = found.sentences[:3]
    assert "fewer lock drops in 1 of 3 cases, more in 1" in cases
    assert "saves most (-45.6 %) from 1,619 to 880 lock drops" in saves
    assert "costs most (+5.0 %) from 32,768 to 34,407 lock drops" in costs


def test_opportunistic_top_ups_stand_beside_what_no_policy_can_beat():
    # 2 % of the pages in a second role: 1438 with the kernel's policy, 941 is the optimum.
    policies = {"kernel": 1438, "opportunistic": 1035, "exact_opportunistic": 941}
    results = rows(*({"policy": p, "nr_lock_drops": drops} for p, drops in policies.items()))
    found = answer("opportunistic_top_up", results)
    assert found.rows["optimum_drops"].to_list() == [941.0]
    assert found.rows["unbounded_drops"].to_list() == [1.0]
    assert "from 1,438 to 1,035 lock drops (941 at best) at" in found.sentences[1]
    # 1035 / 941 = 1.0999
    assert found.sentences[-1].endswith("the best in 0 of 1 cases; at worst it costs 10.0 % more.")


def test_flush_flavours_are_compared_by_the_time_that_the_lock_is_held():
    # 26,170 splits, 160 vCPUs, 1.1 us each: f1 holds the lock 4,606 ms longer than f0's 300.
    case = {"running_vcpus": 160, "ratio_1g": 0.0, "rounds": 1}
    held = 300e6 + 26_170 * 160 * 1_100.0
    results = rows(
        case | {"flush": "f0"}, case | {"flush": "f2"}, case | {"flush": "f1", "lock_held_ns": held}
    )
    found = answer("flush_flavours", results)
    assert found.rows["f1_ms"].to_list() == pytest.approx([4905.92])
    first, second, third = found.sentences
    assert "160 running vCPUs f1 holds mmu_lock 4,906 ms where f0 holds it 300 ms" in first
    assert second == "It changes no lock drop, so no cache size wins the flushes back."
    assert third == "f2 costs the same as f0 everywhere in this run."


def test_a_clear_call_takes_its_share_of_the_time():
    results = rows({"clear_chunk_gib": 1.0}, {"clear_chunk_gib": 8.0}, {"clear_chunk_gib": 128.0})
    # 854 ms for 64 GiB: 1/64, 8/64 and, as the memslot is no larger, all of it.
    table = r.clear_chunks(results).collect()
    assert table["call_ms"].to_list() == pytest.approx([854 / 64, 854 / 8, 854.0])
    (said,) = answer("clear_chunks", results).sentences
    assert said.startswith(
        "Chunk sizes change no lock drop: caches are kept. One call takes 13.3 ms"
    )
    assert said.endswith("with 1 GiB, 854.0 ms with 128 GiB (modelled).")
    other = rows({"clear_chunk_gib": 1.0}, {"clear_chunk_gib": 8.0, "nr_lock_drops": 861})
    # 861 are 5 % more than 820.
    assert "change lock drops by up to 5.0 %. One" in answer("clear_chunks", other).sentences[0]


def test_enospc_starts_at_the_fewest_mappings_that_hit_it():
    own = {"distinct_role_ratio": 1.0}
    results = rows(
        own | {"alias_degree": 10},
        own | {"alias_degree": 11, "nr_enospc": 37, "nr_unsplit": 25},
        own | {"alias_degree": 12, "nr_enospc": 99, "nr_unsplit": 50},
        {"alias_degree": 12},
    )
    table = r.where_enospc_starts(results).collect()
    assert table["first_degree"].to_list() == [None, 11]
    assert table["worst_unsplit_ratio"].to_list() == [0.0, 0.5]
    distinct, shared = answer("where_enospc_starts", results).sentences
    assert shared == "With distinct_role_ratio 0, none up to 12 mappings a page."
    assert "from 11 mappings a page on (alias_ratio 1, 64 GiB)" in distinct


def test_starvation_is_how_much_longer_yielding_takes_and_where_it_never_ends():
    def case(vcpus, yields, total, left=0):
        return {"running_vcpus": vcpus, "think_ns": 5000.0, "preempt_on_contention": yields,
                "total_ns": total, "nr_unsplit": left}  # fmt: skip

    results = rows(
        case(4, False, 10e6), case(4, True, 15e6), case(64, False, 10e6), case(64, True, 4e9, 100)
    )
    table = r.starvation(results).collect()
    assert table["slower_ratio"].to_list() == [1.5, 400.0]
    stuck, slowest = answer("starvation", results).sentences
    assert "does not end from 64 vCPUs on that fault every 5 us" in stuck
    assert "1.5 times as long (4 vCPUs" in slowest
    ends = answer("starvation", results.filter(pl.col("running_vcpus") == 4))
    assert ends.sentences[0] == "Eager splitting ends everywhere in this run."


def test_a_fleet_pays_for_full_caches():
    results = rows(
        {"nr_lock_drops": 1619},
        {"desc_capacity": 1026, "full_bytes": 311_376, "nr_lock_drops": 883},
        {"policy": "opportunistic"},
    )
    first, second = answer("fleet_bytes", results).sentences
    # 247,048 bytes a VM; 1026 take 64,328 more.
    assert "with 553 descriptors keep 247.0 GB in full caches; 1026 would keep 64.3 GB" in first
    assert "for -45.5 % lock drops" in first
    assert "policy opportunistic, object_capacity 40 and 553 descriptors: -49.4 %" in second
