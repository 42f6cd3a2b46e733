"""Derived: each rule has a scenario that breaks it and a message that names field, value, rule."""

import pytest

from core.reference import run_reference
from core.scenario import ScenarioError, parse_scenario

SLOT = {"base_gfn": 512, "npages": 1024}
HUGE = {"gfn": 512, "level": 2, "access": 7, "sp": 0}
BELOW = {"gfn": 600, "level": 1, "sp": 9, "direct": 1}


def parse(**fields):
    return parse_scenario({"id": "s1", "memslot": SLOT, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"colour": 1}, "s1: colour = 1: unknown field; known are id, memslot"),
        ({"memslot": {"base_gfn": 0}}, "memslot.npages = null: must be a whole number from 1"),
        ({"memslot": {**SLOT, "x": 0}}, "memslot.x = 0: unknown field; known are base_gfn, npages"),
        ({"id": ""}, 'id = "": must be a text'),
        ({"desc_min": 513.0}, "desc_min = 513.0: must be a whole number"),
        ({"desc_min": True}, "desc_min = true: must be a whole number"),
        ({"desc_capacity": 512}, "desc_capacity = 512: must be at least desc_min = 513"),
        ({"object_capacity": 0}, "object_capacity = 0: must be a whole number from 1"),
        ({"target_level": 3}, "target_level = 3: must be a whole number from 1 to 2"),
        ({"resched_at": 3}, "resched_at = 3: must be a list of whole numbers"),
        ({"range": [512, 512]}, "range = [512, 512]: need start < end"),
        ({"range": [512, 1537]}, "range = [512, 1537]: need start < end, both inside"),
        ({"range": [0, 600], "ranges": []}, "give range or ranges, not both"),
        ({"mappings": [{**HUGE, "gfn": 600}]}, "mappings gfn = 600: a level 2 SPTE maps 512 pages"),
        ({"mappings": [{**HUGE, "gfn": 0}]}, "mappings gfn = 0: a page lies outside the memslot"),
        ({"mappings": [{**HUGE, "level": 4}]}, "mappings level = 4: must be a whole number"),
        ({"mappings": [{**HUGE, "access": 0}]}, "mappings access = 0: must be"),
        ({"mappings": [{**HUGE, "access": None}]}, "mappings access = null: must be"),
        ({"mappings": [{**HUGE, "direct": 2}]}, "mappings direct = 2: must be"),
        ({"mappings": [{**HUGE, "rb": 32}]}, "mappings rb = 32: must be"),
        ({"mappings": [{**HUGE, "color": 1}]}, "mappings.color = 1: unknown field"),
        ({"mappings": [HUGE, HUGE]}, "the shadow page of this sp and rb maps this gfn already"),
        ({"mappings": [{**HUGE, "zap": 1}]}, "mappings.zap = 1: must be 1, without an access"),
        ({"mappings": [{"zap": 1, **BELOW}]}, "no leaf SPTE was mapped there before"),
        (
            {"mappings": [{**BELOW, "access": 7}, {**BELOW, "gfn": 601, "access": 6}]},
            "that slot of the shadow page is in use already",
        ),
        ({"mappings": 3}, "mappings = 3: must be a list of 0 to"),
        ({"mappings": [[1]]}, "mappings = [1]: must be an object"),
        ({"runs": [[512, 1, 2]]}, "runs = [512, 1, 2]: must be a list of 4 to 5 elements"),
        ({"runs": [[512, 3, 2, [7]]]}, "a page lies outside the memslot [512, 1536)"),
        ({"runs": [[512, 1 << 23, 2, [7]]]}, "a page lies outside the memslot [512, 1536)"),
        ({"runs": [[512, 1, 2, []]]}, "runs aliases = []: must be a list of 1 to"),
        ({"runs": [[512, 1, 2, [[7, 0], [6, 0]]]]}, "the shadow page of this sp and rb maps"),
        ({"runs": [[512, 1, 2, [7] * 800]]}, "at most 777 SPTEs may map it at one level"),
        ({"lists": [[512, 2, [7], [0, 1, 1]]]}, "the shadow page of this sp and rb maps"),
        ({"lists": [[512, 2, [7], [2]]]}, "lists gfn = 1536: a page lies outside"),
        ({"lists": [[512, 2, [7], [-1]]]}, "lists index = -1: must be a whole number from 0"),
    ],
)
def test_a_broken_rule_is_refused_with_field_value_and_rule(fields, message):
    with pytest.raises(ScenarioError) as refusal:
        parse(**fields)
    assert message in str(refusal.value)
    assert str(refusal.value).startswith("scenario ")


