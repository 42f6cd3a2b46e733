"""When mmu_lock is dropped: one demand stream against many cache geometries, exactly.

Mirrors need_topup_split_caches_or_resched() and topup_split_caches() in arch/x86/kvm/mmu/mmu.c. A
drop can only follow a split that takes something, so the replay jumps from refill to refill. Every
refill schedule is computed once for all the capacities that share it: while a descriptor cache
is larger by less than the smallest overshoot of its refills, it is refilled at the same splits.
Total drops are not monotone in capacity, so nothing here interpolates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.demand import Demand, Ints

EXACT: Final = frozenset({"exact_demand", "exact_opportunistic"})
"""Policies that ask for what this split takes, instead of the worst case."""

TOGETHER: Final = frozenset({"opportunistic", "exact_opportunistic"})
"""Policies that fill every cache whenever the lock is dropped."""

DESC, PAGE, BOTH = 1, 2, 3
"""Cause of a drop: bits for a short descriptor cache and short page caches."""


@dataclass(frozen=True)
class Schedule:
    """The drops of one demand stream under one policy, for a range of descriptor capacities.

    Positions are numbers of splits; a drop at i comes just before split i.
    """

    drops: Ints
    """(n,) ascending."""
    cause: NDArray[np.int8]
    """(n,) DESC, PAGE or BOTH."""
    desc_base: int
    """Descriptors taken before the last refill of their cache; -1 if it was never filled."""
    page_base: int
    """Shadow pages made before the last refill of their cache; -1 if it was never filled."""


def schedules(
    demand: Demand, policy: str, desc_min: int, capacities: Ints, object_capacity: int
) -> Iterator[tuple[slice, Schedule]]:
    """The refill schedule of every capacity, each distinct one once.

    Parameters
    ----------
    capacities
        (c,) int64 ascending, each at least `desc_min`. The caller sees to it that no split takes
        more than `desc_min` descriptors (exact policies: more than the smallest capacity).
    object_capacity
        Of the page-header cache and of the shadow-page cache: both are used in lockstep.

    Yields
    ------
    (range of indices into `capacities`, the schedule that they share), in order.
    """
    exact = policy in EXACT
    limits = capacities if exact else capacities - desc_min
    args = (demand.desc_at, demand.desc_sum, demand.reuse, demand.nr_paged, demand.nr_splits)
    pages = page_refills(demand, object_capacity, exact)
    first = 0
    while first < limits.size:
        limit = limits[first]
        if policy in TOGETHER:
            drops, cause, gap = _chain_together(*args, limit, object_capacity, exact)
            schedule = _together(demand, drops, cause)
        else:
            refills, gap = _chain_desc(*args[:2], demand.nr_splits, limit, exact)
            schedule = _merged(demand, refills, pages)
        last = int(np.searchsorted(limits, gap))
        yield slice(first, last), schedule
        first = last


def page_refills(demand: Demand, object_capacity: int, exact: bool) -> Ints:
    """Splits before which the page caches are filled when nothing else fills them.

    The kernel's check comes before it is known whether a split needs a page, so it drops the lock
    as soon as the cache is empty; an exact policy waits for a split that makes a shadow page.
    """
    made = demand.nr_created
    if exact:
        return nth_created(demand, np.arange(0, made, object_capacity))
    empty = nth_created(demand, np.arange(object_capacity - 1, made, object_capacity)) + 1
    first = np.zeros(min(demand.nr_splits, 1), np.int64)
    return np.concatenate([first, empty[empty < demand.nr_splits]])


def nth_created(demand: Demand, nth: Ints) -> Ints:
    """Splits that make shadow pages number `nth`, counted from 0."""
    passed = demand.reuse - np.arange(demand.reuse.size)
    return nth + np.searchsorted(passed, nth, "right")


def _merged(demand: Demand, refills: Ints, pages: Ints) -> Schedule:
    """Descriptor refills and page refills that know nothing of each other."""
    drops, cause = _merge(refills, pages)
    taken = np.searchsorted(demand.desc_at, refills[-1:])
    desc_base = int(demand.desc_sum[taken[0]]) if refills.size else -1
    return Schedule(drops, cause, desc_base, _made_before(demand, pages))


def _together(demand: Demand, drops: Ints, cause: NDArray[np.int8]) -> Schedule:
    """Every drop is a refill of all caches."""
    if drops.size == 0:
        return Schedule(drops, cause, -1, -1)
    taken = int(np.searchsorted(demand.desc_at, drops[-1]))
    return Schedule(drops, cause, int(demand.desc_sum[taken]), _made_before(demand, drops))


def _made_before(demand: Demand, refills: Ints) -> int:
    if refills.size == 0:
        return -1
    last = min(int(refills[-1]), demand.nr_paged)
    return last - int(np.searchsorted(demand.reuse, last))


@njit(cache=True)
def _reach(desc_sum, start, limit, stride):  # type: ignore[no-untyped-def]
    """First event count h > start with desc_sum[h] - desc_sum[start] > limit; size if there is none.

    `stride` events never exceed `limit`: exactly so when all events take the same (the closed form).
    """
    size = desc_sum.size
    goal = desc_sum[start] + limit
    low, step = start + stride, 1
    if low >= size:
        return size
    high = low + 1
    while high < size and desc_sum[high] <= goal:
        low, step = high, step * 2
        high = low + step
    high = min(high, size)
    while high - low > 1:
        middle = (low + high) // 2
        if desc_sum[middle] <= goal:
            low = middle
        else:
            high = middle
    return high


@njit(cache=True)
def _chain_desc(desc_at, desc_sum, nr_splits, limit, exact):  # type: ignore[no-untyped-def]
    """Refills of the descriptor cache alone.

    Returns their splits, (n,) int64, and the smallest overshoot: any limit from this one up to
    below that gives the same refills.
    """
    events = desc_sum.size - 1
    total = desc_sum[events]
    refills = np.empty(min(events, 2 * (total // (limit + 1))) + 2, np.int64)
    gap = np.int64(2**62)
    if nr_splits == 0 or (exact and events == 0):
        return refills[:0], gap
    refills[0] = desc_at[0] if exact else 0
    count, start = 1, 0
    most = 1
    for event in range(events):
        most = max(most, desc_sum[event + 1] - desc_sum[event])
    stride = limit // most
    while True:
        h = _reach(desc_sum, start, limit, stride)
        if h > events:
            break
        gap = min(gap, desc_sum[h] - desc_sum[start])
        at = desc_at[h - 1] + (not exact)
        if at >= nr_splits:
            break
        refills[count] = at
        count += 1
        start = h - 1 if exact else h
    return refills[:count], gap


@njit(cache=True)
def _merge(refills, pages):  # type: ignore[no-untyped-def]
    """Union of two ascending lists of splits, and which of them each comes from."""
    drops = np.empty(refills.size + pages.size, np.int64)
    cause = np.empty(drops.size, np.int8)
    count = i = j = 0
    while i < refills.size or j < pages.size:
        desc = i < refills.size and (j >= pages.size or refills[i] <= pages[j])
        page = j < pages.size and (i >= refills.size or pages[j] <= refills[i])
        drops[count] = refills[i] if desc else pages[j]
        cause[count] = DESC * desc + PAGE * page
        i += desc
        j += page
        count += 1
    return drops[:count], cause[:count]


@njit(cache=True)
def _chain_together(  # type: ignore[no-untyped-def]
    desc_at, desc_sum, reuse, nr_paged, nr_splits, limit, object_capacity, exact
):
    """Refills when each drop fills every cache: (splits, causes, smallest overshoot)."""
    events = desc_sum.size - 1
    reused = np.searchsorted(reuse, nr_paged)
    made = nr_paged - reused
    total = desc_sum[events]
    room = min(nr_splits, 2 * (total // (limit + 1)) + made // object_capacity + 2)
    drops = np.empty(room, np.int64)
    cause = np.empty(room, np.int8)
    gap = np.int64(2**62)
    event = page = passed = count = 0
    short = 0 if exact else object_capacity - 1
    while True:
        # The next split that finds a cache short, were there no other cache.
        if count == 0:
            desc_drop = desc_at[0] if exact and events else (nr_splits if exact else 0)
            page_made = 0 if exact else -1
            h = 0
        else:
            h = _reach(desc_sum, event, limit, 0)
            desc_drop = nr_splits
            if h <= events:
                desc_drop = desc_at[h - 1] + (not exact)
            page_made = page + object_capacity - (not exact)
        page_drop = nr_splits
        if page_made < made:
            while passed < reused and reuse[passed] - passed <= page_made:
                passed += 1
            page_drop = page_made + passed + (not exact) if page_made >= 0 else 0
        at = min(desc_drop, page_drop)
        if count and h <= events and desc_drop <= page_drop:
            gap = min(gap, desc_sum[h] - desc_sum[event])
        if at >= nr_splits:
            break
        drops[count] = at
        cause[count] = DESC * (desc_drop == at) + PAGE * (page_drop == at)
        count += 1
        while event < events and desc_at[event] < at:
            event += 1
        behind = np.searchsorted(reuse, min(at, nr_paged))
        page = min(at, nr_paged) - behind
        passed = min(passed, behind)
    return drops[:count], cause[:count], gap
