"""Two rules of SPTE lists: which entry takes a descriptor, and the order of removals."""

from itertools import chain
from typing import Final

KERNELS: Final = ("v6_1", "v6_12")


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
