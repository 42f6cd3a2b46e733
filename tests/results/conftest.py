"""A run on disk, as the store writes it, from literal outcomes."""

import pytest

from core.outcome import OUTCOMES
from core.parameters import PARAMETERS
from sweep import shard_file
from sweep.grid import Axis, Grid, Leaf
from sweep.plan import Plan, Segment, Shard
from sweep.schema import table
from sweep.store import DONE, PLAN, Store, shard_name


def write_run(folder, axes, outcomes, name="literal", finished=True, errors=None, fixed=None):
    """The name of a new run: all combinations of `axes`, and outcome columns as given, else 0."""
    import numpy as np

    root = Leaf({})
    for axis in reversed(axes):
        root = Axis(axis, tuple(axes[axis]), root)
    defaults = {p.name: p.default for p in PARAMETERS if p.name not in axes}
    grid = Grid(root, defaults | (fixed or {}))
    plan = Plan(name, len(grid), grid.to_json(), (Segment(0, len(grid), len(grid)),))
    store = Store.open(str(folder), plan.run_name)
    store.create()
    store.put(PLAN, plan.to_json().encode())
    zeros = {o.name: np.zeros(len(grid), o.kind) for o in OUTCOMES}
    given = {column: np.array(values) for column, values in outcomes.items()}
    engine = {"engine": np.full(len(grid), "literal")}
    rows = table(0, grid.columns(0, len(grid)), zeros | given | engine, errors or {})
    whole = Shard(0, len(grid))
    shard_file.write(store, shard_name(whole, len(grid)), rows, plan, whole, 0.0)
    if finished:
        store.put_json(DONE, {"rows": len(grid), "shards": 1, "failures": len(errors or {})})
    return plan.run_name


@pytest.fixture
def run_dir(tmp_path):
    """Writes runs into a results folder of its own: `run_dir(axes, outcomes, ...)` -> name."""

    def write(*args, **more):
        return write_run(tmp_path, *args, **more)

    write.folder = tmp_path
    return write
