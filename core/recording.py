"""A recording as a workload: which huge pages were aliased, by which roles, and in what order.

The list order of a page's aliases is recovered from the order in which they were split. What the
events cannot tell is said in `notes`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core import constants as k
from core.patterns import removal_order
from core.scenario import Scenario, parse_scenario
from core.trace import Attempt, InputError, Trace

UNLIMITED: Final = 1 << 40
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

    def capacities(self) -> tuple[int, int, int]:
        """(desc_capacity, desc_min, object_capacity), as top-up kprobes saw them or the default."""
        seen = {cache for each in self.attempts for cache in each.topups}
        desc = next(((c.capacity, c.min) for c in seen if c.min > 1), None)
        other = next((c.capacity for c in seen if c.min == 1), k.OBJECTS_PER_MEMORY_CACHE)
        return (*(desc or (k.SPLIT_DESC_CACHE_CAPACITY, k.SPLIT_DESC_CACHE_MIN)), other)


def shadow_recording(trace: Trace, task: str | None = None) -> Recording:
    """The attempts of one VM's shadow MMU.

    `task` names its thread (`comm-pid`, or the thread group). Raises InputError with a list if
    several tasks split and none is named, or if there is no shadow split.
    """
    tasks = Counter(each.task for each in trace.attempts)
    if task is None and len(tasks) > 1:
        tasks = Counter({t: _shadow_only(trace, t) for t in tasks}) + Counter()
    if (task or next(iter(tasks), None)) not in tasks or (task is None and len(tasks) > 1):
        found = ", ".join(f"{name} ({number})" for name, number in tasks.most_common(20))
        rule = f"choose one task; splits were made by {found}" if found else "no shadow MMU split"
        raise InputError(trace.name, 0, f"{len(tasks)} tasks: {rule}")
    chosen = task or next(iter(tasks))
    recording = _classified(trace.name, [a for a in trace.attempts if a.task == chosen])
    if not recording.attempts:
        rule = "all splits are the TDP MMU's; only nested (shadow) splits use these caches"
        raise InputError(trace.name, trace.attempts[0].line, rule)
    _note_losses(trace, recording)
    return recording


def _shadow_only(trace: Trace, task: str) -> int:
    return len(_classified("", [a for a in trace.attempts if a.task == task]).attempts)


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
    EAGAIN, or if caches must be cold, or if all its pages were split by the shadow MMU before.
    """
    recording = Recording(name, [], [])
    split: set[tuple[int, int]] = set()
    walk = 0
    for stretch in _stretches(attempts):
        pages = Counter((a.level, a.gfn) for a in stretch if a.errno == 0)
        if not _is_shadow(stretch, pages, split, cold=not recording.attempts):
            recording.tdp += len(stretch)
            continue
        if recording.attempts and not split.isdisjoint(pages):
            walk += 1
            split.clear()
        split.update(pages)
        recording.attempts += stretch
        recording.rounds += [walk] * len(stretch)
    return recording


def _stretches(attempts: Sequence[Attempt]) -> Iterable[Sequence[Attempt]]:
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
    split: set[tuple[int, int]],
    cold: bool,
) -> bool:
    if any(a.errno == BUSY for a in stretch):
        return False
    found = any(a.page is not None and not a.page.new for a in stretch)
    if found or any(a.errno in SHADOW_ONLY for a in stretch) or max(pages.values(), default=0) > 1:
        return True
    seen = sum(page in split for page in pages)
    return not cold and len(pages) <= k.OBJECTS_PER_MEMORY_CACHE and seen < len(pages)


