"""A grid: which parameter values a point number stands for. Index arithmetic and nothing else.

A grid is a tree of `Leaf` (one point), `Axis` (one parameter, many values, one child for all of
them) and `Choice` (the options of a config group, each with a child of its own). Points are
numbered depth first, the last axis fastest, which is the order of Hydra's BasicSweeper.
"""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.parameters import BY_NAME, PARAMETERS, Value
from sweep.grid.tree import (
    Axis,
    Choice,
    Leaf,
    Node,
    blocks,
    check,
    from_json,
    hoisted,
    size,
    to_json,
    walk,
)  # fmt: skip
from sweep.grid.values import Range, Values

__all__ = ["MAX_POINTS", "Axis", "Choice", "Columns", "Grid", "Leaf", "Node", "blocks", "size"]

MAX_POINTS: Final = 2**63 - 1
"""A point number is an int64 column."""

Columns: TypeAlias = dict[str, NDArray[Any]]
Index: TypeAlias = NDArray[np.int64]


class Grid:
    """All points of a sweep, numbered from 0. Immutable; memory does not grow with its points.

    Parameters
    ----------
    root
        The tree. Every path from the root must set every parameter, or leave it to `fixed`.
    fixed
        Parameters that are the same for every point. Those that all leaves of `root` share are
        moved here, so that equal grids have equal digests.

    Raises
    ------
    ValueError
        If a parameter is missing, or there are more than `MAX_POINTS` points, or none.
    """

    def __init__(self, root: Node, fixed: Mapping[str, Value] | None = None) -> None:
        self._size = size(root)
        if not 0 < self._size <= MAX_POINTS:
            raise ValueError(
                f"the grid has {self._size:,} points: it needs at least one and at most "
                f"2^63 - 1 = {MAX_POINTS:,}, since point numbers are 64-bit integers."
            )
        shared, self.root = hoisted(root)
        values = dict(fixed or {}) | shared
        self.fixed = {p.name: p.kind(values[p.name]) for p in PARAMETERS if p.name in values}
        check(self.root, self.fixed)
        self._widths = self._string_widths()

    def __len__(self) -> int:
        return self._size

    def columns(self, first: int, last: int) -> Columns:
        """Parameters of the points `first` to `last` - 1, one array of shape (last - first,) each.

        Every parameter of `PARAMETERS` is there: int64, float64, bool or unicode, of the same
        dtype for every range. What is the same for the whole grid is a read-only view of one value.
        Raises IndexError if the range is not inside the grid.
        """
        if not 0 <= first <= last <= self._size:
            raise IndexError(f"points {first} to {last} of a grid with {self._size}")
        out = {p.name: self._column(p.name, last - first) for p in PARAMETERS}
        _fill(self.root, np.arange(first, last, dtype=np.int64), slice(None), out)
        return out

    def _column(self, name: str, rows: int) -> NDArray[Any]:
        kind = BY_NAME[name].kind
        dtype = f"U{self._widths[name]}" if kind is str else np.dtype(kind)
        if name in self.fixed:
            return np.broadcast_to(np.array(self.fixed[name], dtype), rows)
        return np.zeros(rows, dtype)

    def _string_widths(self) -> dict[str, int]:
        everywhere = [*((name, (value,)) for name, value in self.fixed.items()), *walk(self.root)]
        widths: dict[str, int] = {}
        for name, values in everywhere:
            if BY_NAME[name].kind is str:
                widths[name] = max(widths.get(name, 1), *(len(str(v)) for v in values))
        return widths

    def axes(self) -> dict[str, Values]:
        """What is swept: each parameter with more than one value anywhere, and its values.

        An axis that is the same in every block is the axis itself, so a range stays lazy; values
        that differ between blocks are joined in the order in which they first appear.
        """
        seen: dict[str, list[Values]] = {}
        for name, values in walk(self.root):
            if values not in seen.setdefault(name, []):
                seen[name].append(values)
        joined = {
            name: lists[0] if len(lists) == 1 else tuple(dict.fromkeys(v for x in lists for v in x))
            for name, lists in seen.items()
        }
        return {name: values for name, values in joined.items() if len(values) > 1}

    def blocks(self) -> int:
        """Composed configs that the grid is made of: the leaves of its tree."""
        return sum(1 for _ in blocks(self.root))

    def to_json(self) -> dict[str, Any]:
        """The whole grid as JSON: ranges stay ranges."""
        return {"fixed": self.fixed, "root": to_json(self.root)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The grid that `to_json` wrote."""
        return cls(from_json(data["root"]), data["fixed"])


def _fill(node: Node, index: Index, rows: slice | Index, out: Columns) -> None:
    """Write the parameters of points `index` of `node` into the rows `rows` of `out`."""
    if isinstance(node, Leaf):
        for name, value in node.fixed.items():
            out[name][rows] = value
    elif isinstance(node, Axis):
        which, index = np.divmod(index, size(node.child))
        out[node.name][rows] = _take(node, which, out[node.name].dtype)
        _fill(node.child, index, rows, out)
    else:
        _fill_choice(node, index, rows, out)


def _take(axis: Axis, which: Index, dtype: np.dtype[Any]) -> NDArray[Any]:
    if isinstance(axis.values, Range):
        return axis.values.take(which)
    return np.array(axis.values, dtype)[which]


def _fill_choice(node: Choice, index: Index, rows: slice | Index, out: Columns) -> None:
    ends = list(accumulate(size(child) for _, child in node.options))
    option = np.searchsorted(ends, index, side="right")
    for i in np.unique(option):
        mine = np.flatnonzero(option == i)
        below = mine if isinstance(rows, slice) else rows[mine]
        _fill(node.options[i][1], index[mine] - (ends[i - 1] if i else 0), below, out)
