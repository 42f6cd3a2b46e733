"""What the model's arrays have in common: their types, running sums, and where rows change."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

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
