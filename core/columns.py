"""Outcome columns: what a replay found, under the names that `core.outcome` declares."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.arrays import Ints
from core.cost import Cost
from core.demand import Demand
from core.geometry import full_bytes, standing_bytes
from core.replay import Replay


def progress(demand: Demand, found: Replay, cost: Cost) -> dict[str, Any]:
    """What happened to the huge SPTEs: counts, or arrays of one for each capacity."""
    done = found.nr_splits
    giant = np.searchsorted(demand.giant, done)
    starved = demand.unsplit_after(done)
    always = cost.flush == "f1"
    return {
        "nr_huge_sptes": demand.nr_huge_sptes,
        "nr_splits_1g": giant,
        "nr_splits_2m": done - giant,
        "nr_unsplit": np.where(done < demand.nr_splits, starved, demand.nr_unsplit),
        "nr_tlb_flushes": done if always else np.searchsorted(demand.nonleaf, done),
        "nr_enospc": demand.nr_enospc,
        "nr_enomem": 0,
    }


def spent(
    found: Replay, shared: Mapping[str, Any], capacity: Ints, walk_ns: float
) -> dict[str, Any]:
    """Lock drops, objects and modelled times, one for each descriptor `capacity`.

    `shared` has `object_capacity` and `pte_list_ext`. Write-protecting what was split, `walk_ns`,
    comes after the splits.
    """
    objects, ext = shared["object_capacity"], shared["pte_list_ext"]
    desc, page, both, neither = found.drops.T
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
        "standing_bytes": standing_bytes(
            *(capacity, found.desc_left, found.desc_allocated > 0),
            *(objects, found.objects_left, found.objects_allocated > 0, ext),
        ),
        "full_bytes": full_bytes(capacity, objects, ext),
        "lock_held_ns": found.held_ns,
        "hold_ns_p50": found.holds[:, 0],
        "hold_ns_p99": found.holds[:, 1],
        "hold_ns_max": found.holds[:, 2],
        "total_ns": found.elapsed_ns + walk_ns,
    }
