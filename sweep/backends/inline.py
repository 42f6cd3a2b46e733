"""Shards one after the other in this process: no start-up, nothing to go wrong."""

from collections.abc import Iterable, Iterator

from sweep.plan import Shard
from sweep.shard import Work
from sweep.shard_file import Manifest


class InlineBackend:
    """The serial twin of every other backend."""

    start_s = 0.0

    def run(self, work: Work, shards: Iterable[Shard]) -> Iterator[Manifest]:
        for shard in shards:
            yield work.run(shard)
