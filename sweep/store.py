"""The only writer of results: every file appears whole or not at all, here or on `s3://`."""

import json
import os
import re
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from sweep.checksum import added, checksum
from sweep.errors import RefusedError
from sweep.plan import Plan, Shard
from sweep.schema import COUNTS, DICTIONARY, FLOATS, schema

PLAN: Final = "plan.json"
DONE: Final = "done.json"
LEASE: Final = "lease.json"
COMPACTED: Final = "compacted.json"
SHARD: Final = "shard-"
TABLE: Final = "table-"
"""How files of a compacted run begin, which `compacted.json` lists."""
_TABLE_NAME: Final = re.compile(rf"{TABLE}\d{{6,12}}\.parquet")

STAGED: Final = "."
"""Files that begin so are not finished; no reader looks at them."""

MAX_JSON_BYTES: Final = 4 << 20
MAX_ROW_BYTES: Final = 4 << 10
"""In memory; a row takes 500, or up to 2,500 with an error message of the longest kind."""

REMOTE_PATIENCE_S: Final = 60.0
"""How long requests to a remote filesystem are repeated before the run stops."""

_GOOGLE_RETRY_S: Final = 10

PARTS: Final = ".part-"
"""Parts of a shard that was cut up, until they are joined."""

UNREADABLE: Final = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises for files that are no whole Parquet; a name in one may not even be UTF-8."""

_T = TypeVar("_T")


class StorageError(Exception):
    """Results cannot be written or read; what is there already is kept."""


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


def shard_name(shard: tuple[int, int], points: int) -> str:
    """`shard-<first>-<last>.parquet`, padded so that names sort in point order."""
    width = len(str(points))
    return f"shard-{shard[0]:0{width}d}-{shard[1]:0{width}d}.parquet"


@dataclass(frozen=True)
class Store:
    """One run's folder. `uri` is a local path, or a URI that pyarrow opens, e.g. `s3://b/p`.

    Credentials come from the environment only. The object is small and safe to send to workers.
    """

    uri: str

    @classmethod
    def open(cls, results_dir: str, run_name: str) -> "Store":
        """The folder `run_name` inside `results_dir`; RefusedError if that is no place at all."""
        _refuse_no_place(results_dir)
        parts = urlsplit(results_dir)
        if "://" not in results_dir:
            return cls(str(Path(results_dir).expanduser().resolve() / run_name))
        secret = {"access_key", "secret_key", "session_token", "account_key", "sas_token"}
        if "@" in parts.netloc or secret & {key for key, _ in parse_qsl(parts.query)}:
            raise RefusedError(
                "results_dir holds credentials. They would end up in plan.json and logs; give them "
                "in the environment, e.g. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            )
        query = f"?{parts.query}" if parts.query else ""
        path = f"{parts.path.rstrip('/')}/{run_name}{query}"
        return cls(f"{parts.scheme}://{parts.netloc}{path}")

    @property
    def is_local(self) -> bool:
        return "://" not in self.uri or self.uri.startswith("file://")

    def _open(self) -> tuple[fs.FileSystem, str]:
        """Filesystem and path of the folder."""
        if "://" not in self.uri:
            return fs.LocalFileSystem(), self.uri
        try:
            where, path = fs.FileSystem.from_uri(_bounded(self.uri))
        except (pa.ArrowException, OSError) as error:
            raise RefusedError(f"results_dir {self.uri}: {_reason(error)}") from error
        return where, path

    def file(self, name: str) -> tuple[fs.FileSystem, str]:
        """Filesystem and path of one file of the run, for readers."""
        where, path = self._open()
        return where, f"{path}/{name}"

    def create(self) -> None:
        """Make the folder; RefusedError if nothing can be written there."""
        try:
            where, path = self._open()
            where.create_dir(path, recursive=True)
            probe = f"{STAGED}probe-{uuid.uuid4().hex}"
            self.put(probe, b"")
            self.delete(probe)
        except (OSError, StorageError) as error:
            raise RefusedError(
                f"cannot write to {self.uri}: {_reason(error)}. Choose another results_dir."
            ) from error

    def put(self, name: str, data: Any) -> None:
        """Write one file so that readers see the old content or the new, never less.

        Raises StorageError when the place is full or stays out of reach.
        """

        def write() -> None:
            where, path = self.file(name)
            staged = self._staged(path) if self.is_local else path
            if "/" in name:
                where.create_dir(path.rsplit("/", 1)[0])
            try:
                with where.open_output_stream(staged) as out:
                    out.write(data)
                if staged != path:
                    where.move(staged, path)
            except BaseException:
                if staged != path:
                    _drop(where, staged)
                raise

        self._patiently(write, f"write {name}")

    @staticmethod
    def _staged(path: str) -> str:
        folder, name = path.rsplit("/", 1)
        return f"{folder}/{STAGED}{name}.{uuid.uuid4().hex}"

    def get(self, name: str) -> bytes | None:
        """A small file's content, or None if there is no such file."""

        def read() -> bytes | None:
            where, path = self.file(name)
            try:
                with where.open_input_stream(path) as stream:
                    data: bytes = stream.read(MAX_JSON_BYTES)
                    return data
            except (FileNotFoundError, NotADirectoryError):
                return None

        return self._patiently(read, f"read {name}")

    def get_json(self, name: str) -> dict[str, Any] | None:
        """A JSON object of the run; None if it is missing, torn, or no object."""
        try:
            data = json.loads(self.get(name) or b"null")
        except ValueError:
            return None
        return data if isinstance(data, dict) else None

    def plan(self) -> Plan | None:
        """The run's plan, or None if it has none; RefusedError if that was damaged or changed."""
        text = self.get(PLAN)
        where = f"{self.uri}/{PLAN}"
        return None if text is None else Plan.from_json(text.decode(errors="replace"), where)

    def compacted(self) -> dict[str, Any] | None:
        """`by` and `files` (name to checksum) of a compacted run, or None.

        RefusedError if a name is not that of a table, which could lie outside of the run.
        """
        if (found := self.get_json(COMPACTED)) is None:
            return None
        files = found.get("files")
        if not isinstance(files, dict) or not all(map(_TABLE_NAME.fullmatch, files)):
            raise RefusedError(f"{self.uri}/{COMPACTED} does not list tables of this run.")
        return found

    def put_json(self, name: str, data: dict[str, Any]) -> None:
        self.put(name, _json(data))

    def put_new_json(self, name: str, data: dict[str, Any]) -> bool:
        """Write a JSON object if there is no such file, and no other process makes one meanwhile:
        whether it was written. Never on `s3://`, where pyarrow has no conditional put."""
        if not self.is_local:
            return False
        path = self.file(name)[1]
        staged = Path(self._staged(path))
        try:
            staged.write_bytes(_json(data))
            os.link(staged, path)
        except OSError:  # there is one; or no links are made here, or no room is left: see `put`
            return False
        finally:
            staged.unlink(missing_ok=True)
        return True

    def files(self) -> dict[str, int]:
        """Name and size of every file directly in the folder; empty if there is no folder."""

        def names() -> dict[str, int]:
            where, path = self._open()
            found = where.get_file_info(fs.FileSelector(path, allow_not_found=True))
            return {f.base_name: f.size for f in found if f.type == fs.FileType.File}

        return self._patiently(names, "list")

    def delete(self, name: str) -> None:
        """Remove a file; a missing one is fine."""
        _drop(*self.file(name))

    def _patiently(self, action: Callable[[], _T], doing: str) -> _T:
        """`action()`, again and again while a remote filesystem says no."""
        end = time.monotonic() + (0 if self.is_local else REMOTE_PATIENCE_S)
        pause = 0.2
        while True:
            try:
                return action()
            except OSError as error:
                if time.monotonic() + pause > end:
                    raise StorageError(f"cannot {doing} in {self.uri}: {_reason(error)}") from error
            time.sleep(pause)
            pause = min(pause * 2, 5.0)

    # Shards

    def write_rows(
        self, name: str, rows: pa.Table, plan: Plan, shard: Shard, seconds: float
    ) -> Manifest:
        """Write the rows of `shard` as file `name`, checked against the schema."""
        failures = len(rows) - rows.column("error").null_count
        about: dict[str, Any] = {
            "digest": plan.digest, "first": shard.first, "last": shard.last, "failures": failures,
            "schema_version": plan.schema_version, "model_version": plan.model_version,
            "checksum": checksum(rows), "seconds": round(seconds, 3),
            "code": plan.code.get("core", ""),
        }  # fmt: skip
        data = encode(rows, about)
        self.put(name, data)
        return Manifest(*shard, failures, about["seconds"], len(data), about["checksum"])

    def check(self, name: str, plan: Plan, shard: Shard) -> Manifest:
        """What the footer of a shard says; TornError or ForeignError if it is not that shard."""
        try:
            where, path = self.file(name)
            with where.open_input_file(path) as source:
                size = source.size()
                about, rows = _footer(source, name)
        except UNREADABLE as error:
            raise TornError(f"{name}: {_reason(error)}") from error
        found = (about.get("digest"), about.get("first"), about.get("last"), rows)
        wanted = (plan.digest, *shard, shard.points)
        if found != wanted:
            raise ForeignError(
                f"{self.uri}/{name} is a whole Parquet file, but not this shard of this run: "
                f"(digest, first, last, rows) is {found}, should be {wanted}. Move it away."
            )
        try:
            failures, seconds = int(about["failures"]), float(about["seconds"])
            return Manifest(*shard, failures, seconds, size, added([about["checksum"]]))
        except (KeyError, TypeError, ValueError) as error:
            raise TornError(f"{name}: its footer is incomplete ({error})") from error

    def read_rows(self, name: str, words: Sequence[str] = ()) -> pa.Table:
        """All rows of a file, page checksums verified; the texts of `words` stay dictionaries.

        ForeignError if it has other columns.
        """
        where, path = self.file(name)
        with where.open_input_file(path) as source:
            _footer(source, name)
            return pq.read_table(
                source, read_dictionary=list(words), page_checksum_verification=True
            )


