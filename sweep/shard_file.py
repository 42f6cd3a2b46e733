"""The Parquet file of a shard: its columns, how they are packed, and what its footer says."""

import base64
import json
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sweep.checksum import added, checksum
from sweep.errors import RefusedError
from sweep.folder import Folder, json_object, reason
from sweep.plan import Plan, Shard
from sweep.schema import COUNTS, DICTIONARY, FLOATS, WORDS, held, schema

MAX_ROW_BYTES: Final = 4 << 10
"""In memory; a row takes 500, or up to 2,500 with an error message of the longest kind."""

UNREADABLE: Final = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises for files that are no whole Parquet; a name in one may not even be UTF-8."""

WRITER: Final[dict[str, Any]] = {
    "compression": "zstd",
    "compression_level": 3,
    "column_encoding": dict.fromkeys(FLOATS, "BYTE_STREAM_SPLIT")
    | dict.fromkeys(COUNTS, "DELTA_BINARY_PACKED"),
    "write_page_checksum": True,
    "write_batch_size": 1 << 16,
    "store_schema": False,
}
"""Level 3 finds what repeats in neighbouring points, and is read faster for it than level 1. The
schema is stored by `encode`."""


class TornError(Exception):
    """A file that is not the whole shard it should be: it is computed again."""


class ForeignError(RefusedError):
    """A whole Parquet file that belongs to another run: nobody overwrites it."""


class Manifest(NamedTuple):
    """What is known of a shard that is on disk. All that crosses the wire."""

    first: int
    last: int
    failures: int
    seconds: float
    bytes: int
    checksum: str
    peak_rss: int = 0


def write(
    folder: Folder, name: str, rows: pa.Table, plan: Plan, shard: Shard, seconds: float
) -> Manifest:
    """Write the rows of `shard` as file `name`, checked against the schema."""
    failures = len(rows) - rows.column("error").null_count
    about: dict[str, Any] = {
        "digest": plan.digest, "first": shard.first, "last": shard.last, "failures": failures,
        "schema_version": plan.schema_version, "model_version": plan.model_version,
        "checksum": checksum(rows), "seconds": round(seconds, 3),
        "code": plan.code.get("core", ""),
    }  # fmt: skip
    data = encode(rows, about, plan.grid.get("fixed", ()))
    folder.put(name, data)
    return Manifest(*shard, failures, about["seconds"], len(data), about["checksum"])


def check(folder: Folder, name: str, plan: Plan, shard: Shard) -> Manifest:
    """What the footer of a shard says; TornError or ForeignError if it is not that shard."""
    where, path = folder.file(name)
    try:
        with where.open_input_file(path) as source:
            size = source.size()
            about, rows = _footer(source, name)
    except UNREADABLE as error:
        raise TornError(f"{name}: {reason(error)}") from error
    found = (about.get("digest"), about.get("first"), about.get("last"), rows)
    wanted = (plan.digest, *shard, shard.points)
    if found != wanted:
        raise ForeignError(
            f"{folder.uri}/{name} is a whole Parquet file, but not this shard of this run: "
            f"(digest, first, last, rows) is {found}, should be {wanted}. Move it away."
        )
    try:
        failures, seconds = int(about["failures"]), float(about["seconds"])
        return Manifest(*shard, failures, seconds, size, added([about["checksum"]]))
    except (KeyError, TypeError, ValueError) as error:
        raise TornError(f"{name}: its footer is incomplete ({error})") from error


def read(folder: Folder, name: str, words: Sequence[str] = ()) -> pa.Table:
    """All rows of a file, page checksums verified; the texts of `words` stay dictionaries.

    ForeignError if it has other columns.
    """
    where, path = folder.file(name)
    with where.open_input_file(path) as source:
        _footer(source, name)
        return pq.read_table(source, read_dictionary=list(words), page_checksum_verification=True)


def encode(
    rows: pa.Table, about: dict[str, Any], fixed: Collection[str] = (), row_group: int = 1 << 30
) -> pa.Buffer:
    """`rows` as one Parquet file in memory; `about` goes into its footer under `splitsweep`.

    Dictionaries are written as they are, and the footer says that they are strings. Numbers that
    are `fixed` need no dictionary.
    """
    dictionary = [name for name in DICTIONARY if name in WORDS or name not in fixed]
    metadata = {"splitsweep": json.dumps(about, sort_keys=True)}
    as_read = schema().with_metadata(metadata).serialize()
    rows = rows if rows.schema.equals(held()) else rows.cast(held())
    out = pa.BufferOutputStream()
    with pq.ParquetWriter(out, held(), use_dictionary=dictionary, **WRITER) as writer:
        writer.write_table(rows, row_group_size=row_group)
        writer.add_key_value_metadata(metadata | {"ARROW:schema": base64.b64encode(as_read)})
    return out.getvalue()


def _footer(source: Any, name: str) -> tuple[dict[str, Any], int]:
    """What a shard says of itself and its number of rows; nothing but the footer is read."""
    parquet = pq.ParquetFile(source, thrift_string_size_limit=8 << 20)
    found = parquet.schema_arrow
    if not found.remove_metadata().equals(schema().remove_metadata()):
        raise ForeignError(f"{name} has other columns than this run. Move it away.")
    groups = map(parquet.metadata.row_group, range(parquet.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    if size > MAX_ROW_BYTES * (parquet.metadata.num_rows + 1000):
        raise ForeignError(
            f"{name} unfolds to {size:,} bytes, too many for its rows. Move it away."
        )
    about = json_object((found.metadata or {}).get(b"splitsweep", b"")) or {}
    return about, parquet.metadata.num_rows
