"""How one huge page is split: the order of its aliases and what each split takes.

A *pattern* is the tuple of role numbers of a huge page's SPTEs in the order in which they entered
its rmap. Aliases of equal role number share one child shadow page. Patterns repeat over millions of
pages, so everything here is computed once per pattern and cached.
"""

from functools import lru_cache
from itertools import chain, pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.constants import SPTES_PER_PAGE

Pattern = tuple[int, ...]
KERNELS: Final = ("v6_1", "v6_12")


class Splits(NamedTuple):
    """The splits of one huge page, in the order in which they happen. All arrays have shape (n,).

    `order` (int32) is the position in the pattern, `desc` (int32) the pte_list_descs taken from the
    split cache, `created` (bool) whether a shadow page was made, `freed` (int32) the descriptors
    that the huge page's own rmap gave back.
    """

    order: NDArray[np.int32]
    desc: NDArray[np.int32]
    created: NDArray[np.bool_]
    freed: NDArray[np.int32]


def takes_descriptor(entries: int, ext: int) -> bool:
    """Whether adding to a list that already holds `entries` SPTEs takes a pte_list_desc.

    pte_list_add() in mmu.c. Exact for lists that only grew, on both kernels; from 6.4 on for all.
    """
    return entries == 1 or (entries >= ext and entries % ext == 0)


def removal_order(entries: int, kernel: str, ext: int) -> list[int]:
    """Positions of a list of `entries` SPTEs in the order in which a split takes them.

    The walker starts again from the head descriptor after each split, and a removed entry's place
    is taken by a last one: 0, last, ..., 1 within a descriptor. 6.1 keeps the oldest descriptor at
    the head, 6.12 the newest (pte_list_desc_remove_entry() in mmu.c). The list must be fresh:
    nothing was removed from it before.
    """
    full = [range(start, min(start + ext, entries)) for start in range(0, entries, ext)]
    ordered = full if kernel == "v6_1" else full[::-1]
    return list(chain.from_iterable((each[0], *each[:0:-1]) for each in ordered))


@lru_cache(maxsize=1 << 16)
def split_sequence(
    roles: Pattern, kernel: str, ext: int, occupied: int = 0, children: int = SPTES_PER_PAGE
) -> Splits:
    """What splitting every alias of one fresh huge page takes, 2M or 1G.

    Parameters
    ----------
    roles
        One role number an alias, in rmap order. No child shadow page exists yet.
    kernel, ext
        `v6_1` or `v6_12`; PTE_LIST_EXT.
    occupied
        SPTEs that each child gfn's rmap holds already (4K or 2M mappings of the same memory).
    children
        Child gfns that a new shadow page maps: 512, or fewer if some entries were present before.

    Notes
    -----
    shadow_mmu_split_huge_page() in mmu.c: a new shadow page adds an entry to each child's rmap and
    gets its first parent for nothing; a found one has all its entries and only gains a parent.
    After a 1G page the 2M rmaps hold `occupied` entries and then `new_roles()` of this pattern.
    """
    order = removal_order(len(roles), kernel, ext)
    parents: dict[int, int] = {}
    desc, created = [], []
    for position in order:
        role = roles[position]
        links = parents.get(role, 0)
        filled = occupied + len(parents)
        new = links == 0
        desc.append(
            children * takes_descriptor(filled, ext) if new else takes_descriptor(links, ext)
        )
        created.append(new)
        parents[role] = links + 1
    return Splits(
        np.array(order, np.int32),
        np.array(desc, np.int32),
        np.array(created, np.bool_),
        np.array(_freed(len(roles), order, ext), np.int32),
    )


def _freed(entries: int, order: list[int], ext: int) -> list[int]:
    """1 where a removal empties a descriptor; a list that never had two entries has none."""
    if entries < 2:
        return [0] * entries
    bounds = [a // ext != b // ext for a, b in pairwise(order)]
    return [int(bound) for bound in (*bounds, True)]


def new_roles(roles: Pattern, kernel: str, ext: int) -> Pattern:
    """The roles that a split 1G page leaves in each of its 2M rmaps, in rmap order."""
    splits = split_sequence(roles, kernel, ext)
    return tuple(roles[i] for i in splits.order[splits.created])
