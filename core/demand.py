"""What every split of a workload takes from the caches, in walk order.

Demand depends on rmaps and roles alone, never on the caches: it is computed once for a workload and
replayed for every geometry and policy. Mirrors the walk of kvm_shadow_mmu_try_split_huge_pages()
in arch/x86/kvm/mmu/mmu.c: rmap heads of level 3, then of level 2, each emptied before the next.
"""

from dataclasses import dataclass, field, replace
from functools import cache, cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.constants import HUGE_PAGES_PER_GIB, MIN_FREE_MMU_PAGES, SPTES_PER_PAGE, max_mmu_pages
from core.patterns import removal_order, takes_descriptor
from core.workload import ROLE, Mapping, Workload, mapping, mix, stream_key, threshold

Ints = NDArray[np.int64]

NONE: Ints = np.empty(0, np.int64)


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
    def nr_created(self) -> int:
        """Splits that make a shadow page."""
        return int(self.created_before(np.array(self.nr_splits)))

    def created_before(self, split: Ints) -> Ints:
        """Those below each of `split`."""
        last = np.minimum(split, self.nr_paged)
        return last - np.searchsorted(self.reuse, last)

    def unsplit_after(self, split: Ints) -> Ints:
        """Huge SPTEs that are left if the first round ends before `split`: each shadow page of a 1G
        SPTE has made 512 of 2M, and each split has taken one."""
        made = self.giant[np.isin(self.giant, self.reuse, invert=True)]
        return self.nr_huge_sptes + SPTES_PER_PAGE * np.searchsorted(made, split) - split

    @property
    def max_desc(self) -> int:
        """Most descriptors that one split takes."""
        return int(np.diff(self.desc_sum).max(initial=0))


DRAWN, OWN, FILLED = 0, 1, 2
"""Kinds of heads: aliases draw their roles, all have their own, or shadow pages have children."""


@dataclass(frozen=True)
class Heads:
    """Rmap heads in walk order. Only those that are not one fresh SPTE are listed."""

    count: int
    at: Ints
    """(h,) ascending: positions of the listed heads among all."""
    page: Ints
    """(h,) number of the huge page (2 MiB units) that its roles are drawn by."""
    length: Ints
    """(h,) SPTEs in the head."""
    kind: Ints
    """(h,) DRAWN, OWN or FILLED."""
    breaks: Ints
    """(b,) heads before which the caller lets go of mmu_lock."""
    giants: Ints
    """(g,) positions of the level-3 heads."""

    @cached_property
    def starts(self) -> Ints:
        """(h,) the split with which each listed head begins."""
        extra = self.length - 1
        return self.at + np.cumsum(extra) - extra

    def split_of(self, heads: Ints) -> Ints:
        """The split with which each of `heads` begins, were there no end to shadow pages."""
        extra: Ints = np.concatenate([[0], np.cumsum(self.length - 1)])
        return np.asarray(heads + extra[np.searchsorted(self.at, heads)])

    def done_before(self, split: int) -> int:
        """Heads that are empty before `split`."""
        listed = int(np.searchsorted(self.starts, split, "right")) - 1
        if listed < 0:
            return split
        beyond = split - int(self.starts[listed] + self.length[listed])
        return int(self.at[listed]) + max(beyond + 1, 0)


def demand_of(workload: Workload) -> Demand:
    """The splits of a whole workload: all memslots, all rounds, one after the other.

    O(huge pages) time, memory for the aliased pages alone.
    """
    slots = [mapping(workload, slot) for slot in range(workload.nr_memslots)]
    heads, demand = _round(workload, slots, filled=False)
    budget = _budget(workload, slots)
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
    smaller = replace(drawn, nr_huge_pages=size)
    slot = mapping(drawn, 0)
    slot = replace(slot, size=size, aliased=slot.aliased[: np.searchsorted(slot.aliased, size)])
    splits = size + slot.aliased.size * (drawn.alias_degree - 1)
    taken = int(np.searchsorted(demand.desc_at, splits))
    found = replace(
        demand,
        nr_splits=splits,
        nr_paged=splits,
        reuse=demand.reuse[: np.searchsorted(demand.reuse, splits)],
        desc_at=demand.desc_at[:taken],
        desc_sum=demand.desc_sum[: taken + 1],
        breaks=demand.breaks[: np.searchsorted(demand.breaks, splits)],
        nr_huge_sptes=_huge_sptes(slot, smaller),
        nr_walked=size,
    )
    return found if found.nr_created < _budget(smaller, [slot]) else None


