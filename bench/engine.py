"""Engine ratios, each measured within one run on one machine: JIT warm, medians.

Every row is a dict: name, value, unit, goal (a string such as ">= 1000"), met.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from core.cost import Cost
from core.demand import Demand, demand_of
from core.replay import replay
from core.workload import Workload, memslot_of
from tests.plain import plain

KERNEL_SPLIT_NS = 9_700.0
"""What the kernel's own code takes for an unaliased 2M split, compiled -O2 in user space."""

LARGE = Workload(24 * 1024 * 512, alias_ratio=0.05, distinct_role_ratio=1.0)
CAPACITIES = np.arange(513, 4610)
SAMPLED = 16


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Median wall time of `work`, after one call that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def row(name: str, value: float, unit: str, goal: str) -> dict[str, Any]:
    sign, bound = goal.split()
    met = value >= float(bound) if sign == ">=" else value <= float(bound)
    return {"name": name, "value": value, "unit": unit, "goal": goal, "met": met}


def against_the_loop(demand: Demand) -> float:
    """How many times faster all capacities at once are than a plain loop over each of them."""
    sample = CAPACITIES[np.linspace(0, CAPACITIES.size - 1, SAMPLED).astype(int)]
    loop = seconds(lambda: [plain(demand, "kernel", 513, int(c), 40) for c in sample], 1)
    ours = seconds(lambda: replay(demand, "kernel", 513, CAPACITIES, 40, Cost(), timed=False))
    return loop / SAMPLED * CAPACITIES.size / ours


def redrawn(demand: Demand, support: list[int]) -> Demand:
    """The same aliased pages, with demands drawn from `support`."""
    takes = np.random.default_rng(1).choice(support, demand.desc_at.size)
    return replace(demand, desc_sum=np.cumsum([0, *takes]))


def redraw() -> Demand:
    """Draw and count the large workload from nothing."""
    memslot_of.cache_clear()
    return demand_of(LARGE)


def peak_mib() -> float:
    """Peak memory of a process that answers the 24 TiB block and nothing else."""
    code = (
        "from bench.engine import CAPACITIES, LARGE\n"
        "from core.cost import Cost; from core.demand import demand_of\n"
        "from core.replay import replay\n"
        "replay(demand_of(LARGE), 'kernel', 513, CAPACITIES, 40, Cost())\n"
        "from bench.watch import own_peak_mib; print(own_peak_mib())\n"
    )
    return float(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    )


def table() -> list[dict[str, Any]]:
    """Nothing beside the ratios."""
    return []


def rows(_: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every engine ratio of the benchmark."""
    demand = demand_of(LARGE)
    one = seconds(lambda: replay(demand, "kernel", 513, CAPACITIES, 40, Cost(), timed=False))
    per_split = one / CAPACITIES.size / demand.nr_splits * 1e9
    single = CAPACITIES[40:41]
    alone = seconds(lambda: replay(demand, "kernel", 513, single, 40, Cost(), timed=False))
    alone *= 1e9 / demand.nr_splits
    drawn = seconds(redraw) / LARGE.nr_huge_pages * 1e9
    arrays = [getattr(demand, name).size for name in ("reuse", "desc_at", "desc_sum", "breaks")]
    aliased = demand.nr_splits - LARGE.nr_huge_pages
    mixed = redrawn(demand, [1, 512])
    wide = redrawn(demand, list(range(1, 514)))
    return [
        row("24 TiB, 5% distinct roles, 4097 capacities / plain loop",
            against_the_loop(demand), "times faster", ">= 1000"),
        row("the same with demands of 1 and 512",
            against_the_loop(mixed), "times faster", ">= 200"),
        row("the same with demands of 1 to 513", against_the_loop(wide), "times faster", ">= 1"),
        row("the kernel's own split / one split for one of these geometries",
            KERNEL_SPLIT_NS / per_split, "times faster", ">= 10000"),
        row("the kernel's own split / one split for one geometry alone",
            KERNEL_SPLIT_NS / alone, "times faster", ">= 10000"),
        row("workload and demand", drawn, "ns a huge page", "<= 3"),
        row("longest array / aliased mappings", max(arrays) / aliased, "ratio", "<= 1.01"),
        row("peak memory of the 24 TiB block", peak_mib(), "MiB", "<= 1024"),
    ]  # fmt: skip
