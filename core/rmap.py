"""Reverse-map lists (rmaps, parent_ptes): when one takes a descriptor, in what order it empties.

Mirrors pte_list_add() and pte_list_remove() in arch/x86/kvm/mmu/mmu.c.
"""

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, inline="always")
def needs_desc(entries: int, ext: int) -> bool:
    """Does adding to a list of `entries` SPTEs take a pte_list_desc?

    The second entry turns a lone pointer into a descriptor; later ones do when all are full. Exact
    for lists that only grow, and on 6.12 for all lists.
    """
    return entries == 1 or (entries >= ext and entries % ext == 0)


@cache
def split_order(entries: int, ext: int, newest_first: bool) -> NDArray[np.int64]:
    """Order in which the splitter takes the entries 0, 1, ... of one rmap, as (entries,) int64.

    It always takes entry 0 of the head descriptor, whose place the last entry of that descriptor
    takes. The head is the newest descriptor (`newest_first`, 6.4 and later) or the oldest (6.1).
    """
    descs = [list(range(start, min(start + ext, entries))) for start in range(0, entries, ext)]
    if newest_first:
        descs.reverse()
    order: list[int] = []
    for desc in descs:
        order += [desc[0], *reversed(desc[1:])]
    return np.array(order, np.int64)
