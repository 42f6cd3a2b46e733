"""Stand-ins for the engine, quick and easy to check by hand, and a grid to run them on."""

import json
import os
import resource
import signal
import time
from decimal import Decimal
from pathlib import Path

import numpy as np

from core.outcome import OUTCOMES
from core.parameters import PARAMETERS
from sweep.grid import Axis, Grid, Leaf
from sweep.grid.values import Range


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


def slower(points):
    """`tiny`, at 10 ms a point: 20 s for the grid of the fault tests."""
    time.sleep(0.01 * len(points["seed"]))
    return tiny(points)


def _first_time(points, seed=3):
    """Whether this is the first worker of all to meet `seed`; the folder $MARK remembers."""
    if not (points["seed"] == seed).any():
        return False
    try:
        (Path(os.environ["MARK"]) / f"met-{seed}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def mortal_once(points):
    """`slow`, but the first worker to meet seed 3 kills itself."""
    if _first_time(points):
        os.kill(os.getpid(), signal.SIGKILL)
    return tiny(points)


def deadly(points):
    """`tiny`, but seed 3 with capacity 600 kills whoever computes it."""
    if ((points["seed"] == 3) & (points["desc_capacity"] == 600)).any():
        os.kill(os.getpid(), signal.SIGKILL)
    return tiny(points)


def hungry(points):
    """`tiny`, but the kernel kills whoever computes more than 20 points of seed 3 at once."""
    if (points["seed"] == 3).sum() > 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return tiny(points)


def greedy(points):
    """`tiny`, in a process that may have 256 MB more, taking 16 MB a point of seed 3."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + (256 << 20), before[1]))
    try:
        np.empty(((points["seed"] == 3).sum() + 1) * (16 << 20), np.uint8)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    return tiny(points)


def hanging_once(points):
    """`tiny`, but the first worker to meet seed 3 never comes back."""
    if _first_time(points):
        time.sleep(100_000)
    return tiny(points)


def located(points):
    """`tiny`, at 4 ms a point; each node that computes leaves its name in $MARK, and the last seed
    waits until four have."""
    import ray

    names = Path(os.environ["MARK"]) / "nodes"
    names.mkdir(exist_ok=True)
    (names / ray.get_runtime_context().get_node_id()).touch()
    time.sleep(0.004 * len(points["seed"]))
    while (points["seed"] == 19).any() and len(list(names.iterdir())) < 4:
        time.sleep(0.1)
    return tiny(points)


def telling(points):
    """`tiny`, and each node says in $MARK where its code and its compiled kernels are."""
    import ray

    import core
    import sweep

    told = {
        "core": core.__path__[0],
        "sweep": sweep.__path__[0],
        "threads": os.environ.get("NUMBA_NUM_THREADS"),
        "kernels": os.environ.get("SPLITSWEEP_KERNELS"),
    }
    node = ray.get_runtime_context().get_node_id()
    (Path(os.environ["MARK"]) / f"told-{node}.json").write_text(json.dumps(told))
    time.sleep(0.5)
    return tiny(points)
