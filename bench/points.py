"""The grid and the function that every peer computes: 1 GiB, 1000 capacities a seed."""

from typing import Any

from core.engine import outcomes
from core.parameters import PARAMETERS
from sweep.grid import Axis, Columns, Grid, Leaf
from sweep.grid.values import Range

CAPACITIES = 1000
FIXED: dict[str, Any] = {"memslot_gib": 1.0, "alias_ratio": 0.1, "distinct_role_ratio": 0.5}


def overrides(points: int) -> list[str]:
    """The command line of `sweep -m` for the first `points` points, a multiple of 1000."""
    fixed = [f"workload.{name}={value}" for name, value in FIXED.items()]
    seeds = f"workload.seed=range(0,{points // CAPACITIES})"
    return [*fixed, seeds, f"caches.desc_capacity=range(513,{513 + CAPACITIES})"]


def grid(points: int) -> Grid:
    """The same grid for those who have no command line."""
    defaults = {p.name: p.default for p in PARAMETERS if p.name not in ("seed", "desc_capacity")}
    inner = Axis("desc_capacity", Range.of(513, 513 + CAPACITIES), Leaf({**defaults, **FIXED}))
    return Grid(Axis("seed", Range.of(0, points // CAPACITIES), inner))


def rows(points: int, first: int, last: int, engine: str = "auto") -> Columns:
    """Parameters and outcomes of the points `first` to `last` - 1."""
    parameters = grid(points).columns(first, last)
    return {**parameters, **outcomes(parameters, engine)}


def one(seed: int, capacity: int) -> dict[str, Any]:
    """Parameters and outcomes of a single point, as peers with a task a point need them."""
    first = seed * CAPACITIES + capacity - 513
    columns = rows((seed + 1) * CAPACITIES, first, first + 1)
    return {name: column[0].item() for name, column in columns.items()}