def encode(rows: pa.Table, about: dict[str, Any], row_group: int = 1 << 30) -> pa.Buffer:
    """`rows` as one Parquet file in memory; `about` goes into its footer under `splitsweep`."""
    metadata = {"splitsweep": json.dumps(about, sort_keys=True)}
    out = pa.BufferOutputStream()
    with pq.ParquetWriter(out, schema().with_metadata(metadata), **WRITER) as writer:
        writer.write_table(rows.replace_schema_metadata(metadata), row_group_size=row_group)
    return out.getvalue()


WRITER: Final[dict[str, Any]] = {
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": DICTIONARY,
    "column_encoding": dict.fromkeys(FLOATS, "BYTE_STREAM_SPLIT")
    | dict.fromkeys(COUNTS, "DELTA_BINARY_PACKED"),
    "write_page_checksum": True,
    "write_batch_size": 1 << 16,
}
"""Level 3 finds what repeats in neighbouring points, and is read faster for it than level 1."""


def read_plan(store: Store) -> Plan:
    """The plan of a run; RefusedError if its folder has none."""
    if (plan := store.plan()) is None:
        raise RefusedError(f"{store.uri} is no run: it has no {PLAN}.")
    return plan


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
    try:
        about = json.loads((found.metadata or {}).get(b"splitsweep", b"{}"))
    except ValueError:
        about = {}
    return (about if isinstance(about, dict) else {}), parquet.metadata.num_rows


