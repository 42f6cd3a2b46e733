"""The .json beside a recording: the workload that ran, and whether the trace shows its splits."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from core import constants as k
from core.errors import InputError
from core.recording.trace import Attempt
from core.recording.workload import UNLIMITED, shadow_pages
from core.reference import Event, run_reference
from core.scenario import ScenarioError, parse_scenario
from sweep.check.goldens import decoded
from sweep.inputs import read_lines

ACCESS: Final = {"RWX": 7, "RX": 5, "RW": 6, "R": 4, "X": 1}
EFER_NX: Final = 4


class Description:
    """What a .json says of a workload. Raises InputError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        raw = decoded(path, 1, "\n".join(line for _, line in read_lines(path)))
        try:
            self.release = raw["kernel"]
            version = re.match(r"(\d{1,3})\.(\d{1,3})", self.release)
            if version is None:
                raise ValueError("kernel must start with its version, such as 6.12")
            # Descriptor lists got their present form in 6.4.
            self.kernel = "v6_1" if tuple(map(int, version.groups())) < (6, 4) else "v6_12"
            self.scenario = parse_scenario(_scenario(raw))
            recorded = raw["recorded"]
            self.marked = recorded["eagain_no_topup_needed"]
            said = ("splits", "ok"), ("eagain", "eagain"), ("enospc", "enospc")
            self.said = {name: recorded[key] for name, key in said}
        except ScenarioError as error:
            raise InputError(path, 0, str(error)) from error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            rule = "need kernel, memslot, constants, options, maps and recorded"
            raise InputError(path, 0, f"{rule}; {type(error).__name__}: {error}") from error

    def check(self, attempts: Sequence[Attempt], counts: Mapping[str, int]) -> dict[str, Any]:
        """Predicted against recorded sequence of gfn, level, errno and new or existing pages.

        `attempts` are those of the first round, `counts` those of all.
        """
        events = run_reference(self.scenario, self.kernel, UNLIMITED).events
        assert events is not None
        extra, difference = _aligned(attempts, events)
        if difference is None and any(counts[name] != n for name, n in self.said.items()):
            what = "the .json counts other events than the trace has"
            difference = {"what": what, "json": self.said}
        whole = len(attempts) == counts["attempts"]
        if difference is None and len(extra) != self.marked and whole:
            what = f"{len(extra)} lock drops not predicted"
            what += f"; {self.marked} needed no top-up by the .json"
            difference = {"what": what, "lines": extra[:20]}
        return {"predicted": len(events), "extra": extra, "first_difference": difference}


def _scenario(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The scenario that the recorded workload is."""
    constants, mappings = raw["constants"], list(_mappings(raw))
    limit, used = raw["options"]["set_nr_mmu_pages"], shadow_pages(mappings)
    room = limit - k.MIN_FREE_MMU_PAGES if limit else UNLIMITED  # nested tables hold 5 pages
    name, slot = raw["name"], raw["memslot"]
    return {
        "id": name,
        "memslot": {"base_gfn": int(slot["base_gfn"], 16), "npages": slot["npages"]},
        "desc_capacity": constants["split_desc_cache_capacity"],
        "desc_min": constants["SPLIT_DESC_CACHE_MIN_NR_OBJECTS"],
        "object_capacity": constants["KVM_ARCH_NR_OBJS_PER_MEMORY_CACHE"],
        "pte_list_ext": constants["PTE_LIST_EXT"],
        "n_max_mmu_pages": used + room,
        "mappings": mappings,
    }


def _mappings(raw: Mapping[str, Any]) -> Iterator[dict[str, int]]:
    seen = set()
    aliases: Counter[tuple[int, int]] = Counter()
    for root, l2_gfn, l1_gfn, level, access, _ in sorted(raw["maps"], key=lambda m: m[0]):
        one = (0 if raw["npt12_roots_share_pdpt"] else root, l2_gfn)
        if one in seen:
            continue
        seen.add(one)
        gfn = int(l1_gfn, 16)
        clear = root == raw["options"]["root_with_l1_efer_nx_clear"]
        role = {"access": ACCESS[access], "sp": aliases[gfn, level], "rb": 0 if clear else EFER_NX}
        aliases[gfn, level] += 1
        yield {"gfn": gfn, "level": level, **role}


def _aligned(
    attempts: Sequence[Attempt], events: Sequence[Event]
) -> tuple[list[int], dict[str, Any] | None]:
    """Lines of recorded -11s that were not predicted, and the first real difference.

    An extra -11 finds no cache short, so it changes nothing that follows.
    """
    extra, at = [], 0
    for seen in attempts:
        event = events[at] if at < len(events) else None
        predicted = event and (event.gfn, event.level, event.result)
        if seen.errno == k.EAGAIN and predicted != (seen.gfn, seen.level, k.EAGAIN):
            extra.append(seen.line)
            if seen.found_short:
                return extra, _differs(seen, event, "a cache was short")
            continue
        if predicted != (seen.gfn, seen.level, seen.errno):
            return extra, _differs(seen, event, "gfn, level or errno")
        if event and seen.new not in (None, bool(event.created)):
            return extra, _differs(seen, event, "new or existing shadow page")
        at += 1
    if at < len(events):
        return extra, {"what": f"{len(events) - at} predicted attempts were not recorded"}
    return extra, None


def _differs(seen: Attempt, event: Event | None, what: str) -> dict[str, Any]:
    return {
        "line": seen.line,
        "what": what,
        "recorded": {"gfn": seen.gfn, "level": seen.level, "errno": seen.errno, "new": seen.new},
        "predicted": event._asdict() if event else None,
    }
