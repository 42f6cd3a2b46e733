"""Outcome columns: what a replay found, under the names that `core.outcome` declares."""

from typing import Any

import numpy as np

from core.arrays import Ints
from core.constants import KVM_MMU_PAGE_BYTES, PAGE_BYTES, POINTER_BYTES
from core.cost import Cost
from core.demand import Demand
from core.replay import Replay


def progress(demand: Demand | None, found: Replay, cost: Cost) -> dict[str, Any]:
    """What happened to the huge SPTEs: counts, or arrays of one for each capacity.

    Without a demand, all are split and of 2M: what is left out is 0.
    """
    done, always = found.nr_splits, cost.flush == "f1"
    if demand is None:
        return {"nr_huge_sptes": done, "nr_splits_2m": done, "nr_tlb_flushes": done * always}
    giant = np.searchsorted(demand.giant, done)
    starved = demand.unsplit_after(done)
    return {
        "nr_huge_sptes": demand.nr_huge_sptes,
        "nr_splits_1g": giant,
        "nr_splits_2m": done - giant,
        "nr_unsplit": np.where(done < demand.nr_splits, starved, demand.nr_unsplit),
        "nr_tlb_flushes": done if always else np.searchsorted(demand.nonleaf, done),
        "nr_enospc": demand.nr_enospc,
    }


def spent(found: Replay, capacity: Ints, objects: int, ext: int, walk_ns: float) -> dict[str, Any]:
    """Lock drops, objects and modelled times, one for each descriptor `capacity`.

    `objects` is the capacity of the other two caches, `ext` the SPTE pointers in a descriptor.
    Write-protecting what was split, `walk_ns`, comes after the splits.
    """
    desc, page, both, neither = found.drops.T
    filled = capacity * (found.desc_allocated > 0), objects * (found.objects_allocated > 0)
    return {
        "nr_lock_drops": found.drops.sum(axis=1),
        "nr_drops_desc": desc,
        "nr_drops_page": page,
        "nr_drops_both": both,
        "nr_drops_resched": neither,
        "nr_desc_allocated": found.desc_allocated,
        "nr_desc_used": found.desc_used,
        "nr_desc_left": found.desc_left,
        "nr_headers_allocated": found.objects_allocated,
        "nr_headers_left": found.objects_left,
        "nr_pages_allocated": found.objects_allocated,
        "nr_pages_left": found.objects_left,
        "nr_sp_created": found.nr_created,
        "nr_sp_reused": found.nr_splits - found.nr_created,
        "standing_bytes": cache_bytes(ext, found.desc_left, found.objects_left, *filled),
        "full_bytes": cache_bytes(ext, capacity, objects, capacity, objects),
        "lock_held_ns": found.held_ns,
        "hold_ns_p50": found.holds[:, 0],
        "hold_ns_p99": found.holds[:, 1],
        "hold_ns_max": found.holds[:, 2],
        "total_ns": found.elapsed_ns + walk_ns,
    }


def cache_bytes(ext: int, desc: Any, objects: Any, desc_array: Any, object_array: Any) -> Any:
    """Bytes that caches keep until the VM is destroyed (mmu_free_vm_memory_caches(), mmu.c).

    `desc` descriptors (struct pte_list_desc: 128 bytes with 14 SPTE pointers, 32 with 2), `objects`
    page headers and as many shadow pages, and the arrays of pointers to them, which are allocated
    at the first top-up. Requested bytes: what the allocator rounds up is not counted.
    """
    cached = desc * (2 + ext) * POINTER_BYTES + objects * (KVM_MMU_PAGE_BYTES + PAGE_BYTES)
    return cached + (desc_array + 2 * object_array) * POINTER_BYTES
