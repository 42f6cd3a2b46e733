"""The huge pages of a scenario as patterns: equal pages are found by sorting, not one by one.

A page is plain if its aliases were only ever added and nothing lies above or below it. All others
are set up one SPTE at a time, as `core.scenario.shadow` does it, and then described by `HugePage`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from core.arrays import Bools, Ints
from core.constants import SPTES_PER_PAGE
from core.scenario import Scenario
from core.scenario.pages import FRESH, SINGLE, Children, HugePage, PageSplits, Role, fresh_page
from core.scenario.pte_list import PteList
from core.scenario.shadow import INDEX_BITS, ShadowMmu, ShadowPage
from core.scenario.sptes import Sptes


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
    pages = [fresh_page(tuple(map(_role, each)), kernel, ext) for each in codes]
    return index, pattern.astype(np.int64), pages


def _role(code: int) -> Role | None:
    return None if code >> 8 else (code & 7, code >> 3 & 31)


class SpecialPages:
    """Huge pages with 1G pages above, 4K pages below, holes, or shadow pages already there."""

    def __init__(self, scenario: Scenario, rows: Bools, kernel: str) -> None:
        part = Sptes(*(column[rows] for column in scenario.sptes))
        self.mmu = ShadowMmu(replace(scenario, sptes=part), kernel)
        self.ext = scenario.pte_list_ext
        self.default: dict[int, HugePage] = {}  # of 2M pages under a split 1G page, by 1G page
        self.split_roles: dict[int, tuple[Role, ...]] = {}  # of each 1G page, in split order

    def indices(self, level: int) -> Ints:
        """gfn >> 9 * (level - 1) of all pages that may have an SPTE of that level, ascending."""
        found = set(self.mmu.rmaps[level].own)
        if level == 2:
            for index in self.mmu.rmaps[3].own:
                found.update(range(index << INDEX_BITS, index + 1 << INDEX_BITS))
        return np.array(sorted(found), np.int64)

    def split_1g(self, index: int, splits: PageSplits, done: int) -> None:
        """Note that the first `done` aliases of a 1G page were split."""
        self.split_roles[index] = splits.roles[:done]
        self.default.pop(index, None)

    def page(self, level: int, index: int) -> HugePage:
        """The page as it is now; of 2M pages this holds once their 1G page has been split."""
        region = index >> INDEX_BITS
        roles = self.split_roles.get(region, ()) if level == 2 else ()
        touched = index in self.mmu.rmaps[2].own or index in self.mmu.rmaps[1].alone
        gfn = index << INDEX_BITS
        if not roles or touched or any(self.mmu.find_direct(gfn, 1, *role) for role in roles):
            return self._describe(level, index, roles)
        if region not in self.default:
            self.default[region] = self._describe(level, index, roles)
        return self.default[region]

    def _describe(self, level: int, index: int, above: Iterable[Role]) -> HugePage:
        gfn, slot = index << INDEX_BITS * (level - 1), index % SPTES_PER_PAGE
        head = self.mmu.rmaps[level].own.get(index)
        found = head.copy() if head else self.mmu.kind()
        for role in dict.fromkeys(above):
            page = self.mmu.find_direct(gfn, 2, *role)
            if page is None or slot not in page.spt:
                found.add(role, self.ext)
        descs = [[found.single]] if found.single is not None else found.descs or []
        roles = tuple(tuple(_role_of(entry, slot) for entry in desc) for desc in descs)
        distinct = dict.fromkeys(role for desc in roles for role in desc if role is not None)
        pages = {role: self.mmu.find_direct(gfn, level - 1, *role) for role in distinct}
        there = {role: page for role, page in pages.items() if page is not None}
        links = tuple((role, sum(1 for _ in page.parent_ptes)) for role, page in there.items())
        children = self._children(level - 1, index, there)
        return HugePage(roles, found.single is not None, links, children)

    def _children(
        self, level: int, region: int, pages: dict[Role, ShadowPage]
    ) -> tuple[tuple[Children, int], ...]:
        rmaps = self.mmu.rmaps[level]
        slots = {index % SPTES_PER_PAGE for index in rmaps.alone.get(region, ())}
        slots.update(*(page.spt for page in pages.values()))
        classes: Counter[Children] = Counter()
        for slot in slots:
            head = rmaps.own.get((region << INDEX_BITS) + slot)
            present = {role: page.spt[slot] for role, page in pages.items() if slot in page.spt}
            tables = (role for role, entry in present.items() if isinstance(entry, ShadowPage))
            classes[Children(_fills(head), frozenset(present), frozenset(tables))] += 1
        if len(slots) < SPTES_PER_PAGE:
            classes[FRESH] += SPTES_PER_PAGE - len(slots)
        return tuple(classes.items())


def _role_of(entry: "ShadowPage | Role", slot: int) -> Role | None:
    if isinstance(entry, tuple):
        return entry
    access = entry.spt.get(slot, entry.access)
    assert isinstance(access, int)
    return None if entry.invalid else (access, entry.rb)


def _fills(head: PteList | None) -> tuple[int, ...]:
    if not head:
        return ()
    return SINGLE if head.descs is None else tuple(map(len, head.descs))
