"""What splitting one huge page takes, by counting: any list of aliases, any state below it.

Lists below the page are held as *fills* (entries of each descriptor, from the head) and counted by
class: children with equal fills that are present in the same shadow pages differ in nothing.
"""

from collections import Counter
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
    """A class of child gfns: their list, and the roles whose shadow page maps them already."""

    fills: Fills
    present: frozenset[Role]
    tables: frozenset[Role]  # of these, by a table instead of a leaf


FRESH = Children((), frozenset(), frozenset())


class HugePage(NamedTuple):
    """A huge page before the first split of one of its aliases.

    `head` are its rmap's descriptors from the head; None stands for an SPTE in an invalid shadow
    page. `single` says that the one entry has no descriptor. `links` are the child shadow pages
    that exist, with the number of their parents.
    """

    head: tuple[tuple[Role | None, ...], ...]
    single: bool
    links: tuple[tuple[Role, int], ...] = ()
    children: tuple[tuple[Children, int], ...] = ((FRESH, SPTES_PER_PAGE),)


class PageSplits(NamedTuple):
    """One row a split, in order. `counts` is int64 of shape (n, 6), columns as in COLUMNS."""

    roles: tuple[Role, ...]
    counts: Ints


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
    links = dict(page.links)
    classes = Counter(dict(page.children))
    roles, rows = [], []
    for role, freed in _walk(page, kernel):
        row = [0] * len(COLUMNS)
        row[CREATED] = role not in links
        row[FLUSH] = any(role in children.tables for children in classes)
        row[FREED] = freed
        classes = _map_children(classes, role, row, kernel, ext)
        row[DESC] += takes_descriptor(links.get(role, 0), ext)
        links[role] = links.get(role, 0) + 1
        roles.append(role)
        rows.append(row)
    return PageSplits(tuple(roles), np.array(rows, np.int64).reshape(-1, len(COLUMNS)))


def _walk(page: HugePage, kernel: str) -> Iterator[tuple[Role, int]]:
    """Aliases in the order in which they are split, and whether that frees a descriptor."""
    descs = [list(desc) for desc in page.head]
    while True:
        at = next(((d, i) for d, e in enumerate(descs) for i, r in enumerate(e) if r), None)
        if at is None:
            return
        role = descs[at[0]][at[1]]
        donor = at[0] if kernel == "v6_1" else 0
        descs[at[0]][at[1]] = descs[donor][-1]
        descs[donor].pop()
        emptied = not descs[donor]
        if emptied:
            del descs[donor]
        assert role is not None
        yield role, int(emptied and not page.single)


def _map_children(
    classes: Counter[Children], role: Role, row: list[int], kernel: str, ext: int
) -> Counter[Children]:
    after: Counter[Children] = Counter()
    for children, number in classes.items():
        if role in children.present:
            after[children] += number
            continue
        fills, before, taken = add_to_fills(children.fills, kernel, ext)
        row[DESC] += taken * number
        row[ADDED] += number
        row[LONGEST] = max(row[LONGEST], before)
        after[Children(fills, children.present | {role}, children.tables)] += number
    return after


@lru_cache(maxsize=1 << 14)
def add_to_fills(fills: Fills, kernel: str, ext: int) -> tuple[Fills, int, int]:
    """pte_list_add() in mmu.c: (fills afterwards, entries counted before, descriptors taken)."""
    if fills == ():
        return SINGLE, 0, 0
    if fills == SINGLE:
        return (2,), 1, 1
    if kernel == "v6_12":
        if fills[0] == ext:
            return (1, *fills), sum(fills), 1
        return (fills[0] + 1, *fills[1:]), sum(fills), 0
    at = next((i for i, fill in enumerate(fills) if fill < ext), len(fills))
    if at == len(fills):
        return (*fills, 1), sum(fills), 1
    return (*fills[:at], fills[at] + 1, *fills[at + 1 :]), sum(fills[: at + 1]), 0
