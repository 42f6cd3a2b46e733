"""What a user has recorded, as a workload: which huge pages were aliased, by which roles.

A list of aliases is recovered from the order in which they were split. What a recording cannot tell
is said in the notes beside a scenario.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Final

import numpy as np

from core import constants as k
from core.arrays import NONE, running
from core.demand import Demand
from core.errors import InputError
from core.patterns import removal_order
from core.recording import Recording, shadow_recording, stretches
from core.recording.histogram import CAVEAT, TITLE, histogram_scenario
from core.recording.trace import Attempt, parse_trace
from core.scenario import Scenario, parse_scenario
from core.scenario.pages import ADDED, FLUSH
from core.scenario.walk import splits_of

UNLIMITED: Final = 1 << 40

Role = tuple[int, int]
"""Access, and a number for the other bits."""

UNKNOWN: Final[Role] = (4, 31)
"""The role of an alias that was not split."""

Aliases = dict[tuple[int, int], list[tuple[Role, bool]]]
"""By level and gfn of a huge page, 1G first: role, and whether the page was new, as split."""


def recorded_scenario(
    text: str,
    name: str,
    kernel: str,
    ext: int = k.PTE_LIST_EXT,
    distinct_role_ratio: float = 0.0,
    seed: int = 0,
) -> tuple[Scenario, list[str]]:
    """The workload in a trace (ftrace, trace-cmd, perf script) or in debugfs `mmu_rmaps_stat`.

    A trace knows its roles and places; a histogram does not, so that `distinct_role_ratio` and
    `seed` draw them. `kernel` is `v6_1` or `v6_12`. Returns the scenario, and remarks for the user.

    Raises
    ------
    ValueError
        With `name`, line and rule, if the text is neither or breaks a rule.
    """
    lines = enumerate(text.splitlines(), 1)
    if text.lstrip().startswith((TITLE, "Level=")):
        return histogram_scenario(lines, name, distinct_role_ratio, seed, ext), [CAVEAT]
    return scenario_of(shadow_recording(parse_trace(lines, name)), kernel, ext)


def recorded_demand(scenario: Scenario, kernel: str) -> Demand:
    """The demand of an explicit scenario, such as a recording, on `v6_1` or `v6_12`."""
    splits = splits_of(scenario, kernel)
    nr_splits = len(splits.level)
    taken = np.flatnonzero(splits.desc)
    huge = splits.start["pages_2m"] + splits.start["pages_1g"]
    added_2m = int(splits.counts[splits.level == 3, ADDED].sum())
    return Demand(
        nr_splits=nr_splits,
        nr_paged=nr_splits,
        reuse=np.flatnonzero(splits.created == 0),
        desc_at=taken,
        desc_sum=running(splits.desc[taken]),
        breaks=NONE,
        nr_huge_sptes=huge,
        giant=np.flatnonzero(splits.level == 3),
        nr_walked=splits.nr_heads_2m,
        nr_enospc=splits.enospc,
        nr_unsplit=huge + added_2m - nr_splits,
        nonleaf=np.flatnonzero(splits.counts[:, FLUSH]),
    )


def scenario_of(
    recording: Recording, kernel: str, ext: int = k.PTE_LIST_EXT
) -> tuple[Scenario, list[str]]:
    """The first walk of the recording as a scenario with cold caches, and remarks for the user.

    `kernel` (`v6_1`, `v6_12`) says how its lists were walked. Raises InputError or ScenarioError if
    what was recorded cannot be a memslot.
    """
    first = recording.rounds[0]
    aliases, alike = _aliases(recording.name, first)
    if not aliases:
        rule = "only lock drops were recorded, no end of a split: there is nothing to rebuild"
        raise InputError(recording.name, first[0].line, rule)
    mappings, odd = _mappings(aliases, kernel, ext)
    size = k.PAGES_PER_LEVEL[max(level for level, _ in aliases)]
    low = min(gfn for _, gfn in aliases) // size * size
    end = max(gfn + k.PAGES_PER_LEVEL[level] for level, gfn in aliases)
    raw = {
        "id": "recording",
        "memslot": {"base_gfn": low, "npages": -(-(end - low) // 512) * 512},
        "pte_list_ext": ext,
        "n_max_mmu_pages": _limit(first, mappings),
        "mappings": mappings,
    }
    if len(calls := list(stretches(first))) > 1:
        raw["ranges"] = [_span(call) for call in calls]
    return parse_scenario(raw | _caches(recording)), _notes(recording, aliases, alike, odd)


def _notes(recording: Recording, aliases: Aliases, alike: int, odd: Sequence[int]) -> list[str]:
    """What the events cannot tell, or only by a guess."""
    attempts, rounds = recording.attempts, len(recording.rounds)
    lost = ", ".join(map(str, recording.lost[:5]))
    warm, no_pages = attempts[0].errno == 0, not any(a.page for a in attempts)
    left = sum(splits[-1][0] == UNKNOWN for splits in aliases.values())
    cases = {
        f"events were lost (line {lost}): what follows is not compared": lost,
        f"{recording.tdp} splits are the TDP MMU's, left out": recording.tdp,
        "the first attempt is no lock drop: starts mid-walk, or the caches were warm": warm,
        "no kvm_mmu_get_page events: roles are guessed from permission bits of the SPTEs": no_pages,
        f"{rounds} rounds: the first is the workload": rounds > 1,
        f"{alike} pages have roles that the event prints alike: found pages are guessed": alike,
        f"{left} huge pages were left unsplit: how many aliases they have is not recorded": left,
        f"{len(odd)} 2M pages, the first at gfn {min(odd, default=0):x}, do not end with what "
        "their 1G page left there: their aliases are guessed": odd,
    }
    return [text for text, applies in cases.items() if applies]


def _aliases(name: str, attempts: Iterable[Attempt]) -> tuple[Aliases, int]:
    """The aliases of each huge page, and how many pages have roles that are printed alike.

    An alias that ENOSPC or ENOMEM left is the last one; how many more there are is not known.
    """
    numbers: dict[tuple[str, int], int] = {}
    variants: Counter[tuple[int, int, str]] = Counter()
    found: Aliases = defaultdict(list)
    for each in attempts:
        if each.errno == k.EAGAIN:
            continue
        role, made = UNKNOWN, False
        if each.errno == 0:
            text, access = _role_text(each)
            made = each.new is not False
            # Two new pages of one gfn and role differ in bits that the event does not print.
            where = (each.level, each.gfn, text)
            variants[where] += each.new is True
            kind = (text, max(1, variants[where]))
            role = access, numbers.setdefault(kind, len(numbers))
            if len(numbers) > 32:
                raise InputError(name, each.line, "over 32 roles: no VM has that many")
        found[each.level, each.gfn].append((role, made))
    alike = sum(number > 1 for number in variants.values())
    return dict(sorted(found.items(), key=lambda item: (-item[0][0], item[0][1]))), alike


def _role_text(attempt: Attempt) -> tuple[str, int]:
    """What an event says of a role, and the access that it grants."""
    if attempt.page is None:
        write, execute = attempt.spte >> 1 & 1, ~attempt.spte >> 63 & 1
        return f"spte {write}{execute}", 4 | write << 1 | execute
    words = attempt.page.role.split()
    text = next((w for w in words if len(w) == 3 and not Counter(w) - Counter("wux---")), "wux")
    return attempt.page.role, ("x" in text) | ("w" in text) << 1 | ("u" in text) << 2 or 4


def _mappings(aliases: Aliases, kernel: str, ext: int) -> tuple[list[dict[str, int]], list[int]]:
    """Mappings in list order, and gfns of 2M pages that lack what their 1G page left there."""
    left: dict[int, list[Role]] = {}
    mappings: list[dict[str, int]] = []
    odd = []
    for (level, gfn), splits in aliases.items():
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
            mappings.append({"gfn": gfn, "level": level, "access": access, "sp": sp, "rb": bits})
    return mappings, odd


def _without(roles: Iterable[Role], gone: Iterable[Role]) -> list[Role]:
    """`roles` less one each of those in `gone`, in order."""
    kept = list(roles)
    for role in gone:
        if role in kept:
            kept.remove(role)
    return kept


def _caches(recording: Recording) -> dict[str, int]:
    """Sizes of the caches as top-up kprobes saw them, or the default."""
    seen = {cache for each in recording.attempts for cache in each.topups}
    default = (k.SPLIT_DESC_CACHE_CAPACITY, k.SPLIT_DESC_CACHE_MIN)
    desc = next(((c.capacity, c.min) for c in seen if c.min > 1), default)
    objects = next((c.capacity for c in seen if c.min == 1), k.OBJECTS_PER_MEMORY_CACHE)
    return {"desc_capacity": desc[0], "desc_min": desc[1], "object_capacity": objects}


def _limit(attempts: Sequence[Attempt], mappings: Iterable[Mapping[str, int]]) -> int:
    """n_max_mmu_pages that lets as many pages be made as were before the first ENOSPC."""
    before = list(takewhile(lambda a: a.errno != k.ENOSPC, attempts))
    if len(before) == len(attempts):
        return UNLIMITED
    made = sum(a.errno == 0 and a.new is not False for a in before)
    return shadow_pages(mappings) + made + k.MIN_FREE_MMU_PAGES


def shadow_pages(mappings: Iterable[Mapping[str, int]]) -> int:
    """How many shadow pages hold the SPTEs of `mappings`."""
    return len({(m["sp"], m["rb"], m["level"], m["gfn"] >> 9 * m["level"]) for m in mappings})


def _span(call: Sequence[Attempt]) -> list[int]:
    """The gfns that one call covered: its 2M pages, or the start of its 1G pages."""
    last = call[-1]
    return [next(a.gfn for a in call if a.level == last.level), last.gfn + 1]
