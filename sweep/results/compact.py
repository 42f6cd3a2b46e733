"""Many shards into few large files, sorted by the axis that people filter most."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from sweep import shard_file
from sweep.checksum import added, checksum
from sweep.errors import RefusedError
from sweep.grid import Grid
from sweep.plan import Plan
from sweep.schema import DICTIONARY, held
from sweep.store import COMPACTED, DONE, TABLE, Store, read_plan

ROWS: Final = 1 << 20
"""Rows of a file: some 500 MB in memory, 10-60 MB on disk."""

_PREFERRED: Final = ("desc_capacity", "memslot_gib", "alias_ratio", "policy")


def compact(store: Store, by: str = "", rows: int = ROWS) -> dict[str, Any]:
    """Rewrite a finished run as files of `rows` rows, sorted by the column `by`, then by point.

    The new files count from the moment that `compacted.json` lists them; only then are the shards
    removed, so that an interruption loses nothing and compacting again completes it. Memory is
    that of one file. RefusedError if the run has not finished, does not sweep `by`, or holds other
    rows than it finished with.
    """
    plan = read_plan(store)
    shards, _ = store.shards(plan)
    found = store.compacted()
    if not found:
        done = store.get_json(DONE)
        if done is None:
            raise RefusedError(f"{plan.run_name} has not finished. To go on: {plan.resume}")
        grid = Grid.from_json(plan.grid)
        by = _axis(grid, by)
        parts = enumerate(_parts(store, shards, grid, by, rows))
        named = ((f"{TABLE}{number:06d}.parquet", part) for number, part in parts)
        files = {name: _write(store, plan, name, part) for name, part in named}
        if added(files.values()) != done.get("checksum"):
            raise RefusedError(f"{plan.run_name} was changed: sweep-results verify says where.")
        found = {"by": by, "files": files}
        store.put_json(COMPACTED, found)
    for name in shards:
        store.delete(name)
    return found


def _axis(grid: Grid, by: str) -> str:
    axes = list(grid.axes())
    if by and by not in axes:
        raise RefusedError(f"--by {by}: this run sweeps {', '.join(axes) or 'nothing'}.")
    return by or next((name for name in (*_PREFERRED, *axes) if name in axes), "point")


def _parts(
    store: Store, shards: Collection[str], grid: Grid, by: str, rows: int
) -> Iterator[pa.Table]:
    """The rows of each file: one pass over the shards for each batch of values of `by`, ascending,
    so many at a time that their rows make a file or two."""
    values = sorted(grid.axes().get(by) or range(len(grid)))
    each = max(1, rows * len(values) // len(grid))
    for first in range(0, len(values), each):
        yield from _pass(store, shards, by, values[first : first + each], rows)


def _pass(
    store: Store, shards: Collection[str], by: str, values: Sequence[Any], rows: int
) -> Iterator[pa.Table]:
    words = [name for name in DICTIONARY if name != by]  # a tenth of the time for the texts
    held: list[pa.Table] = []
    for name in shards:
        part = shard_file.read(store, name, words)
        wanted = pa.array(values, part.schema.field(by).type)
        held.append(part.filter(pc.is_in(part.column(by), wanted)))
        if len(values) == 1 and sum(map(len, held)) >= rows:
            yield pa.concat_tables(held)
            held = []
    if sum(map(len, held)):
        whole = pa.concat_tables(held).unify_dictionaries()
        yield whole.sort_by([(by, "ascending"), ("point", "ascending")])


def _write(store: Store, plan: Plan, name: str, rows: pa.Table) -> str:
    rows = rows.cast(held()).combine_chunks()
    digest = checksum(rows)
    about = {"digest": plan.digest, "checksum": digest}
    store.put(name, shard_file.encode(rows, about, row_group=1 << 17))
    return digest
