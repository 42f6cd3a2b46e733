"""Which of the recorded attempts are those of one VM's shadow MMU. The rest is said in `notes`."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from core import constants as k
from core.errors import InputError
from core.recording.trace import Attempt, Trace

SHADOW_ONLY: Final = (k.EAGAIN, k.ENOSPC)
BUSY: Final = -16


@dataclass
class Recording:
    """The shadow MMU's attempts of one VM, and how many others there were."""

    name: str
    attempts: list[Attempt]
    rounds: list[int]  # for each attempt the number of its walk over the memslot, from 0
    tdp: int = 0
    notes: list[str] = field(default_factory=list)

    def first_round(self) -> list[Attempt]:
        """The attempts of the first walk over the memslot."""
        return [a for a, r in zip(self.attempts, self.rounds, strict=True) if r == 0]

    def capacities(self) -> tuple[int, int, int]:
        """(desc_capacity, desc_min, object_capacity), as top-up kprobes saw them or the default."""
        seen = {cache for each in self.attempts for cache in each.topups}
        desc = next(((c.capacity, c.min) for c in seen if c.min > 1), None)
        other = next((c.capacity for c in seen if c.min == 1), k.OBJECTS_PER_MEMORY_CACHE)
        return (*(desc or (k.SPLIT_DESC_CACHE_CAPACITY, k.SPLIT_DESC_CACHE_MIN)), other)


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
        splitters = [t for t, own in by_task.items() if _classified("", own).attempts]
    chosen = set(tasks or splitters)
    if not chosen <= by_task.keys() or (not tasks and len(splitters) > 1):
        busiest = sorted(by_task, key=lambda t: -len(by_task[t]))[:20]
        found = ", ".join(f"{name} ({len(by_task[name])})" for name in busiest)
        rule = f"choose those of one VM; attempts were made by {found}"
        raise InputError(trace.name, 0, f"{len(by_task)} tasks: {rule}")
    recording = _classified(trace.name, [a for a in trace.attempts if a.task in chosen])
    if not recording.attempts:
        rule = "all splits are the TDP MMU's; only nested (shadow) splits use these caches"
        raise InputError(trace.name, trace.attempts[0].line, rule)
    _note_losses(trace, recording)
    return recording


def _note_losses(trace: Trace, recording: Recording) -> None:
    first = recording.attempts[0]
    if trace.lost:
        where = ", ".join(map(str, trace.lost[:5]))
        recording.notes.append(f"events were lost (line {where}): what follows is not compared")
    if recording.tdp:
        recording.notes.append(f"{recording.tdp} splits are the TDP MMU's, left out")
    if first.errno == 0:
        text = "the first attempt is no lock drop: starts mid-walk, or the caches were warm"
        recording.notes.append(text)
    if not any(a.page for a in recording.attempts):
        text = "no kvm_mmu_get_page events: roles are guessed from permission bits of the SPTEs"
        recording.notes.append(text)


def _classified(name: str, attempts: Sequence[Attempt]) -> Recording:
    """Tell shadow walks from the TDP MMU's, which emits the same event.

    One call of the shadow MMU visits 1G and then 2M pages, each in ascending order. A stretch is
    the shadow MMU's if only it could have made it: EAGAIN, ENOSPC, a page that is found or that is
    split twice. It is the TDP MMU's with EBUSY, or with more new pages than the caches hold and no
    EAGAIN, or if caches must be cold, or if the shadow MMU had split all its pages before, or had
    found no room to (ENOSPC).
    """
    recording = Recording(name, [], [])
    split: set[tuple[int, int]] = set()
    tried: set[tuple[int, int]] = set()
    walk = 0
    for stretch in stretches(attempts):
        pages = Counter((a.level, a.gfn) for a in stretch if a.errno == 0)
        if not _is_shadow(stretch, pages, tried, cold=not recording.attempts):
            recording.tdp += len(stretch)
            continue
        if recording.attempts and not split.isdisjoint(pages):
            walk += 1
            split.clear()
            tried.clear()
        split.update(pages)
        tried.update((a.level, a.gfn) for a in stretch if a.errno in (0, k.ENOSPC))
        recording.attempts += stretch
        recording.rounds += [walk] * len(stretch)
    return recording


def stretches(attempts: Sequence[Attempt]) -> Iterable[Sequence[Attempt]]:
    """Parts that one call could have made: 1G pages and then 2M pages, each ascending."""
    start = 0
    for at in range(1, len(attempts) + 1):
        if at == len(attempts) or _before(attempts[at], attempts[at - 1]):
            yield attempts[start:at]
            start = at


def _before(one: Attempt, other: Attempt) -> bool:
    return (-one.level, one.gfn) < (-other.level, other.gfn)


def _is_shadow(
    stretch: Sequence[Attempt],
    pages: Counter[tuple[int, int]],
    tried: set[tuple[int, int]],
    cold: bool,
) -> bool:
    if any(a.errno == BUSY for a in stretch):
        return False
    found = any(a.page is not None and not a.page.new for a in stretch)
    if found or any(a.errno in SHADOW_ONLY for a in stretch) or max(pages.values(), default=0) > 1:
        return True
    seen = sum(page in tried for page in pages)
    return not cold and len(pages) <= k.OBJECTS_PER_MEMORY_CACHE and seen < len(pages)
