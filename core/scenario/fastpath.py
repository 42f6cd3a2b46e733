"""Scenario -> totals without a machine: patterns are counted once, then the caches are replayed.

Exact wherever no allocation fails. Independent of `core.reference` but for the parsed scenario and
the set-up of pages that are not plain.
"""

from typing import Any

import numpy as np

from core.arrays import Ints
from core.compiled import compiled
from core.reference import run_reference
from core.scenario import Scenario
from core.scenario.pages import ADDED, COLUMNS, LONGEST
from core.scenario.walk import Splits, splits_of


@compiled
def _replay_caches(
    desc: Ints, created: Ints, resched: Ints, low: int, capacity: int, objects: int
) -> tuple[int, int, int, int, int, int]:
    """Replay demand through cold caches: top up what is short, to capacity, before each split.

    `desc`, `created` are (n,); `resched` ascending calls at which need_resched() is true; `low`
    and `capacity` are those of the descriptor cache, `objects` the capacity of the other two. With
    `low` under 513 a split may find too few: the rest is allocated at once ("atomic").
    Returns (calls, descriptor top-ups, page top-ups, descriptors left, pages left, atomic).
    """
    calls = desc_topups = page_topups = descs = pages = atomic = due = 0
    for i in range(len(desc)):
        while True:
            wanted = due < len(resched) and resched[due] == calls
            due += wanted
            calls += 1
            if not (wanted or descs < low or pages < 1):
                break
            if descs < low:
                descs = capacity
                desc_topups += 1
            if pages < 1:
                pages = objects
                page_topups += 1
        pages -= created[i]
        taken = min(desc[i], descs)
        descs -= taken
        atomic += desc[i] - taken
    return calls, desc_topups, page_topups, descs, pages, atomic


def fast_totals(scenario: Scenario, kernel: str) -> tuple[dict[str, Any], str]:
    """All totals of the golden format, and the engine that computed them: `fast` or `reference`.

    The reference machine runs where an allocation fails, since what follows depends on it.
    """
    splits = splits_of(scenario, kernel)
    resched = np.array(sorted(scenario.resched_at), np.int64)
    capacity, objects = scenario.desc_capacity, scenario.object_capacity
    taken = (splits.desc.copy(), splits.created.copy())
    replayed = _replay_caches(*taken, resched, scenario.desc_min, capacity, objects)
    calls, desc_topups, page_topups, descs, pages, atomic = map(int, replayed)
    used, made = (int(each.sum()) for each in taken)
    drops = calls - len(splits.level)
    allocs = [descs + used, pages + made, pages + made]
    fails = scenario.alloc_fail_at is not None and scenario.alloc_fail_len != 0
    if fails and sum(allocs) > (scenario.alloc_fail_at or 0):
        return dict(run_reference(scenario, kernel, 0).totals), "reference"
    return _counted(splits, scenario) | {
        "events": calls + splits.enospc,
        "eagain": drops,
        "attempts": calls,
        "lock_drops": drops,
        "topups": [desc_topups, page_topups, page_topups],
        "allocs": allocs,
        "atomic_allocs": atomic,
        "nobjs_end": [descs, pages, pages],
        "nobjs_peak": [capacity * (desc_topups > 0), *2 * [objects * (page_topups > 0)]],
        "desc_used": used - atomic,
        "warns": atomic,
    }, "fast"


def _counted(splits: Splits, scenario: Scenario) -> dict[str, Any]:
    """Totals that no cache size changes."""
    total = dict(zip(COLUMNS, splits.counts.sum(axis=0).tolist(), strict=True))
    number = {level: int((splits.level == level).sum()) for level in (2, 3)}
    below = {level: int(splits.counts[splits.level == level, ADDED].sum()) for level in (2, 3)}
    start = splits.start
    longest = int(splits.counts[:, LONGEST].max(initial=start["longest"]))
    return {
        "splits_2m": number[2],
        "splits_1g": number[3],
        "enospc": splits.enospc,
        "enomem": 0,
        "other": 0,
        "walker_checks": splits.walker_checks,
        "walker_resched": sum(i < splits.walker_checks for i in scenario.walker_resched_at),
        "alloc_fails": 0,
        "desc_freed": total["freed"],
        "desc_live_start": start["desc_live"],
        "desc_live_end": start["desc_live"] + total["desc"] - total["freed"],
        "sp_created": total["created"],
        "sp_reused": len(splits.level) - total["created"],
        "tlb_flushes": len(splits.level),
        "flush_args": total["flush"],
        "pages_4k": start["pages_4k"] + below[2],
        "pages_2m": start["pages_2m"] + below[3] - number[2],
        "pages_1g": start["pages_1g"] - number[3],
        "max_mmu_rmap_size": longest,
        "max_mmu_rmap_size_start": start["longest"],
        "n_used_start": start["n_used"],
        "n_used_mmu_pages": start["n_used"] + total["created"],
        "n_max_mmu_pages": scenario.n_max_mmu_pages,
    }
