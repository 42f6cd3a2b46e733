"""Conformance with recorded kernels: what the engine predicts against what ftrace saw."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from core import constants as k
from core.errors import InputError
from core.patterns import KERNELS
from core.recording import Recording, shadow_recording
from core.recording.calibrate import Calibration, calibrate
from core.recording.predict import Prediction, predict
from core.recording.rebuild import UNLIMITED, scenario_of
from core.recording.trace import Attempt, Trace, parse_trace
from core.reference import Event, run_reference
from core.scenario import Scenario, ScenarioError, parse_scenario
from core.scenario.walk import splits_of
from sweep.check.goldens import decoded
from sweep.inputs import read_lines

SUFFIXES: Final = (".trace", ".trace.gz")
ACCESS: Final = {"RWX": 7, "RX": 5, "RW": 6, "R": 4, "X": 1}
EFER_NX: Final = 4


@dataclass
class TraceReport:
    """What one recording showed. `workload` is None without a .json beside it."""

    file: str
    kernel: str
    recorded: dict[str, int]
    alone: dict[str, Any]
    workload: dict[str, Any] | None
    notes: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether every prediction came true."""
        parts = [self.alone] + ([self.workload] if self.workload else [])
        return all(part["first_difference"] is None for part in parts)


def trace_files(paths: Iterable[Path]) -> list[Path]:
    """Files, and the traces in folders, sorted. Raises InputError for a folder without any."""
    found = []
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else ()
        traces = [p for p in inside if p.name.endswith(SUFFIXES)]
        if path.is_dir() and not traces:
            raise InputError(path, 0, f"no {' or '.join(SUFFIXES)} file in this folder")
        found += traces or [path]
    return found


def read_trace(path: Path) -> Trace:
    """A recording as users have it. Raises InputError."""
    return parse_trace(read_lines(path, recorded=True), str(path))


@dataclass(frozen=True)
class Rebuilt:
    """A recording, the workload rebuilt from it, and what the caches explain."""

    recording: Recording
    scenario: Scenario
    prediction: Prediction


def rebuild(trace: Trace, kernel: str, tasks: Collection[str] = ()) -> Rebuilt:
    """Predict a recording from itself. Raises InputError."""
    recording = shadow_recording(trace, tasks)
    try:
        scenario = scenario_of(recording, kernel)
    except ScenarioError as error:
        rule = f"the recorded splits are no memslot: {error}"
        raise InputError(trace.name, 0, rule) from error
    return Rebuilt(recording, scenario, predict(trace, recording, scenario, kernel))


def calibration(path: Path, kernel: str | None, tasks: Collection[str]) -> Calibration:
    """Costs that a recording shows. Raises InputError if it shows too little."""
    _, _, layout, found = _read(path, kernel, tasks)
    splits = splits_of(found.scenario, layout)
    return calibrate(found.recording, splits, found.prediction.refills)


def cost_file(source: Path, found: Calibration) -> str:
    """A file of the config group `cost`: measured values over the defaults, each with its mark."""
    lines = [f"# Measured from {source.name} by `sweep-check calibrate`."]
    if found.holds:
        p50, p99, longest = (f"{ns / 1e3:.1f}" for ns in found.holds)
        lines.append(f"# Holds of mmu_lock: p50 {p50} us, p99 {p99} us, longest {longest} us.")
    lines += [f"# {name} is not measured: {why}." for name, why in found.left_out.items()]
    lines += ["defaults:", "  - default"]
    for name, cost in found.costs.items():
        lines.append(f"{name}: {cost.ns:.1f}  # ns; {cost.how}, {cost.samples} samples [measured]")
    return "\n".join(lines) + "\n"


def check_trace(path: Path, kernel: str | None = None, tasks: Collection[str] = ()) -> TraceReport:
    """Predict a recording from itself, and from the .json beside it if there is one."""
    described, told, layout, found = _read(path, kernel, tasks)
    recording, alone = found.recording, found.prediction
    attempts = recording.attempts
    counts = {
        "attempts": len(attempts),
        "splits": sum(a.errno == 0 for a in attempts),
        "eagain": sum(a.errno == k.EAGAIN for a in attempts),
        "enospc": sum(a.errno == k.ENOSPC for a in attempts),
        "enomem": sum(a.errno == k.ENOMEM for a in attempts),
        "tdp": recording.tdp,
    }
    workload = described.check(recording.first_round(), counts) if described else None
    notes = recording.notes + alone.notes
    if not told and layout != KERNELS[-1]:
        notes.append(f"only {layout} explains it, so it is read as that; --kernel says otherwise")
    hidden = ("notes", "refills")
    alone_fields = {name: v for name, v in asdict(alone).items() if name not in hidden}
    return TraceReport(str(path), layout, counts, alone_fields, workload, notes)


def _read(
    path: Path, kernel: str | None, tasks: Collection[str]
) -> tuple["_Description | None", str | None, str, Rebuilt]:
    """The .json beside a recording, the layout it or `kernel` tells, the one used, and with it what
    is rebuilt."""
    trace = read_trace(path)
    beside = path.with_name(path.name.removesuffix(".gz").removesuffix(".trace") + ".json")
    described = _Description(beside) if beside.exists() else None
    if described and kernel not in (None, described.kernel):
        rule = f"kernel {described.raw['kernel']!r} is {described.kernel}, not {kernel}"
        raise InputError(beside, 0, f"{rule}: leave --kernel out")
    told = kernel or (described.kernel if described else None)
    return described, told, *_explained(trace, [told] if told else KERNELS[::-1], tasks)


