"""Costs of one machine from its own recording: time per split, per descriptor, per lock drop.

An event is emitted when its attempt is over (after the lock is held again, for a drop), so the time
since the event before is what the attempt took. Medians, because interrupts are in there too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from core import constants as k
from core.arrays import Floats, Ints
from core.errors import InputError
from core.parameters import BY_NAME
from core.recording import Recording
from core.recording.predict import Prediction
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

    holds: tuple[float, float, float] | None
    costs: dict[str, Measured] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def keep(self, name: str, samples: Floats, how: str, enough: int = ENOUGH) -> None:
        """Take the median of `samples` as the cost `name`, or say why it is left out."""
        if len(samples) < enough:
            self.left_out[name] = f"{len(samples)} samples, {enough} are needed"
        elif (median := float(np.median(samples))) <= 0:
            self.left_out[name] = "its median is not above 0"
        else:
            self.costs[name] = Measured(median, len(samples), how)


def calibrate(recording: Recording, prediction: Prediction) -> Calibration:
    """Costs that the first walk of a recording shows. Raises InputError if it shows too little.

    `prediction` has what each split took, and what each lock drop allocated.
    """
    seen = recording.rounds[0]
    samples, drops = _samples(seen, prediction.rebuilt)
    found = Calibration(_holds(seen))
    found.keep("split_ns", samples["split_ns"], "new shadow page, no descriptor; flush included")
    if not found.costs:
        number = len(samples["split_ns"])
        rule = f"need at least {ENOUGH} splits with a new page and no descriptor, one after another"
        raise InputError(recording.name, 0, f"{number} such splits that took time: {rule}")
    split = found.costs["split_ns"]
    found.keep("split_reuse_ns", samples["split_reuse_ns"], "found shadow page; flush included")
    each = (samples["desc_use_ns"] - split.ns) / k.SPTES_PER_PAGE
    found.keep("desc_use_ns", each, "splits that take 512, less the others")
    contained = Measured(0.0, split.samples, "contained in the two split times")
    found.costs["flush_ns_per_vcpu"] = contained
    first_drop = int(seen[0].errno == k.EAGAIN)  # its time is not known
    refills = np.array(prediction.refills[first_drop:], np.int64).reshape(-1, 2)
    _drop_costs(found, drops[: len(refills)], refills[: len(drops)])
    return found


def _samples(seen: Sequence[Attempt], rebuilt: Splits) -> tuple[dict[str, Floats], Floats]:
    """Times in ns of splits, by the cost that they show, and of lock drops after the first."""
    errno = np.array([a.errno for a in seen])
    took = np.diff([a.time for a in seen], prepend=np.nan) * 1e9
    splits = took[errno == 0][: len(rebuilt.desc)]
    desc, made = rebuilt.desc[: len(splits)], rebuilt.created[: len(splits)] > 0
    shown = {
        "split_ns": made & (desc == 0),
        "split_reuse_ns": ~made & (desc <= 1),
        "desc_use_ns": made & (desc == k.SPTES_PER_PAGE),
    }
    times = {name: splits[which & ~np.isnan(splits)] for name, which in shown.items()}
    return times, took[1:][errno[1:] == k.EAGAIN]


def _drop_costs(found: Calibration, drops: Floats, refills: Ints) -> None:
    """Lock drop and allocations by least squares; the drop alone if refills hardly vary."""
    desc, header, page = (float(BY_NAME[name].default) for name in ALLOCATIONS)
    table = np.column_stack((np.ones(len(drops)), refills))
    if len(drops) >= ENOUGH and np.linalg.matrix_rank(table) == table.shape[1]:
        solved = np.linalg.lstsq(table, drops, rcond=None)[0]
        if solved.min() > 0:
            share = header / (header + page)
            each = solved[[0, 1, 2, 2]] * [1, 1, share, 1 - share]
            how = "least squares over drops and what they got"
            for name, ns in zip(("lock_drop_ns", *ALLOCATIONS), each.tolist(), strict=True):
                found.costs[name] = Measured(ns, len(drops), how)
            return
    alone = drops - refills @ np.array([desc, header + page])
    how = "drops, less what the allocations are assumed to take"
    found.keep("lock_drop_ns", alone, how, FEW_DROPS)


def _holds(seen: Sequence[Attempt]) -> tuple[float, float, float] | None:
    """Quantiles of the times between lock drops."""
    drops = [a.time for a in seen if a.errno == k.EAGAIN]
    if len(drops) < 2:
        return None
    quantiles = np.quantile(np.diff(drops) * 1e9, (0.5, 0.99, 1), method="inverted_cdf")
    return tuple(quantiles.tolist())
