"""A recording as a workload: which huge pages were aliased, by which roles, and in what order.

The list order of a page's aliases is recovered from the order in which they were split. What the
events cannot tell is said in the recording's notes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from core import constants as k
from core.errors import InputError
from core.patterns import removal_order
from core.recording import Recording, stretches
from core.recording.trace import Attempt
from core.scenario import Scenario, parse_scenario

UNLIMITED: Final = 1 << 40


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
    text = next((w for w in words if len(w) == 3 and not Counter(w) - Counter("wux---")), "wux")
    return attempt.page.role, ("x" in text) | ("w" in text) << 1 | ("u" in text) << 2 or 4


def scenario_of(recording: Recording, kernel: str, ext: int = k.PTE_LIST_EXT) -> Scenario:
    """The first walk of the recording as a scenario with cold caches.

    `kernel` (`v6_1`, `v6_12`) says how its lists were walked. Raises InputError or ScenarioError if
    what was recorded cannot be a memslot.
    """
    first = recording.first_round()
    if len(first) < len(recording.attempts):
        recording.notes.append(f"{recording.rounds[-1] + 1} rounds: the first is the workload")
    heads = _heads(recording, first)
    if stuck := sum(splits[-1][0] == UNKNOWN for splits in heads.values()):
        text = f"{stuck} huge pages were left unsplit: how many aliases they have is not recorded"
        recording.notes.append(text)
    if not heads:
        rule = "only lock drops were recorded, no end of a split: there is nothing to rebuild"
        raise InputError(recording.name, first[0].line, rule)
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
    if len(calls := list(stretches(first))) > 1:
        raw["ranges"] = [_span(call) for call in calls]
    return parse_scenario(raw)


Role = tuple[int, int]
Heads = dict[tuple[int, int], list[tuple[Role, bool]]]

UNKNOWN: Final[Role] = (4, 31)
"""The role of an alias that was not split."""


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
            heads[each.level, each.gfn].append((UNKNOWN, False))
    if alike := sum(number > 1 for number in roles.variants.values()):
        text = f"{alike} pages have roles that the event prints alike: found pages are guessed"
        recording.notes.append(text)
    return dict(sorted(heads.items(), key=lambda item: (-item[0][0], item[0][1])))


def _mappings(
    recording: Recording, heads: Heads, kernel: str, ext: int
) -> Iterable[dict[str, int]]:
    left: dict[int, list[Role]] = {}
    odd: list[int] = []
    for (level, gfn), splits in heads.items():
        walked = [role for role, _ in splits]
        order = removal_order(len(walked), kernel, ext)
        listed = [role for _, role in sorted(zip(order, walked, strict=True))]
        if level == 3:
            left[gfn >> 18] = list(dict.fromkeys(role for role, made in splits if made))
        elif made := left.get(gfn >> 18):
            ends = listed[-len(made) :] == made
            odd += [] if ends or walked == [UNKNOWN] else [gfn]
            listed = listed[: -len(made)] if ends else _without(walked, [*made, UNKNOWN])
        for sp, (access, bits) in enumerate(listed):
            yield {"gfn": gfn, "level": level, "access": access, "sp": sp, "rb": bits}
    if odd:
        text = f"{len(odd)} 2M pages, the first at gfn {odd[0]:x}, do not end with what their 1G "
        recording.notes.append(f"{text}page left there: their aliases are guessed")


def _without(roles: Iterable[Role], gone: Iterable[Role]) -> list[Role]:
    """`roles` less one each of those in `gone`, in order."""
    kept = list(roles)
    for role in gone:
        if role in kept:
            kept.remove(role)
    return kept


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