def _explained(trace: Trace, layouts: Sequence[str], tasks: Collection[str]) -> tuple[str, Rebuilt]:
    """The first of `layouts` that explains a recording, or the first of all."""
    first, *others = layouts
    found = rebuild(trace, first, tasks)
    for layout in others if found.prediction.first_difference else ():
        other = rebuild(trace, layout, tasks)
        if other.prediction.first_difference is None:
            return layout, other
    return first, found


class _Description:
    """The .json beside a recording: the workload, and what was counted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = "\n".join(line for _, line in read_lines(path))
        self.raw: dict[str, Any] = decoded(path, 1, text)
        try:
            release = re.match(r"(\d{1,3})\.(\d{1,3})", self.raw["kernel"])
            self.kernel = _layout(release[0] if release else "")
            self.scenario = parse_scenario(self.as_scenario())
        except ScenarioError as error:
            raise InputError(path, 0, str(error)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            rule = "need kernel, memslot, constants, options, maps and recorded"
            raise InputError(path, 0, f"{rule}; {type(error).__name__}: {error}") from error

    def as_scenario(self) -> dict[str, Any]:
        """The scenario that the recorded workload is."""
        raw, constants = self.raw, self.raw["constants"]
        mappings = list(self._mappings())
        limit = raw["options"]["set_nr_mmu_pages"]
        groups = {(m["sp"], m["gfn"] >> 9 * m["level"], m["level"], m["rb"]) for m in mappings}
        room = limit - k.MIN_FREE_MMU_PAGES if limit else UNLIMITED  # nested tables hold 5 pages
        return {
            "id": raw["name"],
            "memslot": {
                "base_gfn": int(raw["memslot"]["base_gfn"], 16),
                "npages": raw["memslot"]["npages"],
            },
            "desc_capacity": constants["split_desc_cache_capacity"],
            "desc_min": constants["SPLIT_DESC_CACHE_MIN_NR_OBJECTS"],
            "object_capacity": constants["KVM_ARCH_NR_OBJS_PER_MEMORY_CACHE"],
            "pte_list_ext": constants["PTE_LIST_EXT"],
            "n_max_mmu_pages": len(groups) + room,
            "mappings": mappings,
        }

    def _mappings(self) -> Iterator[dict[str, int]]:
        raw, seen = self.raw, set()
        aliases: dict[tuple[int, int], int] = {}
        for root, l2_gfn, l1_gfn, level, access, _ in sorted(raw["maps"], key=lambda m: m[0]):
            one = (0 if raw["npt12_roots_share_pdpt"] else root, l2_gfn)
            if one in seen:
                continue
            seen.add(one)
            gfn = int(l1_gfn, 16)
            sp = aliases[gfn, level] = aliases.get((gfn, level), -1) + 1
            clear = root == raw["options"]["root_with_l1_efer_nx_clear"]
            role = {"access": ACCESS[access], "sp": sp, "rb": 0 if clear else EFER_NX}
            yield {"gfn": gfn, "level": level, **role}

    def check(self, attempts: list[Attempt], counts: dict[str, int]) -> dict[str, Any]:
        """Predicted against recorded sequence of gfn, level, errno and new or existing pages.

        `attempts` are those of the first round, `counts` those of all.
        """
        run = run_reference(self.scenario, self.kernel, UNLIMITED)
        assert run.events is not None
        extra, difference = align(attempts, run.events)
        recorded = self.raw["recorded"]
        said = {
            "splits": recorded["ok"],
            "eagain": recorded["eagain"],
            "enospc": recorded["enospc"],
        }
        if difference is None and any(counts[name] != number for name, number in said.items()):
            difference = {"what": "the .json counts other events than the trace has", "json": said}
        marked = recorded["eagain_no_topup_needed"]
        if difference is None and len(extra) != marked and len(attempts) == counts["attempts"]:
            what = f"{len(extra)} lock drops not predicted; {marked} needed no top-up by the .json"
            difference = {"what": what, "lines": extra[:20]}
        return {"predicted": len(run.events), "extra": extra, "first_difference": difference}


def _layout(release: str) -> str:
    """Descriptor lists got their present form in 6.4."""
    if not release:
        raise ValueError("kernel must start with its version, such as 6.12")
    return "v6_1" if tuple(map(int, release.split("."))) < (6, 4) else "v6_12"


def align(attempts: list[Attempt], events: list[Event]) -> tuple[list[int], dict[str, Any] | None]:
    """Lines of recorded -11s that were not predicted, and the first real difference.

    An extra -11 finds no cache short, so it changes nothing that follows.
    """
    extra, at = [], 0
    for seen in attempts:
        event = events[at] if at < len(events) else None
        predicted = None if event is None else (event.gfn, event.level, event.result)
        if seen.errno == k.EAGAIN and predicted != (seen.gfn, seen.level, k.EAGAIN):
            extra.append(seen.line)
            if any(cache.nobjs < cache.min for cache in seen.topups):
                return extra, _differs(seen, event, "a cache was short")
            continue
        if predicted != (seen.gfn, seen.level, seen.errno):
            return extra, _differs(seen, event, "gfn, level or errno")
        if event and seen.page is not None and seen.page.new != bool(event.created):
            return extra, _differs(seen, event, "new or existing shadow page")
        at += 1
    if at < len(events):
        return extra, {"what": f"{len(events) - at} predicted attempts were not recorded"}
    return extra, None


def _differs(seen: Attempt, event: Event | None, what: str) -> dict[str, Any]:
    got = {"gfn": seen.gfn, "level": seen.level, "errno": seen.errno}
    return {
        "line": seen.line,
        "what": what,
        "recorded": got | {"new": seen.page.new if seen.page else None},
        "predicted": event._asdict() if event else None,
    }
