"""Shards on Ray workers: a bounded window, and every loss of a worker or node repaired.

Workers write their own shards; only index ranges and manifest rows cross the wire. Ray retries
nothing: what is lost comes back here, where a shard that keeps killing workers is cut into parts,
down to the one guilty point.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from sweep.backends import BackendConfig, RayLostError
from sweep.backends.ray_session import nodes, on_every_node, on_node, raise_cause, session
from sweep.backends.ray_worker import compute, give_up, inspect, join, part_name
from sweep.plan import Shard
from sweep.shard import Work
from sweep.shard_file import Manifest

_TICK_S: Final = 0.5
_TRIES: Final = 3
"""Workers that one point may take with it before it becomes an error row."""

_LOSSES: Final = 40
"""Workers lost one after the other, with no shard done in between, that end the run, beside one
for each CPU."""

_PARTS: Final = 8
_STRAGGLER: Final = (3.0, 4.0)
"""A shard that takes longer than this many seconds, and this many times the median, is also
computed in parts by workers that have nothing else to do."""


@dataclass(eq=False)
class Task:
    """`compute`, `join` or `give_up` of a shard, or of a part of the shard `whole`."""

    action: Callable[..., Manifest]
    shard: Shard
    whole: Shard
    arguments: tuple[Any, ...]
    """Of the action: a file's name, or the parts to join; then, of `give_up`, the reason."""
    tries: int = 0
    since: float = 0.0
    node: str = ""
    stale: bool = False

    @property
    def is_part(self) -> bool:
        return self.shard != self.whole


@dataclass
class RayBackend:
    """Local Ray, or a cluster."""

    config: BackendConfig
    start_s: float = 0.0

    def run(self, work: Work, shards: Iterable[Shard]) -> Iterator[Manifest]:
        start = time.monotonic()
        resume = f"What is done is kept; resume with: {work.plan.resume}"
        with session(self.config, work.versions, resume) as ray:
            if self.config.kind == "ray_cluster":
                on_every_node(ray, inspect, work)
            self.start_s = time.monotonic() - start
            yield from _Pool(ray, work, shards).manifests()


