"""The batch system around the engine: what it costs, how it scales, what its driver holds."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engine import row
from bench.watch import own_peak_mib
from core.engine import outcomes
from core.parameters import PARAMETERS
from sweep.backends import BackendConfig
from sweep.grid import Axis, Columns, Grid, Leaf
from sweep.grid.values import Range
from sweep.launch import Job, launch
from sweep.ledger import Ledger
from sweep.model import Engine
from sweep.plan import Plan, Segment, Shard
from sweep.shard import Work
from sweep.shard_file import Manifest
from sweep.store import Store

DISPATCHED = (10**5, 10**7, 10**9)
SHARD = 1 << 17


def grid(seeds: int, capacities: int) -> Grid:
    """`seeds` x 4 aliasing ratios x 3 memslot sizes x `capacities`."""
    swept = {"memslot_gib", "alias_ratio", "seed", "desc_capacity"}
    fixed = {p.name: p.default for p in PARAMETERS if p.name not in swept}
    node: Any = Axis("desc_capacity", Range.of(553, 553 + capacities), Leaf())
    node = Axis("seed", Range.of(0, seeds), node)
    node = Axis("alias_ratio", (0.0, 0.001, 0.01, 0.1), node)
    return Grid(Axis("memslot_gib", (1.0, 16.0, 64.0), node), fixed)


CAPACITIES = 100
SEEDS = 8_334
"""10^7 points: 100,008 workloads, each with 100 capacities."""


@dataclass(frozen=True)
class Clocked(Engine):
    """The engine, which notes how long it took: a file in `folder` for each process. Loading its
    kernels is not counted: that is what a start takes."""

    folder: str = ""

    def __call__(self, points: Columns) -> Columns:
        clock = Path(self.folder) / str(os.getpid())
        if not clock.exists():
            super().__call__({name: values[:1] for name, values in points.items()})
        start = time.perf_counter()
        found = super().__call__(points)
        seconds = time.perf_counter() - start
        with clock.open("a") as file:
            file.write(f"{seconds}\n")
        return found


@dataclass(frozen=True)
class NoWork(Work):
    """Shards that are dispatched and come back, without rows."""

    def run(self, shard: Shard, name: str = "") -> Manifest:
        return Manifest(shard.first, shard.last, 0, 0.0, 1, "0" * 32)


def dispatch(points: int) -> dict[str, Any]:
    """Plan `points` points, send every shard to a worker and take its manifest back."""
    from sweep.backends.ray_pool import RayBackend
    from sweep.lease import Lease
    from sweep.provenance import versions

    whole = grid(-(-points // 48_000), 4000)
    segments = (Segment(0, len(whole), SHARD),)
    plan = Plan("bench", len(whole), whole.to_json(), segments)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        ledger = Ledger(plan, store)
        with Lease(store) as lease:
            work = NoWork(plan, store, outcomes, lease.owner, 900.0, versions())
            config = BackendConfig(kind="ray_local", num_cpus=2)
            for manifest in RayBackend(config).run(work, ledger.missing()):
                ledger.add(manifest)
    peak = own_peak_mib()
    return {"shards": ledger.shards, "peak_mib": peak, "plan_bytes": len(plan.to_json())}


def run(workers: int, seeds: int, folder: str) -> dict[str, Any]:
    """The real engine, from nothing to done.json, and the seconds that workers spent in it."""
    backend = BackendConfig(kind="ray_local", num_cpus=workers)
    with tempfile.TemporaryDirectory(prefix="ss-") as clocks:
        engine = Clocked("auto", {}, clocks)
        launch(grid(seeds, CAPACITIES), Job(results_dir=folder, backend=backend), engine)
        files = [path for path in Path(clocks).iterdir() if path.name != str(os.getpid())]
        return {"engine_s": sum(float(s) for path in files for s in path.read_text().split())}


def _apart(*words: str) -> dict[str, Any]:
    """One measurement in a process of its own."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "bench.batch", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"seconds": time.perf_counter() - start}


def table() -> list[dict[str, Any]]:
    """What was measured."""
    found = []
    for points in DISPATCHED:
        one = _apart("dispatch", str(points))
        found.append({"name": f"{points:.0e} points dispatched, no engine"} | _facts(one))
    for workers, seeds in ((1, SEEDS // 2), (2, SEEDS)):
        with tempfile.TemporaryDirectory(prefix="ss-") as folder:
            one = _apart("run", str(workers), str(seeds), folder)
            done = json.loads(next(Path(folder).glob("*/done.json")).read_text())
        one["peak_mib"] = done["driver_peak_rss"] / 2**20
        name = f"{done['rows']:.0e} points, {workers} workers"
        found.append({"name": name} | _facts(one))
    return found


def _facts(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "seconds": found["seconds"],
        "engine_s": found.get("engine_s", ""),
        "driver_peak_mib": found.get("peak_mib", ""),
        "plan_bytes": found.get("plan_bytes", ""),
    }


def rows(measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Goals of the batch system."""
    *dispatched, one, two = measured
    memory = max(each["driver_peak_mib"] for each in dispatched)
    plan = max(each["plan_bytes"] for each in dispatched)
    overhead = (2 * two["seconds"] / two["engine_s"] - 1) * 100
    return [
        row("driver memory, 10^5 to 10^9 points", memory, "MiB", "<= 300"),
        row("plan.json for 10^9 points", plan, "bytes", "<= 1000000"),
        row("everything but the engine, 10^7 points", overhead, "% of the engine's time", "<= 15"),
        row("two workers / one", 2 * one["seconds"] / two["seconds"], "times", ">= 1.8"),
    ]


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "dispatch":
        print(json.dumps(dispatch(int(rest[0]))))
    else:
        print(json.dumps(run(int(rest[0]), int(rest[1]), rest[2])))
