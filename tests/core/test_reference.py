"""Oracle: every event and total of the kernels' own functions; derived: by hand, in comments."""

import pytest

from core.reference import run_reference
from core.scenario import parse_scenario
from core.scenario.fastpath import fast_totals
from tests.goldens import goldens, is_large

SMALL = [g for g in goldens() if not is_large(g[0])]
LARGE = [g for g in goldens() if is_large(g[0])]


def run(kernel="v6_12", npages=512, **fields):
    raw = {"id": "test", "memslot": {"base_gfn": 0, "npages": npages}, **fields}
    return run_reference(parse_scenario(raw), kernel)


def results(run):
    return [event.result for event in run.events]


def agree(scenario, kernel, expected):
    run = run_reference(parse_scenario(scenario), kernel)
    events = run.events if run.events is None else [list(event) for event in run.events]
    return (events, run.totals) == (expected["events"], expected["totals"])


def test_every_event_and_total_equals_the_kernels_own_functions():
    assert len(SMALL) + len(LARGE) == 480
    assert [g[0]["id"] for g in SMALL if not agree(*g)] == []


@pytest.mark.slow
def test_every_total_of_the_large_workloads_equals_too():
    assert [g[0]["id"] for g in LARGE if not agree(*g)] == []


@pytest.mark.parametrize(
    "engine", [lambda *a: run_reference(*a).totals, lambda *a: fast_totals(*a)[0]]
)
def test_without_a_minimum_the_descriptor_cache_is_never_filled(engine):
    # The second split's parent list takes one descriptor, which is allocated there and then.
    raw = {"id": "t", "memslot": {"base_gfn": 0, "npages": 512}, "runs": [[0, 1, 2, [7, 7]]]}
    totals = engine(parse_scenario(raw | {"desc_min": 0, "desc_capacity": 1}), "v6_1")
    assert (totals["lock_drops"], totals["topups"]) == (1, [0, 1, 1])
    assert (totals["allocs"], totals["atomic_allocs"]) == ([1, 40, 40], 1)
    assert (totals["desc_used"], totals["nobjs_end"]) == (0, [0, 39, 39])


def test_a_reusing_split_needs_a_page_in_the_cache_that_it_does_not_take():
    # One page cached: the first split takes it, the second needs none but finds none: EAGAIN.
    reuse = run(object_capacity=1, runs=[[0, 1, 2, [7, 7]]])
    assert results(reuse) == [-11, 0, -11, 0]


@pytest.mark.parametrize(
    ("capacity", "drops"),
    # 300 pages, two same-role SPTEs each: the first takes a page, the second a descriptor.
    [
        # Pages run out every 40 huge pages: ceil(300 / 40) = 8, seen before a first split.
        # 513: each of the 300 descriptors leaves 512, so the next attempt drops. The last one
        # has no next attempt: 299, and the cold drop is page and desc at once. Pages are short
        # after 40, 80, ... huge pages' first splits, i.e. before a *second* split, where the
        # descriptors are full: 7 more drops. 1 + 299 + 7 = 307.
        (513, 307),
        # 514: one spare, so every second descriptor: 1 + floor(299 / 2) + 7 = 157.
        (514, 157),
        # 553: 40 spare, every 41st: 1 + floor(299 / 41) + 7 = 15.
        (553, 15),
        # 1026: 513 spare, 300 descriptors never use them up: 1 + 0 + 7 = 8.
        (1026, 8),
    ],
)
def test_lock_drops_of_300_same_role_pages(capacity, drops):
    same = run(npages=300 * 512, desc_capacity=capacity, runs=[[0, 300, 2, [7, 7]]])
    assert same.totals["lock_drops"] == drops


def test_the_second_and_fifteenth_role_take_512_descriptors():
    roles = [[access, 10 * rb + access, rb] for rb in (0, 1) for access in range(1, 8)]
    fifteen = run(npages=512, desc_capacity=2048, runs=[[0, 1, 2, [*roles, [7, 99, 2]]]])
    taken = [e.desc_before - e.desc_after for e in fifteen.events if e.result == 0]
    assert taken == [0, 512] + [0] * 12 + [512]


def test_splits_go_first_then_last_and_down():
    order = [e.sp for e in run(runs=[[0, 1, 2, [7, 7, 7, 7]]]).events if e.result == 0]
    assert order == [0, 3, 2, 1]


