"""Which huge pages a memslot has, and which of them are aliased."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from core.arrays import Ints, changes
from core.constants import HUGE_PAGES_PER_GIB, PTE_LIST_EXT, SPTES_PER_PAGE
from core.draws import ALIASED_1G, ALIASED_2M, MAPPED_1G, ROLE, drawn, stream_start, threshold


@dataclass(frozen=True)
class Workload:
    """The memory that is split: `nr_memslots` memslots of `nr_huge_pages` 2 MiB pages each."""

    nr_huge_pages: int
    alias_ratio: float = 0.0
    alias_degree: int = 2
    distinct_role_ratio: float = 0.0
    ratio_1g: float = 0.0
    placement: str = "uniform"
    seed: int = 0
    nr_memslots: int = 1
    rounds: int = 1
    clear_chunk: int = 0
    """Huge pages that one KVM_CLEAR_DIRTY_LOG covers; 0: dirty logging is enabled in one go."""
    pte_list_ext: int = PTE_LIST_EXT
    kernel: str = "v6_12"
    """Whose descriptor lists: `v6_1` or `v6_12` (`core.patterns`)."""

    @property
    def all_huge_pages(self) -> int:
        """2 MiB pages of all memslots."""
        return self.nr_memslots * self.nr_huge_pages

    @property
    def roles(self) -> tuple[np.uint64, np.uint64]:
        """Key and limit of the draws that decide which aliases have a role of their own."""
        return stream_start(self.seed, ROLE), threshold(self.distinct_role_ratio)


@dataclass(frozen=True)
class Memslot:
    """How one memslot is mapped. Pages are in 2 MiB units, counted from the memslot's start."""

    first: int
    """Number of the memslot's first page over all memslots: what draws are made by."""
    size: int
    aliased: Ints
    """(m,) ascending: 2M-mapped pages with more than one mapping."""
    lengths: Ints
    """(m,): mappings of each of them."""
    block: Ints
    """(b,) ascending: first pages of the GiB that 1G SPTEs map."""
    block_lengths: Ints
    """(b,): mappings of each of these 1G pages."""

    @property
    def nr_huge_sptes(self) -> int:
        """1G and 2M SPTEs before the first split."""
        lone = self.size - HUGE_PAGES_PER_GIB * self.block.size - self.aliased.size
        return lone + int(self.lengths.sum() + self.block_lengths.sum())

    @property
    def nr_parent_pages(self) -> int:
        """Shadow pages in use before the first split: the tables that hold the huge SPTEs.

        One of level 2 for each GiB that a group of aliases maps with 2M SPTEs, one of level 3 for
        each 512 GiB that it maps with 1G SPTEs. Upper levels are not modelled.
        """
        gib = -(-self.size // HUGE_PAGES_PER_GIB) - self.block.size
        further = _longest(self.aliased, self.lengths, HUGE_PAGES_PER_GIB) - 1
        regions = _longest(self.block, self.block_lengths, HUGE_PAGES_PER_GIB * SPTES_PER_PAGE)
        return gib + int(further.sum() + regions.sum())


def _longest(page: Ints, lengths: Ints, mapped: int) -> Ints:
    """SPTEs of the longest of the heads in each table of `mapped` pages; `page` (h,) ascending."""
    return np.maximum.reduceat(lengths, np.flatnonzero(changes(page // mapped)))


@lru_cache(maxsize=2)
def memslot_of(workload: Workload, slot: int) -> Memslot:
    """Draw the mappings of memslot `slot`. The last ones are kept: prefixes look at them again."""
    size = workload.nr_huge_pages
    first = slot * size
    seed, ratio, placement = workload.seed, workload.alias_ratio, workload.placement
    aliased = drawn(seed, ALIASED_2M, first, first + size, ratio, placement)
    aliased -= first
    gibs = size // HUGE_PAGES_PER_GIB
    block = drawn(seed, MAPPED_1G, slot * gibs, (slot + 1) * gibs, workload.ratio_1g)
    twice = drawn(seed, ALIASED_1G, slot * gibs, (slot + 1) * gibs, ratio, placement)
    block_lengths = np.where(np.isin(block, twice), workload.alias_degree, 1)
    block -= slot * gibs
    if block.size:
        aliased = aliased[~np.isin(aliased // HUGE_PAGES_PER_GIB, block)]
    lengths = np.full(aliased.shape, workload.alias_degree)
    return Memslot(first, size, aliased, lengths, block * HUGE_PAGES_PER_GIB, block_lengths)
