"""A folder of whole files, here or on `s3://`: each appears whole or not at all."""

import json
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow as pa
from pyarrow import fs

from sweep.errors import RefusedError

STAGED: Final = "."
"""Files that begin so are not finished; no reader looks at them."""

MAX_JSON_BYTES: Final = 4 << 20

REMOTE_PATIENCE_S: Final = 60.0
"""How long requests to a remote filesystem are repeated before the run stops."""

_GOOGLE_RETRY_S: Final = 10
"""When pyarrow gives up a request to Google's storage; its default is 15 minutes, in which no
signal is heard."""

_T = TypeVar("_T")


class StorageError(Exception):
    """Results cannot be written or read; what is there already is kept."""


class TooLargeError(RefusedError):
    """A file that is larger than any of its kind: nobody reads it."""


@dataclass(frozen=True)
class Folder:
    """The files in one place. `uri` is a local path, or a URI that pyarrow opens, e.g. `s3://b/p`.

    An address that names no place is a RefusedError. What may be well the next time, such as a
    network without answer, is tried again for as long as `REMOTE_PATIENCE_S` says, and only then a
    StorageError. Credentials come from the environment only. The object is small and safe to send
    to workers.
    """

    uri: str

    @property
    def is_local(self) -> bool:
        return "://" not in self.uri or self.uri.startswith("file://")

    def _open(self) -> tuple[fs.FileSystem, str]:
        """Filesystem and path of the folder. It may take a request, e.g. for a bucket's region."""
        if "://" not in self.uri:
            return fs.LocalFileSystem(), self.uri
        uri = self.uri
        if uri.startswith(("gs://", "gcs://")) and "retry_limit_seconds=" not in uri:
            uri += f"{'&' if '?' in uri else '?'}retry_limit_seconds={_GOOGLE_RETRY_S}"
        try:
            where, path = self._patiently(lambda: fs.FileSystem.from_uri(uri), "open a file")
        except pa.ArrowException as error:
            raise RefusedError(f"results_dir {self.uri}: {reason(error)}") from error
        return where, path

    def file(self, name: str) -> tuple[fs.FileSystem, str]:
        """Filesystem and path of one file, for readers."""
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
                f"cannot write to {self.uri}: {reason(error)}. Choose another results_dir."
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

    def get(self, name: str, limit: int | None = None) -> bytes | None:
        """A whole file, or None if there is no such file.

        TooLargeError if it has more than `limit` bytes.
        """

        def read() -> bytes | None:
            where, path = self.file(name)
            try:
                with where.open_input_file(path) as source:
                    if limit is not None and (size := source.size()) > limit:
                        raise TooLargeError(
                            f"{self.uri}/{name} takes {size:,} bytes; the limit is {limit:,}."
                        )
                    data: bytes = source.read()
                    return data
            except (FileNotFoundError, NotADirectoryError):
                return None

        return self._patiently(read, f"read {name}")

    def get_json(self, name: str) -> dict[str, Any] | None:
        """A JSON object; None if it is missing, torn, too large, or no object."""
        try:
            return json_object(self.get(name, MAX_JSON_BYTES) or b"")
        except TooLargeError:
            return None

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
                    raise StorageError(f"cannot {doing} in {self.uri}: {reason(error)}") from error
            time.sleep(pause)
            pause = min(pause * 2, 5.0)


def reason(error: BaseException) -> str:
    """The first line of an error, which is where the reason is."""
    return str(error).strip().split("\n")[0][:300] or type(error).__name__


def json_object(text: bytes) -> dict[str, Any] | None:
    """The JSON object in `text`; None if that is torn, or no object."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _drop(where: fs.FileSystem, path: str) -> None:
    with suppress(OSError):
        where.delete_file(path)


def _json(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=1) + "\n").encode()
