"""What every split of a workload takes from the caches, in walk order.

Demand depends on rmaps and roles alone, never on the caches: it is computed once for a workload and
replayed for every geometry and policy. Mirrors the walk of kvm_shadow_mmu_try_split_huge_pages()
in arch/x86/kvm/mmu/mmu.c: rmap heads of level 3, then of level 2, each emptied before the next.
"""

from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from core.arrays import NONE, Bools, Ints, running
from core.compiled import compiled
from core.constants import HUGE_PAGES_PER_GIB, MIN_FREE_MMU_PAGES, SPTES_PER_PAGE, max_mmu_pages
from core.draws import is_own
from core.order import FILLED, OWN, Heads, heads_of, joined
from core.patterns import removal_order, takes_descriptor
from core.workload import Memslot, Workload, memslot_of


class Stream(NamedTuple):
    """The splits of a `Demand` as compiled code takes them; fields as there."""

    desc_at: Ints
    desc_sum: Ints
    reuse: Ints
    nonleaf: Ints
    breaks: Ints
    nr_paged: int
    nr_splits: int


@dataclass(frozen=True)
class Demand:
    """Splits that succeed, numbered 0 .. nr_splits - 1 in walk order.

    Splits below `nr_paged` take one page header and one shadow page each, unless listed in `reuse`;
    later ones (further rounds) take none. Only what differs from that is stored.
    """

    nr_splits: int
    nr_paged: int
    reuse: Ints
    """(r,) ascending: splits that find a shadow page with its children, so they only link it."""
    desc_at: Ints
    """(m,) ascending: splits that take descriptors."""
    desc_sum: Ints
    """(m + 1,): descriptors taken before each of them, and in all."""
    breaks: Ints
    """(b,) ascending: splits before which the caller itself has let go of mmu_lock."""
    nr_huge_sptes: int
    giant: Ints
    """(g,) ascending: splits of 1G SPTEs; the others split 2M SPTEs."""
    nr_walked: int
    """2M pages that are write-protected page by page afterwards, all rounds."""
    nr_enospc: int = 0
    nr_unsplit: int = 0
    nonleaf: Ints = field(default_factory=lambda: NONE)
    """(f,) ascending: splits that reuse a shadow page with non-leaf entries: f0 and f2 flush."""

    @property
    def stream(self) -> Stream:
        """What the replay needs of it."""
        return Stream(*(getattr(self, name) for name in Stream._fields))

    @property
    def nr_created(self) -> int:
        """Splits that make a shadow page."""
        return int(self.created_before(np.array(self.nr_splits)))

    def created_before(self, split: Ints) -> Ints:
        """Those below each of `split`."""
        last = np.minimum(split, self.nr_paged)
        return last - np.searchsorted(self.reuse, last)

    def nth_created(self, nth: Ints) -> Ints:
        """Splits that make shadow pages number `nth`, counted from 0 (-1: split -1)."""
        passed = self.reuse - np.arange(self.reuse.size)
        return np.asarray(nth + np.searchsorted(passed, nth, "right"))

    def until(self, end: int) -> "Demand":
        """Its first `end` splits alone, as views; what is not told by splits stays as it is."""
        taken = int(np.searchsorted(self.desc_at, end))
        listed = {name: getattr(self, name) for name in ("reuse", "breaks", "giant", "nonleaf")}
        return replace(
            self,
            nr_splits=end,
            nr_paged=min(self.nr_paged, end),
            desc_at=self.desc_at[:taken],
            desc_sum=self.desc_sum[: taken + 1],
            **{name: each[: np.searchsorted(each, end)] for name, each in listed.items()},
        )

    def unsplit_after(self, split: Ints) -> Ints:
        """Huge SPTEs that are left if the first round ends before `split`: each shadow page of a 1G
        SPTE has made 512 of 2M, and each split has taken one."""
        made = self.giant[np.isin(self.giant, self.reuse, invert=True)]
        return self.nr_huge_sptes + SPTES_PER_PAGE * np.searchsorted(made, split) - split

    @cached_property
    def max_desc(self) -> int:
        """Most descriptors that one split takes."""
        return int(np.diff(self.desc_sum).max(initial=0))


