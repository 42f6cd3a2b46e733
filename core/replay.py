"""When mmu_lock is dropped: one demand stream against many cache geometries, exactly.

Mirrors need_topup_split_caches_or_resched() and topup_split_caches() in arch/x86/kvm/mmu/mmu.c. A
drop can only follow a split that takes something, so the replay jumps from refill to refill. Every
refill schedule is computed once for all the capacities that share it: while a descriptor cache
is larger by less than the smallest overshoot of its refills, it is refilled at the same splits.
Total drops are not monotone in capacity, so nothing here interpolates.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from core.arrays import Floats, Ints, first_from
from core.compiled import compiled
from core.cost import Cost
from core.demand import Demand
from core.hold import hold_quantiles, hold_times


class Rule(NamedTuple):
    """When a policy drops mmu_lock, and what it fills then."""

    exact: bool = False
    """Caches must hold what this split takes, instead of the worst case."""
    together: bool = False
    """Every cache is filled whenever the lock is dropped, not just those that are short."""
    always: bool = False
    """The lock is dropped before every split."""


RULES: Final = {
    "kernel": Rule(),
    "exact_demand": Rule(exact=True),
    "opportunistic": Rule(together=True),
    "exact_opportunistic": Rule(exact=True, together=True),
    "split_per_drop": Rule(always=True),
}
"""What each policy comes down to, for compiled code too."""


@dataclass(frozen=True)
class Replay:
    """What each of c capacities does with one demand stream; arrays of shape (c,) but for two."""

    drops: Ints
    """(c, 4) by cause: descriptors short, pages short, both, neither."""
    desc_allocated: Ints
    desc_used: Ints
    objects_allocated: Ints
    """Page headers, and as many shadow pages."""
    nr_splits: Ints
    nr_created: Ints
    """Splits that made a shadow page, so that they took one and its header."""
    held_ns: Floats
    elapsed_ns: Floats
    """From the first lock to the last unlock."""
    holds: Floats
    """(c, 3): median, 99th percentile (nearest rank) and longest time that mmu_lock is held, ns."""

    @property
    def desc_left(self) -> Ints:
        """Descriptors still cached."""
        return self.desc_allocated - self.desc_used

    @property
    def objects_left(self) -> Ints:
        """Page headers still cached, and as many shadow pages."""
        return self.objects_allocated - self.nr_created


def replay(
    demand: Demand,
    policy: str,
    desc_min: int,
    capacities: Ints,
    object_capacity: int,
    cost: Cost,
    timed: bool = True,
) -> Replay:
    """Replay `demand` with every descriptor capacity.

    Parameters
    ----------
    capacities
        (c,) int64 ascending, each at least `desc_min`. The caller sees to it that no split takes
        more than `desc_min` descriptors (exact policies: more than the smallest capacity).
    object_capacity
        Of the page-header cache and of the shadow-page cache: both are used in lockstep.
    timed
        False: `holds` is all zero, and takes no time to compute.
    """
    rule = RULES[policy]
    limits = capacities if rule.exact else capacities - desc_min
    pages = page_refills(demand, object_capacity, rule.exact)
    calm = limits // max(demand.max_desc, 1)
    args = (limits, calm, pages, object_capacity, rule, timed, cost.held)
    counts, holds = _replay(demand.stream, *args)
    neither = np.zeros(capacities.size, np.int64)
    if rule.always:
        neither = demand.nr_splits - counts[:, :3].sum(axis=1)
    drops = np.column_stack([counts[:, :3], neither])
    desc_base, page_base = counts[:, 3], counts[:, 4]
    desc_allocated = np.where(desc_base >= 0, capacities + desc_base, 0)
    objects_allocated = np.where(page_base >= 0, object_capacity + page_base, 0)
    held = np.full(capacities.size, cost.lock_held_ns(demand))
    away = (drops.sum(axis=1) + demand.breaks.size, desc_allocated, objects_allocated)
    return Replay(
        drops=drops,
        desc_allocated=desc_allocated,
        desc_used=np.full(capacities.size, demand.desc_sum[-1]),
        objects_allocated=objects_allocated,
        nr_splits=np.full(capacities.size, demand.nr_splits),
        nr_created=np.full(capacities.size, demand.nr_created),
        held_ns=held,
        elapsed_ns=held + np.column_stack(away) @ cost.outside,
        holds=holds,
    )


@compiled
def _replay(  # type: ignore[no-untyped-def]
    stream, limits, calm, pages, object_capacity, rule, timed, held
):
    """Each distinct refill schedule once. `calm` (c,) events in a row never exceed a limit.

    Returns counts (c, 5) int64: drops for descriptors, for pages, for both, descriptors taken
    before the last refill of their cache (-1: never filled), shadow pages made before the last
    refill of theirs; and holds (c, 3) float64.
    """
    counts = np.zeros((limits.size, 5), np.int64)
    holds = np.zeros((limits.size, 3))
    met = _is_in(stream.desc_at, not rule.exact, pages)
    scratch = np.empty(_room(stream, limits, object_capacity, rule.together), np.int64)
    cuts = stream.breaks if rule.together else np.arange(stream.nr_splits) if rule.always else pages
    if timed and stream.breaks.size and not rule.together:
        cuts = np.sort(np.concatenate((stream.breaks, cuts)))
    first = 0
    while first < limits.size:
        limit = limits[first]
        if rule.together:
            drops, row, gap = _chain_together(stream, limit, object_capacity, rule.exact, scratch)
            refilled = drops
        else:
            drops, both, gap = _chain_desc(stream, met, limit, calm[first], rule.exact, scratch)
            cold = drops.size > 0 and (met[0] if rule.exact else True)
            row = (drops.size - both - cold, pages.size - both - cold, both + cold)
            refilled = pages
        counts[first, 0], counts[first, 1], counts[first, 2] = row
        counts[first, 3] = counts[first, 4] = -1
        if drops.size:
            counts[first, 3] = stream.desc_sum[np.searchsorted(stream.desc_at, drops[-1])]
        if refilled.size:
            last = min(refilled[-1], stream.nr_paged)
            counts[first, 4] = last - np.searchsorted(stream.reuse, last)
        if timed:
            holds[first] = hold_quantiles(hold_times(stream, drops, cuts, held))
        same = first + 1
        while same < limits.size and limits[same] < gap:
            counts[same] = counts[first]
            holds[same] = holds[first]
            same += 1
        first = same
    return counts, holds


@compiled
def _room(stream, limits, object_capacity, together):  # type: ignore[no-untyped-def]
    """Most refills that the smallest of `limits` can have."""
    if limits.size == 0:
        return 0
    room = 2 * (stream.desc_sum[-1] // (limits[0] + 1)) + 2
    if together:
        return min(stream.nr_splits, room + stream.nr_paged // object_capacity)
    return min(stream.desc_at.size + 2, room)


@compiled
def _is_in(some, by, others):  # type: ignore[no-untyped-def]
    """Which of `some`, each `by` further, are among `others`; both ascending."""
    found = np.zeros(some.size, np.bool_)
    j = 0
    for i in range(some.size):
        while j < others.size and others[j] < some[i] + by:
            j += 1
        found[i] = j < others.size and others[j] == some[i] + by
    return found


def page_refills(demand: Demand, object_capacity: int, exact: bool) -> Ints:
    """Splits before which the page caches are filled when nothing else fills them.

    The kernel's check comes before it is known whether a split needs a page, so it drops the lock
    as soon as the cache is empty; an exact policy waits for a split that makes a shadow page.
    """
    made = demand.nr_created
    if exact:
        return demand.nth_created(np.arange(0, made, object_capacity))
    empty = demand.nth_created(np.arange(-1, made, object_capacity)) + 1
    return empty[: np.searchsorted(empty, demand.nr_splits)]


@compiled
def _chain_desc(stream, met, limit, calm, exact, refills):  # type: ignore[no-untyped-def]
    """Refills of the descriptor cache alone.

    It is found short at the split after an event (exact: at the event), and `met` (m,) tells where
    the page caches are filled too. `calm` events never exceed `limit`; if all take the same, one
    more does, so that the search ends at its first guess: the closed form. Returns the splits of
    the refills, the first of `refills`; how many but the first are met; and the smallest overshoot:
    any limit from this one up to below that gives the same refills.
    """
    desc_at, desc_sum, nr_splits = stream.desc_at, stream.desc_sum, stream.nr_splits
    events = desc_at.size
    gap = np.int64(2**62)
    if nr_splits == 0 or (exact and events == 0):
        return refills[:0], 0, gap
    refills[0] = desc_at[0] if exact else 0
    count, both, start = 1, 0, 0
    while True:
        h = first_from(desc_sum, start + calm + 1, desc_sum[start] + limit + 1)
        if h > events:
            break
        gap = min(gap, desc_sum[h] - desc_sum[start])
        short_at = desc_at[h - 1] + (not exact)
        if short_at >= nr_splits:
            break
        refills[count] = short_at
        count += 1
        both += met[h - 1]
        start = h - exact
    return refills[:count], both, gap


@compiled
def _chain_together(stream, limit, object_capacity, exact, drops):  # type: ignore[no-untyped-def]
    """Refills when each drop fills every cache: (splits, the first of `drops`; drops by cause;
    smallest overshoot)."""
    desc_at, desc_sum, reuse = stream.desc_at, stream.desc_sum, stream.reuse
    nr_paged, nr_splits = stream.nr_paged, stream.nr_splits
    events = desc_at.size
    reused = np.searchsorted(reuse, nr_paged)
    made = nr_paged - reused
    desc_only = page_only = 0
    gap = np.int64(2**62)
    event = page = passed = count = 0
    while True:
        # The next split that finds a cache short, were there no other cache.
        if count == 0:
            desc_drop = desc_at[0] if exact and events else (nr_splits if exact else 0)
            page_made = 0 if exact else -1
            h = 0
        else:
            h = first_from(desc_sum, event + 1, desc_sum[event] + limit + 1)
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
        desc_only += at < page_drop
        page_only += at < desc_drop
        count += 1
        while event < events and desc_at[event] < at:
            event += 1
        behind = np.searchsorted(reuse, min(at, nr_paged))
        page = min(at, nr_paged) - behind
        passed = min(passed, behind)
    return drops[:count], (desc_only, page_only, count - desc_only - page_only), gap
