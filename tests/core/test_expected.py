"""Oracles: every draw of roles, weighted by its chance, and sampled runs within their standard
error. Derived: closed forms, limits."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from core.cost import Cost
from core.demand import demand_of
from core.expected import expected_drops
from core.patterns import removal_order, takes_descriptor
from core.replay import replay
from core.workload import Workload
from tests.core.test_engine import outcome

CAPACITIES = np.array([513, 514, 553, 600, 1024, 1025, 1026, 1537, 2065, 4609])

Pages = dict[tuple[tuple[int, bool], ...], float]


def splits_of(roles: tuple[int, ...], kernel: str, ext: int) -> Iterator[tuple[int, bool]]:
    """What each split of a page takes: a new role fills a shadow page, another links it."""
    links: Counter[int] = Counter()
    for alias in removal_order(len(roles), kernel, ext):
        role = roles[alias]
        new = links[role] == 0
        children = sum(count > 0 for count in links.values())  # SPTEs in each child's rmap
        yield (512 if new else 1) * takes_descriptor(children if new else links[role], ext), new
        links[role] += 1


def page_chances(workload: Workload) -> Pages:
    """Each sequence of (descriptors, new shadow page) that splitting a page may be: its chance."""
    ratio, own = workload.alias_ratio, workload.distinct_role_ratio
    found: Counter[tuple[tuple[int, bool], ...]] = Counter()
    found[(0, True),] = 1 - ratio
    for draw in product((False, True), repeat=workload.alias_degree - 1):
        roles = (0, *(i * drawn for i, drawn in enumerate(draw, 1)))
        found[tuple(splits_of(roles, workload.kernel, workload.pte_list_ext))] += ratio * float(
            np.prod([own if drawn else 1 - own for drawn in draw])
        )
    return {key: chance for key, chance in found.items() if chance}


def spelled_out(
    workload: Workload, limit: int, objects: int
) -> tuple[np.ndarray, float, np.ndarray]:
    """Exact expectations of the plain loop: drops by cause, descriptors since the last refill, and
    drops of the last page alone. The chance of each state (descriptors taken since the last refill,
    shadow pages left) is carried from split to split."""
    pages = page_chances(workload)
    most = max(sum(desc for desc, _ in page) for page in pages)
    state = np.zeros((limit + 1 + most, objects + 1))
    state[0, objects] = 1
    drops, before = np.array([0.0, 0.0, 1.0]), np.zeros(3)
    for _ in range(workload.nr_huge_pages):
        before = drops.copy()
        after = np.zeros_like(state)
        for page, chance in pages.items():
            now = state * chance
            for desc, creates in page:
                short = now[limit + 1 :]
                drops += (short[:, 1:].sum(), now[: limit + 1, 0].sum(), short[:, 0].sum())
                now = split(now, limit, desc, creates)
            after += now
        state = after
    return drops, float(state.sum(axis=1) @ np.arange(state.shape[0])), drops - before


def split(now: np.ndarray, limit: int, desc: int, creates: bool) -> np.ndarray:
    """The states behind one split and the top-ups before it."""
    filled = np.zeros_like(now)
    filled[: limit + 1, 1:] = now[: limit + 1, 1:]
    filled[: limit + 1, -1] += now[: limit + 1, 0]
    filled[0, 1:] += now[limit + 1 :, 1:].sum(axis=0)
    filled[0, -1] += now[limit + 1 :, 0].sum()
    taken = np.zeros_like(now)
    taken[desc:] = filled[: now.shape[0] - desc]
    return np.pad(taken[:, 1:], ((0, 0), (0, 1))) if creates else taken


@pytest.mark.parametrize("kernel", ["v6_1", "v6_12"])
@pytest.mark.parametrize(
    ("degree", "ext", "ratio", "own", "limit", "objects", "pages"),
    [(2, 14, 0.7, 0.3, 2, 7, 80), (3, 14, 0.3, 0.6, 0, 5, 40), (3, 2, 1.0, 0.6, 511, 7, 60),
     (4, 3, 0.3, 0.6, 3, 2, 60), (4, 2, 0.7, 0.3, 512, 5, 120), (5, 14, 0.3, 0.3, 513, 3, 160),
     (5, 2, 0.7, 0.6, 1024, 1, 60), (5, 2, 0.3, 1.0, 0, 3, 60), (6, 2, 1.0, 0.3, 513, 2, 50),
     (6, 3, 0.3, 0.6, 1, 5, 40), (6, 2, 0.3, 0.0, 3, 5, 60), (5, 14, 0.7, 0.6, 1, 40, 300)],
)  # fmt: skip
def test_every_draw_of_roles_weighted_by_its_chance_gives_the_same_drops(
    kernel: str, degree: int, ext: int, ratio: float, own: float, limit: int, objects: int,
    pages: int,
) -> None:  # fmt: skip
    workload = Workload(pages, ratio, degree, own, pte_list_ext=ext, kernel=kernel)
    drops, since, _ = spelled_out(workload, limit, objects)
    found = expected_drops(workload, np.array([limit]), objects)
    # What vanishes geometrically with the number of refills is below a thousandth by then.
    assert np.allclose(found.drops[0], drops, atol=1e-3)
    assert found.since[0] == pytest.approx(since, abs=0.02)


def test_rates_are_exact() -> None:
    # Long after the start, one more page adds what two finite expectations differ by.
    workload = Workload(400, 0.4, 5, 0.4, pte_list_ext=2)
    _, _, rate = spelled_out(workload, 600, 3)
    found = expected_drops(workload, np.array([600]), 3)
    shorter = expected_drops(replace(workload, nr_huge_pages=399), np.array([600]), 3)
    assert np.allclose(found.drops - shorter.drops, rate, atol=1e-7)


def test_a_limit_of_nothing_is_refilled_in_the_middle_of_a_page() -> None:
    # 513 descriptors, 16 roles: the 2nd and the 15th split of a page take 512, so the lock is
    # dropped before its 3rd and its 16th: 1 + 200 descriptor refills in 100 pages. 1,600 shadow
    # pages are 40 page refills, behind each 40th; neither 16 i + 2 nor 16 i + 15 is a multiple of
    # 40, so the two meet only when the caches are cold.
    workload = Workload(100, 1.0, 16, 1.0)
    found = expected_drops(workload, np.array([0]), 40)
    assert np.allclose(found.drops, [[200, 39, 1]], atol=1e-6)


@pytest.mark.parametrize("degree", [2, 3, 5, 14])
@pytest.mark.parametrize("capacity", [514, 553, 1026])
def test_one_descriptor_a_page_is_refilled_after_capacity_less_512_of_them(
    degree: int, capacity: int
) -> None:
    # Same-role aliases up to the 14th: the 2nd parent alone takes a descriptor. Every
    # 1 / 0.1 * (C - 512) pages on average, so one page more adds 0.1 / (C - 512) refills.
    def refills(pages: int) -> float:
        found = expected_drops(Workload(pages, 0.1, degree), np.array([capacity - 513]), 40)
        return float(found.drops[0, [0, 2]].sum())

    more = refills(10**7 + 10**5) - refills(10**7)
    assert more / 10**5 == pytest.approx(0.1 / (capacity - 512))


@pytest.mark.parametrize(
    ("pages", "ratio", "degree", "distinct", "objects", "ext", "kernel"),
    [(32768, 0.1, 2, 0.0, 40, 14, "v6_12"), (32768, 0.1, 2, 1.0, 40, 14, "v6_12"),
     (32768, 0.05, 2, 0.3, 40, 14, "v6_12"), (3000, 0.3, 2, 0.5, 7, 14, "v6_12"),
     (4096, 0.5, 2, 0.5, 1, 14, "v6_12"), (8192, 0.025, 2, 1.0, 40, 14, "v6_12"),
     (4096, 0.1, 3, 0.4, 40, 14, "v6_12"), (4096, 0.3, 5, 0.2, 7, 2, "v6_1"),
     (4096, 0.1, 14, 0.5, 40, 2, "v6_12"), (4096, 0.2, 15, 0.1, 40, 14, "v6_1"),
     (4096, 0.2, 15, 0.1, 40, 14, "v6_12"), (4096, 0.1, 16, 0.9, 40, 14, "v6_12"),
     (4096, 0.1, 16, 0.3, 40, 2, "v6_1"), (4096, 0.05, 20, 0.5, 40, 14, "v6_1"),
     (4096, 0.05, 20, 0.5, 40, 2, "v6_12"), (4096, 0.05, 64, 0.5, 40, 14, "v6_12"),
     (4096, 0.99, 2, 1.0, 40, 14, "v6_12")],
)  # fmt: skip
def test_sampled_runs_agree_within_their_standard_error(
    pages: int, ratio: float, degree: int, distinct: float, objects: int, ext: int, kernel: str
) -> None:
    runs = 60
    workload = Workload(pages, ratio, degree, distinct, pte_list_ext=ext, kernel=kernel)
    sampled = np.empty((runs, CAPACITIES.size, 3))
    for seed in range(runs):
        demand = demand_of(replace(workload, seed=seed))
        found = replay(demand, "kernel", 513, CAPACITIES, objects, Cost(), timed=False)
        sampled[seed] = found.drops[:, :3]
    foreseen = expected_drops(workload, CAPACITIES - 513, objects)
    error = sampled.std(axis=0, ddof=1) / np.sqrt(runs)
    # Five standard errors, and what the finite renewal expansion leaves out.
    assert (np.abs(foreseen.drops - sampled.mean(axis=0)) < 5 * error + 0.5).all()


def test_a_capacity_is_expected_alone_as_among_many() -> None:
    workload = Workload(4096, 0.1, 16, 0.5, pte_list_ext=3)
    limits = np.array([0, 1, 2, 40, 511, 512, 513, 1024, 2000])
    together = expected_drops(workload, limits, 40)
    for row, limit in enumerate(limits):
        alone = expected_drops(workload, np.array([limit]), 40)
        assert np.allclose(alone.drops[0], together.drops[row], rtol=1e-9)


def test_two_roles_everywhere_is_no_longer_random() -> None:
    # 513: a refill before each of 32768 pages. Two shadow pages a page: a page refill every 20
    # pages, ceil(65536 / 40) = 1639, each of them together with a descriptor refill.
    found = expected_drops(Workload(32768, 1.0, 2, 1.0), np.array([0]), 40)
    assert np.allclose(found.drops, [[32768 - 1639, 0, 1639]], atol=1e-6)


def test_without_aliases_only_page_refills_are_left() -> None:
    found = expected_drops(Workload(32768), np.array([40]), 40)
    assert np.allclose(found.drops, [[0, 819, 1]])


def test_one_drop_for_each_split_needs_no_chance() -> None:
    # 512 pages, each split twice: 1,024 drops, those for which a cache is short among them.
    values = {"memslot_gib": 1.0, "alias_ratio": 1.0, "policy": "split_per_drop"}
    found, drawn = outcome(engine="expected", **values), outcome(**values)
    names = ("nr_lock_drops", "nr_drops_desc", "nr_drops_page", "nr_drops_both", "nr_drops_resched")
    assert found["nr_lock_drops"] == 1024
    assert [found[name] for name in names] == [drawn[name] for name in names]


def test_a_point_can_be_expected_instead_of_drawn() -> None:
    values = {"alias_ratio": 0.05, "alias_degree": 16, "distinct_role_ratio": 0.5}
    drawn = outcome(**values)
    found = outcome(engine="expected", **values)
    assert found["engine"] == "expected"
    names = ("nr_lock_drops", "nr_desc_used", "nr_sp_created", "nr_sp_reused", "nr_splits_2m",
             "nr_pages_allocated", "lock_held_ns", "total_ns")  # fmt: skip
    for name in names:
        assert found[name] == pytest.approx(drawn[name], rel=0.05)
    assert np.isnan(found["hold_ns_p50"])


def test_chunks_of_clearing_let_go_of_the_lock_as_in_a_drawn_run() -> None:
    # Nothing is random without aliases, so time is the same to the nanosecond.
    values = {"caller": "clear", "clear_chunk_gib": 3.0, "nr_memslots": 2}
    drawn, found = outcome(**values), outcome(engine="expected", **values)
    assert found["total_ns"] == pytest.approx(drawn["total_ns"], rel=1e-12)


@pytest.mark.parametrize(
    ("values", "rule"),
    [({"alias_degree": 101}, "alias_degree must be at most 100"), ({"rounds": 2}, "rounds"),
     ({"policy": "opportunistic"}, "policy"), ({"policy": "exact_demand"}, "policy"),
     ({"think_ns": 1.0}, "think_ns"), ({"desc_min": 100}, "desc_min"), ({"ratio_1g": 0.5}, "1g"),
     ({"placement": "periodic"}, "placement"), ({"object_capacity": 5000}, "object_capacity"),
     ({"desc_capacity": 1 << 22}, "desc_capacity"),
     ({"alias_degree": 24, "pte_list_ext": 2, "distinct_role_ratio": 0.5}, "pte_list_ext=2"),
     ({"alias_degree": 12, "alias_ratio": 1.0, "distinct_role_ratio": 1.0}, "ENOSPC")],
)  # fmt: skip
def test_what_has_no_expectation_is_refused_with_the_rule(
    values: dict[str, object], rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        outcome(engine="expected", **{"alias_ratio": 0.1} | values)


def test_a_seed_does_not_matter_to_an_expectation() -> None:
    base = Workload(512, 0.1)
    assert replace(base, seed=9) != base
    assert (
        outcome(engine="expected", seed=9, alias_ratio=0.1)["nr_lock_drops"]
        == (outcome(engine="expected", seed=1, alias_ratio=0.1)["nr_lock_drops"])
    )
