"""What the model's arrays have in common: types, running sums, where rows change, one search."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.compiled import compiled

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

NONE: Final[Ints] = np.empty(0, np.int64)


def running(values: Ints) -> Ints:
    """(n + 1,) int64: the sum of `values` before each of them, and of all."""
    sums = np.empty(values.size + 1, np.int64)
    sums[0] = 0
    np.cumsum(values, out=sums[1:])
    return sums


def changes(*columns: NDArray[Any]) -> Bools:
    """(n,): which rows differ from the row before; the first row does."""
    changed = np.zeros(columns[0].size, np.bool_)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return changed


@compiled
def first_from(ascending, start, bound):  # type: ignore[no-untyped-def]
    """Index of the first element from `start` on that is at least `bound`: a galloping search, so
    a walk along many bounds costs little where they lie close and little where they lie apart."""
    low, step = start, 1
    while low + step <= ascending.size and ascending[low + step - 1] < bound:
        low += step
        step *= 2
    high = min(low + step - 1, ascending.size)
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low
