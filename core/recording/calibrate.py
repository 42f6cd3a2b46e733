"""Costs of one machine from its own recording: time per split, per descriptor, per lock drop.

An event is emitted when its attempt is over (after the lock is held again, for a drop), so the time
since the event before is what the attempt took. Medians, because interrupts are in there too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from core import constants as k
from core.arrays import Floats, Ints
from core.errors import InputError
from core.parameters import BY_NAME
from core.recording import Recording
from core.recording.trace import Attempt
from core.scenario.walk import Splits

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

    def keep(self, name: str, samples: Floats, how: str, enough: int = ENOUGH) -> None:
        """Take the median of `samples` as the cost `name`, or say why it is left out."""
        if len(samples) < enough:
            self.left_out[name] = f"{len(samples)} samples, {enough} are needed"
        elif np.median(samples) <= 0:
            self.left_out[name] = "its median is not above 0"
        else:
            self.costs[name] = Measured(float(np.median(samples)), len(samples), how)


def calibrate(
    recording: Recording, rebuilt: Splits, refills: Sequence[tuple[int, int]]
) -> Calibration:
    """Costs that the first walk of a recording shows. Raises InputError if it shows too little.

    `rebuilt` is the workload rebuilt from it: what each split took. `refills` are the
    (descriptors, pages) that each lock drop allocated.
    """
    seen = recording.first_round()
    samples, drops = _samples(seen, rebuilt)
    split = samples["split_ns"]
    if len(split) < ENOUGH or np.median(split) <= 0:
        rule = f"need at least {ENOUGH} splits with a new page and no descriptor, one after another"
        raise InputError(recording.name, 0, f"{len(split)} such splits that took time: {rule}")
    found = Calibration({}, _holds(seen), {})
    found.keep("split_ns", split, "new shadow page, no descriptor; flush included")
    found.keep("split_reuse_ns", samples["split_reuse_ns"], "found shadow page; flush included")
    each = (samples["desc_use_ns"] - found.costs["split_ns"].ns) / k.SPTES_PER_PAGE
    found.keep("desc_use_ns", each, "splits that take 512, less the others")
    contained = Measured(0.0, len(split), "contained in the two split times")
    found.costs["flush_ns_per_vcpu"] = contained
    timed = np.array(refills[int(seen[0].errno == k.EAGAIN) :], np.int64).reshape(-1, 2)
    _drop_costs(found, drops[: len(timed)], timed[: len(drops)])
    return found


def _drop_costs(found: Calibration, drops: Floats, refills: Ints) -> None:
    """Lock drop and allocations by least squares; the drop alone if refills hardly vary."""
    desc, header, page = (float(BY_NAME[name].default) for name in ALLOCATIONS)
    table = np.column_stack((np.ones(len(drops)), refills))
    if len(drops) >= ENOUGH and np.linalg.matrix_rank(table) == table.shape[1]:
        solved = np.linalg.lstsq(table, drops, rcond=None)[0]
        if solved.min() > 0:
            share = header / (header + page)
            each = solved[[0, 1, 2, 2]] * [1, 1, share, 1 - share]
            for name, ns in zip(("lock_drop_ns", *ALLOCATIONS), each.tolist(), strict=True):
                how = "least squares over drops and what they got"
                found.costs[name] = Measured(ns, len(drops), how)
            return
    alone = drops - refills @ np.array([desc, header + page])
    how = "drops, less what the allocations are assumed to take"
    found.keep("lock_drop_ns", alone, how, FEW_DROPS)


def _samples(seen: Sequence[Attempt], rebuilt: Splits) -> tuple[dict[str, Floats], Floats]:
    """Times in ns of splits, by the cost that they show, and of lock drops after the first."""
    found: dict[str, list[float]] = {"split_ns": [], "split_reuse_ns": [], "desc_use_ns": []}
    drops = []
    split = int(bool(seen) and seen[0].errno == 0)
    for before, attempt in pairwise(seen):
        took = (attempt.time - before.time) * 1e9
        if attempt.errno == k.EAGAIN:
            drops.append(took)
        elif attempt.errno == 0 and split < len(rebuilt.desc):
            if name := _shows(int(rebuilt.desc[split]), bool(rebuilt.created[split])):
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
    holds = np.diff(drops) * 1e9
    p50, p99, longest = np.quantile(holds, (0.5, 0.99, 1), method="inverted_cdf").tolist()
    return p50, p99, longest
