"""Conformance with recorded scenarios: both engines against the kernels' own functions."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from core.errors import InputError
from core.reference import Event, run_reference
from core.scenario import Scenario, parse_scenario
from sweep.inputs import read_lines

KERNELS: Final = {"6.1": "v6_1", "6.12": "v6_12"}
FAMILIES: Final = (
    *("unaliased", "same", "diff", "deep", "mixed", "blocks", "1g", "prepop", "prepop1g", "tiny"),
    *("sparse", "stride", "zap", "lowmin", "workload"),
)
NEIGHBOURS: Final = 2
NAMED: Final = 20


@dataclass(frozen=True)
class Golden:
    """One line of a golden file."""

    where: str
    scenario: Scenario
    kernel: str
    events: list[list[int]] | None
    totals: Mapping[str, Any]

    @property
    def family(self) -> str:
        """As its name says; it carries nothing else."""
        return next((w for w in self.scenario.id.split("-") if w in FAMILIES), "other")


@dataclass
class Verdict:
    """Agreements of one engine on one family, by the engine that really ran."""

    agreed: int = 0
    differed: int = 0
    which: list[str] = field(default_factory=list)
    """The first of those that differed."""

    def __str__(self) -> str:
        return f"{self.agreed} of {self.agreed + self.differed}"


@dataclass
class Report:
    """What `sweep-check golden` found: verdicts by (family, engine), and the first difference."""

    scenarios: int = 0
    verdicts: dict[tuple[str, str], Verdict] = field(default_factory=lambda: defaultdict(Verdict))
    first_difference: dict[str, Any] | None = None

    def count(self, golden: Golden, engine: str, difference: dict[str, Any] | None) -> None:
        """Note one comparison."""
        verdict = self.verdicts[golden.family, engine]
        if difference is None:
            verdict.agreed += 1
            return
        verdict.differed += 1
        if verdict.differed <= NAMED:
            verdict.which.append(f"{golden.scenario.id} ({golden.kernel})")
        where = {"where": golden.where, "scenario": golden.scenario.id, "kernel": golden.kernel}
        self.first_difference = self.first_difference or where | {"engine": engine} | difference

    @property
    def agrees(self) -> bool:
        """Whether everything did."""
        return self.first_difference is None

    def as_json(self) -> dict[str, Any]:
        """Counts per family and engine, and the first difference with its neighbours."""
        families: dict[str, dict[str, Any]] = defaultdict(dict)
        for (family, engine), verdict in sorted(self.verdicts.items()):
            families[family][engine] = asdict(verdict)
        return {
            "scenarios": self.scenarios,
            "agrees": self.agrees,
            "families": families,
            "first_difference": self.first_difference,
        }


def read_goldens(path: Path) -> Iterator[Golden]:
    """Every line of a golden file, checked. Raises InputError."""
    for number, line in read_lines(path):
        if line.strip():
            raw = decoded(path, number, line)
            try:
                golden = _golden(f"{path}:{number}", raw)
            except ValueError as error:
                raise InputError(path, number, str(error)) from error
            yield golden


def decoded(path: Path, number: int, text: str) -> Any:
    """`text`, whose first line has this `number`, as JSON. Raises InputError."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        number += error.lineno - 1
        raise InputError(path, number, f"no JSON at column {error.colno}: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise InputError(path, number, f"no JSON that can be read: {error}") from error


def _golden(where: str, raw: Any) -> Golden:
    if type(raw) is not dict or set(raw) != {"scenario", "kernel", "expected"}:
        raise ValueError("need an object of scenario, kernel and expected")
    kernel, expected = raw["kernel"], raw["expected"]
    if kernel not in list(KERNELS):  # it may be a list
        raise ValueError(f"kernel {kernel!r}: choose {', '.join(KERNELS)}")
    totals = expected.get("totals") if type(expected) is dict else None
    if type(totals) is not dict or "events" not in expected:
        raise ValueError("expected needs events (a list or null) and totals")
    events, width = expected["events"], len(Event._fields)
    if events is not None and (
        type(events) is not list or any(type(e) is not list or len(e) != width for e in events)
    ):
        raise ValueError(f"expected.events must be lists of {width} numbers")
    return Golden(where, parse_scenario(raw["scenario"]), kernel, events, totals)


def check_goldens(goldens: Iterable[Golden]) -> Report:
    """Run both engines on each scenario and compare all that is expected."""
    from core.scenario.fastpath import fast_totals  # loads numba

    report = Report()
    for golden in goldens:
        report.scenarios += 1
        kernel = KERNELS[golden.kernel]
        try:
            run = run_reference(golden.scenario, kernel)
            totals, engine = fast_totals(golden.scenario, kernel)
        except ValueError as error:
            report.count(golden, "reference", {"error": str(error)})
            continue
        difference = _event_difference(golden.events, run.events)
        difference = difference or _total_difference(golden.totals, run.totals)
        report.count(golden, "reference", difference)
        name = "fast" if engine == "fast" else "fast path: reference ran"
        report.count(golden, name, _total_difference(golden.totals, totals))
    return report


def _event_difference(
    expected: list[list[int]] | None, got: list[Event] | None
) -> dict[str, Any] | None:
    """The first event that differs, with its neighbours, or None."""
    if expected is None or got is None:
        both = expected is None and got is None
        return None if both else {"event": None, "expected": expected, "got": got}
    listed = [list(event) for event in got]
    pairs = enumerate(zip_longest(expected, listed))
    at = next((i for i, (wanted, found) in pairs if wanted != found), None)
    if at is None:
        return None
    near = slice(max(0, at - NEIGHBOURS), at + NEIGHBOURS + 1)
    names = list(Event._fields)
    return {"event": at, "fields": names, "expected": expected[near], "got": listed[near]}


def _total_difference(expected: Mapping[str, Any], got: Mapping[str, Any]) -> dict[str, Any] | None:
    for name in (*expected, *got):
        if expected.get(name) != got.get(name):
            return {"total": name, "expected": expected.get(name), "got": got.get(name)}
    return None
