"""The huge pages of a scenario as patterns: equal pages are found by sorting, not one by one.

A page is plain if its aliases were only ever added and nothing lies above or below it. All others
are set up one SPTE at a time, as `core.scenario.shadow` does it, and then described by `HugePage`.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np

from core.arrays import Bools, Ints
from core.constants import SPTES_PER_PAGE
from core.scenario.pages import SINGLE, Children, HugePage, Role, fresh_page
from core.scenario.pte_list import PteList
from core.scenario.shadow import INDEX_BITS, ShadowMmu, ShadowPage, Sptes


def special_rows(sptes: Sptes) -> Bools:
    """Which operations concern a page that is not plain."""
    top = sptes.level + sptes.direct
    inner = (sptes.level == 1) | (sptes.access == 0) | (sptes.direct > 0)
    below_1g = np.isin(sptes.gfn >> 18, np.unique(sptes.gfn[top == 3] >> 18))
    return below_1g | np.isin(sptes.gfn >> 9, np.unique(sptes.gfn[inner] >> 9))


def plain_pages(
    sptes: Sptes, invalid: frozenset[int], kernel: str, ext: int
) -> tuple[Ints, Ints, list[HugePage]]:
    """Of 2M SPTEs that were only added: (gfn >> 9 ascending, number of its pattern, patterns)."""
    order = np.argsort(sptes.gfn, kind="stable")
    index, starts, lengths = np.unique(sptes.gfn[order] >> 9, return_index=True, return_counts=True)
    bad = np.isin(sptes.sp, list(invalid)).astype(np.int64)
    code = (sptes.access | sptes.rb << 3 | bad << 8)[order]
    node = np.zeros(len(index), np.int64)
    named = 1
    for depth in range(int(lengths.max(initial=0))):
        longer = np.flatnonzero(lengths > depth)
        key = node[longer] << 9 | code[starts[longer] + depth]
        distinct, number = np.unique(key, return_inverse=True)
        node[longer] = named + number
        named += len(distinct)
    _, first, pattern = np.unique(node, return_index=True, return_inverse=True)
    codes = (code[starts[i] : starts[i] + lengths[i]].tolist() for i in first)
    roles = ([None if each >> 8 else (each & 7, each >> 3) for each in page] for page in codes)
    return index, pattern, [fresh_page(tuple(page), kernel, ext) for page in roles]


class SpecialPages:
    """Huge pages with 1G pages above, 4K pages below, holes, or shadow pages already there."""

    def __init__(self, mmu: ShadowMmu) -> None:
        self.mmu = mmu
        self.above: dict[int, list[ShadowPage]] = {}  # by 1G page: what its splits made or found
        self.default: dict[int, HugePage] = {}  # by 1G page: its 2M pages that nothing else maps

    def indices(self, level: int) -> Ints:
        """gfn >> 9 * (level - 1) of all pages that may have an SPTE of that level, ascending."""
        found = set(chain(*self.mmu.rmaps[level].own.values()))
        for index in chain(*self.mmu.rmaps[3].own.values()) if level == 2 else ():
            found.update(range(index << INDEX_BITS, index + 1 << INDEX_BITS))
        return np.array(sorted(found), np.int64)

    def split_1g(self, index: int, roles: Sequence[Role]) -> None:
        """Note that these aliases of a 1G page were split."""
        where = (index << 2 * INDEX_BITS, 2)
        self.above[index] = [
            self.mmu.find_direct(*where, *role) or self.mmu.make_direct(*where, *role)
            for role in dict.fromkeys(roles)
        ]

    def page(self, level: int, index: int) -> HugePage:
        """The page as it is now; of 2M pages this holds once their 1G page has been split."""
        if level == 3:
            return self._describe(level, index, ())
        rmaps, region = self.mmu.rmaps, index >> INDEX_BITS
        above = self.above.get(region, ())
        below = (self.mmu.find_direct(index << INDEX_BITS, 1, p.access, p.rb) for p in above)
        if index in rmaps[2].own.get(region, ()) or index in rmaps[1].own or any(below):
            return self._describe(level, index, above)
        if region not in self.default:
            self.default[region] = self._describe(level, index, above)
        return self.default[region]

    def _describe(self, level: int, index: int, above: Sequence[ShadowPage]) -> HugePage:
        gfn, slot = index << INDEX_BITS * (level - 1), index % SPTES_PER_PAGE
        own = self.mmu.rmaps[level].own.get(index >> INDEX_BITS, {})
        head = own.get(index, self.mmu.kind()).copy()
        for page in above:
            if slot not in page.spt:
                head.add(page, self.mmu.ext)
        lists = head.descs or [[*head]]  # one entry without a descriptor stands alone
        descs = tuple(tuple(_role(page, slot) for page in desc) for desc in lists)
        roles = dict.fromkeys(filter(None, chain(*descs)))
        below = {role: self.mmu.find_direct(gfn, level - 1, *role) for role in roles}
        there = {role: page for role, page in below.items() if page}
        links = tuple(
            (role, len([*page.parent_ptes]), _holds_table(page)) for role, page in there.items()
        )
        return HugePage(descs, head.descs is None, links, self._children(level - 1, index, there))

    def _children(
        self, level: int, region: int, pages: dict[Role, ShadowPage]
    ) -> tuple[Children, ...]:
        own = self.mmu.rmaps[level].own.get(region, {})
        slots = {index % SPTES_PER_PAGE for index in own}
        slots.update(*(page.spt for page in pages.values()))
        classes: Counter[tuple[tuple[int, ...], frozenset[Role]]] = Counter()
        for slot in slots:
            present = frozenset(role for role, page in pages.items() if slot in page.spt)
            classes[_fills(own.get((region << INDEX_BITS) + slot)), present] += 1
        if len(slots) < SPTES_PER_PAGE:
            classes[(), frozenset()] += SPTES_PER_PAGE - len(slots)
        return tuple(Children(*alike, number) for alike, number in classes.items())


def _role(page: ShadowPage, slot: int) -> Role | None:
    """The role of an SPTE in `page`, or None if the page is invalid."""
    access = page.spt.get(slot, page.access)
    assert isinstance(access, int)
    return None if page.invalid else (access, page.rb)


def _holds_table(page: ShadowPage) -> bool:
    return any(isinstance(entry, ShadowPage) for entry in page.spt.values())


def _fills(head: PteList | None) -> tuple[int, ...]:
    if not head:
        return ()
    return SINGLE if head.descs is None else tuple(map(len, head.descs))
