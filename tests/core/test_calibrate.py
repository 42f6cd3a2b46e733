"""Derived: recordings with known times give those times back."""

import pytest

from core.errors import InputError
from core.recording import shadow_recording
from core.recording.calibrate import calibrate
from core.recording.predict import predict
from core.recording.trace import parse_trace
from core.recording.workload import scenario_of

NS = {"split": 10_000, "reuse": 1_000, "desc": 10, "drop": 500, "desc_alloc": 70, "page_alloc": 350}


def timed(pages, ns=NS, *patterns):
    """A perf script of pages with these patterns of roles in turn; attempts take exactly `ns`."""
    now, lines = 10**9, []
    descs = objects = 0

    def say(text):
        lines.append(f"vmm 7 [000] {now / 1e9:.9f}: kvmmmu:{text}")

    for gfn in range(0, pages * 512, 512):
        seen = set()
        for role in patterns[gfn // 512 % len(patterns)]:
            if descs < 513 or objects < 1:
                got = (553 - descs if descs < 513 else 0, 40 - objects if objects < 1 else 0)
                now += ns["drop"] + got[0] * ns["desc_alloc"] + got[1] * ns["page_alloc"]
                descs, objects = descs + got[0], objects + got[1]
                say(f"kvm_mmu_split_huge_page: gfn {gfn:x} spte 1 level 2 errno -11")
            new = role not in seen
            taken = (512 if seen else 0) if new else 1
            seen.add(role)
            now += (ns["split"] if new else ns["reuse"]) + (taken * ns["desc"] if new else 0)
            made = "new" if new else "existing"
            say(f"kvm_mmu_get_page: sp gen 0 gfn {gfn:x} l1 {role} nxe ad root 0 sync {made}")
            say(f"kvm_mmu_split_huge_page: gfn {gfn:x} spte 1 level 2 errno 0")
            descs, objects = descs - taken, objects - new
    return lines


def measured(lines):
    recording = shadow_recording(parse_trace(enumerate(lines, 1), "mine.txt"))
    scenario, _ = scenario_of(recording, "v6_12")
    prediction = predict(recording, scenario, "v6_12")
    assert prediction.first_difference is None, prediction
    return calibrate(recording, prediction)


ONE, SAME, TWO = ("wux",), ("wux", "wux"), ("wux", "-ux")


def test_known_times_of_splits_drops_and_allocations_come_back():
    # Refills of 41 to 552 descriptors, with pages and without: three unknowns, many equations.
    found = measured(timed(400, NS, SAME, SAME, ONE, SAME, TWO)).costs
    wanted = {
        "split_ns": 10_000,
        "split_reuse_ns": 1_000,
        "desc_use_ns": 10,
        "lock_drop_ns": 500,
        "desc_alloc_ns": 70,
        "header_alloc_ns": 75,  # 350 for both, shared out as they are assumed to be: 75 to 275
        "page_alloc_ns": 275,
        "flush_ns_per_vcpu": 0,
    }
    assert {name: cost.ns for name, cost in found.items()} == pytest.approx(wanted, abs=1)


def test_the_cost_of_a_descriptor_comes_from_splits_that_take_512():
    found = measured(timed(60, NS | {"drop": 5_000}, TWO))
    assert found.costs["desc_use_ns"].ns == pytest.approx(10, abs=0.1)
    assert found.left_out == {"split_reuse_ns": "0 samples, 20 are needed"}
    # Every page has one drop, for 512 descriptors: hold and drop are 25,120 + 5,000 + 512 * 70, and
    # every 40th object pair adds to it.
    p50, _, longest = found.holds
    assert p50 == pytest.approx(25_120 + 5_000 + 512 * 70, abs=2)
    assert longest == pytest.approx(p50 + 40 * 350, abs=2)


def test_drops_that_hardly_vary_give_the_drop_alone():
    # Unaliased: every drop gets 40 objects, so the allocations take their assumed 350 ns each.
    found = measured(timed(300, NS | {"drop": 9_000}, ONE)).costs
    assert found["lock_drop_ns"].ns == pytest.approx(9_000, abs=2)
    assert "desc_alloc_ns" not in found


def test_a_drop_cheaper_than_its_assumed_allocations_is_left_out():
    free = NS | {"drop": 10, "page_alloc": 0}
    found = measured(timed(300, free, ONE))
    assert found.left_out["lock_drop_ns"] == "its median is not above 0"


def test_a_clock_that_stands_still_is_refused():
    with pytest.raises(
        InputError, match=r"mine.txt: 301 such splits that took time: need at least"
    ):
        measured(timed(301, dict.fromkeys(NS, 0), ONE))


def test_too_few_splits_are_refused_with_their_number():
    with pytest.raises(InputError, match=r"mine.txt: 10 such splits .* need at least 20"):
        measured(timed(10, NS, ONE))
