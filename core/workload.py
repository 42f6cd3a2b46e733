"""Which huge pages of a memslot are aliased, as a pure function of (seed, gfn).

Every draw hashes the page's own number, so a smaller memslot is a prefix of a larger one, a larger
ratio keeps the aliased pages of a smaller one, and any page can be drawn again alone.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from core.arrays import NONE, Ints, changes
from core.compiled import compiled, inlined
from core.constants import HUGE_PAGES_PER_GIB, PTE_LIST_EXT, SPTES_PER_PAGE

CLUSTER: Final = 64
"""Huge pages in one cluster of `placement=clustered`: 128 MiB are aliased together, or not."""

PLACEMENTS: Final = {"uniform": 0, "clustered": 1, "periodic": 2}

ALIASED_2M, MAPPED_1G, ALIASED_1G, ROLE = (np.uint64(stream) for stream in range(1, 5))
"""Streams of draws, one for each question that is asked of a page."""

_ONE: Final = 2**64 - 1


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


def threshold(ratio: float) -> np.uint64:
    """The uint64 below which a hash counts as drawn; all ones means always."""
    return np.uint64(_ONE if ratio >= 1 else int(ratio * 2.0**64))


@inlined
def mix(key: Any) -> Any:
    """Finaliser of a counter-based generator: a bijection of uint64 (constants of splitmix64)."""
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


@inlined
def stream_key(seed: Any, stream: Any) -> Any:
    """Start of one stream of draws; add a page number and `mix` to draw for that page."""
    return mix(mix(seed + np.uint64(0x9E3779B97F4A7C15)) + stream * np.uint64(0xD1B54A32D192ED03))


@inlined
def _is_drawn(key, page, limit, placement):  # type: ignore[no-untyped-def]
    if placement == 2:
        return (page + np.uint64(1)) * limit < limit
    if placement == 1:
        page = page // np.uint64(CLUSTER)
    return mix(key + page) < limit


@compiled
def _draw(seed, stream, first, last, limit, placement, room):  # type: ignore[no-untyped-def]
    """Numbers in [first, last) that are drawn, ascending: (int64 array, count).

    A block of draws has no step that waits for another, so they are made side by side. Then every
    number is stored and kept only if drawn: a branch would be mispredicted. Stops early,
    with a count above `room`, when the array might overflow.
    """
    found = np.empty(room + CLUSTER, np.int64)
    hit = np.empty(CLUSTER, np.int64)
    count = 0
    key = stream_key(seed, stream)
    for start in range(first, last, CLUSTER):
        if count > room:
            break
        for i in range(CLUSTER):
            hit[i] = _is_drawn(key, np.uint64(start + i), limit, placement)
        for i in range(min(CLUSTER, last - start)):
            found[count] = start + i
            count += hit[i]
    return found, count


def drawn(
    seed: int, stream: np.uint64, first: int, last: int, ratio: float, placement: str = "uniform"
) -> Ints:
    """Page numbers in [first, last) that a share `ratio` of draws picks.

    Returns a sorted int64 array. O(last - first) time, memory for the pages picked alone.
    """
    if ratio <= 0:
        return NONE
    if ratio >= 1:
        return np.arange(first, last, dtype=np.int64)
    span = last - first
    room = min(span, int(span * ratio + 8 * np.sqrt(span * ratio) + CLUSTER * 16))
    args = (np.uint64(seed), stream, first, last, threshold(ratio), PLACEMENTS[placement])
    found, count = _draw(*args, room)
    if count > room:
        found, count = _draw(*args, span)
    return np.asarray(found[:count])


def role_draws(workload: Workload) -> tuple[np.uint64, np.uint64]:
    """Key and limit of the draws that decide which aliases have a role of their own."""
    key = np.uint64(stream_key(np.uint64(workload.seed), ROLE))
    return key, threshold(workload.distinct_role_ratio)


@inlined
def is_own(key, page, alias, limit):  # type: ignore[no-untyped-def]
    """Does this alias draw a role of its own? Alias 0 never does, the others share its role."""
    return alias > 0 and mix(key + np.uint64(page) * np.uint64(1024) + np.uint64(alias)) < limit


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
        region = HUGE_PAGES_PER_GIB * SPTES_PER_PAGE
        further: int = _further(self.aliased, self.lengths, HUGE_PAGES_PER_GIB)
        further += _further(self.block, self.block_lengths, region)
        return gib + further + int(changes(self.block // region).sum())


@compiled
def _further(page, lengths, mapped):  # type: ignore[no-untyped-def]
    """Tables of the second and later groups: where a table's longest head has n SPTEs, n - 1.

    A table maps `mapped` pages, and `page` (h,) are those of the heads, ascending.
    """
    further = 0
    table, longest = -1, 1
    for head in range(page.size):
        if page[head] // mapped != table:
            further += longest - 1
            table, longest = page[head] // mapped, 1
        longest = max(longest, lengths[head])
    return further + longest - 1


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
