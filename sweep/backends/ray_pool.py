"""Shards on Ray workers: a bounded window, and every loss of a worker or node repaired.

Workers write their own shards; only index ranges and manifest rows cross the wire.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from sweep.backends import BackendConfig
from sweep.backends.ray_session import session
from sweep.errors import RefusedError
from sweep.plan import Shard
from sweep.shard import Work
from sweep.store import Manifest

_TICK_S: Final = 1.0
_TRIES: Final = 3
"""Workers that one point, or one node-less shard, may take with it before it is given up."""


def _run(work: Work, shard: Shard, name: str) -> Manifest:
    return work.run(shard, name)


@dataclass(eq=False)
class Task:
    """A shard, or a part of one, on its way."""

    shard: Shard
    name: str = ""
    tries: int = 0
    since: float = field(default_factory=time.monotonic)


class RayBackend:
    """Local Ray, or a cluster."""

    def __init__(self, config: BackendConfig) -> None:
        self._config = config

    def run(self, work: Work, shards: Iterable[Shard]) -> Iterator[Manifest]:
        with session(self._config) as ray:
            yield from _Pool(ray, work, iter(shards)).manifests()


class _Pool:
    def __init__(self, ray: Any, work: Work, shards: Iterator[Shard]) -> None:
        self._ray = ray
        self._work = work
        self._reference = ray.put(work)
        self._remote = ray.remote(max_retries=0, num_cpus=1)(_run)
        self._shards = shards
        self._again: deque[Task] = deque()
        self._running: dict[Any, Task] = {}

    def manifests(self) -> Iterator[Manifest]:
        while self._fill() or self._running:
            done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=_TICK_S)
            for reference in done:
                manifest = self._finish(reference)
                if manifest:
                    yield manifest

    def _fill(self) -> bool:
        """Keep every CPU busy with one task; whether anything is running."""
        cpus = int(self._ray.cluster_resources().get("CPU", 1))
        while len(self._running) < cpus:
            task = self._next()
            if task is None:
                break
            task.since = time.monotonic()
            reference = self._remote.remote(self._reference, task.shard, task.name)
            self._running[reference] = task
        return bool(self._running)

    def _next(self) -> Task | None:
        if self._again:
            return self._again.popleft()
        shard = next(self._shards, None)
        return None if shard is None else Task(shard)

    def _finish(self, reference: Any) -> Manifest | None:
        task = self._running.pop(reference)
        errors = self._ray.exceptions
        try:
            manifest: Manifest = self._ray.get(reference)
            return manifest
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError) as error:
            task.tries += 1
            if task.tries > _TRIES:
                raise RefusedError(f"{task.shard}: {error}") from error
            self._again.append(task)
            return None
