"""Derived: published and hand-made figures. Oracle: the replay equals the plain loop."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cost import Cost
from core.machine import machine
from core.replay import replay
from tests.core import streams
from tests.plain import plain

POLICIES = ("kernel", "exact_demand", "opportunistic", "exact_opportunistic", "split_per_drop")


def drops(
    splits: list[streams.Split], policy: str, capacities: list[int], objects: int
) -> list[int]:
    found = replay(
        streams.demand(splits), policy, 513, np.array(capacities, np.int64), objects, Cost()
    )
    return found.drops.sum(axis=1).tolist()


@pytest.mark.parametrize(
    ("splits", "policy", "figures"),
    [
        # ceil(32768 / 40) = 820: the page caches alone. ceil(32768 / 128) = 256.
        (streams.UNALIASED, "kernel", [820, 820, 820, 820, 256]),
        (streams.UNALIASED, "exact_demand", [820, 820, 820, 820, 256]),
        (streams.UNALIASED, "opportunistic", [820, 820, 820, 820, 256]),
        # 553: 41 events a refill, ceil(32768 / 41) = 800 refills, none of them at a page refill but
        # the first: 820 + 799 = 1619.
        (streams.SAME_ROLE, "kernel", [33587, 1619, 883, 841, 1056]),
        (streams.SAME_ROLE, "exact_demand", [884, 880, 852, 836, 316]),
        (streams.SAME_ROLE, "opportunistic", [32768, 820, 820, 820, 800]),
        # 512 a page: (C - 513) // 512 + 1 pages a refill, so 553 is no better than 513.
        (streams.TWO_ROLES, "kernel", [32768, 32768, 16384, 8192, 32768]),
        (streams.TWO_ROLES, "exact_demand", [34407, 34407, 18023, 9831, 33280]),
        (streams.SIXTEEN_SHARE, "kernel", [4148, 151, 59, 54, 116]),
        (streams.SIXTEEN_SHARE, "opportunistic", [4097, 100, 52, 52, 100]),
    ],
)
def test_the_policy_table_for_64_gib(
    splits: list[streams.Split], policy: str, figures: list[int]
) -> None:
    assert drops(splits, policy, [513, 553, 1026, 2065], 40) == figures[:4]
    assert drops(splits, policy, [553], 128) == figures[4:]


def test_300_pages_with_a_same_role_alias() -> None:
    # Page refills: ceil(300 / 40) = 8. Descriptor refills: C - 512 pages each, so 300, 150, 8, 1.
    # The cold drop is both; at 513 and 514 no other coincides, nor at 553: 8 + 8 - 1 = 15.
    same_role = [(0, 1), (1, 0)] * 300
    assert drops(same_role, "kernel", [513, 514, 553, 1026], 40) == [307, 157, 15, 8]
    alone = [drops(same_role, "kernel", [capacity], 40) for capacity in (513, 514, 553, 1026)]
    assert alone == [[307], [157], [15], [8]]


@pytest.mark.parametrize("policy", POLICIES)
def test_no_capacity_at_all_gives_no_row(policy: str) -> None:
    assert drops([(512, 1)] * 3, policy, [], 40) == []


@pytest.mark.parametrize(
    ("policy", "four", "five"),
    [
        ("kernel", 2, 1),
        ("opportunistic", 2, 1),
        ("exact_demand", 1, 1),
        ("exact_opportunistic", 1, 1),
    ],
)
def test_a_second_round_finds_the_page_caches_as_the_first_left_them(
    policy: str, four: int, five: int
) -> None:
    # Four splits take all of four pages, or leave one of five. The four of the second round take
    # none, but only exact policies know.
    stream = streams.demand([(0, 1)] * 4 + [(0, 0)] * 4, 4)
    for objects, wanted in ((4, four), (5, five)):
        found = replay(stream, policy, 513, np.array([513]), objects, Cost())
        assert found.drops.sum() == wanted


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_to_split_drops_no_lock(policy: str) -> None:
    found = replay(streams.demand([]), policy, 513, np.array([513, 1026]), 40, Cost())
    assert found.drops.tolist() == [[0] * 4] * 2
    assert not found.desc_allocated.any()
    assert not found.objects_allocated.any()


def test_a_larger_cache_can_drop_the_lock_more_often() -> None:
    # Every third page has a same-role alias. Descriptor refills grow fewer with the capacity, but
    # whether they meet a page refill is a matter of phase.
    splits = [(0, 1), (0, 1), (0, 1), (1, 1)] * 90
    counts = drops(splits, "kernel", list(range(513, 580)), 40)
    assert any(b > a for a, b in pairwise(counts))


def test_split_per_drop_drops_before_every_split() -> None:
    assert drops([(0, 1), (512, 1)] * 50, "split_per_drop", [513, 1026], 40) == [100, 100]


def test_two_of_257_never_fit_513_so_an_exact_policy_refills_before_every_split() -> None:
    # Each refill keeps 256, one too few: 2000 refills out of 2000 * 257 descriptors, twice as many
    # as full caches would do. The page caches are filled once, with the first.
    assert drops([(257, 1)] * 2000, "exact_demand", [513, 514], 10**6) == [2000, 1000]


SUPPORTS = ([0, 1], [0, 512], [0, 1, 512], [0, 0, 0, 3, 40, 512], [0], [513, 0])


@st.composite
def workloads(draw: st.DrawFn) -> tuple[list[streams.Split], int]:
    takes = st.sampled_from(draw(st.sampled_from(SUPPORTS)))
    pattern = draw(st.lists(st.tuples(takes, st.integers(0, 1)), min_size=1, max_size=40))
    splits = pattern * draw(st.integers(1, 12))
    return splits, draw(st.integers(0, len(splits)) | st.just(len(splits)))


@given(
    workloads(),
    st.sampled_from(POLICIES),
    st.lists(st.integers(513, 1800), min_size=1, max_size=8, unique=True).map(sorted),
    st.integers(1, 60),
)
def test_every_capacity_at_once_equals_the_plain_loop(
    workload: tuple[list[streams.Split], int], policy: str, capacities: list[int], objects: int
) -> None:
    stream = streams.demand(*workload)
    found = replay(stream, policy, 513, np.array(capacities), objects, Cost())
    timed = machine(stream, policy, 513, np.array(capacities), objects, Cost(), False, 0)
    for i, capacity in enumerate(capacities):
        counts = [
            *found.drops[i], found.desc_allocated[i], found.desc_left[i], found.desc_used[i],
            found.objects_allocated[i], found.objects_left[i],
        ]  # fmt: skip
        assert counts == plain(stream, policy, 513, capacity, objects).tolist()
    for field in ("drops", "desc_allocated", "objects_left", "nr_splits"):
        assert getattr(found, field).tolist() == getattr(timed, field).tolist()
    assert np.allclose(found.holds, timed.holds)
    assert np.allclose(found.held_ns, timed.held_ns)
    assert np.allclose(found.elapsed_ns, timed.elapsed_ns)


@given(
    workloads(),
    st.sampled_from(POLICIES),
    st.lists(st.integers(513, 1800), min_size=1, max_size=4, unique=True).map(sorted),
    st.integers(1, 60),
    st.data(),
)
def test_holds_that_the_caller_ends_and_flushes_lengthen_are_those_of_the_machine(
    workload: tuple[list[streams.Split], int],
    policy: str,
    capacities: list[int],
    objects: int,
    data: st.DataObject,
) -> None:
    stream = streams.demand(*workload)
    splits = st.lists(st.integers(1, stream.nr_splits), max_size=9)
    ascending = splits.map(lambda s: np.array(sorted({*s} - {stream.nr_splits}), np.int64))
    stream = replace(stream, breaks=data.draw(ascending), nonleaf=data.draw(ascending))
    cost = Cost(flush="f0")
    found = replay(stream, policy, 513, np.array(capacities), objects, cost)
    timed = machine(stream, policy, 513, np.array(capacities), objects, cost, False, 0)
    assert found.drops.tolist() == timed.drops.tolist()
    assert np.allclose(found.holds, timed.holds)
    assert np.allclose(found.held_ns, timed.held_ns)
    assert np.allclose(found.elapsed_ns, timed.elapsed_ns)


def test_every_short_stream_of_none_one_and_512_equals_the_plain_loop() -> None:
    takes = [(0, 1), (1, 0), (512, 1)]
    capacities = np.array([513, 514, 515, 1024, 1025, 1026])
    for number in range(3**6):
        splits = [takes[number // 3**digit % 3] for digit in range(6)]
        stream = streams.demand(splits)
        for policy, objects in product(POLICIES, (1, 2)):
            found = replay(stream, policy, 513, capacities, objects, Cost())
            want = [plain(stream, policy, 513, c, objects)[:4].tolist() for c in capacities]
            assert found.drops.tolist() == want


def test_exact_opportunistic_is_the_optimum_for_its_capacity() -> None:
    # Brute force: any set of splits at which every cache is filled, as few as will do.
    def fewest(splits: list[streams.Split], capacity: int, objects: int) -> int:
        best = [0, *[len(splits) + 1] * len(splits)]
        for start in range(len(splits)):
            desc = page = 0
            for end in range(start, len(splits)):
                desc += splits[end][0]
                page += splits[end][1]
                if desc > capacity or page > objects:
                    break
                best[end + 1] = min(best[end + 1], best[start] + 1)
        return best[-1]

    rng = np.random.default_rng(5)
    for _ in range(200):
        splits = [(int(rng.choice([0, 1, 300, 512])), 1) for _ in range(rng.integers(1, 30))]
        capacity, objects = int(rng.integers(513, 1400)), int(rng.integers(1, 9))
        assert drops(splits, "exact_opportunistic", [capacity], objects) == [
            fewest(splits, capacity, objects)
        ]