class _Roles:
    """Role numbers (access, other bits) for what the events call a role."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.numbers: dict[tuple[str, int], int] = {}
        self.variants: Counter[tuple[int, int, str]] = Counter()

    def of(self, attempt: Attempt) -> tuple[int, int]:
        """Two new pages of one gfn and role differ in bits that the event does not print."""
        text, access = _role_text(attempt)
        where = (attempt.level, attempt.gfn, text)
        self.variants[where] += attempt.page is not None and attempt.page.new
        kind = (text, max(1, self.variants[where]))
        number = self.numbers.setdefault(kind, len(self.numbers))
        if number > 31:
            raise InputError(self.name, attempt.line, "over 32 roles: no VM has that many")
        return access, number


def _role_text(attempt: Attempt) -> tuple[str, int]:
    if attempt.page is None:
        write, execute = attempt.spte >> 1 & 1, ~attempt.spte >> 63 & 1
        return f"spte {write}{execute}", 4 | write << 1 | execute
    words = attempt.page.role.split()
    text = next((w for w in words if len(w) == 3 and all(map("-".__contains__, _bare(w)))), "wux")
    return attempt.page.role, ("x" in text) | ("w" in text) << 1 | ("u" in text) << 2 or 4


def _bare(word: str) -> str:
    return word.replace("w", "-", 1).replace("u", "-", 1).replace("x", "-", 1)


def scenario_of(recording: Recording, kernel: str, ext: int = k.PTE_LIST_EXT) -> Scenario:
    """The first walk of the recording as a scenario with cold caches.

    `kernel` (`v6_1`, `v6_12`) says how its lists were walked. Raises InputError or ScenarioError if
    what was recorded cannot be a memslot.
    """
    first = [a for a, r in zip(recording.attempts, recording.rounds, strict=True) if r == 0]
    if len(first) < len(recording.attempts):
        recording.notes.append(f"{recording.rounds[-1] + 1} rounds: the first is the workload")
    heads = _heads(recording, first)
    mappings = list(_mappings(recording, heads, kernel, ext))
    size = 3 if any(level == 3 for level, _ in heads) else 2
    low = min(gfn for _, gfn in heads) // k.PAGES_PER_LEVEL[size] * k.PAGES_PER_LEVEL[size]
    end = max(gfn + k.PAGES_PER_LEVEL[level] for level, gfn in heads)
    capacity, low_mark, objects = recording.capacities()
    raw: dict[str, Any] = {
        "id": "recording",
        "memslot": {"base_gfn": low, "npages": -(-(end - low) // 512) * 512},
        "desc_capacity": capacity,
        "desc_min": low_mark,
        "object_capacity": objects,
        "pte_list_ext": ext,
        "n_max_mmu_pages": _limit(first, mappings),
        "mappings": mappings,
    }
    stretches = list(_stretches(first))
    if len(stretches) > 1:
        raw["ranges"] = [_span(stretch) for stretch in stretches]
    return parse_scenario(raw)


Heads = dict[tuple[int, int], list[tuple[tuple[int, int], bool]]]


def _heads(recording: Recording, attempts: Iterable[Attempt]) -> Heads:
    """For each huge page, 1G first: the (role, whether its page is new) of its aliases, as split.

    An alias that ENOSPC or ENOMEM left is the last one; how many more there are is not known.
    """
    roles = _Roles(recording.name)
    heads: Heads = defaultdict(list)
    for each in attempts:
        if each.errno == 0:
            made = each.page is None or each.page.new
            heads[each.level, each.gfn].append((roles.of(each), made))
        elif each.errno != k.EAGAIN:
            heads[each.level, each.gfn].append(((4, 31), False))
    return dict(sorted(heads.items(), key=lambda item: (-item[0][0], item[0][1])))


def _mappings(
    recording: Recording, heads: Heads, kernel: str, ext: int
) -> Iterable[dict[str, int]]:
    left: dict[int, list[tuple[int, int]]] = {}
    for (level, gfn), splits in heads.items():
        walked = [role for role, _ in splits]
        order = removal_order(len(walked), kernel, ext)
        listed = [role for _, role in sorted(zip(order, walked, strict=True))]
        if level == 3:
            left[gfn >> 18] = list(dict.fromkeys(role for role, made in splits if made))
        elif made := left.get(gfn >> 18):
            if listed[-len(made) :] != made:
                text = f"2M page {gfn:x} does not end with what its 1G page left: aliases guessed"
                recording.notes.append(text)
            listed = listed[: -len(made)]
        for sp, (access, bits) in enumerate(listed):
            yield {"gfn": gfn, "level": level, "access": access, "sp": sp, "rb": bits}


def _limit(attempts: Sequence[Attempt], mappings: Iterable[dict[str, int]]) -> int:
    """n_max_mmu_pages that lets as many pages be made as were before the first ENOSPC."""
    stop = next((i for i, a in enumerate(attempts) if a.errno == k.ENOSPC), None)
    if stop is None:
        return UNLIMITED
    made = sum(a.errno == 0 and (a.page is None or a.page.new) for a in attempts[:stop])
    used = {(m["sp"], m["rb"], m["level"], m["gfn"] >> 9 * m["level"]) for m in mappings}
    return len(used) + made + k.MIN_FREE_MMU_PAGES


def _span(stretch: Sequence[Attempt]) -> list[int]:
    """The gfns that one call covered: its 2M pages, or the start of its 1G pages."""
    level = min(a.level for a in stretch)
    gfns = [a.gfn for a in stretch if a.level == level]
    return [min(gfns), max(gfns) + 1]