def test_the_kernels_differ_where_the_odd_role_comes_early():
    # 15 aliases, the odd role at position 1 or 14.
    drops = {
        (kernel, odd): run(kernel, runs=[[0, 1, 2, [7] * odd + [6] + [7] * (14 - odd)]]).totals[
            "lock_drops"
        ]
        for kernel in ("v6_1", "v6_12")
        for odd in (1, 14)
    }
    # Position 1 is split 14th on 6.1: 512 descriptors, then one more attempt drops. It is last on
    # 6.12. Position 14 is last on 6.1 and first on 6.12, whose second split then takes 512.
    assert drops == {("v6_1", 1): 2, ("v6_12", 1): 1, ("v6_1", 14): 1, ("v6_12", 14): 2}


def test_eleven_roles_do_not_fit_over_one_gib_and_ten_do():
    # 262144 // 50 = 5242 pages. 11 indirect parents (one a group) are in use; a split needs more
    # than 5 free, so 5242 - 11 - 5 = 5226 are made. 512 huge pages of 11 roles need 5632.
    # 475 * 11 = 5225, one more in the 476th, whose other 10 stay with one ENOSPC; the 36 pages
    # after it have one ENOSPC each and 11 SPTEs: 37 events, 10 + 36 * 11 = 406 left.
    roles = [[access, 10 * rb + access, rb] for rb in (0, 1) for access in range(1, 8)][:11]
    eleven = run(npages=262144, runs=[[0, 512, 2, roles]], events_limit=0).totals
    assert (eleven["enospc"], eleven["pages_2m"]) == (37, 406)
    ten = run(npages=262144, runs=[[0, 512, 2, roles[:10]]], events_limit=0).totals
    assert (ten["enospc"], ten["pages_2m"]) == (0, 0)


def test_a_second_round_finds_every_page_and_still_takes_512_descriptors():
    # The direct pages of both roles exist and are empty: zapped leaves. No page is taken.
    leaf = [
        step
        for access in (7, 5)
        for step in (
            {"gfn": 0, "level": 1, "access": access, "sp": 100 + access, "direct": 1},
            {"zap": 1, "gfn": 0, "level": 1, "sp": 100 + access, "direct": 1},
        )
    ]
    huge = [{"gfn": 0, "level": 2, "access": access, "sp": access} for access in (7, 5)]
    again = run(mappings=[*leaf, *huge])
    # Each direct page has a parent already, so each split also takes one for its second parent.
    assert [e.desc_before - e.desc_after for e in again.events if e.result == 0] == [1, 513]
    assert again.totals["sp_created"] == 0


def test_a_second_1g_round_is_one_split_and_no_2m_splits():
    # The level 2 page exists and points to tables: nothing to add below, a flush is asked for.
    below = [{"gfn": 512 * i, "level": 1, "access": 7, "sp": 9, "direct": 2} for i in range(512)]
    huge = {"gfn": 0, "level": 3, "access": 7, "sp": 0}
    again = run(npages=262144, mappings=[*below, huge]).totals
    assert (again["splits_1g"], again["splits_2m"], again["flush_args"]) == (1, 0, 1)


def test_a_top_up_that_fails_above_the_minimum_still_counts():
    # 513 descriptors are allocated before number 513 fails: enough. Then header and page.
    partial = run(alloc_fail_at=513, alloc_fail_len=1, runs=[[0, 1, 2, [7]]])
    assert results(partial) == [-11, 0]
    assert partial.totals["nobjs_peak"] == [513, 40, 40]
    assert partial.totals["alloc_fails"] == 1


def test_without_memory_each_huge_page_drops_the_lock_once():
    failing = run(npages=1536, alloc_fail_at=0, runs=[[0, 3, 2, [7, 6]]])
    assert results(failing) == [-12, -12, -12]
    assert failing.totals["lock_drops"] == 3


def test_a_resched_with_full_caches_allocates_nothing():
    resched = run(resched_at=[1], runs=[[0, 1, 2, [7]]])
    assert results(resched) == [-11, -11, 0]
    assert resched.totals["topups"] == [1, 1, 1]


def test_an_atomic_allocation_that_fails_stops_the_kernel_and_the_run():
    with pytest.raises(ValueError, match=r"test: alloc_fail_at = 100: an atomic allocation"):
        run(desc_min=1, desc_capacity=1, alloc_fail_at=100, runs=[[0, 1, 2, [7, 6]]])
