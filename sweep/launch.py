"""A grid and a job in, an exit code out: plan, resume, run, and say what happened."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from sweep.backends import KINDS, Backend, BackendConfig, RayLostError
from sweep.errors import RefusedError
from sweep.grid import Grid
from sweep.inputs import read_workloads
from sweep.lease import Lease
from sweep.ledger import Ledger
from sweep.plan import Plan, Segment, refuse_mismatch
from sweep.progress import Reporter
from sweep.provenance import provenance, versions
from sweep.shard import Engine, Outcomes, Work, peak_rss
from sweep.sizing import BYTES_PER_POINT, BYTES_PER_SHARD, measure
from sweep.store import DONE, PLAN, StorageError, Store
from sweep.terminal import tell

INLINE_S: Final = 5.0
"""`auto` starts Ray, which takes 2-4 s, only for runs that would take longer than this."""


@dataclass(frozen=True)
class Job:
    """Everything about a run that is not its grid."""

    name: str = "sweep"
    results_dir: str = "results"
    backend: BackendConfig = field(default_factory=BackendConfig)
    engine: str = "auto"
    dry_run: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    resume: str = "sweep"
    """The command that starts this run, and starts it again."""


class TerminatedError(BaseException):
    """SIGTERM."""


def launch(grid: Grid, job: Job, outcomes: Outcomes | None = None) -> int:
    """Run, or resume, `grid` as `job` says.

    `outcomes` stands for the engine; the default is `core.engine.outcomes`.

    Returns 0 if every point has its outcome, 1 if the run ended but some points failed or the
    results could not be written, 2 if it was refused before it ran, 130 or 143 if it was
    interrupted and can be resumed.
    """
    try:
        with _sigterm():
            return _Launch(grid, job, outcomes).run()
    except RefusedError as error:
        return _say(f"refused: {error}", 2)
    except (StorageError, RayLostError) as error:
        return _say(f"stopped: {error}\n{_resume(job)}", 1)
    except KeyboardInterrupt:
        return _say(f"interrupted. {_resume(job)}", 128 + signal.SIGINT)
    except TerminatedError:
        return _say(f"terminated. {_resume(job)}", 128 + signal.SIGTERM)


class _Launch:
    def __init__(self, grid: Grid, job: Job, outcomes: Outcomes | None) -> None:
        if job.backend.kind not in KINDS:
            raise RefusedError(f"backend.kind={job.backend.kind}: choose one of {', '.join(KINDS)}")
        recordings = read_workloads(grid)
        self._start = time.monotonic()
        self._start_s = 0.0
        self._job = job
        self._grid = grid
        self._recordings = recordings
        self._outcomes = outcomes or Engine(job.engine, recordings)
        self._plan = Plan(
            name=job.name, points=len(grid), grid=grid.to_json(), segments=(), engine=job.engine,
            inputs={path: sha256(text.encode()).hexdigest() for path, text in recordings.items()},
            config=job.config, overrides=job.overrides, resume=job.resume, code=provenance(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        self._store = Store.open(job.results_dir, self._plan.run_name)

    def run(self) -> int:
        stored = self._stored_plan()
        if self._job.dry_run:
            return _say(self._estimate(self._planned(stored)), 0)
        if (code := self._compacted()) is not None:
            return code
        self._store.create()
        reporter = Reporter(self._plan.points, 0, 0)
        with Lease(self._store, lambda: reporter.facts()) as lease:
            planned = self._planned(stored)
            lease.settle()
            plan = self._stored_plan() or self._publish(planned)
            plan = replace(plan, seconds=plan.seconds or planned.seconds)
            ledger = Ledger(plan, self._store)
            left = plan.nr_shards - ledger.shards
            reporter = Reporter(plan.points, ledger.points, ledger.failures, left)
            if not ledger.is_complete:
                self._compute(plan, ledger, reporter, lease)
            return self._finish(plan, ledger)

    def _compacted(self) -> int | None:
        """The exit code of a run that has finished and was compacted; None for others."""
        if self._store.compacted() is None:
            return None
        done = self._store.get_json(DONE) or {}
        rows, failures = done.get("rows", 0), done.get("failures", 0)
        tell(f"{self._store.uri}: {rows:,} points, {failures:,} failed, compacted")
        return self._code(failures)

    def _stored_plan(self) -> Plan | None:
        try:
            found = self._store.plan()
        except StorageError as error:
            raise RefusedError(str(error)) from error
        if found:
            refuse_mismatch(self._plan, found, f"{self._store.uri}/{PLAN}")
        return found

    def _planned(self, stored: Plan | None) -> Plan:
        """The stored plan, or a new one in shards of the size that was asked for; what is missing
        is measured: that size, and the cost where it is needed."""
        size = self._job.backend.shard_points
        asked = (Segment(0, len(self._grid), size),) if size else ()
        plan = stored or replace(self._plan, segments=asked)
        needs_cost = self._job.dry_run or self._job.backend.kind == "auto"
        if plan.segments and (plan.seconds or not needs_cost):
            return plan
        found = measure(self._grid, self._outcomes)
        segments = plan.segments or found.segments
        return replace(plan, segments=segments, seconds=round(found.seconds, 3))

    def _estimate(self, plan: Plan) -> str:
        size = plan.nr_shards * BYTES_PER_SHARD + plan.points * BYTES_PER_POINT
        return (
            f"{self._store.uri}: {plan.points:,} points, {self._grid.blocks():,} blocks, "
            f"{plan.nr_shards:,} shards, about {plan.seconds:,.1f} core seconds and "
            f"{size / 1e6:,.1f} MB, backend {self._kind(plan, plan.points)}"
        )

    def _publish(self, plan: Plan) -> Plan:
        text = plan.to_json()
        for path, recording in self._recordings.items():
            self._store.put(f"inputs/{plan.inputs[path]}", recording.encode())
        self._store.put(PLAN, text.encode())
        return plan

    def _kind(self, plan: Plan, points: int) -> str:
        """The backend that `auto` stands for."""
        if self._job.backend.kind != "auto":
            return self._job.backend.kind
        if os.environ.get("RAY_ADDRESS"):
            return "ray_cluster"
        seconds = plan.seconds * points / plan.points
        return "inline" if seconds < INLINE_S else "ray_local"

    def _compute(self, plan: Plan, ledger: Ledger, reporter: Reporter, lease: Lease) -> None:
        kind = self._kind(plan, plan.points - ledger.points)
        backend = _backend(replace(self._job.backend, kind=kind))
        deadline_s = self._job.backend.deadline_s
        work = Work(plan, self._store, self._outcomes, lease.owner, deadline_s, versions())
        tell(
            f"{self._store.uri}: {plan.points - ledger.points:,} of {plan.points:,} points to do, "
            f"{plan.nr_shards - ledger.shards:,} shards, backend {kind}"
        )
        with reporter:
            for manifest in backend.run(work, ledger.missing()):
                ledger.add(manifest)
                reporter.add(manifest)
                if lease.lost:
                    raise RefusedError("another driver has taken this run over; it goes on there.")
        self._start_s = round(backend.start_s, 3)

    def _finish(self, plan: Plan, ledger: Ledger) -> int:
        ledger.confirm()
        seconds = round(time.monotonic() - self._start, 3)
        if ledger.changed or self._store.get_json(DONE) is None:
            ledger.sweep_up()
            times = {"seconds": seconds, "start_seconds": self._start_s}
            memory = {"driver_peak_rss": peak_rss(), "peak_rss": max(peak_rss(), ledger.peak_rss)}
            self._store.put_json(DONE, ledger.summary() | times | memory)
        text = f"{self._store.uri}: {plan.points:,} points, {ledger.failures:,} failed, {seconds} s"
        started = f", of which Ray took {self._start_s} s to start" if self._start_s else ""
        tell(text + started)
        code = self._code(ledger.failures)
        if plan.name != "sweep":
            from sweep.commands.announce import announce

            announce(self._store.uri, plan.name)
        return code

    def _code(self, nr_failed: int) -> int:
        """The exit code of a run that ended; points that failed are named."""
        if not nr_failed:
            return 0
        from sweep.commands.announce import failures

        return _say("\n".join(failures(self._store.uri)), 1)


def _backend(config: BackendConfig) -> Backend:
    if config.kind == "inline":
        from sweep.backends.inline import InlineBackend

        return InlineBackend()
    from sweep.backends.ray_pool import RayBackend

    return RayBackend(config)


def _resume(job: Job) -> str:
    return f"What is done is kept; resume with: {job.resume}"


def _say(text: str, code: int) -> int:
    tell(text)
    return code


@contextmanager
def _sigterm() -> Iterator[None]:
    """SIGTERM ends the block like Ctrl-C does, so that leases are released and Ray is shut down."""

    def stop(*_: object) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
