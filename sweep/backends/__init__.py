"""Where shards run. One contract: yield the manifest of each shard once it is on disk.

On Ray, `ray_pool` hands the shards out, `ray_session` connects (to what `ray_local` starts, or to a
cluster) and `ray_worker` is what runs there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sweep.plan import Shard

if TYPE_CHECKING:
    from sweep.shard import Work
    from sweep.shard_file import Manifest

KINDS: Final = ("auto", "inline", "ray_local", "ray_cluster")

_MAX_CPUS: Final = 8192
"""What Linux can be built for."""

_MAX_DEADLINE_S: Final = 1e9
"""Half a lifetime; timers of the kernel and of Python take no infinity."""


@dataclass
class BackendConfig:
    """The config group `backend`: where a run is computed, never what it computes."""

    kind: str = "auto"  # auto, inline, ray_local or ray_cluster
    num_cpus: int | None = None  # ray_local: CPUs to use; null: all
    address: str | None = None  # ray_cluster: host:port of the cluster; null: RAY_ADDRESS
    shard_points: int | None = None  # points a shard, of a new run; null: from measured cost
    deadline_s: float = 900.0  # a shard that takes longer is given up, cut up and tried elsewhere

    def problems(self) -> list[str]:
        """What is impossible, each with its value, rule and reason; empty if all can be done."""
        return [f"backend.{text}" for text in self._problems()]

    def _problems(self) -> Iterator[str]:
        if self.kind not in KINDS:
            yield f"kind={self.kind}: choose one of {', '.join(KINDS)}."
        if self.num_cpus is not None and not 1 <= self.num_cpus <= _MAX_CPUS:
            yield (
                f"num_cpus={self.num_cpus}: must be between 1 and {_MAX_CPUS}, because each "
                "computes one shard at a time; null takes all that the machine has."
            )
        if self.shard_points is not None and self.shard_points < 1:
            yield (
                f"shard_points={self.shard_points}: must be at least 1, because shards hold every "
                "point between them; null takes as many as a shard of seconds has."
            )
        if not 0 < self.deadline_s <= _MAX_DEADLINE_S:
            yield (
                f"deadline_s={self.deadline_s:g}: must be above 0 and at most {_MAX_DEADLINE_S:g} "
                "seconds, because a shard that takes longer is taken to hang; the default is 900."
            )
        if self.address is not None and self.kind in ("inline", "ray_local"):
            yield (
                f"address={self.address}: only a cluster has one, and kind is {self.kind}. Take it "
                "out, or choose backend=ray_cluster."
            )
        if self.num_cpus is not None and self.kind == "ray_cluster":
            yield (
                f"num_cpus={self.num_cpus}: a cluster is used with every CPU that it has, and kind "
                "is ray_cluster. Take it out, or choose backend=ray_local."
            )


class RayLostError(Exception):
    """Ray itself is gone. The shards on disk are not."""


class Backend(Protocol):
    """Whichever machine computes: `InlineBackend` here, `sweep.backends.ray_pool.RayBackend`."""

    start_s: float
    """Seconds that starting took before the first shard; 0 where there is nothing to start."""

    def run(self, work: "Work", shards: Iterable[Shard]) -> "Iterator[Manifest]":
        """Yield each shard's manifest once it is on disk, in any order."""


class InlineBackend:
    """Shards one after the other in this process: no start-up, nothing to go wrong."""

    start_s = 0.0

    def run(self, work: "Work", shards: Iterable[Shard]) -> "Iterator[Manifest]":
        return map(work.run, shards)
