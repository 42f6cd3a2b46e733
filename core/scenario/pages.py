"""What splitting one huge page takes, by counting: any list of aliases, any state below it.

Lists below the page are held as *fills* (entries of each descriptor, from the head) and counted by
class: children with equal fills that are present in the same shadow pages differ in nothing.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from core.arrays import Ints
from core.constants import SPTES_PER_PAGE
from core.patterns import takes_descriptor

Role = tuple[int, int]  # access, other role bits
Fills = tuple[int, ...]
SINGLE: Fills = (-1,)
"""A list with one entry and no descriptor."""


class Children(NamedTuple):
    """A class of child gfns: their list, the roles whose shadow page maps them, how many."""

    fills: Fills
    present: frozenset[Role]
    number: int


class HugePage(NamedTuple):
    """A huge page before the first split of one of its aliases.

    `head` are its rmap's descriptors from the head; None stands for an SPTE in an invalid shadow
    page. `single` says that the one entry has no descriptor. `links` are the roles whose shadow
    page below exists, each with the number of its parents and whether it points to a table.
    """

    head: tuple[tuple[Role | None, ...], ...]
    single: bool
    links: tuple[tuple[Role, int, bool], ...] = ()
    children: tuple[Children, ...] = (Children((), frozenset(), SPTES_PER_PAGE),)


class PageSplits(NamedTuple):
    """The splits of one huge page in order: role, and a row of `counts`, (n, 6) as in COLUMNS."""

    roles: tuple[Role, ...]
    counts: Ints
    stuck: int  # SPTEs in invalid shadow pages: never split, but the rmap is not empty


COLUMNS = ("desc", "created", "flush", "freed", "added", "longest")
DESC, CREATED, FLUSH, FREED, ADDED, LONGEST = range(6)


def fresh_page(roles: tuple[Role | None, ...], kernel: str, ext: int) -> HugePage:
    """A page whose aliases were only ever added, in that order, with nothing below."""
    descs = [roles[at : at + ext] for at in range(0, len(roles), ext)]
    return HugePage(tuple(descs if kernel == "v6_1" else descs[::-1]), len(roles) == 1)


@lru_cache(maxsize=1 << 14)
def split_page(page: HugePage, kernel: str, ext: int) -> PageSplits:
    """Split every alias that can be split. `kernel` is `v6_1` or `v6_12`.

    `counts` columns: descriptors taken, shadow pages made (0 or 1), whether a found page held a
    table, descriptors that the huge page's list gave back, SPTEs added below, and the longest list
    before an add (0 if none). shadow_mmu_split_huge_page() in mmu.c.
    """
    parents = {role: number for role, number, _ in page.links}
    tables = {role for role, _, table in page.links if table}
    children = list(page.children)
    roles, rows = [], []
    for role, freed in _walk(page, kernel):
        desc = int(takes_descriptor(parents.get(role, 0), ext))
        added = longest = 0
        for at, (fills, present, number) in enumerate(children):
            if role not in present:
                after, before, taken = _add_to_fills(fills, kernel, ext)
                children[at] = Children(after, present | {role}, number)
                desc += taken * number
                added += number
                longest = max(longest, before)
        rows.append((desc, role not in parents, role in tables, freed, added, longest))
        parents[role] = parents.get(role, 0) + 1
        roles.append(role)
    counts = np.array(rows, np.int64).reshape(-1, len(COLUMNS))
    return PageSplits(tuple(roles), counts, sum(map(len, page.head)) - len(roles))


def _walk(page: HugePage, kernel: str) -> Iterator[tuple[Role, int]]:
    """Aliases in the order in which they are split, and how many descriptors each gives back."""
    descs = [list(desc) for desc in page.head]
    while first := next(((desc, role) for desc in descs for role in desc if role), None):
        desc, role = first
        donor = desc if kernel == "v6_1" else descs[0]
        desc[desc.index(role)] = donor[-1]
        donor.pop()
        if not donor:
            descs.remove(donor)
        yield role, int(not donor and not page.single)


@lru_cache(maxsize=1 << 14)
def _add_to_fills(fills: Fills, kernel: str, ext: int) -> tuple[Fills, int, int]:
    """pte_list_add() in mmu.c: (fills afterwards, entries counted before, descriptors taken)."""
    if fills in ((), SINGLE):
        return ((2,), 1, 1) if fills else (SINGLE, 0, 0)
    at = next((at for at, fill in enumerate(fills) if fill < ext), None)  # 6.12: the head or none
    if at is None:
        return (*fills, 1) if kernel == "v6_1" else (1, *fills), sum(fills), 1
    counted = fills[: at + 1] if kernel == "v6_1" else fills
    return (*fills[:at], fills[at] + 1, *fills[at + 1 :]), sum(counted), 0
