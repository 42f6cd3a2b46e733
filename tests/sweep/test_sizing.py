"""Invariant: shards follow the grid's own repetitions, and take about the time they should."""

import time

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


def test_time_spent_on_compiling_is_no_cost_of_a_point(monkeypatch) -> None:
    compiled = [0]

    def compiles(points: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if (points["alias_ratio"] > 0).any() and not compiled[0]:
            time.sleep(1.5)  # more than all probes may take
            compiled[0] += 1
        time.sleep(0.001 * len(points["seed"]))
        return {"engine": np.full(len(points["seed"]), "none")}

    monkeypatch.setattr("sweep.sizing.nr_compiled", lambda: compiled[0])
    whole = grid("desc_capacity", CAPACITIES)
    ratios = Axis("alias_ratio", (0.0, 0.5), whole.root.child)
    sizing = measure(Grid(ratios, whole.fixed), compiles)
    assert compiled == [1]
    assert 0.9 * 0.001 * 62 < sizing.seconds < 10 * 0.001 * 62
