"""How large shards are: measured cost of a few points of each stretch of the grid."""

import time
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Final

import numpy as np

from core.compiled import compile_all, nr_compiled
from sweep.grid import Axis, Choice, Grid, Node, size
from sweep.model import Engine, Outcomes
from sweep.plan import Segment
from sweep.shard import evaluate

MAX_SHARD: Final = 1 << 17
"""Points: 131,072 rows are 65 MB in memory and up to 10 MB in a file."""

BYTES_PER_SHARD: Final = 40_000
BYTES_PER_POINT: Final = 4
"""Parquet bytes: what a file says of its columns, and what a row adds to that. Measured on the
experiments of `conf/` and on runs of 10^7 points, 1 to 5 bytes a row; for estimates only."""

_STRETCHES: Final = 32
_PROBE_POINTS: Final = (1, 16, 256)
_PROBE_S: Final = 1.0
_SHARD_S: Final = (0.25, 4.0)
"""Shortest and longest time that a shard should take."""


@dataclass(frozen=True)
class Sizing:
    """Where shards begin, and what one core would take for all of them."""

    segments: tuple[Segment, ...]
    seconds: float


def measure(grid: Grid, outcomes: Outcomes) -> Sizing:
    """Cut `grid` into shards that take seconds."""
    if isinstance(outcomes, Engine) and outcomes.is_brief(grid):
        return Sizing((Segment(0, len(grid), len(grid)),), _SHARD_S[0])
    compile_all()
    stretches = _stretches(grid)
    costs = _costs(grid, outcomes, stretches)
    seconds = sum(c * (last - first) for c, (first, last) in zip(costs, stretches, strict=True))
    target = min(max(seconds / 64, _SHARD_S[0]), _SHARD_S[1])
    unit = _shared(grid.root)
    sized = [
        Segment(first, last, _points(target / cost, unit))
        for (first, last), cost in zip(stretches, costs, strict=True)
    ]
    return Sizing(_merged(sized), seconds)


def _points(wanted: float, unit: int) -> int:
    """Points a shard: `unit` times a power of two, so that few workloads are computed twice, unless
    one unit alone takes far too long."""
    unit = unit if unit <= min(MAX_SHARD, 8 * wanted) else 1
    return int(unit * 2 ** np.floor(np.log2(min(max(wanted, unit), float(MAX_SHARD)) / unit)))


def _shared(node: Node) -> int:
    """Neighbouring points that share a workload: the innermost axes that demand is blind to."""
    from core.engine import DEMAND

    if isinstance(node, Choice):
        return min(_shared(child) for _, child in node.options)
    if not isinstance(node, Axis):
        return 1
    below = _shared(node.child)
    blind = node.name not in DEMAND and below == size(node.child)
    return size(node) if blind else below


def _merged(segments: list[Segment]) -> tuple[Segment, ...]:
    alike = (list(group) for _, group in groupby(segments, key=lambda segment: segment.size))
    return tuple(group[0]._replace(last=group[-1].last) for group in alike)


def _stretches(grid: Grid) -> list[tuple[int, int]]:
    """The grid cut along its outermost axes and groups, into at most `_STRETCHES` pieces."""
    pieces: list[tuple[int, Node]] = [(0, grid.root)]
    while True:
        opened = [below for first, node in pieces for below in _below(first, node)]
        if len(opened) > _STRETCHES or len(opened) == len(pieces):
            break
        pieces = opened
    return [(first, first + size(node)) for first, node in pieces]


def _below(first: int, node: Node) -> list[tuple[int, Node]]:
    if isinstance(node, Axis):
        if node.count > _STRETCHES:
            return [(first, node)]
        return [(first + i * size(node.child), node.child) for i in range(node.count)]
    if isinstance(node, Choice):
        children = [child for _, child in node.options]
        return list(zip(accumulate(map(size, children), initial=first), children, strict=False))
    return [(first, node)]


def _costs(grid: Grid, outcomes: Outcomes, stretches: list[tuple[int, int]]) -> list[float]:
    """Seconds a point of each stretch; after `_PROBE_S`, the dearest stands for the rest."""
    evaluate(grid.columns(0, 1), outcomes)  # compiles most of what there is to compile
    end = time.monotonic() + _PROBE_S
    costs: list[float] = []
    for first, last in stretches:
        before, start = nr_compiled(), time.monotonic()
        costs.append(max(costs) if start > end else _cost(grid, outcomes, first, last))
        if nr_compiled() > before:
            end += time.monotonic() - start
    return costs


def _cost(grid: Grid, outcomes: Outcomes, first: int, last: int) -> float:
    """Seconds a point, from ever more points in the middle of a stretch, while they are cheap.

    Neighbours share their workload, so that many cost less apiece than one. What was spent on
    compiling is not counted.
    """
    middle = (first + last) // 2
    for points in (*_PROBE_POINTS, _PROBE_POINTS[-1]):
        stop = min(middle + points, last)
        before, start = nr_compiled(), time.perf_counter()
        evaluate(grid.columns(middle, stop), outcomes)
        seconds = time.perf_counter() - start
        if nr_compiled() == before and (seconds > _PROBE_S / 8 or stop == last):
            break
    return seconds / (stop - middle)
