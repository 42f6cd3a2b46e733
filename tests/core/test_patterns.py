"""Derived: arithmetic in the comments; oracle: real descriptor lists, one entry at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.patterns import removal_order, takes_descriptor


def test_a_list_takes_a_descriptor_at_its_second_entry_and_whenever_all_are_full():
    assert [m for m in range(60) if takes_descriptor(m, 14)] == [1, 14, 28, 42, 56]
    assert [m for m in range(9) if takes_descriptor(m, 2)] == [1, 2, 4, 6, 8]


def test_within_one_descriptor_the_order_is_first_last_and_down():
    for kernel in ("v6_1", "v6_12"):
        assert removal_order(1, kernel, 14) == [0]
        assert removal_order(5, kernel, 14) == [0, 4, 3, 2, 1]


def test_fifteen_aliases_start_at_the_oldest_descriptor_on_6_1_and_the_newest_on_6_12():
    assert removal_order(15, "v6_1", 14) == [0, *range(13, 0, -1), 14]
    assert removal_order(15, "v6_12", 14) == [14, 0, *range(13, 0, -1)]


class Rmap:
    """A literal descriptor list: [[newest or oldest], ...] from the head, or a single entry."""

    def __init__(self, kernel, ext):
        self.kernel, self.ext, self.single, self.descs = kernel, ext, None, []

    def add(self, entry):
        if self.single is None and not self.descs:
            self.single = entry
        elif not self.descs:
            self.descs, self.single = [[self.single, entry]], None
        elif self.kernel == "v6_1":
            for desc in self.descs:
                if len(desc) < self.ext:
                    return desc.append(entry)
            self.descs.append([entry])
        elif len(self.descs[0]) == self.ext:
            self.descs.insert(0, [entry])
        else:
            self.descs[0].append(entry)
        return None

    def pop(self):
        """Remove the entry that iteration meets first, and return it."""
        if not self.descs:
            entry, self.single = self.single, None
            return entry
        head = self.descs[0]
        entry, head[0] = head[0], head[-1]
        head.pop()
        if not head:
            self.descs.pop(0)
        return entry


@pytest.mark.parametrize("kernel", ["v6_1", "v6_12"])
@given(entries=st.integers(1, 70), ext=st.integers(2, 15))
def test_the_order_equals_that_of_a_literal_list(kernel, entries, ext):
    rmap = Rmap(kernel, ext)
    for entry in range(entries):
        rmap.add(entry)
    assert removal_order(entries, kernel, ext) == [rmap.pop() for _ in range(entries)]