@pytest.mark.parametrize("raw", [None, 3, [], "x", {}])
def test_what_is_no_scenario_at_all_is_refused(raw):
    with pytest.raises(ScenarioError, match=r"scenario \(no id\)"):
        parse_scenario(raw)


def test_mappings_runs_and_lists_follow_each_other_in_that_order():
    scenario = parse(
        lists=[[512, 2, [[4, 9]], [1, 0]]],
        runs=[[512, 2, 2, [7, [6, 5, 2]]]],
        mappings=[{"run": [513, 2, 1, [1], 3]}, HUGE | {"sp": 8}],
    )
    rows = [tuple(int(v) for v in row) for row in zip(*scenario.sptes, strict=True)]
    assert rows == [
        (513, 1, 1, 0, 0, 0),
        (516, 1, 1, 0, 0, 0),
        (512, 2, 7, 8, 0, 0),
        (512, 2, 7, 0, 0, 0),
        (512, 2, 6, 5, 2, 0),
        (1024, 2, 7, 0, 0, 0),
        (1024, 2, 6, 5, 2, 0),
        (1024, 2, 4, 9, 0, 0),
        (512, 2, 4, 9, 0, 0),
    ]


def test_the_limit_of_shadow_pages_is_a_fiftieth_and_at_least_64():
    assert parse().n_max_mmu_pages == 64
    large = parse(memslot={"base_gfn": 0, "npages": 262144})
    assert large.n_max_mmu_pages == 5242


def test_a_leaf_seen_through_the_link_of_another_sp_exists_once():
    twice = [{**BELOW, "access": 7}, {**BELOW, "access": 7, "sp": 8}]
    scenario = parse(mappings=[*twice, HUGE])
    # Two parents of the direct page; the split finds the page, adds 511 leaves, and a parent.
    totals = run_reference(scenario, "v6_12").totals
    assert (totals["desc_live_start"], totals["n_used_start"], totals["pages_4k"]) == (1, 4, 512)
    with pytest.raises(ScenarioError, match="in use already"):
        parse(mappings=[*twice, twice[0]])


def test_one_sp_may_reach_a_direct_page_by_two_paths_but_each_only_once():
    # By its 2M table, and by its 1G table through another direct page of level 2.
    paths = [{**BELOW, "access": 7}, {**BELOW, "access": 7, "direct": 2}]
    totals = run_reference(parse(mappings=[*paths, HUGE]), "v6_12").totals
    # Tables: both of sp 9, that of sp 0, and the direct ones of levels 1 and 2. The leaf is one
    # SPTE, the direct page of level 1 has two parents: one descriptor.
    assert (totals["desc_live_start"], totals["n_used_start"], totals["pages_4k"]) == (1, 5, 512)
    with pytest.raises(ScenarioError, match="in use already"):
        parse(mappings=[*paths, paths[1]])


def test_a_field_that_is_null_counts_as_absent():
    fields = ("desc_capacity", "target_level", "range", "ranges", "runs", "mappings", "lists")
    nulls = dict.fromkeys((*fields, "n_max_mmu_pages", "alloc_fail_len", "resched_at"))
    given, absent = parse(**nulls), parse()
    assert (given.desc_capacity, given.ranges) == (absent.desc_capacity, absent.ranges)
    assert (given.n_max_mmu_pages, given.alloc_fail_len, given.sptes.gfn.size) == (64, None, 0)


def test_a_zapped_slot_can_be_mapped_again():
    scenario = parse(mappings=[{**BELOW, "access": 7}, {"zap": 1, **BELOW}, {**BELOW, "access": 7}])
    assert scenario.sptes.access.tolist() == [7, 0, 7]
