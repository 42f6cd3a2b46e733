"""Predict a recording's lock drops from the recording alone.

Its splits and get_page events give what each split took; from that and the cache sizes follows when
mmu_lock had to be dropped. Each recorded -11 is then one that the caches explain, or an extra one:
need_resched() or a vCPU that waited.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

import numpy as np

from core import constants as k
from core.recording import Recording
from core.recording.trace import Attempt
from core.scenario import Scenario
from core.scenario.walk import Splits, splits_of

SEARCH: Final = 2000
"""Attempts that are looked at to find out how full warm caches were."""


@dataclass(frozen=True)
class Prediction:
    """`explained` and `extra` recorded -11s, and `missed` ones that the caches would have needed.

    `levels` are the objects cached at the start: (descriptors, pages). `refills` are the objects
    that each recorded -11 allocated, in that order. `rebuilt` is what each split took.
    """

    attempts: int
    splits: int
    explained: int
    extra: list[int]
    missed: list[int]
    levels: tuple[int, int]
    first_difference: dict[str, Any] | None
    refills: list[tuple[int, int]]
    rebuilt: Splits
    notes: list[str]


def predict(recording: Recording, scenario: Scenario, kernel: str) -> Prediction:
    """Compare the first walk of a recording with its rebuilt `scenario` on `kernel`."""
    walk = recording.rounds[0]
    gap = min((line for line in recording.lost if line > walk[0].line), default=walk[-1].line)
    seen = list(takewhile(lambda a: a.line <= gap and a.errno != k.ENOMEM, walk))
    beyond = len(walk) - len(seen)
    notes = [f"{beyond} attempts are not compared"] if beyond else []
    rebuilt = splits_of(scenario, kernel)
    levels = _start_levels(seen, rebuilt, scenario)
    extra, missed, refills = _replay(seen, rebuilt, scenario, *levels)
    splits = [a for a in seen if a.errno == 0]
    difference = _structure(splits, rebuilt)
    short = [a for a in extra if a.found_short]
    for what, which in (("no lock drop was recorded", missed), ("a cache was short", short)):
        if which and difference is None:
            difference = {"line": which[0].line, "what": what, "number": len(which)}
    if missed and levels == (0, 0):
        notes.append("caches are taken to be empty at first; they are not if it starts mid-walk")
    if len(splits) < len(rebuilt.desc) and len(seen) == len(recording.attempts):
        notes.append(f"ends {len(rebuilt.desc) - len(splits)} splits before the walk does")
    return Prediction(
        attempts=len(seen),
        splits=len(splits),
        explained=len(refills) - len(extra),
        extra=[a.line for a in extra],
        missed=[a.line for a in missed],
        levels=levels,
        first_difference=difference,
        refills=refills,
        rebuilt=rebuilt,
        notes=notes,
    )


def _structure(splits: Sequence[Attempt], rebuilt: Splits) -> dict[str, Any] | None:
    """The first split that the rebuilt workload does not have."""
    if len(splits) > len(rebuilt.desc):
        text = f"{len(splits)} splits, of which the rebuilt workload has {len(rebuilt.desc)}"
        return {"line": splits[len(rebuilt.desc)].line, "what": text}
    for i, split in enumerate(splits):
        made = bool(rebuilt.created[i])
        if split.level != rebuilt.level[i] or (split.new and not made):
            text = f"split {i}: rebuilt level {rebuilt.level[i]}, new page {made}"
            return {"line": split.line, "what": text}
    return None


def _refills(
    seen: Iterable[Attempt], rebuilt: Splits, scenario: Scenario, descs: Any, pages: Any
) -> Iterator[tuple[Attempt, Any, Any]]:
    """Each attempt that looks at the caches, with the descriptors and pages that then fill them,
    if they hold `descs` and `pages` at the start: numbers, or arrays of possible numbers."""
    taken = zip(rebuilt.desc.tolist(), rebuilt.created.tolist(), strict=True)
    for attempt in seen:
        if attempt.errno == k.ENOSPC:
            continue
        desc = (scenario.desc_capacity - descs) * (descs < scenario.desc_min)
        page = (scenario.object_capacity - pages) * (pages < 1)
        yield attempt, desc, page
        descs, pages = descs + desc, pages + page
        if attempt.errno != k.EAGAIN and (split := next(taken, None)):
            desc, made = split
            descs, pages = descs - desc, pages - (made if attempt.new is None else attempt.new)


def _start_levels(seen: Sequence[Attempt], rebuilt: Splits, scenario: Scenario) -> tuple[int, int]:
    """Cached objects at the start: none if the first attempt drops the lock, else a best guess."""
    if not seen or seen[0].errno != 0:
        return 0, 0
    grid = np.indices((scenario.desc_capacity - scenario.desc_min + 1, scenario.object_capacity))
    descs, pages = grid.reshape(2, -1) + np.array([[scenario.desc_min], [1]])
    wrong = np.zeros(descs.size, np.int64)
    for attempt, desc, page in _refills(seen[:SEARCH], rebuilt, scenario, descs, pages):
        dropped = attempt.errno == k.EAGAIN
        wrong += (((desc > 0) | (page > 0)) != dropped) * (1 if dropped else len(seen) + 1)
    best = int(wrong.argmin())
    return int(descs[best]), int(pages[best])


def _replay(
    seen: Sequence[Attempt], rebuilt: Splits, scenario: Scenario, descs: int, pages: int
) -> tuple[list[Attempt], list[Attempt], list[tuple[int, int]]]:
    """-11s that no cache explains, splits that want one, and what each -11 allocated."""
    extra: list[Attempt] = []
    missed: list[Attempt] = []
    refills = []
    for attempt, desc, page in _refills(seen, rebuilt, scenario, descs, pages):
        dropped = attempt.errno == k.EAGAIN
        if dropped:
            refills.append((desc, page))
        if dropped != bool(desc or page):
            (extra if dropped else missed).append(attempt)
    return extra, missed, refills
