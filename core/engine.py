"""The one door into the model for a batch: columns of parameters in, columns of outcomes out.

Points are grouped by what they share. A workload's demand is computed once, each policy replays it
for all descriptor capacities at once, and a group's numbers are dealt out to its points.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.arrays import Ints, changes
from core.columns import progress, spent
from core.constants import HUGE_PAGES_PER_GIB
from core.cost import Cost
from core.demand import Demand, demand_of, has_prefixes, prefix
from core.outcome import ENGINES, OUTCOMES
from core.parameters import BY_NAME
from core.replay import RULES, Replay, replay
from core.workload import Workload

Columns = Mapping[str, NDArray[Any]]
Rows = NDArray[np.intp]
Values = dict[str, Any]

SETTLED: Final = (
    "memslot_gib", "alias_ratio", "alias_degree", "ratio_1g", "placement",
    "caller", "rounds", "nr_memslots", "clear_chunk_gib",
)  # fmt: skip
"""Parameters that a recording decides itself, or has no say in: they stay at their defaults."""

ASKED: Final = ("path", "kernel", "pte_list_ext", "distinct_role_ratio", "seed")
"""Parameters that the demand of a recording depends on, in the order in which it is read."""

DEMAND: Final = (*SETTLED, *ASKED)
"""Parameters that demand depends on; a smaller memslot is a prefix."""

COST: Final = tuple(field.name for field in fields(Cost))

GROUP: Final = ("policy", "desc_min", "object_capacity", "preempt_on_contention", *COST)
"""Parameters that all points of one replay share; what is left is the descriptor capacity."""

_cached_demand = lru_cache(maxsize=4)(demand_of)
"""Neighbouring shards often share a workload; a few are worth keeping."""


def outcomes(
    points: Columns, engine: str = "auto", recordings: Mapping[str, str] | None = None
) -> dict[str, NDArray[Any]]:
    """Outcome columns of `points`.

    Parameters
    ----------
    points
        One array of shape (n,) a parameter (`core.parameters.PARAMETERS`, all of them): int64,
        float64, bool or unicode strings. A parameter that is the same everywhere is cheapest as a
        broadcast view (stride 0).
    engine
        `auto` (exact, the fastest that is), `reference` (split by split) or `expected` (no draw).
    recordings
        Text of every file that a `path` names.

    Returns
    -------
    One array of shape (n,) an outcome (`core.outcome.OUTCOMES`, int64 or float64), and `engine`, a
    string array that names what computed each point.

    Raises
    ------
    ValueError
        If a point has no outcome; the message says which rule it breaks.
    """
    n = len(points["desc_capacity"])
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r}: choose one of {', '.join(ENGINES)}")
    table = {o.name: np.zeros(n, np.int64 if o.kind is int else np.float64) for o in OUTCOMES}
    table["engine"] = np.full(n, "", "U16")
    family = [name for name in DEMAND if name != "memslot_gib"]
    for kind, members in _groups(points, family, np.arange(n)):
        largest = points["memslot_gib"][members].max().item()
        for size, rows in _groups(points, ("memslot_gib",), members):
            values = kind | size
            draws = engine != "expected"
            demand = demand_at(values, recordings or {}, largest) if draws else None
            for group, part in _groups(points, GROUP, rows):
                capacities, where = np.unique(points["desc_capacity"][part], return_inverse=True)
                columns = _columns(demand, values | group, capacities, engine)
                for name, column in columns.items():
                    table[name][part] = np.broadcast_to(column, capacities.shape)[where]
    return table


def steps(points: Columns, engine: str) -> float:
    """About how many steps the loops behind `outcomes` take for `points`, rather too many."""
    number = {name: column for name, column in points.items() if column.dtype.kind in "if"}
    deep = (number["think_ns"] + number["timeslice_ns"] + number["ratio_1g"]).any()
    always = np.isin(points["policy"], [name for name, rule in RULES.items() if rule.always]).any()
    if engine != "auto" or deep or always or points["path"].any():
        return float("inf")
    splits = number["memslot_gib"] * HUGE_PAGES_PER_GIB * number["nr_memslots"] * number["rounds"]
    drawn = (number["alias_ratio"] > 0) * number["alias_degree"]
    return float((splits * (drawn + 8 / number["object_capacity"])).sum())


def _groups(points: Columns, names: Sequence[str], rows: Rows) -> Iterator[tuple[Values, Rows]]:
    """Rows that agree on `names`, with the values that they share. Grids change slowly along their
    rows, so runs of equal rows are found first and then joined."""
    varying = [name for name in names if _varies(points[name])]
    fixed = {name: points[name][0].item() for name in names if name not in varying}
    if not varying:
        yield fixed, rows
        return
    starts = np.flatnonzero(changes(*(points[name][rows] for name in varying)))
    runs: dict[tuple[Any, ...], list[Rows]] = {}
    for start, end in zip(starts, np.append(starts[1:], rows.size), strict=True):
        key = tuple(points[name][rows[start]].item() for name in varying)
        runs.setdefault(key, []).append(rows[start:end])
    for key, parts in runs.items():
        yield fixed | dict(zip(varying, key, strict=True)), np.concatenate(parts)


def _varies(column: NDArray[Any]) -> bool:
    return column.strides[0] != 0 and bool((column != column[0]).any())


def demand_at(
    values: Mapping[str, Any], recordings: Mapping[str, str], largest: float | None = None
) -> Demand:
    """The demand stream of one point, given a value for each parameter of `DEMAND`.

    `largest`: GiB of the largest memslot that is asked for too. Raises ValueError as `outcomes`.
    """
    if values["path"]:
        return _recorded(values, recordings)
    workload = workload_of(values)
    drawn = replace(workload, nr_huge_pages=_huge_pages(largest or values["memslot_gib"]))
    shorter = drawn != workload and has_prefixes(workload)
    found = prefix(_cached_demand(drawn), drawn, workload.nr_huge_pages) if shorter else None
    return found or _cached_demand(workload)


def _recorded(values: Mapping[str, Any], recordings: Mapping[str, str]) -> Demand:
    """Demand of a recording: its own pages and aliases, the kernel and list size asked for."""
    path, known = values["path"], {name: BY_NAME[name] for name in SETTLED}
    if path not in recordings:
        raise ValueError(f"workload.path={path!r}: its text was not given to the engine.")
    wrong = [f"{p.key}={values[n]!r}" for n, p in known.items() if values[n] != p.default]
    if wrong:
        raise ValueError(
            f"workload.path={path!r} with {', '.join(wrong)}: a recording has its own pages and "
            "aliases, and dirty logging is enabled once; leave these at their defaults."
        )
    return _cached_recording(recordings[path], *(values[name] for name in ASKED))


@lru_cache(maxsize=4)
def _cached_recording(text: str, name: str, kernel: str, *more: Any) -> Demand:
    from core.recording.workload import recorded_demand, recorded_scenario

    scenario, _ = recorded_scenario(text, name, kernel, *more)
    return recorded_demand(scenario, kernel)


def workload_of(values: Mapping[str, Any]) -> Workload:
    """The workload that a point's parameters describe."""
    same_name = {f.name: values[f.name] for f in fields(Workload) if f.name in values}
    return Workload(
        nr_huge_pages=_huge_pages(values["memslot_gib"]),
        clear_chunk=_huge_pages(values["clear_chunk_gib"]) if values["caller"] == "clear" else 0,
        **same_name,
    )


