"""Proof, from the files alone, that a run holds every point exactly once and unchanged."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from core.parameters import PARAMETERS
from sweep import shard_file
from sweep.checksum import added, checksum
from sweep.errors import RefusedError
from sweep.grid import Grid
from sweep.inputs import kept_workloads
from sweep.model import Engine, Outcomes
from sweep.plan import Shard
from sweep.shard import Work
from sweep.shard_file import UNREADABLE, Manifest, TornError
from sweep.store import DONE, Store, read_plan, shard_name

_WINDOW: Final = 1 << 17
_LOST: Final = "WorkerLost"
"""Error rows that begin so tell what happened to a worker; computing again would not repeat it."""


def verify(
    store: Store, sample: int = 200, seed: int | None = None, outcomes: Outcomes | None = None
) -> Iterator[str]:
    """Yield one line for everything that is wrong with a run; nothing if nothing is.

    Checks that plan and inputs are unchanged, that every point is there exactly once, with the
    parameters of its grid, that columns, types and checksums hold, that `done.json` agrees, and
    that `sample` random points come out the same again, bit for bit. RefusedError if the folder
    holds no run.
    """
    plan = read_plan(store)
    recordings = kept_workloads(store, plan.inputs)
    for path, sha256 in plan.inputs.items():
        if hashlib.sha256(recordings[path].encode()).hexdigest() != sha256:
            yield f"inputs/{sha256}: the copy of {path} is missing or was changed"
    work = Work(plan, store, outcomes or Engine(plan.engine, recordings))
    chosen = np.random.default_rng(seed).integers(0, plan.points, min(sample, plan.points))
    compacted = store.compacted()
    yield from _compacted(work, compacted, chosen) if compacted else _shards(work, chosen)


def _shards(work: Work, chosen: Any) -> Iterator[str]:
    plan, store = work.plan, work.store
    present, foreign = store.shards(plan)
    total, rows, failures = added([]), 0, 0
    for shard in plan.shards():
        name = shard_name(shard, plan.points)
        if name not in present:
            yield f"{name}: missing, so points {shard.first} to {shard.last - 1} are"
            continue
        manifest, problems = _shard(work, name, shard, chosen)
        yield from problems
        if manifest:
            total = added([total, manifest.checksum])
            rows += shard.last - shard.first
            failures += manifest.failures
    if foreign:
        yield "there are Parquet files that are no shards of this run"
    yield from _done(work, {"rows": rows, "failures": failures, "checksum": total})


def _done(work: Work, found: dict[str, Any]) -> Iterator[str]:
    if missing := work.plan.points - found["rows"]:
        yield f"{missing:,} of {work.plan.points:,} points are missing"
    done = work.store.get_json(DONE)
    if done is None:
        yield f"{DONE}: missing or torn: the run has not finished"
        return
    for name, value in found.items():
        if done.get(name) != value:
            yield f"{DONE}: {name} is {done.get(name)}, the files have {value}"


def _shard(work: Work, name: str, shard: Shard, chosen: Any) -> tuple[Manifest | None, list[str]]:
    try:
        manifest = shard_file.check(work.store, name, work.plan, shard)
        rows = shard_file.read(work.store, name)
    except (*UNREADABLE, TornError, RefusedError) as error:
        return None, [f"{name}: {str(error).splitlines()[0]}"]
    if np.array_equal(rows.column("point").to_numpy(), np.arange(*shard)):
        problems = list(_parameters(work.grid, rows, shard))
    else:
        problems = ["its points are not each there once and in order"]
    if checksum(rows) != manifest.checksum:
        problems.append("outcomes are not those that were written")
    if len(rows) - rows.column("error").null_count != manifest.failures:
        problems.append("the number of error rows is not the one that was written")
    mine = np.unique(chosen[(chosen >= shard.first) & (chosen < shard.last)])
    for point in mine.tolist():
        problems += _again(work, point, rows.slice(point - shard.first, 1))
    return manifest, [f"{name}: {problem}" for problem in problems]


def _parameters(grid: Grid, rows: pa.Table, within: Shard) -> Iterator[str]:
    """Whether rows of points `within` a range, all or some, have the parameters of the grid."""
    wanted = grid.columns(*within)
    at = rows.column("point").to_numpy() - within.first
    for p in PARAMETERS:
        found = rows.column(p.name).to_numpy()
        if not np.array_equal(found.astype(wanted[p.name].dtype), wanted[p.name][at]):
            yield f"column {p.name} differs from the plan's grid"


def _again(work: Work, point: int, kept: pa.Table) -> Iterator[str]:
    """Compute one point again and compare it, bit for bit, with the row that was `kept`."""
    if str(kept.column("error")[0]).startswith(_LOST):
        return
    new = work.rows(point, point + 1)
    for name in new.column_names:
        if new.column(name).to_pylist() != kept.column(name).to_pylist():
            old, now = kept.column(name)[0], new.column(name)[0]
            yield f"point {point}: {name} is {old}, computed again it is {now}"


def _compacted(work: Work, compacted: dict[str, Any], chosen: Any) -> Iterator[str]:
    seen = np.zeros(work.plan.points, bool)
    failures = 0
    for name, wanted in compacted["files"].items():
        try:
            rows = shard_file.read(work.store, name)
        except (*UNREADABLE, RefusedError) as error:
            yield f"{name}: {str(error).splitlines()[0]}"
            continue
        if checksum(rows) != wanted:
            yield f"{name}: outcomes are not those that were written"
        failures += len(rows) - rows.column("error").null_count
        points = rows.column("point").to_numpy()
        if not ((points >= 0) & (points < len(seen))).all():
            yield f"{name}: some of its points are not of this grid"
            continue
        if len(np.unique(points)) != len(points) or seen[points].any():
            yield f"{name}: some of its points are there twice"
        seen[points] = True
        for problem in _scattered(work, rows.sort_by("point"), chosen):
            yield f"{name}: {problem}"
    found = {"rows": int(seen.sum()), "failures": failures}
    yield from _done(work, found | {"checksum": added(compacted["files"].values())})


def _scattered(work: Work, rows: pa.Table, chosen: Any) -> Iterator[str]:
    """Rows in point order, with gaps, against the plan's grid and the engine."""
    points = rows.column("point").to_numpy()
    for first in range(0, work.plan.points, _WINDOW):
        window = Shard(first, min(first + _WINDOW, work.plan.points))
        low, high = np.searchsorted(points, window)
        if low < high:
            yield from _parameters(work.grid, rows.slice(low, high - low), window)
    for point in np.intersect1d(points, chosen).tolist():
        yield from _again(work, point, rows.slice(int(np.searchsorted(points, point)), 1))