def _budget(workload: Workload, slots: list[Mapping]) -> int:
    """Shadow pages that the splits may make before they run out."""
    pages = workload.nr_memslots * workload.nr_huge_pages * SPTES_PER_PAGE
    used = sum(_parent_pages(slot, workload) for slot in slots)
    return max_mmu_pages(pages) - MIN_FREE_MMU_PAGES - used


def _round(workload: Workload, slots: list[Mapping], filled: bool) -> tuple[Heads, Demand]:
    """One pass over every memslot, as if shadow pages never ran out.

    `filled`: a later round, in which every shadow page exists. Those of 2M pages have lost their
    children when dirty logging was switched off; those of 1G pages still point to the former.
    """
    heads = _joined([_heads(slot, workload, filled) for slot in slots])
    desc_at, desc, reuse = _splits_of(
        heads.starts, heads.page, heads.length, heads.kind,
        *_lists(workload.alias_degree, workload.kernel, workload.pte_list_ext), *_roles(workload),
    )  # fmt: skip
    nr_splits = int(heads.count + (heads.length - 1).sum())
    giant = _splits_in(heads, heads.giants)
    return heads, Demand(
        nr_splits=nr_splits,
        nr_paged=0 if filled else nr_splits,
        reuse=reuse,
        desc_at=desc_at,
        desc_sum=np.concatenate([[0], np.cumsum(desc)]),
        breaks=heads.split_of(heads.breaks),
        nr_huge_sptes=sum(_huge_sptes(slot, workload) for slot in slots),
        giant=giant,
        nr_walked=workload.nr_memslots * workload.nr_huge_pages,
        nonleaf=giant if filled else NONE,
    )


def _heads(slot: Mapping, workload: Workload, filled: bool) -> Heads:
    """The rmap heads of one memslot, in walk order."""
    walk = Walk(slot.size, slot.block, workload.clear_chunk, filled)
    length_1g = np.where(slot.block_aliased, workload.alias_degree, 1)
    listed = np.flatnonzero(slot.block_aliased | filled)
    inside, views = _inside(slot, workload, length_1g, filled)
    giants = walk.giants()
    parts: list[tuple[Ints, Ints, Ints | int, int]] = [
        (giants[listed], slot.block[listed], length_1g[listed], FILLED if filled else DRAWN),
        (walk.position(slot.aliased), slot.aliased, workload.alias_degree, DRAWN),
        (walk.position(inside), inside, views, OWN),
    ]
    at = np.concatenate([at for at, *_ in parts])
    order = np.argsort(at, kind="stable") if slot.block.size else slice(None)
    return Heads(
        count=walk.count,
        at=at[order],
        page=np.concatenate([page for _, page, *_ in parts])[order] + slot.first,
        length=np.concatenate([at * 0 + length for at, _, length, _ in parts])[order],
        kind=np.concatenate([np.full(at.shape, kind) for at, _, _, kind in parts])[order],
        breaks=walk.breaks(),
        giants=giants,
    )


def _inside(slot: Mapping, workload: Workload, length_1g: Ints, filled: bool) -> tuple[Ints, Ints]:
    """2M pages that several shadow pages map once their 1G page is split: (page, how many)."""
    views = _views(slot.block + slot.first, length_1g, *_roles(workload))
    several = np.flatnonzero((views > 1) & (not filled))
    pages = slot.block[several, None] + np.arange(HUGE_PAGES_PER_GIB)
    return pages.ravel(), np.repeat(views[several], HUGE_PAGES_PER_GIB)


