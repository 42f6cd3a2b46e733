"""How large shards are: measured cost of a few points of each stretch of the grid."""

import time
from itertools import accumulate, groupby, pairwise
from typing import Final, NamedTuple

import numpy as np

from core.compiled import compile_all, nr_compiled
from sweep.grid import Axis, Choice, Grid, Node, size
from sweep.model import Engine, Outcomes
from sweep.plan import Segment, Shard
from sweep.shard import evaluate

MAX_SHARD: Final = 1 << 17
"""Points: 131,072 rows are 65 MB in memory and up to 10 MB in a file."""

BYTES_PER_SHARD: Final = 40_000
BYTES_PER_POINT: Final = 4
"""Parquet bytes: what a file says of its columns, and what a row adds to that. Measured on the
experiments of `conf/` and on runs of 10^7 points, 1 to 5 bytes a row; for estimates only."""

_STRETCHES: Final = 32
_PROBE_POINTS: Final = (1, 16, 256, 256)
_PROBE_S: Final = 1.0
_SHARD_S: Final = (0.25, 4.0)
"""Shortest and longest time that a shard should take."""


class Sizing(NamedTuple):
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
    seconds = sum(c * stretch.points for c, stretch in zip(costs, stretches, strict=True))
    target = min(max(seconds / 64, _SHARD_S[0]), _SHARD_S[1])
    unit = _shared(grid.root)
    segments = [
        Segment(*stretch, _points(target / cost, unit))
        for stretch, cost in zip(stretches, costs, strict=True)
    ]
    alike = (list(group) for _, group in groupby(segments, key=lambda segment: segment.size))
    return Sizing(tuple(group[0]._replace(last=group[-1].last) for group in alike), seconds)


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


def _stretches(grid: Grid) -> list[Shard]:
    """The grid cut along its outermost axes and groups, into at most `_STRETCHES` pieces."""
    pieces: list[Node] = [grid.root]
    while True:
        opened = [below for node in pieces for below in _below(node)]
        if len(opened) > _STRETCHES or len(opened) == len(pieces):
            break
        pieces = opened
    return [Shard(*ends) for ends in pairwise(accumulate(map(size, pieces), initial=0))]


def _below(node: Node) -> list[Node]:
    if isinstance(node, Axis) and node.count <= _STRETCHES:
        return [node.child] * node.count
    return [child for _, child in node.options] if isinstance(node, Choice) else [node]


def _costs(grid: Grid, outcomes: Outcomes, stretches: list[Shard]) -> list[float]:
    """Seconds a point of each stretch; after `_PROBE_S`, the dearest stands for the rest."""
    evaluate(grid.columns(0, 1), outcomes)  # compiles most of what there is to compile
    end = time.monotonic() + _PROBE_S
    costs: list[float] = []
    for stretch in stretches:
        before, start = nr_compiled(), time.monotonic()
        costs.append(max(costs) if start > end else _cost(grid, outcomes, *stretch))
        if nr_compiled() > before:
            end += time.monotonic() - start
    return costs


def _cost(grid: Grid, outcomes: Outcomes, first: int, last: int) -> float:
    """Seconds a point of ever more neighbours, which share work, while they are cheap.

    Compiling does not count.
    """
    middle = (first + last) // 2
    for points in _PROBE_POINTS:
        stop = min(middle + points, last)
        before, start = nr_compiled(), time.perf_counter()
        evaluate(grid.columns(middle, stop), outcomes)
        seconds = time.perf_counter() - start
        if nr_compiled() == before and (seconds > _PROBE_S / 8 or stop == last):
            break
    return seconds / (stop - middle)
