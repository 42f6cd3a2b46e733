"""What runs inside Ray workers: compute a shard, join its parts, or give a point up."""

import os
import signal
from collections.abc import Sequence
from functools import cache

import pyarrow as pa

from core.compiled import compile_all
from sweep import shard_file
from sweep.checksum import checksum
from sweep.errors import RefusedError
from sweep.folder import STAGED
from sweep.jit_cache import warm_up
from sweep.model import Engine
from sweep.plan import Shard
from sweep.provenance import versions
from sweep.schema import table
from sweep.shard import Work, blank
from sweep.shard_file import Manifest
from sweep.store import LEASE, Store


def part_name(part: Shard) -> str:
    """File of a part of a shard, until the parts are joined."""
    return f"{STAGED}part-{part.first}-{part.last}.parquet"


def compute(work: Work, shard: Shard, name: str) -> Manifest:
    """Compute one shard, or a part of one, and write it.

    The kernel kills this process with SIGALRM after `work.deadline_s`, even if it hangs in native
    code; the driver then sees a lost worker.
    """
    inspect(work)
    compile_all()
    signal.setitimer(signal.ITIMER_REAL, work.deadline_s)
    try:
        engine = work.outcomes.name if isinstance(work.outcomes, Engine) else ""
        warm_up(work.versions, engine, lambda: _compile(work, shard.first))
        return work.run(shard, name)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _compile(work: Work, point: int) -> bool:
    """Compile, or load, what computing and checking a point takes; False if it has no outcome."""
    row = work.rows(point, point + 1)
    checksum(row)
    return bool(row.column("error").null_count)


def join(work: Work, shard: Shard, parts: Sequence[Shard]) -> Manifest:
    """Publish a shard whose parts are all there."""
    rows = [shard_file.read(work.store, part_name(part)) for part in sorted(parts)]
    return work.keep(shard, pa.concat_tables(rows).combine_chunks(), 0.0)


def give_up(work: Work, point: Shard, name: str, reason: str) -> Manifest:
    """Write an error row for one point that takes every worker with it."""
    row = table(point.first, work.grid.columns(*point), blank(), {0: reason})
    return work.keep(point, row, 0.0, name)


def inspect(work: Work) -> None:
    """RefusedError if this machine runs other code than the driver, or sees other results."""
    _inspect(tuple(work.versions.items()), work.store, work.owner)


@cache
def _inspect(wanted: tuple[tuple[str, str], ...], store: Store, owner: str) -> None:
    node, here = os.uname().nodename, versions()
    differing = [
        f"{name} {here[name] or 'missing'} (driver: {version or 'missing'})"
        for name, version in wanted
        if here[name] != version
    ]
    if differing:
        raise RefusedError(
            f"node {node} has {', '.join(differing)}. Rows would depend on where they were "
            "computed: give driver and workers the same environment or image."
        )
    lease = store.get_json(LEASE) or {}
    if lease.get("owner") != owner:
        raise RefusedError(
            f"node {node} does not see the driver's {store.uri}: a plain path is each node's own "
            "disk. Set results_dir to a folder that all nodes share (NFS, Lustre), or to "
            "s3://bucket/prefix."
        )
