"""Stand-ins for the engine, quick and easy to check by hand, and a grid to run them on."""

import os
import signal
import time
from decimal import Decimal
from pathlib import Path

import numpy as np

from core.outcome import OUTCOMES
from core.parameters import PARAMETERS
from sweep.grid import Axis, Grid, Leaf
from sweep.values import Range


def seeds_by_capacities(seeds, capacities, **fixed):
    """A grid of `seeds` seeds by `capacities` capacities from 553, the capacity fastest."""
    swept = {"seed", "desc_capacity"}
    values = {p.name: p.default for p in PARAMETERS if p.name not in swept} | fixed
    capacity = Axis("desc_capacity", Range(Decimal(553), Decimal(1), capacities), Leaf())
    return Grid(Axis("seed", Range(Decimal(0), Decimal(1), seeds), capacity), values)


def tiny(points):
    """Every outcome is seed x 1000 + desc_capacity, plus its own position in `OUTCOMES`."""
    base = points["seed"] * 1000 + points["desc_capacity"]
    found = {o.name: (base + i).astype(o.kind) for i, o in enumerate(OUTCOMES)}
    return found | {"engine": np.full(len(base), "tiny")}


def fussy(points):
    """`tiny`, but seed 5 with capacity 600 has no outcome."""
    if ((points["seed"] == 5) & (points["desc_capacity"] == 600)).any():
        raise ValueError("seed 5 and 600 do not go together")
    return tiny(points)


def slow(points):
    """`tiny`, at 1 ms a point."""
    time.sleep(0.001 * len(points["seed"]))
    return tiny(points)


def mortal_once(points):
    """`tiny`, but the first worker to meet seed 3 kills itself; $MARK remembers that."""
    mark = Path(os.environ["MARK"])
    if (points["seed"] == 3).any() and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return tiny(points)
