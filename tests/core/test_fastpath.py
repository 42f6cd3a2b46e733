"""Oracle: the fast path equals the reference machine on drawn scenarios, and all goldens."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.reference import run_reference
from core.scenario import parse_scenario
from core.scenario.fastpath import fast_totals
from core.scenario.walk import splits_of
from tests.goldens import goldens
from tests.random_scenarios import draw_scenario

KERNELS = st.sampled_from(["v6_1", "v6_12"])


def test_every_golden_total_equals_and_only_failing_allocations_need_the_machine():
    engines = {}
    for raw, kernel, expected in goldens():
        totals, engine = fast_totals(parse_scenario(raw), kernel)
        assert totals == expected["totals"], raw["id"]
        engines.setdefault(engine, []).append(expected["totals"])
    assert {engine: len(runs) for engine, runs in engines.items()} == {"fast": 431, "reference": 49}
    assert all(totals["alloc_fails"] == 0 for totals in engines["fast"])


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), kernel=KERNELS)
def test_every_total_equals_the_reference_machine(seed, kernel):
    raw = draw_scenario(random.Random(seed)) | {"alloc_fail_at": None}
    scenario = parse_scenario(raw)
    totals, engine = fast_totals(scenario, kernel)
    assert engine == "fast"
    assert totals == run_reference(scenario, kernel, 0).totals


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), kernel=KERNELS)
def test_demand_is_what_each_split_of_the_machine_takes(seed, kernel):
    raw = draw_scenario(random.Random(seed)) | {"alloc_fail_at": None, "desc_min": 513}
    scenario = parse_scenario(raw | {"desc_capacity": 1026})
    splits = [e for e in run_reference(scenario, kernel, 1 << 20).events if e.result == 0]
    demand = splits_of(scenario, kernel)
    assert demand.desc.tolist() == [e.desc_before - e.desc_after for e in splits]
    assert demand.created.tolist() == [e.created for e in splits]
    assert demand.level.tolist() == [e.level for e in splits]


def test_a_failure_after_the_last_allocation_is_none():
    raw = {"id": "s", "memslot": {"base_gfn": 0, "npages": 512}, "runs": [[0, 1, 2, [7]]]}
    # One cold top-up: 553 descriptors, 40 headers, 40 pages are numbers 0 to 632.
    for fail_at, engine in ((632, "reference"), (633, "fast")):
        totals, ran = fast_totals(parse_scenario(raw | {"alloc_fail_at": fail_at}), "v6_12")
        assert (ran, totals["alloc_fails"]) == (engine, int(engine == "reference"))


@pytest.mark.parametrize("kernel", ["v6_1", "v6_12"])
def test_one_tib_is_tiled_and_not_walked_page_by_page(kernel):
    # 524,288 plain pages and a second role on every 512th: 1,024 times 512 descriptors.
    every = list(range(0, 1 << 19, 512))
    raw = {
        "id": "tib",
        "memslot": {"base_gfn": 0, "npages": 1 << 28},
        "runs": [[0, 1 << 19, 2, [7]]],
        "lists": [[0, 2, [[5, 1]], every]],
    }
    totals, _ = fast_totals(parse_scenario(raw), kernel)
    assert totals["desc_used"] == 1024 * 512
    assert totals["topups"][0] == 1025  # cold, and after each second role
    assert totals["sp_created"] == (1 << 19) + 1024