def _refuse_no_place(results_dir: str) -> None:
    """RefusedError if `results_dir` is no folder or URI, before pyarrow takes it for another."""
    if not results_dir.strip() or "\0" in results_dir:
        rule = "must be a folder or a URI; results_dir=. is the current folder."
    elif re.match(r"(s3|gs|gcs|abfss?)://(/|\?|$)", results_dir):
        rule = "names no bucket, as in s3://bucket/prefix."
    elif re.match(r"(s3|gs|gcs|abfss?|hdfs|file):(?!//)", results_dir):
        rule = f"a URI has ://, as in s3://bucket/prefix; a folder of that name is ./{results_dir}."
    else:
        return
    raise RefusedError(f"results_dir={results_dir}: {rule}")


def _bounded(uri: str) -> str:
    """`uri` so that pyarrow's client for Google's storage gives one request up in time: its default
    is 15 minutes, in which no signal is heard."""
    if not uri.startswith(("gs://", "gcs://")) or "retry_limit_seconds=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}retry_limit_seconds={_GOOGLE_RETRY_S}"


def _drop(where: fs.FileSystem, path: str) -> None:
    with suppress(OSError):
        where.delete_file(path)


def _reason(error: BaseException) -> str:
    """The first line of an error, which is where the reason is."""
    return str(error).strip().split("\n")[0][:300] or type(error).__name__


def _json(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=1) + "\n").encode()
