"""The machine: every check of the splitter in turn, with the clock running.

Where waiting vCPUs or time slices decide when mmu_lock is dropped, a drop changes when the next one
comes and nothing can be skipped. The lock is a queue (qrwlock is fair): vCPUs that wait when the
splitter comes back go first. A cache that is empty in the middle of a split is bypassed (GFP_ATOMIC
in kvm_mmu_memory_cache_alloc(), virt/kvm/kvm_main.c), so small caches run here too.
"""

import heapq
from typing import Final, NamedTuple

import numpy as np

from core.arrays import Ints
from core.compiled import compiled
from core.cost import Cost
from core.demand import Demand
from core.draws import ARRIVAL, mix, stream_start
from core.hold import hold_quantiles
from core.replay import RULES, Replay

STARVED_AFTER: Final = 100_000
"""Checks in a row without a split after which the splitter counts as starved, and gives up."""


class Vcpus(NamedTuple):
    """vCPUs that fault, think (ns, on average) and fault again; `key` draws when."""

    number: int
    fault: float
    think: float
    preempt: bool
    key: np.uint64


def machine(
    demand: Demand,
    policy: str,
    desc_min: int,
    capacities: Ints,
    object_capacity: int,
    cost: Cost,
    preempt: bool,
    seed: int,
) -> Replay:
    """Run `demand` with each descriptor capacity (c,), beside `cost.running_vcpus` vCPUs.

    A vCPU faults, thinks for `cost.think_ns` on average and faults again. `preempt`: one that waits
    makes the splitter drop the lock before the next split (rwlock_needbreak() in
    need_topup_split_caches_or_resched(), mmu.c). Nothing guarantees forward progress, so it can
    starve (`STARVED_AFTER`): then `nr_splits` is less than the demand's.
    """
    counts = np.empty((capacities.size, 8), np.int64)
    times, holds = np.empty((capacities.size, 2)), np.empty((capacities.size, 3))
    clock = (cost.held, cost.outside, cost.timeslice_ns)
    waiting = cost.running_vcpus if cost.think_ns > 0 else 0
    key = stream_start(seed, ARRIVAL)
    vcpus = Vcpus(waiting, cost.fault_ns, cost.think_ns, preempt, key)
    for i, capacity in enumerate(capacities):
        sizes = (desc_min, capacity, object_capacity)
        counts[i], times[i], held = _run(demand.stream, RULES[policy], sizes, *clock, vcpus)
        holds[i] = hold_quantiles(held)
    names = ("desc_allocated", "desc_used", "objects_allocated", "nr_splits")
    return Replay(
        drops=counts[:, :4],
        nr_created=demand.created_before(counts[:, 7]),
        held_ns=times[:, 0],
        elapsed_ns=times[:, 1],
        holds=holds,
        **dict(zip(names, counts[:, 4:].T, strict=True)),
    )


@compiled
def _think(vcpus, draw):  # type: ignore[no-untyped-def]
    """Exponential waiting time number `draw`, in ns."""
    drawn = mix(vcpus.key + np.uint64(draw)) >> np.uint64(11)
    return -vcpus.think * np.log((np.float64(drawn) + 0.5) * 2.0**-53)


@compiled
def _serve_waiting(arrivals, now, away, vcpus, draw):  # type: ignore[no-untyped-def]
    """Let go of the lock for `away` ns; vCPUs that come before the splitter is back go first.

    Returns when the splitter has the lock again, and the number of the next draw.
    """
    free, back = now, now + away
    while len(arrivals) > 0 and arrivals[0] <= back:
        free = max(free, heapq.heappop(arrivals)) + vcpus.fault
        heapq.heappush(arrivals, free + _think(vcpus, draw))
        draw += 1
    return max(back, free), draw


@compiled
def _run(stream, rule, sizes, held, outside, timeslice, vcpus):  # type: ignore[no-untyped-def]  # noqa: C901
    """Counters (8,) int64, (lock held, total) in ns, and the holds."""
    desc_at, desc_sum, reuse, nonleaf, breaks, nr_paged, nr_splits = stream
    exact, together, always = rule
    desc_min, desc_capacity, object_capacity = sizes
    counts = np.zeros(8, np.int64)
    holds = np.empty(nr_splits + 1)
    nr_holds = desc = page = event = reused = flushed = split = idle = turn = draw = 0
    now = hold = lock_held = 0.0
    arrivals = [0.0 for _ in range(0)]
    for _ in range(vcpus.number):
        heapq.heappush(arrivals, _think(vcpus, draw))
        draw += 1
    while split < nr_splits and idle < STARVED_AFTER:
        takes_desc = 0
        if event < desc_at.size and desc_at[event] == split:
            takes_desc = desc_sum[event + 1] - desc_sum[event]
        is_reuse = reused < reuse.size and reuse[reused] == split
        takes_page = split < nr_paged and not is_reuse
        desc_short = desc < (min(takes_desc, desc_capacity) if exact else desc_min)
        page_short = page < (takes_page if exact else 1)
        waiting = vcpus.preempt and len(arrivals) > 0 and arrivals[0] <= now
        forced = waiting or (timeslice > 0 and hold >= timeslice) or (always and idle == 0)
        let_go = turn < breaks.size and breaks[turn] == split
        if desc_short or page_short or forced or let_go:
            away = outside[0]
            if not let_go:
                short = desc_short + 2 * page_short
                counts[short - 1 if short else 3] += 1
                either = together and short > 0
                if desc_short or either:
                    counts[4] += desc_capacity - desc
                    away += (desc_capacity - desc) * outside[1]
                    desc = desc_capacity
                if page_short or either:
                    counts[6] += object_capacity - page
                    away += (object_capacity - page) * outside[2]
                    page = object_capacity
                idle += 1
            turn += let_go
            if hold > 0:
                holds[nr_holds] = hold
                nr_holds += 1
                lock_held += hold
                hold = 0.0
            now, draw = _serve_waiting(arrivals, now, away, vcpus, draw)
            continue
        spent = held[0] - held[1] * is_reuse + held[2] * takes_desc
        if flushed < nonleaf.size and nonleaf[flushed] == split:
            spent += held[3]
            flushed += 1
        now += spent
        hold += spent
        taken = min(desc, takes_desc)
        desc -= taken
        counts[5] += taken
        page -= takes_page
        event += takes_desc > 0
        reused += is_reuse
        split += 1
        idle = 0
    if hold > 0:
        holds[nr_holds] = hold
        nr_holds += 1
        lock_held += hold
    for _ in range(turn, breaks.size if split == nr_splits else 0):  # the caller's walk goes on
        now, draw = _serve_waiting(arrivals, now, outside[0], vcpus, draw)
    counts[7] = split
    return counts, np.array([lock_held, now]), holds[:nr_holds]
