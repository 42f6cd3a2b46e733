"""Derived: holds of mmu_lock counted by hand. Oracle: searches and ranks against numpy's."""

import numpy as np
import pytest

from core.arrays import first_from
from core.demand import Stream
from core.hold import hold_quantiles, hold_times

# A split, what a reuse saves, a descriptor, a flush.
HELD = np.array([100.0, 30.0, 7.0, 1000.0])


NONE = np.empty(0, np.int64)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_a_search_finds_what_numpy_finds_from_any_start() -> None:
    rng = np.random.default_rng(1)
    for size in (0, 1, 2, 3, 7, 8, 40):
        ascending = np.sort(rng.integers(0, 50, size))
        for bound in range(-1, 52):
            wanted = int(np.searchsorted(ascending, bound))
            starts = range(wanted + 1)
            assert [first_from(ascending, start, bound) for start in starts] == [
                wanted for _ in starts
            ]


def test_a_hold_counts_its_splits_reuses_descriptors_and_flushes() -> None:
    # 10 splits; dropped before 0 and 4, the caller lets go before 6; 5 and 9 reuse, 1, 4 and 9 take
    # 2, 3 and 4 descriptors, 6 flushes.
    stream = Stream(ints(1, 4, 9), ints(0, 2, 5, 9), ints(5, 9), ints(6), NONE, 10, 10)
    holds = hold_times(stream, ints(0, 4), ints(6), HELD)
    assert holds.tolist() == [
        4 * 100 + 2 * 7,
        2 * 100 - 30 + 3 * 7,
        4 * 100 - 30 + 4 * 7 + 1000,
    ]


@pytest.mark.parametrize(("drops", "breaks"), [((3,), (3,)), ((3,), (3, 3)), ((), (3, 3))])
def test_a_drop_where_the_caller_lets_go_anyway_ends_one_hold(
    drops: tuple[int, ...], breaks: tuple[int, ...]
) -> None:
    stream = Stream(NONE, ints(0), NONE, NONE, NONE, 5, 5)
    holds = hold_times(stream, ints(*drops), ints(*breaks), HELD)
    assert holds.tolist() == [300, 200]


def test_nothing_split_is_no_hold() -> None:
    nothing = Stream(NONE, ints(0), NONE, NONE, NONE, 0, 0)
    assert hold_times(nothing, NONE, NONE, HELD).tolist() == []
    assert hold_quantiles(np.empty(0)).tolist() == [0, 0, 0]


def test_quantiles_are_nearest_ranks() -> None:
    # The k-th smallest of n holds of 1 .. n ns is k; rank ceil(n / 2), ceil(99 n / 100) and n.
    rng = np.random.default_rng(2)
    for n in (*range(1, 12), 99, 100, 101, 199, 200, 201, 1000):
        found = hold_quantiles(rng.permutation(np.arange(1.0, n + 1)))
        assert found.tolist() == [-(-n // 2), -(-99 * n // 100), n]
