"""Derived: arithmetic in the comments; oracle: real descriptor lists, one entry at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.patterns import new_roles, removal_order, split_sequence, takes_descriptor


def descriptors(pattern, kernel="v6_12", ext=14, **more):
    return split_sequence(pattern, kernel, ext, **more).desc.tolist()


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


def test_one_mapping_takes_no_descriptor_and_a_shared_one_takes_one_for_its_parent():
    assert descriptors((0,)) == [0]
    assert descriptors((0, 0)) == [0, 1]
    # 16 of one role: the 2nd parent makes a descriptor, the 15th a second one.
    assert descriptors((0,) * 16) == [0, 1] + [0] * 12 + [1, 0]


def test_every_second_and_fifteenth_role_fills_512_lists():
    # Roles 3 to 14 fit the descriptor that the 2nd role made in each of the 512 child rmaps.
    assert descriptors(tuple(range(16))) == [0, 512] + [0] * 12 + [512, 0]
    # With two pointers a descriptor: entries 1, 2, 4, 6 find none free.
    assert descriptors(tuple(range(7)), ext=2) == [0, 512, 512, 0, 512, 0, 512]


def test_sixteen_aliases_cost_what_the_two_descriptor_sizes_promise():
    # domain.md section 4: 16 same-role aliases 2 or 8, 16 roles 1024 or 4096 descriptors.
    assert [sum(descriptors((0,) * 16, ext=ext)) for ext in (14, 2)] == [2, 8]
    assert [sum(descriptors(tuple(range(16)), ext=ext)) for ext in (14, 2)] == [1024, 4096]


def test_a_4k_mapping_below_makes_the_first_view_cost_512():
    assert descriptors((0, 1), occupied=1) == [512, 0]
    assert descriptors((0,), occupied=14) == [512]
    assert descriptors((0, 0), occupied=3) == [0, 1]


def test_the_odd_role_of_fifteen_comes_at_another_time_on_each_kernel():
    # Position 14 is split last on 6.1 (2nd role: 512) and first on 6.12, where the 2nd split
    # brings the other role. The parent descriptor comes with the 2nd split of the shared role.
    pattern = (0,) * 14 + (1,)
    assert descriptors(pattern, "v6_1") == [0, 1] + [0] * 12 + [512]
    assert descriptors(pattern, "v6_12") == [0, 512, 1] + [0] * 12


def test_a_1g_page_leaves_one_2m_mapping_a_role_in_split_order():
    # 0, last, ..., 1: roles 5, 7, 5, 6.
    assert new_roles((5, 6, 5, 7), "v6_12", 14) == (5, 7, 6)


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
        """Remove the entry that iteration meets first; returns it and how many descs were freed."""
        if not self.descs:
            entry, self.single = self.single, None
            return entry, 0
        head = self.descs[0]
        entry, head[0] = head[0], head[-1]
        head.pop()
        if head:
            return entry, 0
        self.descs.pop(0)
        return entry, 1


@pytest.mark.parametrize("kernel", ["v6_1", "v6_12"])
@given(entries=st.integers(1, 70), ext=st.integers(2, 15))
def test_order_and_freed_descriptors_equal_a_literal_list(kernel, entries, ext):
    rmap = Rmap(kernel, ext)
    for entry in range(entries):
        rmap.add(entry)
    taken = [rmap.pop() for _ in range(entries)]
    splits = split_sequence((0,) * entries, kernel, ext)
    assert splits.order.tolist() == [entry for entry, _ in taken]
    assert splits.freed.tolist() == [freed for _, freed in taken]