@dataclass(frozen=True)
class Walk:
    """Positions of rmap heads in the walk over one memslot of `size` 2M pages.

    Enabling dirty logging (`chunk` 0) visits all level-3 heads first. Clearing it goes word by
    word, so each level-3 head comes just before the 2M heads of its block. In a later round
    (`filled`) the 2M heads of those blocks are empty.
    """

    size: int
    block: Ints
    chunk: int
    filled: bool

    @property
    def count(self) -> int:
        """Heads in all."""
        return self.size + self.block.size * (1 - HUGE_PAGES_PER_GIB * self.filled)

    def before(self, page: Ints) -> Ints:
        """Heads that come before everything at or above `page`."""
        met = np.searchsorted(self.block, page)
        ahead = met if self.chunk else self.block.size
        if not self.filled or self.block.size == 0:
            return page + ahead
        end = np.where(met > 0, self.block[met - 1] + HUGE_PAGES_PER_GIB, 0)
        return page + ahead - met * HUGE_PAGES_PER_GIB + np.maximum(end - page, 0)

    def position(self, page: Ints) -> Ints:
        """Positions of the level-2 heads of `page`."""
        return self.before(page) + (np.isin(page, self.block) if self.chunk else 0)

    def giants(self) -> Ints:
        """Positions of the level-3 heads."""
        return self.before(self.block) if self.chunk else np.arange(self.block.size)

    def breaks(self) -> Ints:
        """Heads before which one ioctl ends and the next begins."""
        if not self.chunk:
            return NONE
        return self.before(np.arange(self.chunk, self.size, self.chunk))


def _splits_in(heads: Heads, some: Ints) -> Ints:
    """All splits of `some` heads."""
    start, end = heads.split_of(some), heads.split_of(some + 1)
    return np.repeat(start - np.cumsum(end - start) + end - start, end - start) + np.arange(
        int((end - start).sum())
    )


def _joined(slots: list[Heads]) -> Heads:
    """Memslots one after the other; each is a call of its own, so the lock is let go in between."""
    start = np.cumsum([0, *(heads.count for heads in slots)])
    shifted = list(zip(slots, start[:-1], strict=True))
    return Heads(
        count=int(start[-1]),
        at=np.concatenate([heads.at + by for heads, by in shifted]),
        page=np.concatenate([heads.page for heads in slots]),
        length=np.concatenate([heads.length for heads in slots]),
        kind=np.concatenate([heads.kind for heads in slots]),
        breaks=np.sort(np.concatenate([start[1:-1], *(h.breaks + by for h, by in shifted)])),
        giants=np.concatenate([heads.giants + by for heads, by in shifted]),
    )


