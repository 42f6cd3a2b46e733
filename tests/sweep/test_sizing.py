"""Invariant: shards follow the grid's own repetitions, and take about the time they should."""

import numpy as np

from core.parameters import PARAMETERS
from sweep.grid import Axis, Grid, Leaf
from sweep.sizing import measure

CAPACITIES = tuple(range(513, 513 + 31))


def grid(innermost: str, values: tuple[object, ...]) -> Grid:
    swept = (innermost, "alias_ratio")
    leaf = Axis(
        innermost, values, Leaf({p.name: p.default for p in PARAMETERS if p.name not in swept})
    )
    return Grid(Axis("alias_ratio", tuple(np.linspace(0, 1, 500).tolist()), leaf))


def free(points: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"engine": np.full(len(points["seed"]), "none")}


def test_a_shard_holds_whole_workloads() -> None:
    sizing = measure(grid("desc_capacity", CAPACITIES), free)
    assert all(segment.size % len(CAPACITIES) == 0 for segment in sizing.segments)


def test_axes_that_make_other_workloads_are_cut_anywhere() -> None:
    sizing = measure(grid("seed", tuple(range(31))), free)
    assert all(segment.size & (segment.size - 1) == 0 for segment in sizing.segments)
