"""Which of the recorded attempts are those of one VM's shadow MMU."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final

from core import constants as k
from core.errors import InputError
from core.recording.trace import EBUSY, Attempt, Trace

SHADOW_ONLY: Final = (k.EAGAIN, k.ENOSPC)

Place = tuple[int, int]
"""Level and gfn of a huge page."""


@dataclass(frozen=True)
class Recording:
    """The shadow MMU's attempts of one VM in each walk over the memslot, of which there is one at
    least; how many others were the TDP MMU's; and the lines that say events are missing."""

    name: str
    rounds: list[list[Attempt]]
    tdp: int
    lost: list[int]

    @property
    def attempts(self) -> list[Attempt]:
        """Those of all rounds."""
        return list(chain.from_iterable(self.rounds))


def shadow_recording(trace: Trace, tasks: Collection[str] = ()) -> Recording:
    """The attempts of one VM's shadow MMU.

    `tasks` names its threads (`comm-pid`, or the thread group). Raises InputError with a list if
    several tasks split and none is named, or if there is no shadow split.
    """
    by_task: dict[str, list[Attempt]] = defaultdict(list)
    for each in trace.attempts:
        by_task[each.task].append(each)
    splitters = list(by_task)
    if len(by_task) > 1:
        splitters = [task for task, own in by_task.items() if _shadow_rounds(own)[0]]
    chosen = set(tasks or splitters)
    if not chosen <= by_task.keys() or (not tasks and len(splitters) > 1):
        busiest = sorted(by_task, key=lambda t: -len(by_task[t]))[:20]
        found = ", ".join(f"{name} ({len(by_task[name])})" for name in busiest)
        rule = f"choose those of one VM; attempts were made by {found}"
        raise InputError(trace.name, 0, f"{len(by_task)} tasks: {rule}")
    rounds, tdp = _shadow_rounds([a for a in trace.attempts if a.task in chosen])
    if not rounds:
        rule = "all splits are the TDP MMU's; only nested (shadow) splits use these caches"
        raise InputError(trace.name, trace.attempts[0].line, rule)
    return Recording(trace.name, rounds, tdp, trace.lost)


def _shadow_rounds(attempts: Sequence[Attempt]) -> tuple[list[list[Attempt]], int]:
    """The shadow MMU's walks, and the number of attempts of the TDP MMU, whose event is the same.

    One call of the shadow MMU visits 1G and then 2M pages, each in ascending order. A stretch is
    the shadow MMU's if only it could have made it: EAGAIN, ENOSPC, a page that is found or that is
    split twice. It is the TDP MMU's with EBUSY, or with more new pages than the caches hold and no
    EAGAIN, or if caches must be cold, or if the shadow MMU had split all its pages before, or had
    found no room to (ENOSPC).
    """
    rounds: list[list[Attempt]] = []
    tdp = 0
    split: set[Place] = set()
    tried: set[Place] = set()
    for stretch in stretches(attempts):
        pages = Counter((a.level, a.gfn) for a in stretch if a.errno == 0)
        if not _is_shadow(stretch, pages, tried, cold=not rounds):
            tdp += len(stretch)
            continue
        if not rounds or not split.isdisjoint(pages):
            rounds.append([])
            split.clear()
            tried.clear()
        rounds[-1] += stretch
        split.update(pages)
        tried.update((a.level, a.gfn) for a in stretch if a.errno in (0, k.ENOSPC))
    return rounds, tdp


def stretches(attempts: Sequence[Attempt]) -> Iterable[Sequence[Attempt]]:
    """Parts that one call could have made: 1G pages and then 2M pages, each ascending."""
    places = ((-attempt.level, attempt.gfn) for attempt in attempts)
    starts = [at for at, (before, this) in enumerate(pairwise(places), 1) if this < before]
    return (attempts[start:end] for start, end in pairwise((0, *starts, len(attempts))))


def _is_shadow(
    stretch: Sequence[Attempt], pages: Counter[Place], tried: set[Place], cold: bool
) -> bool:
    if any(a.errno == EBUSY for a in stretch):
        return False
    shown = any(a.new is False or a.errno in SHADOW_ONLY for a in stretch)
    if shown or max(pages.values(), default=0) > 1:
        return True
    return not cold and len(pages) <= k.OBJECTS_PER_MEMORY_CACHE and not tried >= pages.keys()
