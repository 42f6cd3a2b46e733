"""Which shards of a run are on disk. Resuming is a listing, and memory a few bytes a shard."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Final

import numpy as np

from sweep import shard_file
from sweep.checksum import added
from sweep.folder import STAGED, StorageError
from sweep.plan import Plan, Shard
from sweep.shard_file import ForeignError, Manifest, TornError
from sweep.store import Store, shard_name

_READERS: Final = 16


class Ledger:
    """Counts of what is there, made from the folder once and kept up to date by `add`.

    Raises ForeignError if the folder holds a Parquet file that is no shard of the run.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan = plan
        self._store = store
        self._sizes = np.zeros(plan.nr_shards, np.int64)
        self._checksum = added([])
        self.points = self.shards = self.failures = self.peak_rss = 0
        present, foreign = store.shards(plan)
        if foreign:
            raise ForeignError(
                f"{store.uri}/{foreign[0]} is no shard of this run"
                f" ({len(foreign)} such files). Move them away."
            )
        with ThreadPoolExecutor(_READERS) as readers:
            for manifest in filter(None, readers.map(self._checked, present, present.values())):
                self.add(manifest)
        self.changed = False

    def _checked(self, name: str, shard: Shard) -> Manifest | None:
        try:
            return shard_file.check(self._store, name, self.plan, shard)
        except TornError:
            return None

    def add(self, manifest: Manifest) -> None:
        """Count a shard that is on disk, once."""
        self.changed = True
        shard = Shard(manifest.first, manifest.last)
        at = self.plan.ordinal(shard)
        if self._sizes[at]:
            return
        self._sizes[at] = manifest.bytes
        self.shards += 1
        self.points += shard.points
        self.failures += manifest.failures
        self.peak_rss = max(self.peak_rss, manifest.peak_rss)
        self._checksum = added([self._checksum, manifest.checksum])

    @property
    def is_complete(self) -> bool:
        return self.shards == self.plan.nr_shards

    def missing(self) -> Iterator[Shard]:
        """The shards that were not there at the start, in point order."""
        todo = self._sizes == 0
        return (s for s, wanted in zip(self.plan.shards(), todo, strict=True) if wanted)

    def confirm(self) -> None:
        """Look again before the run is called done: StorageError if a shard has vanished."""
        files = self._store.files()
        names = (shard_name(shard, self.plan.points) for shard in self.plan.shards())
        gone = (
            name
            for name, shard, size in zip(names, self.plan.shards(), self._sizes, strict=True)
            if files.get(name) != size and not self._checked(name, shard)  # or written once more
        )
        if some := list(islice(gone, 3)):
            raise StorageError(
                f"shards that were written are missing or changed: {', '.join(some)}. If workers "
                "run on other machines, results_dir must be shared, or an s3:// address."
            )

    def sweep_up(self) -> None:
        """Remove what interrupted writers left behind."""
        for name in self._store.files():
            if name.startswith(STAGED):
                self._store.delete(name)

    def summary(self) -> dict[str, Any]:
        """What `done.json` says of the table."""
        return {
            "rows": self.points, "shards": self.shards, "failures": self.failures,
            "bytes": int(self._sizes.sum()), "checksum": self._checksum,
        }  # fmt: skip
