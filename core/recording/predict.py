"""Predict a recording's lock drops from the recording alone.

Its splits and get_page events give what each split took; from that and the cache sizes follows when
mmu_lock had to be dropped. Each recorded -11 is then one that the caches explain, or an extra one:
need_resched() or a vCPU that waited.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import numpy as np

from core import constants as k
from core.recording import Recording
from core.recording.trace import Attempt, Trace
from core.scenario import Scenario
from core.scenario.walk import Splits, splits_of

SEARCH: int = 2000
"""Attempts that are looked at to find out how full warm caches were."""


@dataclass
class Prediction:
    """`explained` and `extra` recorded -11s, and `missed` ones that the caches would have needed.

    `levels` are the objects cached at the start: (descriptors, pages). `refills` are the objects
    that each recorded -11 allocated, in that order.
    """

    attempts: int
    splits: int
    explained: int
    extra: list[int]
    missed: list[int]
    levels: tuple[int, int]
    refills: list[tuple[int, int]]
    first_difference: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether nothing was missed and the splits are those of the rebuilt workload."""
        return self.first_difference is None


def predict(trace: Trace, recording: Recording, scenario: Scenario, kernel: str) -> Prediction:
    """Compare the first walk of a recording with its rebuilt `scenario` on `kernel`."""
    walk = recording.first_round()
    gap = min((line for line in trace.lost if line > walk[0].line), default=walk[-1].line)
    seen = list(takewhile(lambda a: a.line <= gap and a.errno != k.ENOMEM, walk))
    beyond = len(walk) - len(seen)
    notes = [f"{beyond} attempts are not compared"] if beyond else []
    rebuilt = splits_of(scenario, kernel)
    levels = _start_levels(seen, rebuilt, scenario)
    extra, missed, refills = _replay(seen, rebuilt, scenario, *levels)
    splits = [a for a in seen if a.errno == 0]
    difference = _structure(splits, rebuilt)
    seen_short = [i for i in extra if any(cache.nobjs < cache.min for cache in seen[i].topups)]
    for what, at in (("no lock drop was recorded", missed), ("a cache was short", seen_short)):
        if at and difference is None:
            difference = {"line": seen[at[0]].line, "what": what, "number": len(at)}
    if missed and levels == (0, 0):
        notes.append("caches are taken to be empty at first; they are not if it starts mid-walk")
    if len(splits) < len(rebuilt.desc) and len(seen) == len(recording.attempts):
        notes.append(f"ends {len(rebuilt.desc) - len(splits)} splits before the walk does")
    return Prediction(
        attempts=len(seen),
        splits=len(splits),
        explained=len(refills) - len(extra),
        extra=[seen[i].line for i in extra],
        missed=[seen[i].line for i in missed],
        levels=levels,
        refills=refills,
        first_difference=difference,
        notes=notes,
    )


def _structure(splits: Sequence[Attempt], rebuilt: Splits) -> dict[str, Any] | None:
    if len(splits) > len(rebuilt.desc):
        text = f"{len(splits)} splits, of which the rebuilt workload has {len(rebuilt.desc)}"
        return {"line": splits[len(rebuilt.desc)].line, "what": text}
    for i, split in enumerate(splits):
        made = bool(rebuilt.created[i])
        if split.level != rebuilt.level[i] or (split.page and split.page.new and not made):
            text = f"split {i}: rebuilt level {rebuilt.level[i]}, new page {made}"
            return {"line": split.line, "what": text}
    return None


def _taken(attempt: Attempt, rebuilt: Splits, split: int) -> tuple[int, int]:
    """Descriptors and pages that a split takes; whether its page is new is known if recorded."""
    if split >= len(rebuilt.desc):
        return 0, 0
    made = rebuilt.created[split] if attempt.page is None else attempt.page.new
    return int(rebuilt.desc[split]), int(made)


def _checks(
    seen: Sequence[Attempt], rebuilt: Splits, scenario: Scenario, descs: Any, pages: Any
) -> Iterator[tuple[int, Any, Any]]:
    """(position, descriptors and pages that fill what is short) of each attempt that looks at the
    caches, which hold `descs` and `pages` at the start: numbers, or arrays of possible numbers."""
    split = 0
    for at, attempt in enumerate(seen):
        if attempt.errno == k.ENOSPC:
            continue
        desc = (scenario.desc_capacity - descs) * (descs < scenario.desc_min)
        page = (scenario.object_capacity - pages) * (pages < 1)
        yield at, desc, page
        descs, pages = descs + desc, pages + page
        if attempt.errno != k.EAGAIN:
            desc, page = _taken(attempt, rebuilt, split)
            descs, pages, split = descs - desc, pages - page, split + 1


def _start_levels(seen: Sequence[Attempt], rebuilt: Splits, scenario: Scenario) -> tuple[int, int]:
    """Cached objects at the start: none if the first attempt drops the lock, else a best guess."""
    if not seen or seen[0].errno != 0:
        return 0, 0
    grid = np.indices((scenario.desc_capacity - scenario.desc_min + 1, scenario.object_capacity))
    descs, pages = grid.reshape(2, -1) + np.array([[scenario.desc_min], [1]])
    wrong = np.zeros(descs.size, np.int64)
    for at, desc, page in _checks(seen[:SEARCH], rebuilt, scenario, descs, pages):
        dropped = seen[at].errno == k.EAGAIN
        wrong += (((desc > 0) | (page > 0)) != dropped) * (1 if dropped else len(seen) + 1)
    best = int(wrong.argmin())
    return int(descs[best]), int(pages[best])


def _replay(
    seen: Sequence[Attempt], rebuilt: Splits, scenario: Scenario, descs: int, pages: int
) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Positions of -11s that no cache explains, and of splits that want one; refills of -11s."""
    extra: list[int] = []
    missed: list[int] = []
    refills = []
    for at, *refill in _checks(seen, rebuilt, scenario, descs, pages):
        dropped = seen[at].errno == k.EAGAIN
        if dropped:
            refills.append((refill[0], refill[1]))
        if dropped != any(refill):
            (extra if dropped else missed).append(at)
    return extra, missed, refills
