"""Reverse-map lists of the reference machine: literal pte_list_descs, one entry at a time.

arch/x86/kvm/mmu/mmu.c: pte_list_add(), pte_list_remove(), pte_list_desc_remove_entry(). A list with
one entry points straight at it. The second entry makes a descriptor, which then stays until empty.
"""

from collections.abc import Iterator
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
        if self.single is not None:
            yield self.single
        for desc in self.descs or ():
            yield from desc

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
        for at, desc in enumerate(self.descs):
            if entry in desc:
                return self._fill_hole(self.descs, at, desc.index(entry), self._donor(at))
        raise KeyError(entry)

    def _donor(self, at: int) -> int:
        """The descriptor whose last entry takes the place of one removed from descriptor `at`."""
        return 0

    def _fill_hole(self, descs: list[list[Any]], at: int, slot: int, donor: int) -> int:
        descs[at][slot] = descs[donor][-1]
        descs[donor].pop()
        if descs[donor]:
            return 0
        del descs[donor]
        if not descs:
            self.descs = None
        return 1


class PteListV61(PteList):
    """The lists of 6.1: any descriptor may have room, the first one that has takes the entry."""

    __slots__ = ()

    def _add_to_descs(self, descs: list[list[Any]], entry: Any, ext: int) -> tuple[int, int]:
        count = 0
        for desc in descs:
            if len(desc) < ext:
                desc.append(entry)
                return count + len(desc) - 1, 0
            count += ext
        descs.append([entry])
        return count, 1

    def _donor(self, at: int) -> int:
        return at


LISTS: Final = {"v6_1": PteListV61, "v6_12": PteList}