def _out_of_pages(workload: Workload, demand: Demand, heads: Heads, budget: int) -> Demand:
    """The same walk when only `budget` shadow pages can be made: afterwards every head gives
    ENOSPC and keeps its SPTEs. 1G pages that stay whole have no 2M heads to visit."""
    end = _nth_created(demand.reuse, budget - 1) + 1 if budget else 0
    whole = int((heads.split_of(heads.giants) >= end).sum())
    giants_left = int((heads.split_of(heads.giants + 1) > end).sum())
    left = heads.count - heads.done_before(end) - HUGE_PAGES_PER_GIB * whole
    taken = int(np.searchsorted(demand.desc_at, end))
    return replace(
        demand,
        nr_splits=end,
        nr_paged=end,
        reuse=demand.reuse[: np.searchsorted(demand.reuse, end)],
        desc_at=demand.desc_at[:taken],
        desc_sum=demand.desc_sum[: taken + 1],
        breaks=demand.breaks[: np.searchsorted(demand.breaks, end)],
        giant=demand.giant[: np.searchsorted(demand.giant, end)],
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


def _nth_created(reuse: Ints, nth: int) -> int:
    """The split that makes shadow page number `nth` (from 0), in a round that makes them."""
    return nth + int(np.searchsorted(reuse - np.arange(reuse.size), nth, "right"))


def _followed_by(first: Demand, later: Demand, times: int) -> Demand:
    """`first`, then `later` `times` over: switching dirty logging on is a call of its own."""
    starts = first.nr_splits + later.nr_splits * np.arange(times)
    desc = np.concatenate([np.diff(first.desc_sum), *[np.diff(later.desc_sum)] * times])
    breaks = [first.breaks, *(np.append(start, later.breaks + start) for start in starts)]
    return replace(
        first,
        nr_splits=first.nr_splits + later.nr_splits * times,
        reuse=np.concatenate([first.reuse, *(later.reuse + start for start in starts)]),
        desc_at=np.concatenate([first.desc_at, *(later.desc_at + start for start in starts)]),
        desc_sum=np.concatenate([[0], np.cumsum(desc)]),
        breaks=np.concatenate(breaks),
        giant=np.concatenate([first.giant, *(later.giant + start for start in starts)]),
        nr_walked=first.nr_walked * (times + 1),
        nonleaf=np.concatenate([later.nonleaf + start for start in starts]),
    )


def _huge_sptes(slot: Mapping, workload: Workload) -> int:
    """1G and 2M SPTEs before the first split."""
    extra = slot.aliased.size + int(slot.block_aliased.sum())
    whole = Walk(slot.size, slot.block, 0, filled=True).count
    return whole + extra * (workload.alias_degree - 1)


def _parent_pages(slot: Mapping, workload: Workload) -> int:
    """Shadow pages in use before the first split: the tables that hold the huge SPTEs.

    One of level 2 for each GiB that a group of aliases maps with 2M SPTEs, one of level 3 for each
    512 GiB that it maps with 1G SPTEs. Upper levels are not modelled.
    """
    gib = slot.aliased // HUGE_PAGES_PER_GIB
    region = slot.block // (HUGE_PAGES_PER_GIB * SPTES_PER_PAGE)
    base = -(-slot.size // HUGE_PAGES_PER_GIB) - slot.block.size + _distinct(region)
    further = _distinct(gib) + _distinct(region[slot.block_aliased])
    return int(base + further * (workload.alias_degree - 1))


def _distinct(ascending: Ints) -> int:
    return min(ascending.size, 1) + int(np.count_nonzero(np.diff(ascending)))


def _roles(workload: Workload) -> tuple[np.uint64, np.uint64]:
    """Key and limit of the draws that decide which aliases have a role of their own."""
    key = np.uint64(stream_key(np.uint64(workload.seed), ROLE))
    return key, threshold(workload.distinct_role_ratio)


@cache
def _lists(degree: int, kernel: str, ext: int) -> tuple[Ints, NDArray[np.bool_]]:
    """Row n: the order in which a head of n SPTEs is split, padded with zeros. And for each length
    of a list whether one more entry takes a descriptor."""
    orders = np.zeros((degree + 1, degree), np.int64)
    for entries in range(1, degree + 1):
        orders[entries, :entries] = removal_order(entries, kernel, ext)
    return orders, np.array([takes_descriptor(entries, ext) for entries in range(degree + 1)])


@njit(cache=True, inline="always")
def _is_own(key, page, alias, limit):  # type: ignore[no-untyped-def]
    """Does this alias draw a role of its own? Alias 0 never does, the others share its role."""
    return alias > 0 and mix(key + np.uint64(page) * np.uint64(1024) + np.uint64(alias)) < limit


@njit(cache=True)
def _views(page, length, key, limit):  # type: ignore[no-untyped-def]
    """(h,) int64: different roles among the SPTEs of each head."""
    views = np.ones(page.size, np.int64)
    for head in range(page.size):
        for alias in range(length[head]):
            views[head] += _is_own(key, page[head], alias, limit)
    return views


@njit(cache=True)
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
            own = kind[head] == OWN or _is_own(key, page[head], alias, limit)
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
