"""Reverse-map lists of the reference machine: literal pte_list_descs, one entry at a time.

arch/x86/kvm/mmu/mmu.c: pte_list_add(), pte_list_remove(), pte_list_desc_remove_entry(). A list with
one entry points straight at it. The second entry makes a descriptor, which then stays until empty.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Final


class PteList:
    """rmap_head or parent_ptes of 6.12: only the head descriptor may be partly filled."""

    __slots__ = ("descs", "single")

    def __init__(self) -> None:
        self.single: Any = None
        self.descs: list[list[Any]] | None = None  # from the head

    def __bool__(self) -> bool:
        return self.single is not None or self.descs is not None

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.descs or [[self.single]] if self else ())

    def copy(self) -> "PteList":
        """An equal list that changes on its own."""
        twin = type(self)()
        twin.single = self.single
        twin.descs = self.descs and [desc.copy() for desc in self.descs]
        return twin

    def add(self, entry: Any, ext: int) -> tuple[int, int]:
        """pte_list_add(). Returns (entries counted before the add, descriptors taken)."""
        if self.descs is not None:
            return self._add_to_descs(self.descs, entry, ext)
        if self.single is None:
            self.single = entry
            return 0, 0
        self.descs, self.single = [[self.single, entry]], None
        return 1, 1

    def _add_to_descs(self, descs: list[list[Any]], entry: Any, ext: int) -> tuple[int, int]:
        count = sum(map(len, descs))
        if len(descs[0]) == ext:
            descs.insert(0, [entry])
            return count, 1
        descs[0].append(entry)
        return count, 0

    def remove(self, entry: Any) -> int:
        """pte_list_remove(). Returns the descriptors freed, 0 or 1."""
        if self.descs is None:
            self.single = None
            return 0
        at = next(at for at, desc in enumerate(self.descs) if entry in desc)
        desc, donor = self.descs[at], self._donor(at)
        desc[desc.index(entry)] = self.descs[donor][-1]
        self.descs[donor].pop()
        if self.descs[donor]:
            return 0
        del self.descs[donor]
        self.descs = self.descs or None
        return 1

    def _donor(self, at: int) -> int:
        """The descriptor whose last entry takes the place of one removed from descriptor `at`."""
        return 0


class PteListV61(PteList):
    """The lists of 6.1: any descriptor may have room, the first one that has takes the entry."""

    __slots__ = ()

    def _add_to_descs(self, descs: list[list[Any]], entry: Any, ext: int) -> tuple[int, int]:
        count = 0
        for desc in descs:
            count += len(desc)
            if len(desc) < ext:
                desc.append(entry)
                return count, 0
        descs.append([entry])
        return count, 1

    def _donor(self, at: int) -> int:
        return at


LISTS: Final = {"v6_1": PteListV61, "v6_12": PteList}
