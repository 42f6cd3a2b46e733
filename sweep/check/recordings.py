"""Conformance with recorded kernels: what the engine predicts against what ftrace saw."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core import constants as k
from core.errors import InputError
from core.patterns import KERNELS
from core.recording import Recording, shadow_recording
from core.recording.calibrate import Calibration, calibrate
from core.recording.predict import Prediction, predict
from core.recording.trace import parse_trace
from core.recording.workload import scenario_of
from core.scenario import ScenarioError
from sweep.check.described import Description
from sweep.inputs import read_lines

SUFFIXES: Final = (".trace", ".trace.gz")
SHOWN: Final = ("attempts", "splits", "explained", "extra", "missed", "levels", "first_difference")


@dataclass
class TraceReport:
    """What one recording showed. `workload` is None without a .json beside it."""

    file: str
    kernel: str
    recorded: dict[str, int]
    alone: dict[str, Any]
    workload: dict[str, Any] | None
    notes: list[str]

    @property
    def agrees(self) -> bool:
        """Whether every prediction came true."""
        return all(part["first_difference"] is None for part in (self.alone, self.workload) if part)


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


def check_trace(path: Path, kernel: str | None, tasks: Collection[str]) -> TraceReport:
    """Predict a recording from itself, and from the .json beside it if there is one."""
    recording, described, layouts = _read(path, kernel, tasks)
    layout, alone, notes = _explained(recording, layouts)
    ended = Counter(attempt.errno for attempt in recording.attempts)
    counts = {
        "attempts": ended.total(),
        "splits": ended[0],
        "eagain": ended[k.EAGAIN],
        "enospc": ended[k.ENOSPC],
        "enomem": ended[k.ENOMEM],
        "tdp": recording.tdp,
    }
    workload = described.check(recording.rounds[0], counts) if described else None
    shown = {name: getattr(alone, name) for name in SHOWN}
    return TraceReport(str(path), layout, counts, shown, workload, notes)


def calibration(path: Path, kernel: str | None, tasks: Collection[str]) -> Calibration:
    """Costs that a recording shows. Raises InputError if it shows too little."""
    recording, _, layouts = _read(path, kernel, tasks)
    return calibrate(recording, _explained(recording, layouts)[1])


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


def _read(
    path: Path, kernel: str | None, tasks: Collection[str]
) -> tuple[Recording, Description | None, Sequence[str]]:
    """A recording, the .json beside it, and the layouts that its kernel may have had."""
    trace = parse_trace(read_lines(path, recorded=True), str(path))
    beside = path.with_name(path.name.removesuffix(".gz").removesuffix(".trace") + ".json")
    described = Description(beside) if beside.exists() else None
    if described and kernel not in (None, described.kernel):
        rule = f"kernel {described.release!r} is {described.kernel}, not {kernel}"
        raise InputError(beside, 0, f"{rule}: leave --kernel out")
    told = kernel or (described and described.kernel)
    return shadow_recording(trace, tasks), described, [told] if told else KERNELS[::-1]


def _explained(recording: Recording, layouts: Sequence[str]) -> tuple[str, Prediction, list[str]]:
    """The first of `layouts` that explains a recording, or the first of all, and what is then
    predicted of it and said."""
    tried: list[tuple[str, Prediction, list[str]]] = []
    for layout in layouts:
        try:
            scenario, notes = scenario_of(recording, layout)
        except ScenarioError as error:
            rule = f"the recorded splits are no memslot: {error}"
            raise InputError(recording.name, 0, rule) from error
        prediction = predict(recording, scenario, layout)
        notes += prediction.notes
        if prediction.first_difference is None:
            only = f"only {layout} explains it, so it is read as that; --kernel says otherwise"
            return layout, prediction, [*notes, only] if tried else notes
        tried.append((layout, prediction, notes))
    return tried[0]
