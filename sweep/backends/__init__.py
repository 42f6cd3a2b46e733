"""Where shards run. One contract: yield the manifest of each shard once it is on disk."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sweep.plan import Shard

KINDS: Final = ("auto", "inline", "ray_local", "ray_cluster")


@dataclass
class BackendConfig:
    """The config group `backend`: where a run is computed, never what it computes."""

    kind: str = "auto"  # auto, inline, ray_local or ray_cluster
    num_cpus: int | None = None  # ray_local: CPUs to use; null: all
    address: str | None = None  # ray_cluster: host:port of the cluster; null: RAY_ADDRESS
    shard_points: int | None = None  # points a shard, of a new run; null: from measured cost
    deadline_s: float = 900.0  # a shard that takes longer is given up, cut up and tried elsewhere


class RayLostError(Exception):
    """Ray itself is gone. The shards on disk are not."""


class Backend(Protocol):
    """One method, one contract, whichever machine computes."""

    start_s: float
    """Seconds that starting took before the first shard; 0 where there is nothing to start."""

    def run(self, work: Any, shards: Iterable[Shard]) -> Iterator[Any]:
        """Yield each shard's manifest once it is on disk, in any order."""