def demand_of(workload: Workload) -> Demand:
    """The splits of a whole workload: all memslots, all rounds, one after the other.

    O(huge pages) time, memory for the aliased pages alone.
    """
    slots = [memslot_of(workload, slot) for slot in range(workload.nr_memslots)]
    heads, demand = _round(workload, slots, filled=False)
    budget = _budget(slots)
    exhausted = demand.nr_created >= budget
    if exhausted:
        demand = _out_of_pages(workload, demand, heads, max(budget, 0))
    if workload.rounds == 1:
        return demand
    heads, later = _round(workload, slots, filled=True)
    if exhausted:
        again = _refusals(workload, heads.count, heads.giants.size) * (workload.rounds - 1)
        walked = demand.nr_walked * workload.rounds
        return replace(demand, nr_enospc=demand.nr_enospc + again, nr_walked=walked)
    return _followed_by(demand, later, workload.rounds - 1)


def has_prefixes(workload: Workload) -> bool:
    """Are the splits of smaller memslots the first ones of this one? Not where 1G pages are split
    before all others, nor where memslots or rounds follow each other."""
    return not workload.ratio_1g and workload.rounds == 1 and workload.nr_memslots == 1


def prefix(demand: Demand, drawn: Workload, size: int) -> Demand | None:
    """The demand of a memslot of `size` huge pages, as views of that of the larger `drawn`.

    Draws depend on the page alone, so the splits of a smaller memslot come first among those of a
    larger one (`has_prefixes`). None where shadow pages run out: then the size matters.
    """
    if demand.nr_enospc:
        return None
    slot = memslot_of(drawn, 0)
    kept = int(np.searchsorted(slot.aliased, size))
    slot = replace(slot, size=size, aliased=slot.aliased[:kept], lengths=slot.lengths[:kept])
    splits = demand.until(size + kept * (drawn.alias_degree - 1))
    found = replace(splits, nr_huge_sptes=slot.nr_huge_sptes, nr_walked=size)
    return found if found.nr_created < _budget([slot]) else None


def _budget(slots: list[Memslot]) -> int:
    """Shadow pages that the splits may make before they run out."""
    pages = sum(slot.size for slot in slots) * SPTES_PER_PAGE
    used = sum(slot.nr_parent_pages for slot in slots)
    return max_mmu_pages(pages) - MIN_FREE_MMU_PAGES - used


def _round(workload: Workload, slots: list[Memslot], filled: bool) -> tuple[Heads, Demand]:
    """One pass over every memslot, as if shadow pages never ran out. `filled`: `heads_of`."""
    heads = joined([heads_of(slot, workload, filled) for slot in slots])
    desc_at, desc, reuse = _splits_of(
        heads.starts, heads.page, heads.length, heads.kind,
        *_lists(int(heads.length.max(initial=1)), workload.kernel, workload.pte_list_ext),
        *workload.roles,
    )  # fmt: skip
    nr_splits = heads.splits
    giant = heads.splits_in(heads.giants)
    return heads, Demand(
        nr_splits=nr_splits,
        nr_paged=0 if filled else nr_splits,
        reuse=reuse,
        desc_at=desc_at,
        desc_sum=running(desc),
        breaks=heads.split_of(heads.breaks),
        nr_huge_sptes=sum(slot.nr_huge_sptes for slot in slots),
        giant=giant,
        nr_walked=workload.all_huge_pages,
        nonleaf=giant if filled else NONE,
    )