class _Pool:
    def __init__(self, ray: Any, work: Work, shards: Iterable[Shard]) -> None:
        self._ray = ray
        self._work = work
        self._reference = ray.put(work)
        remote = ray.remote(max_retries=0, num_cpus=1)
        self._remote = {action: remote(action) for action in (compute, join, give_up)}
        self._fresh = (Task(compute, shard, shard, ("",)) for shard in shards)
        self._ready: deque[Task] = deque()
        """What is to be done before anything fresh."""
        self._running: dict[Any, Task] = {}
        self._splits: dict[Shard, set[Shard]] = {}
        """Shards that are computed in parts, and the parts that are done."""
        self._seconds: deque[float] = deque(maxlen=101)
        self._nodes: dict[str, int] = {}
        self._losses = 0

    def manifests(self) -> Iterator[Manifest]:
        """Every shard's manifest, once."""
        looked = 0.0
        while True:
            if time.monotonic() - looked > _TICK_S:
                self._look_at_nodes()
                self._help_stragglers()
                looked = time.monotonic()
            self._fill()
            if all(task.stale for task in self._running.values()):
                return
            for reference in self._done():
                if manifest := self._finish(reference):
                    yield manifest

    def _done(self) -> list[Any]:
        """What has ended, all of it at once: a call for each would be quadratic in the workers."""
        done, rest = self._ray.wait(list(self._running), num_returns=1, timeout=_TICK_S)
        if done and rest:
            done = done + self._ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        return list(done)

    def _look_at_nodes(self) -> None:
        """Take back what lost nodes were given: Ray fails tasks of a silent one after minutes."""
        self._nodes = alive = nodes(self._ray)
        lost = [r for r, task in self._running.items() if task.node and task.node not in alive]
        for task in map(self._running.pop, lost):
            if not task.stale:
                self._lost(task, self._ray.exceptions.NodeDiedError("its node is gone"))

    def _free(self) -> list[str]:
        """A node for each CPU that has no task; no node in particular if none has a CPU as yet."""
        busy = Counter(task.node for task in self._running.values())
        free = [node for node, cpus in self._nodes.items() for _ in range(cpus - busy[node])]
        return free or ([] if self._running or any(self._nodes.values()) else [""])

    def _fill(self) -> None:
        """Give every CPU one task: a shard takes seconds, so a queue would gain nothing."""
        for node in self._free():
            task = self._ready.popleft() if self._ready else next(self._fresh, None)
            if task is None:
                return
            task.since, task.node = time.monotonic(), node
            remote = on_node(self._remote[task.action], node)
            reference = remote.remote(self._reference, task.shard, *task.arguments)
            self._running[reference] = task

    def _finish(self, reference: Any) -> Manifest | None:
        task = self._running.pop(reference)
        errors = self._ray.exceptions
        if task.stale:
            return None
        try:
            manifest: Manifest = self._ray.get(reference)
        except errors.RayTaskError as error:
            raise_cause(error)
        except errors.LocalRayletDiedError as error:
            raise RayLostError("the Ray node of this driver is gone") from error
        except errors.RayError as error:
            self._lost(task, error)
            return None
        return self._arrived(task, manifest)

    def _arrived(self, task: Task, manifest: Manifest) -> Manifest | None:
        self._losses = 0
        if not task.is_part:
            self._seconds.append(time.monotonic() - task.since)
            self._settle(task.whole)
            return manifest
        done = self._splits[task.whole]
        done.add(task.shard)
        if sum(part.points for part in done) == task.whole.points:
            self._ready.appendleft(Task(join, task.whole, task.whole, (tuple(done),)))
        return None

    def _settle(self, whole: Shard) -> None:
        """Forget the parts of a shard that is on disk, done or not."""
        if whole not in self._splits:
            return
        self._ready = deque(task for task in self._ready if task.whole != whole)
        for reference, task in self._running.items():
            if task.whole == whole:
                task.stale = True
                self._ray.cancel(reference, force=True)
        for part in self._splits.pop(whole):
            self._work.store.delete(part_name(part))

    def _lost(self, task: Task, error: Exception) -> None:
        """A worker died: try again, with fewer points once that has happened twice."""
        errors = self._ray.exceptions
        if isinstance(error, errors.TaskUnschedulableError):  # its node has just gone, or come
            self._nodes.pop(task.node, None)
            self._ready.append(task)
            return
        self._losses += 1
        if self._losses > _LOSSES + sum(self._nodes.values()):  # a node takes all its workers along
            raise RayLostError(f"no worker survives; {self._losses} died: {error}") from error
        if task.action is compute and not task.is_part and task.whole in self._splits:
            return  # its parts are on their way
        out_of_memory = isinstance(error, errors.OutOfMemoryError)
        if not isinstance(error, errors.NodeDiedError):
            task.tries += 1
        if task.action is not compute:
            self._ready.append(task)
        elif task.shard.points > 1 and (task.tries > 1 or out_of_memory):
            self._split(task, _PARTS)
        elif task.tries < _TRIES:
            self._ready.append(task)
        else:
            late = time.monotonic() - task.since >= self._work.deadline_s
            why = f"no outcome within {self._work.deadline_s:g} s" if late else "its worker died"
            reason = f"WorkerLost: {why}, {task.tries} times."
            arguments = (*task.arguments, reason)
            self._ready.append(Task(give_up, task.shard, task.whole, arguments))

    def _split(self, task: Task, ways: int) -> None:
        """Compute the points of `task` in up to `ways` parts, which are joined in the end."""
        self._splits.setdefault(task.whole, set())
        size = -(-task.shard.points // ways)
        for first in range(task.shard.first, task.shard.last, size):
            part = Shard(first, min(first + size, task.shard.last))
            arguments = (part_name(part),)
            self._ready.append(Task(compute, part, task.whole, arguments, min(task.tries, 1)))

    def _help_stragglers(self) -> None:
        """Let idle workers compute parts of the shard that has been running for longest."""
        idle = len(self._free())
        if not idle or self._ready:
            return
        seconds, times = _STRAGGLER
        limit = max(seconds, times * median(self._seconds)) if self._seconds else 4 * seconds
        since = time.monotonic() - limit
        late = [t for t in self._running.values() if t.since < since and self._may_be_cut(t)]
        if late:
            self._split(min(late, key=lambda task: task.since), min(_PARTS, 2 * idle))

    def _may_be_cut(self, task: Task) -> bool:
        is_whole = task.action is compute and not task.is_part and task.shard.points > 1
        return is_whole and not task.stale and task.whole not in self._splits
