"""Costs of one machine from its own recording: time per split, per descriptor, per lock drop.

An event is emitted when its attempt is over (after the lock is held again, for a drop), so the time
since the event before is what the attempt took. Medians, because interrupts are in there too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core import constants as k
from core.errors import InputError
from core.parameters import BY_NAME
from core.recording import Recording
from core.recording.trace import Attempt
from core.scenario.walk import Demand

ENOUGH: Final = 20
"""Samples that a median needs."""

FEW_DROPS: Final = 5

ALLOCATIONS: Final = ("desc_alloc_ns", "header_alloc_ns", "page_alloc_ns")


@dataclass(frozen=True)
class Measured:
    """A cost in ns with the number of samples behind it, and how it was found."""

    ns: float
    samples: int
    how: str


@dataclass(frozen=True)
class Calibration:
    """Measured costs by the name of their parameter, and holds of mmu_lock in ns: p50, p99, max."""

    costs: dict[str, Measured]
    holds: tuple[float, float, float] | None
    left_out: dict[str, str]


def calibrate(
    recording: Recording, demand: Demand, refills: Sequence[tuple[int, int]]
) -> Calibration:
    """Costs that the first walk of a recording shows. Raises InputError if it shows too little.

    `demand` is that of the workload rebuilt from it: what each split took. `refills` are the
    (descriptors, pages) that each lock drop allocated.
    """
    seen = [a for a, r in zip(recording.attempts, recording.rounds, strict=True) if r == 0]
    samples, drops = _samples(seen, demand)
    split = samples["split_ns"]
    if len(split) < ENOUGH or np.median(split) <= 0:
        rule = f"need at least {ENOUGH} splits with a new page and no descriptor, one after another"
        raise InputError(recording.name, 0, f"{len(split)} such splits that took time: {rule}")
    costs: dict[str, Measured] = {}
    left_out: dict[str, str] = {}
    _keep(costs, left_out, "split_ns", split, "new shadow page, no descriptor; flush included")
    reuse = samples["split_reuse_ns"]
    _keep(costs, left_out, "split_reuse_ns", reuse, "found shadow page; flush included")
    each = (samples["desc_use_ns"] - costs["split_ns"].ns) / k.SPTES_PER_PAGE
    _keep(costs, left_out, "desc_use_ns", each, "splits that take 512, less the others")
    costs["flush_ns_per_vcpu"] = Measured(0.0, len(split), "contained in the two split times")
    timed = np.array(refills[int(seen[0].errno == k.EAGAIN) :], np.int64).reshape(-1, 2)
    _drop_costs(costs, left_out, drops[: len(timed)], timed[: len(drops)])
    return Calibration(costs, _holds(seen), left_out)


def _drop_costs(
    costs: dict[str, Measured],
    left_out: dict[str, str],
    drops: NDArray[np.float64],
    refills: NDArray[np.int64],
) -> None:
    """Lock drop and allocations by least squares; the drop alone if refills hardly vary."""
    known = {name: float(BY_NAME[name].default) for name in ALLOCATIONS}
    table = np.column_stack((np.ones(len(drops)), refills))
    if len(drops) >= ENOUGH and np.linalg.matrix_rank(table) == table.shape[1]:
        drop, desc, page = np.linalg.lstsq(table, drops, rcond=None)[0].tolist()
        if min(drop, desc, page) > 0:
            share = known["header_alloc_ns"] / (known["header_alloc_ns"] + known["page_alloc_ns"])
            found = (drop, desc, page * share, page * (1 - share))
            for name, ns in zip(("lock_drop_ns", *ALLOCATIONS), found, strict=True):
                costs[name] = Measured(ns, len(drops), "least squares over drops and what they got")
            return
    pair = known["header_alloc_ns"] + known["page_alloc_ns"]
    alone = drops - refills @ np.array([known["desc_alloc_ns"], pair])
    how = "drops, less what the allocations are assumed to take"
    _keep(costs, left_out, "lock_drop_ns", alone, how, FEW_DROPS)


def _keep(
    costs: dict[str, Measured],
    left_out: dict[str, str],
    name: str,
    samples: NDArray[np.float64],
    how: str,
    enough: int = ENOUGH,
) -> None:
    if len(samples) < enough:
        left_out[name] = f"{len(samples)} samples, {enough} are needed"
    elif np.median(samples) <= 0:
        left_out[name] = "its median is not above 0"
    else:
        costs[name] = Measured(float(np.median(samples)), len(samples), how)


def _samples(
    seen: Sequence[Attempt], demand: Demand
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Times in ns of splits, by the cost that they show, and of lock drops after the first."""
    found: dict[str, list[float]] = {"split_ns": [], "split_reuse_ns": [], "desc_use_ns": []}
    drops = []
    split = int(bool(seen) and seen[0].errno == 0)
    for before, attempt in pairwise(seen):
        took = (attempt.time - before.time) * 1e9
        if attempt.errno == k.EAGAIN:
            drops.append(took)
        elif attempt.errno == 0 and split < len(demand.desc):
            if name := _shows(int(demand.desc[split]), bool(demand.created[split])):
                found[name].append(took)
            split += 1
    return {name: np.array(values) for name, values in found.items()}, np.array(drops)


def _shows(desc: int, made: bool) -> str | None:
    if not made:
        return "split_reuse_ns" if desc <= 1 else None
    return {0: "split_ns", k.SPTES_PER_PAGE: "desc_use_ns"}.get(desc)


def _holds(seen: Sequence[Attempt]) -> tuple[float, float, float] | None:
    drops = np.array([a.time for a in seen if a.errno == k.EAGAIN])
    if len(drops) < 2:
        return None
    holds = np.sort(np.diff(drops)) * 1e9
    p50, p99 = (float(holds[int(np.ceil(q * len(holds))) - 1]) for q in (0.5, 0.99))
    return p50, p99, float(holds[-1])
