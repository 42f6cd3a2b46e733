"""Rmap heads in the order in which the splitter meets them.

Mirrors slot_handle_level_range() as kvm_shadow_mmu_try_split_huge_pages() calls it
(arch/x86/kvm/mmu/mmu.c): heads of level 3 over the whole range, then of level 2, gfns ascending.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.arrays import NONE, Ints, running
from core.compiled import compiled
from core.constants import HUGE_PAGES_PER_GIB
from core.draws import is_own
from core.workload import Memslot, Workload

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
    def _extra(self) -> Ints:
        """(h + 1,) splits beyond one a head, before each listed head and in all."""
        return running(self.length - 1)

    @property
    def splits(self) -> int:
        """All splits, were there no end to shadow pages."""
        return int(self.count + self._extra[-1])

    @cached_property
    def starts(self) -> Ints:
        """(h,) the split with which each listed head begins."""
        return self.at + self._extra[:-1]

    def split_of(self, heads: Ints) -> Ints:
        """The split with which each of `heads` begins, were there no end to shadow pages."""
        return np.asarray(heads + self._extra[np.searchsorted(self.at, heads)])

    def splits_in(self, some: Ints) -> Ints:
        """All splits of `some` heads."""
        start, end = self.split_of(some), self.split_of(some + 1)
        count = end - start
        return np.repeat(start - np.cumsum(count) + count, count) + np.arange(int(count.sum()))

    def done_before(self, split: int) -> int:
        """Heads that are empty before `split`."""
        listed = int(np.searchsorted(self.starts, split, "right")) - 1
        if listed < 0:
            return split
        beyond = split - int(self.starts[listed] + self.length[listed])
        return int(self.at[listed]) + max(beyond + 1, 0)


def heads_of(slot: Memslot, workload: Workload, filled: bool) -> Heads:
    """The rmap heads of one memslot, in walk order.

    `filled`: a later round, in which every shadow page exists. Those of 2M pages have lost their
    children when dirty logging was switched off; those of 1G pages still point to the former.
    """
    walk = Walk(slot.size, slot.block, workload.clear_chunk, filled)
    giants = walk.giants()
    at, page, length = walk.position(slot.aliased), slot.aliased, slot.lengths
    kind = np.full(at.size, DRAWN)
    if slot.block.size:
        listed = np.flatnonzero((slot.block_lengths > 1) | filled)
        inside, views = _inside(slot, workload, filled)
        at = np.concatenate((giants[listed], at, walk.position(inside)))
        order = np.argsort(at, kind="stable")
        at = at[order]
        page = np.concatenate((slot.block[listed], page, inside))[order]
        length = np.concatenate((slot.block_lengths[listed], length, views))[order]
        kinds = (FILLED if filled else DRAWN, DRAWN, OWN)
        kind = np.repeat(kinds, (listed.size, slot.aliased.size, inside.size))[order]
    return Heads(walk.count, at, page + slot.first, length, kind, walk.breaks(), giants)


def _inside(slot: Memslot, workload: Workload, filled: bool) -> tuple[Ints, Ints]:
    """2M pages that several shadow pages map once their 1G page is split: (page, how many)."""
    views = _views(slot.block + slot.first, slot.block_lengths, *workload.roles)
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
        if self.block.size == 0:
            return page
        met = np.searchsorted(self.block, page)
        ahead = met if self.chunk else self.block.size
        if not self.filled:
            return page + ahead
        end = np.where(met > 0, self.block[met - 1] + HUGE_PAGES_PER_GIB, 0)
        return page + ahead - met * HUGE_PAGES_PER_GIB + np.maximum(end - page, 0)

    def position(self, page: Ints) -> Ints:
        """Positions of the level-2 heads of `page`."""
        heads = self.before(page)
        return heads + np.isin(page, self.block) if self.chunk and self.block.size else heads

    def giants(self) -> Ints:
        """Positions of the level-3 heads."""
        return self.before(self.block) if self.chunk else np.arange(self.block.size)

    def breaks(self) -> Ints:
        """Heads before which one ioctl ends and the next begins."""
        if not self.chunk:
            return NONE
        return self.before(np.arange(self.chunk, self.size, self.chunk))


def joined(slots: list[Heads]) -> Heads:
    """Memslots one after the other; each is a call of its own, so the lock is let go in between."""
    if len(slots) == 1:
        return slots[0]
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


@compiled
def _views(page, length, key, limit):  # type: ignore[no-untyped-def]
    """(h,) int64: different roles among the SPTEs of each head."""
    views = np.ones(page.size, np.int64)
    for head in range(page.size):
        for alias in range(length[head]):
            views[head] += is_own(key, page[head], alias, limit)
    return views
