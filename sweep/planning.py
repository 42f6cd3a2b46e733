"""What is to be run: a job's plan, found or made, and the backend that is to compute it."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from core.outcome import ENGINES
from sweep.backends import BackendConfig
from sweep.errors import RefusedError
from sweep.folder import StorageError
from sweep.grid import Grid
from sweep.inputs import read_workloads
from sweep.model import Engine, Outcomes
from sweep.plan import Plan, Segment, refuse_mismatch
from sweep.provenance import provenance
from sweep.sizing import BYTES_PER_POINT, BYTES_PER_SHARD, measure
from sweep.store import PLAN, Store

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


class Planning:
    """The plan of one grid. Nothing is written before `publish`.

    Raises RefusedError if the job is impossible, or a recorded workload cannot be read.
    """

    def __init__(self, grid: Grid, job: Job, outcomes: Outcomes | None) -> None:
        found = job.backend.problems()
        if job.engine not in ENGINES:
            found.append(f"engine={job.engine}: choose one of {', '.join(ENGINES)}.")
        if found:
            raise RefusedError("\n".join(found))
        self._grid, self.job = grid, job
        self._recordings = texts = read_workloads(grid)
        self.outcomes = outcomes or Engine(job.engine, texts)
        size = job.backend.shard_points
        self._new = Plan(
            name=job.name, points=len(grid), grid=grid.to_json(),
            segments=(Segment(0, len(grid), size),) if size else (), engine=job.engine,
            inputs={path: sha256(text.encode()).hexdigest() for path, text in texts.items()},
            config=job.config, overrides=job.overrides, resume=job.resume, code=provenance(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        self.store = Store.open(job.results_dir, self._new.run_name)

    def stored(self) -> Plan | None:
        """The plan in the run's folder; RefusedError if that is another one or out of reach."""
        try:
            found = self.store.plan()
        except StorageError as error:
            raise RefusedError(str(error)) from error
        if found:
            refuse_mismatch(self._new, found, f"{self.store.uri}/{PLAN}")
        return found

    def planned(self, found: Plan | None) -> Plan:
        """The plan that was found, or a new one. What it lacks is measured: the size of its shards,
        and its cost where that is needed."""
        plan = found or self._new
        needs_cost = self.job.dry_run or self.job.backend.kind == "auto"
        if plan.segments and (plan.seconds or not needs_cost):
            return plan
        sizing = measure(self._grid, self.outcomes)
        segments = plan.segments or sizing.segments
        return replace(plan, segments=segments, seconds=round(sizing.seconds, 3))

    def reachable(self) -> Plan | None:
        """RefusedError if a new run needs a cluster and none answers; its plan, if that had to be
        made to know."""
        if self.kind(math.inf) != "ray_cluster":
            return None
        plan = self.planned(None) if self.job.backend.kind == "auto" else None
        if not plan or self.kind(plan.seconds) == "ray_cluster":
            from sweep.backends.ray_session import reached

            reached(self.job.backend)
        return plan

    def publish(self, plan: Plan) -> Plan:
        """Write the plan, and the recorded workloads beside it."""
        text = plan.to_json()
        for path, recording in self._recordings.items():
            self.store.put(f"inputs/{plan.inputs[path]}", recording.encode())
        self.store.put(PLAN, text.encode())
        return plan

    def kind(self, seconds: float) -> str:
        """The kind of backend that computes what one core would take `seconds` for: what `auto`
        stands for."""
        backend = self.job.backend
        if backend.kind != "auto":
            return backend.kind
        if seconds < INLINE_S:
            return "inline"
        names_cluster = backend.address or os.environ.get("RAY_ADDRESS")
        return "ray_cluster" if names_cluster else "ray_local"

    def estimate(self) -> str:
        """What a dry run says."""
        plan = self.planned(self.stored())
        size = plan.nr_shards * BYTES_PER_SHARD + plan.points * BYTES_PER_POINT
        return (
            f"{self.store.uri}: {plan.points:,} points, {self._grid.blocks():,} blocks, "
            f"{plan.nr_shards:,} shards, about {plan.seconds:,.1f} core seconds and "
            f"{size / 1e6:,.1f} MB, backend {self.kind(plan.seconds)}"
        )
