"""A grid and a job in, an exit code out: plan, resume, run, and say what happened."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sweep.backends import Backend, BackendConfig, InlineBackend, RayLostError
from sweep.errors import RefusedError
from sweep.folder import StorageError
from sweep.grid import Grid
from sweep.lease import Lease
from sweep.ledger import Ledger
from sweep.model import Outcomes
from sweep.plan import Plan
from sweep.planning import Job, Planning
from sweep.progress import Reporter
from sweep.provenance import versions
from sweep.shard import Work, peak_rss
from sweep.store import DONE, Store
from sweep.terminal import tell

__all__ = ("Job", "launch")


class TerminatedError(BaseException):
    """SIGTERM."""


def launch(grid: Grid, job: Job, outcomes: Outcomes | None = None) -> int:
    """Run, or resume, `grid` as `job` says.

    `outcomes` stands for the engine; the default is `core.engine.outcomes`.

    Returns 0 if every point has its outcome, 1 if the run ended but some points failed or the
    results could not be written, 2 if it was refused before it ran, 130 or 143 if it was
    interrupted and can be resumed.
    """
    start = time.monotonic()
    try:
        with _sigterm():
            return _run(Planning(grid, job, outcomes), start)
    except RefusedError as error:
        return _say(f"refused: {error}", 2)
    except (StorageError, RayLostError) as error:
        return _say(f"stopped: {error}\n{_resume(job)}", 1)
    except KeyboardInterrupt:
        return _say(f"interrupted. {_resume(job)}", 128 + signal.SIGINT)
    except TerminatedError:
        return _say(f"terminated. {_resume(job)}", 128 + signal.SIGTERM)


def _run(planning: Planning, start: float) -> int:
    store = planning.store
    if planning.job.dry_run:
        return _say(planning.estimate(), 0)
    stored = planning.stored()
    if store.compacted() is not None:
        done = store.get_json(DONE) or {}
        rows, failures = done.get("rows", 0), done.get("failures", 0)
        tell(f"{store.uri}: {rows:,} points, {failures:,} failed, compacted")
        return _code(store, failures)
    found = stored or planning.reachable()
    store.create()
    with Lease(store) as lease:
        planned = planning.planned(found)
        lease.settle()
        plan = planning.stored() or planning.publish(planned)
        ledger, start_s = Ledger(plan, store), 0.0
        if not ledger.is_complete:
            costed = replace(plan, seconds=plan.seconds or planned.seconds)
            start_s = _compute(planning, costed, ledger, lease)
        return _finish(plan, ledger, store, start, start_s)


def _compute(planning: Planning, plan: Plan, ledger: Ledger, lease: Lease) -> float:
    """Compute and store what is missing; returns for how many seconds the backend started."""
    store, config = planning.store, planning.job.backend
    points, shards = plan.points - ledger.points, plan.nr_shards - ledger.shards
    kind = planning.kind(plan.seconds * points / plan.points)
    backend = _backend(replace(config, kind=kind))
    work = Work(plan, store, planning.outcomes, lease.owner, config.deadline_s, versions())
    reporter = Reporter(ledger)
    lease.facts = reporter.facts
    tell(
        f"{store.uri}: {points:,} of {plan.points:,} points to do, {shards:,} shards, "
        f"backend {kind}"
    )
    with reporter.shown():
        for manifest in backend.run(work, ledger.missing()):
            ledger.add(manifest)
            reporter.add(manifest)
            if lease.lost:
                raise RefusedError("another driver has taken this run over; it goes on there.")
    return round(backend.start_s, 3)


def _finish(plan: Plan, ledger: Ledger, store: Store, start: float, start_s: float) -> int:
    ledger.confirm()
    seconds = round(time.monotonic() - start, 3)
    if ledger.changed or store.get_json(DONE) is None:
        ledger.sweep_up()
        times = {"seconds": seconds, "start_seconds": start_s}
        memory = {"driver_peak_rss": peak_rss(), "peak_rss": max(peak_rss(), ledger.peak_rss)}
        store.put_json(DONE, ledger.summary() | times | memory)
    started = f", of which Ray took {start_s} s to start" if start_s else ""
    tell(f"{store.uri}: {plan.points:,} points, {ledger.failures:,} failed, {seconds} s{started}")
    code = _code(store, ledger.failures)
    if plan.name != "sweep":
        from sweep.commands.announce import announce

        announce(store.uri, plan.name)
    return code


def _code(store: Store, nr_failed: int) -> int:
    """The exit code of a run that ended; points that failed are named."""
    if not nr_failed:
        return 0
    from sweep.commands.announce import failures

    return _say("\n".join(failures(store.uri)), 1)


def _backend(config: BackendConfig) -> Backend:
    if config.kind == "inline":
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
    """SIGTERM ends the block like Ctrl-C does, so that leases are released and Ray is shut down.

    A call into Ray that was about to return turns what a signal raises into a SystemError.
    """

    def stop(*_: object) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except SystemError as error:
        if isinstance(error.__cause__, KeyboardInterrupt | TerminatedError):
            raise error.__cause__ from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
