"""The huge pages of a scenario as patterns: equal pages are found by sorting, not one by one.

A page is plain if its aliases were only ever added and nothing lies above or below it. All others
are set up one SPTE at a time, as `core.scenario.shadow` does it, and then described by `HugePage`.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np

from core.arrays import NONE, Bools, Ints
from core.constants import SPTES_PER_PAGE
from core.scenario import Scenario
from core.scenario.pages import SINGLE, Children, HugePage, PageSplits, Role, fresh_page, split_page
from core.scenario.pte_list import PteList
from core.scenario.shadow import INDEX_BITS, ShadowMmu, ShadowPage, Sptes


class Heads:
    """The huge pages of a scenario that an rmap may lead to; `patterns` are those that differ."""

    def __init__(self, scenario: Scenario, kernel: str) -> None:
        self.sptes, self.kernel, self.ext = scenario.sptes, kernel, scenario.pte_list_ext
        rows = _special_rows(self.sptes)
        special, self.plain = (
            Sptes(*(column[part] for column in self.sptes)) for part in (rows, ~rows)
        )
        self.mmu = ShadowMmu(special, kernel, self.ext, scenario.invalid_sps)
        self.invalid = scenario.invalid_sps
        self.patterns: list[PageSplits] = []
        self.numbers: dict[HugePage, int] = {}
        self.above: dict[int, list[ShadowPage]] = {}  # by 1G page: what its splits made or found
        self.default: dict[int, int] = {}  # by 1G page: pattern of 2M pages that nothing else maps

    def start(self) -> dict[str, int]:
        """What exists before the first split."""
        sptes, mmu = self.sptes, self.mmu
        top = sptes.level + sptes.direct
        key = np.stack((sptes.sp, sptes.rb, top, sptes.gfn >> INDEX_BITS * top))
        _, lengths = np.unique(self.plain.gfn, return_counts=True)
        descs = -(-lengths[lengths > 1] // self.ext)
        return {
            "n_used": np.unique(key, axis=1).shape[1] + len(mmu.direct),
            "desc_live": int(descs.sum()) + mmu.desc_live,
            "longest": max(int(lengths.max(initial=1)) - 1, mmu.max_mmu_rmap_size),
            "pages_4k": mmu.pages[1],
            "pages_2m": len(self.plain.gfn) + mmu.pages[2],
            "pages_1g": mmu.pages[3],
        }

    def of_level(self, level: int) -> tuple[Ints, Ints, Ints]:
        """Of each page: (gfn >> 9 * (level - 1) ascending, its pattern, SPTEs split so far: 0).

        The pattern of a page that is not plain is -1 here, for `pattern` to tell when it is met.
        """
        index, pattern = self._plain() if level == 2 else (NONE, NONE)
        special = set(chain(*self.mmu.rmaps[level].own.values()))
        for giant in chain(*self.mmu.rmaps[3].own.values()) if level == 2 else ():
            special.update(range(giant << INDEX_BITS, giant + 1 << INDEX_BITS))
        index = np.concatenate((index, np.array([*special], np.int64)))
        pattern = np.concatenate((pattern, np.full(len(special), -1)))
        order = np.argsort(index)
        return index[order], pattern[order], np.zeros_like(index)

    def _plain(self) -> tuple[Ints, Ints]:
        """Of 2M SPTEs that were only added: gfn >> 9, and the number of its pattern."""
        sptes = self.plain
        order = np.argsort(sptes.gfn, kind="stable")
        index, starts, lengths = np.unique(
            sptes.gfn[order] >> 9, return_index=True, return_counts=True
        )
        bad = np.isin(sptes.sp, list(self.invalid)).astype(np.int64)
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
        pages = [fresh_page(tuple(page), self.kernel, self.ext) for page in roles]
        return index, np.array([self._number(page) for page in pages], np.int64)[pattern]

    def _number(self, page: HugePage) -> int:
        if page not in self.numbers:
            self.numbers[page] = len(self.patterns)
            self.patterns.append(split_page(page, self.kernel, self.ext))
        return self.numbers[page]

    def split_1g(self, index: int, roles: Sequence[Role]) -> None:
        """Note that these aliases of a 1G page were split."""
        where = (index << 2 * INDEX_BITS, 2)
        self.above[index] = [
            self.mmu.find_direct(*where, *role) or self.mmu.make_direct(*where, *role)
            for role in dict.fromkeys(roles)
        ]

    def pattern(self, level: int, index: int) -> int:
        """Pattern of a page as it is now: of a 2M page, once its 1G page has been split."""
        if level == 3:
            return self._number(self._describe(level, index, ()))
        rmaps, region = self.mmu.rmaps, index >> INDEX_BITS
        above = self.above.get(region, ())
        below = (self.mmu.find_direct(index << INDEX_BITS, 1, p.access, p.rb) for p in above)
        if index in rmaps[2].own.get(region, ()) or index in rmaps[1].own or any(below):
            return self._number(self._describe(level, index, above))
        if region not in self.default:
            self.default[region] = self._number(self._describe(level, index, above))
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


def _special_rows(sptes: Sptes) -> Bools:
    """Which operations concern a page that is not plain."""
    top = sptes.level + sptes.direct
    inner = (sptes.level == 1) | (sptes.access == 0) | (sptes.direct > 0)
    below_1g = np.isin(sptes.gfn >> 18, np.unique(sptes.gfn[top == 3] >> 18))
    return below_1g | np.isin(sptes.gfn >> 9, np.unique(sptes.gfn[inner] >> 9))


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
