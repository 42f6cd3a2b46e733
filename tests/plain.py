"""The plain loop: one geometry, every split, every cache level. Obvious, and slow for many.

The replay is checked against it in the tests and measured against it in the benchmark.
"""

import numpy as np
from numba import njit

from core.arrays import Ints
from core.demand import Demand
from core.replay import RULES


def plain(
    demand: Demand, policy: str, desc_min: int, desc_capacity: int, object_capacity: int
) -> Ints:
    """Counters of one replay, (9,) int64: drops by cause (descriptors, pages, both, neither), then
    descriptors allocated, left, used, and shadow pages allocated, left.
    """
    return _plain(
        demand.desc_at, demand.desc_sum, demand.reuse, demand.nr_paged, demand.nr_splits,
        *RULES[policy],
        desc_min, desc_capacity, object_capacity,
    )  # fmt: skip


@njit(cache=True)
def _plain(  # type: ignore[no-untyped-def]
    desc_at, desc_sum, reuse, nr_paged, nr_splits, exact, together, always,
    desc_min, desc_capacity, object_capacity,
):  # fmt: skip
    """One pass over all splits. A cache that is empty in the middle of a split is bypassed
    (GFP_ATOMIC in kvm_mmu_memory_cache_alloc()), so its level never falls below zero."""
    drops = np.zeros(4, np.int64)
    desc = page = desc_allocated = page_allocated = desc_used = 0
    event = reused = 0
    for split in range(nr_splits):
        takes_desc = 0
        if event < desc_at.size and desc_at[event] == split:
            takes_desc = desc_sum[event + 1] - desc_sum[event]
            event += 1
        takes_page = split < nr_paged
        if reused < reuse.size and reuse[reused] == split:
            takes_page = False
            reused += 1
        desc_short = desc < (min(takes_desc, desc_capacity) if exact else desc_min)
        page_short = page < (takes_page if exact else 1)
        if desc_short or page_short or always:
            drops[3 if not (desc_short or page_short) else desc_short + 2 * page_short - 1] += 1
            either = together and (desc_short or page_short)
            if desc_short or either:
                desc_allocated += desc_capacity - desc
                desc = desc_capacity
            if page_short or either:
                page_allocated += object_capacity - page
                page = object_capacity
        taken = min(desc, takes_desc)
        desc -= taken
        desc_used += taken
        page -= takes_page
    counts = np.array([desc_allocated, desc, desc_used, page_allocated, page])
    return np.concatenate((drops, counts))
