"""The kernel's eager page splitting, event by event: slow, obvious, exact.

Written from the rules alone, with the kernel's names (arch/x86/kvm/mmu/mmu.c, its caches from
virt/kvm/kvm_main.c). With the fast path it shares the parsed scenario and the set-up in
`core.scenario.shadow`, no more.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from core import constants as k
from core.scenario import Scenario
from core.scenario.pte_list import PteList
from core.scenario.shadow import INDEX_BITS, ShadowMmu, ShadowPage


class Event(NamedTuple):
    """One trace_kvm_mmu_split_huge_page(), with what only an observer inside would see."""

    gfn: int
    level: int
    result: int
    desc_before: int
    desc_after: int
    hdr_after: int
    page_after: int
    created: int
    flush: int
    sp: int
    access: int


@dataclass
class Allocator:
    """Object allocations, numbered from 0; those from `fail_at` on, `fail_len` of them, fail."""

    fail_at: int | None
    fail_len: int | None
    number: int = 0
    failed: int = 0

    def allocate(self, wanted: int) -> int:
        """How many of `wanted` allocations succeed; none is tried after one that failed."""
        good = wanted
        if self.fail_at is not None and self.fail_len != 0:
            end = float("inf") if self.fail_len is None else self.fail_at + self.fail_len
            if self.number < end:
                good = min(wanted, max(0, self.fail_at - self.number))
        self.failed += good < wanted
        self.number += good + (good < wanted)
        return good


@dataclass
class MemoryCache:
    """struct kvm_mmu_memory_cache."""

    capacity: int
    min: int
    nobjs: int = 0
    peak: int = 0
    topups: int = 0
    allocs: int = 0

    def need_topup(self) -> bool:
        """kvm_mmu_memory_cache_nr_free_objects() < min."""
        return self.nobjs < self.min

    def topup(self, allocator: Allocator) -> int:
        """__kvm_mmu_topup_memory_cache(): 0 or -ENOMEM."""
        if not self.need_topup():
            return 0
        got = allocator.allocate(self.capacity - self.nobjs)
        self.nobjs += got
        self.allocs += got
        self.topups += got > 0
        self.peak = max(self.peak, self.nobjs)
        return k.ENOMEM if self.need_topup() else 0


@dataclass(frozen=True)
class Run:
    """What happened: the events, or None if there were more than the scenario wants, and totals."""

    events: list[Event] | None
    totals: Mapping[str, Any]


COUNTED: Final = (
    *("attempts", "walker_checks", "atomic_allocs", "desc_used", "desc_freed"),
    *("sp_created", "sp_reused", "flush_args"),
)
"""Totals, as the golden format names them, that are counted one by one."""


class SplitMachine:
    """One VM: its shadow MMU, its three split caches and everything that is counted."""

    def __init__(self, scenario: Scenario, kernel: str, events_limit: int) -> None:
        self.scenario = scenario
        self.mmu = ShadowMmu(scenario.sptes, kernel, scenario.pte_list_ext, scenario.invalid_sps)
        self.desc = MemoryCache(scenario.desc_capacity, scenario.desc_min)
        self.header = MemoryCache(scenario.object_capacity, 1)
        self.page = MemoryCache(scenario.object_capacity, 1)
        self.allocator = Allocator(scenario.alloc_fail_at, scenario.alloc_fail_len)
        self.events_limit = events_limit
        self.events: list[Event] = []
        self.results: Counter[int] = Counter()
        self.splits: Counter[int] = Counter()
        self.count = dict.fromkeys(COUNTED, 0)
        self.created = self.flush = 0  # of the attempt under way

    def try_split_huge_pages(self, start: int, end: int) -> None:
        """kvm_shadow_mmu_try_split_huge_pages(): 1G pages of the whole range first, then 2M."""
        for level in range(3, self.scenario.target_level, -1):
            first, last = (gfn >> INDEX_BITS * (level - 1) for gfn in (start, end - 1))
            rmaps = self.mmu.rmaps[level]
            for index in (first, *rmaps.occupied(first + 1, last)):
                self.try_split_rmap(rmaps.head(index), index << INDEX_BITS * (level - 1))
                self.count["walker_checks"] += 1

    def try_split_rmap(self, rmap_head: PteList, gfn: int) -> None:
        """shadow_mmu_try_split_huge_pages(): starts again after each split and each EAGAIN."""
        while (huge := next((sp for sp in rmap_head if not sp.invalid), None)) is not None:
            if self.try_split_huge_page(rmap_head, huge, gfn) not in (0, k.EAGAIN):
                break

    def try_split_huge_page(self, rmap_head: PteList, huge: ShadowPage, gfn: int) -> int:
        """shadow_mmu_try_split_huge_page()."""
        before = self.desc.nobjs
        access = huge.spt.get(self.mmu.index(gfn, huge.level), huge.access)
        assert isinstance(access, int)
        self.created = self.flush = 0
        if self.available_pages() <= k.MIN_FREE_MMU_PAGES:
            result = k.ENOSPC
        elif self.need_topup_split_caches_or_resched():
            result = self.topup_split_caches() or k.EAGAIN
        else:
            result = self.split_huge_page(rmap_head, huge, gfn, access)
        self.results[result] += 1
        if len(self.events) <= self.events_limit:
            caches = (before, self.desc.nobjs, self.header.nobjs, self.page.nobjs)
            seen = (self.created, self.flush, huge.group, access)
            self.events.append(Event(gfn, huge.level, result, *caches, *seen))
        return result

    def available_pages(self) -> int:
        """kvm_mmu_available_pages()."""
        return max(0, self.scenario.n_max_mmu_pages - self.mmu.n_used)

    def need_topup_split_caches_or_resched(self) -> bool:
        """Same name in mmu.c. The scenario says at which calls need_resched() is true."""
        resched = self.count["attempts"] in self.scenario.resched_at
        self.count["attempts"] += 1
        return resched or any(c.need_topup() for c in (self.desc, self.header, self.page))

    def topup_split_caches(self) -> int:
        """Same name in mmu.c: stops at the first cache that cannot reach its minimum."""
        for cache in (self.desc, self.header, self.page):
            if error := cache.topup(self.allocator):
                return error
        return 0

    def split_huge_page(self, rmap_head: PteList, huge: ShadowPage, gfn: int, access: int) -> int:
        """shadow_mmu_split_huge_page()."""
        child = self.get_sp_for_split(gfn, huge.level - 1, access, huge.rb)
        self.flush = int(any(isinstance(entry, ShadowPage) for entry in child.spt.values()))
        if not child.full:
            for head, times in self.mmu.rmaps[child.level].children(
                gfn >> INDEX_BITS * child.level, child
            ):
                self.take_descs(self.mmu.rmap_add(head, child, times))
            child.full = True
        self.count["desc_freed"] += self.mmu.drop_spte(rmap_head, huge)
        self.take_descs(self.mmu.link(huge, self.mmu.index(gfn, huge.level), child))
        self.count["flush_args"] += self.flush
        self.splits[huge.level] += 1
        return 0

    def get_sp_for_split(self, gfn: int, level: int, access: int, rb: int) -> ShadowPage:
        """shadow_mmu_get_sp_for_split(): a page of that role, or one header and one page."""
        child = self.mmu.find_direct(gfn, level, access, rb)
        if child is not None:
            self.count["sp_reused"] += 1
            return child
        self.header.nobjs -= 1
        self.page.nobjs -= 1
        self.created = 1
        self.count["sp_created"] += 1
        return self.mmu.make_direct(gfn, level, access, rb)

    def take_descs(self, number: int) -> None:
        """kvm_mmu_memory_cache_alloc(), `number` times; an empty cache warns and goes atomic."""
        cached = min(number, self.desc.nobjs)
        self.desc.nobjs -= cached
        self.count["desc_used"] += cached
        if atomic := number - cached:
            self.count["atomic_allocs"] += atomic
            self.desc.allocs += atomic
            if self.allocator.allocate(atomic) < atomic:
                raise ValueError(
                    f"scenario {self.scenario.id}: alloc_fail_at = {self.allocator.fail_at}: an "
                    "atomic allocation of a descriptor fails, where the kernel stops (BUG_ON). "
                    f"desc_min = {self.desc.min} is too low; 513 rules it out."
                )


def run_reference(scenario: Scenario, kernel: str, events_limit: int | None = None) -> Run:
    """Split what the scenario asks for on `kernel` (`v6_1` or `v6_12`).

    `events_limit` overrides the scenario's. Raises ValueError if an atomic allocation must fail.
    """
    limit = scenario.events_limit if events_limit is None else events_limit
    machine = SplitMachine(scenario, kernel, limit)
    mmu = machine.mmu
    start = (mmu.desc_live, mmu.max_mmu_rmap_size, mmu.n_used)
    for first, end in scenario.ranges:
        machine.try_split_huge_pages(first, end)
    events = machine.events if len(machine.events) <= limit else None
    return Run(events, _totals(machine, *start))


def _totals(m: SplitMachine, desc_live: int, max_rmap: int, n_used: int) -> dict[str, Any]:
    caches = (m.desc, m.header, m.page)
    return m.count | {
        "walker_resched": sum(i < m.count["walker_checks"] for i in m.scenario.walker_resched_at),
        "events": sum(m.results.values()),
        "splits_2m": m.splits[2],
        "splits_1g": m.splits[3],
        "eagain": m.results[k.EAGAIN],
        "enospc": m.results[k.ENOSPC],
        "enomem": m.results[k.ENOMEM],
        "other": 0,
        "lock_drops": m.results[k.EAGAIN] + m.results[k.ENOMEM],
        "topups": [c.topups for c in caches],
        "allocs": [c.allocs for c in caches],
        "alloc_fails": m.allocator.failed,
        "nobjs_end": [c.nobjs for c in caches],
        "nobjs_peak": [c.peak for c in caches],
        "desc_live_start": desc_live,
        "desc_live_end": m.mmu.desc_live,
        "tlb_flushes": m.results[0],
        "pages_4k": m.mmu.pages[1],
        "pages_2m": m.mmu.pages[2],
        "pages_1g": m.mmu.pages[3],
        "max_mmu_rmap_size": m.mmu.max_mmu_rmap_size,
        "max_mmu_rmap_size_start": max_rmap,
        "n_used_start": n_used,
        "n_used_mmu_pages": m.mmu.n_used,
        "n_max_mmu_pages": m.scenario.n_max_mmu_pages,
        "warns": m.count["atomic_allocs"],
    }