def _huge_pages(gib: float) -> int:
    return round(gib * HUGE_PAGES_PER_GIB)


def _columns(demand: Demand | None, shared: Values, capacities: Ints, engine: str) -> Values:
    """Outcomes of one workload under one policy and cost, for ascending descriptor capacities;
    without a demand, those to expect of all draws."""
    cost = Cost(**{name: shared[name] for name in COST})
    policy, desc_min, objects = (shared[n] for n in ("policy", "desc_min", "object_capacity"))
    geometry = (policy, desc_min, capacities, objects, cost)
    if demand is None:
        name, found = "expected", _foreseen(shared, *geometry)
        walked = workload_of(shared).all_huge_pages
    else:
        cached = capacities[0] if RULES[policy].exact else desc_min
        walked = demand.nr_walked
        if engine == "reference" or cost.depends_on_time or demand.max_desc > cached:
            from core.machine import machine

            vcpus = (shared["preempt_on_contention"], shared["seed"])
            name, found = "machine", machine(demand, *geometry, *vcpus)
        else:
            name, found = "replay", replay(demand, *geometry)
    walk_ns = walked * cost.walk_ns(shared["caller"])
    times = spent(found, capacities, objects, shared["pte_list_ext"], walk_ns)
    return progress(demand, found, cost) | times | {"engine": name}


def _foreseen(
    shared: Values, policy: str, desc_min: int, capacities: Ints, objects: int, cost: Cost
) -> Replay:
    from core.expected import expected, refusal

    workload = workload_of(shared)
    rule = refusal(workload, policy, desc_min, int(capacities[-1]), objects)
    if shared["path"] or cost.depends_on_time:
        rule = "workload.path must be empty, cost.think_ns and cost.timeslice_ns must be 0"
    if rule:
        raise ValueError(f"engine=expected: {rule}. engine=auto draws the workload instead.")
    return expected(workload, policy, desc_min, capacities, objects, cost)