def _out_of_pages(workload: Workload, demand: Demand, heads: Heads, budget: int) -> Demand:
    """The same walk when only `budget` shadow pages can be made: afterwards every head gives
    ENOSPC and keeps its SPTEs. 1G pages that stay whole have no 2M heads to visit."""
    end = int(demand.nth_created(np.array(budget - 1))) + 1
    whole = int((heads.split_of(heads.giants) >= end).sum())
    giants_left = int((heads.split_of(heads.giants + 1) > end).sum())
    left = heads.count - heads.done_before(end) - HUGE_PAGES_PER_GIB * whole
    return replace(
        demand.until(end),
        nr_enospc=_refusals(workload, left, giants_left),
        nr_unsplit=int(demand.unsplit_after(np.array(end))),
    )


def _refusals(workload: Workload, heads: int, giants: int) -> int:
    """ENOSPC attempts of `heads` rmap heads, `giants` of them of level 3: one a visit. Clearing
    visits each once for every 64 gfns of its page (kvm_arch_mmu_enable_log_dirty_pt_masked())."""
    if not workload.clear_chunk:
        return heads
    words = SPTES_PER_PAGE // 64
    return words * (heads - giants + SPTES_PER_PAGE * giants)


def _followed_by(first: Demand, later: Demand, times: int) -> Demand:
    """`first`, then `later` `times` over: switching dirty logging on is a call of its own."""
    starts = first.nr_splits + later.nr_splits * np.arange(times)
    desc = np.concatenate([np.diff(first.desc_sum), *[np.diff(later.desc_sum)] * times])
    breaks = [first.breaks, *(np.append(start, later.breaks + start) for start in starts)]
    listed: dict[str, Any] = {
        name: np.concatenate([getattr(first, name), *(getattr(later, name) + s for s in starts)])
        for name in ("reuse", "desc_at", "giant", "nonleaf")
    }
    return replace(
        first,
        nr_splits=first.nr_splits + later.nr_splits * times,
        desc_sum=running(desc),
        breaks=np.concatenate(breaks),
        nr_walked=first.nr_walked * (times + 1),
        **listed,
    )


@cache
def _lists(degree: int, kernel: str, ext: int) -> tuple[Ints, Bools]:
    """Row n: the order in which a head of n SPTEs is split, padded with zeros. And for each length
    of a list whether one more entry takes a descriptor."""
    orders = np.zeros((degree + 1, degree), np.int64)
    for entries in range(1, degree + 1):
        orders[entries, :entries] = removal_order(entries, kernel, ext)
    return orders, np.array([takes_descriptor(entries, ext) for entries in range(degree)])


@compiled
def _splits_of(start, page, length, kind, orders, takes, key, limit):  # type: ignore[no-untyped-def]
    """Split every SPTE of the listed heads.

    The first SPTE of a role makes a shadow page, or refills it, and its 512 children take a
    descriptor each when their rmaps are due one; the others link it and take one when parent_ptes
    is. Returns, all int64 and ascending: splits that take descriptors, how many, splits that reuse
    a shadow page with its children. The first split of a head is neither, except in a FILLED one.
    """
    room = np.sum(length - (kind != FILLED))
    desc_at = np.empty(room, np.int64)
    desc, reuse = np.empty_like(desc_at), np.empty_like(desc_at)
    nr_desc = nr_reuse = 0
    for head in range(start.size):
        shared = filled = 0
        for i in range(length[head]):
            alias = orders[length[head], i]
            own = kind[head] == OWN or is_own(key, page[head], alias, limit)
            links = 0 if own else shared
            shared += not own
            if links or kind[head] == FILLED:
                taken = 1 * takes[links]
                reuse[nr_reuse] = start[head] + i
                nr_reuse += 1
            else:
                taken = SPTES_PER_PAGE * takes[filled]
                filled += 1
            if taken:
                desc_at[nr_desc] = start[head] + i
                desc[nr_desc] = taken
                nr_desc += 1
    return desc_at[:nr_desc], desc[:nr_desc], reuse[:nr_reuse]
