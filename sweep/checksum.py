"""A checksum of rows that adds up: the same for a table however it is cut, sorted or compacted.

Each row hashes its point number and everything that was computed for it; a table's checksum is the
sum over its rows. Parameters follow from the plan, so `verify` compares them with it instead.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.compiled import elementwise, interpreted
from core.draws import mix
from sweep.schema import schema

Hashes = NDArray[np.uint64]

_MODULUS: Final = 1 << 128
_NULL: Final = np.uint64(0x6E756C6C)
_ZERO: Final = np.uint64(0)


def checksum(rows: pa.Table) -> str:
    """32 hex digits over `point`, outcomes, `engine` and `error` of all rows."""
    hashes = _bits(rows.column("point").combine_chunks())
    with interpreted(steps=0):
        for field in schema():
            if field.metadata[b"role"] in (b"outcome", b"failure"):
                hashes = _folded(hashes, _bits(rows.column(field.name).combine_chunks()))
        low = _folded(hashes, _ZERO)
        high = _folded(low, _ZERO)
    return _text((_sum(high) << 64) + _sum(low))


def added(checksums: Iterable[str]) -> str:
    """The checksum of several tables together."""
    return _text(sum(int(each, 16) for each in checksums))


def _text(number: int) -> str:
    return f"{number % _MODULUS:032x}"


def _sum(hashes: Hashes) -> int:
    """All of it, beyond 64 bits."""
    high, low = hashes >> np.uint64(32), hashes & np.uint64(0xFFFFFFFF)
    return (int(high.sum()) << 32) + int(low.sum())


@elementwise
def _folded(hashes: Any, bits: Any) -> Any:
    """Hashes of rows that have one more column."""
    return mix(hashes) ^ bits


def _bits(array: pa.Array) -> Hashes:
    """64 bits for each value, read from memory: pyarrow's own conversions would import pandas."""
    rows, start = len(array), array.offset
    if array.null_count == rows:
        return np.full(rows, _NULL)
    valid, *buffers = array.buffers()
    if pa.types.is_dictionary(array.type):
        values = _bits(array.dictionary)[np.frombuffer(buffers[0], np.int32, rows, start * 4)]
    elif pa.types.is_string(array.type):
        values = _hashed_texts(buffers, start, rows)
    else:
        values = np.frombuffer(buffers[0], np.uint64, rows, start * 8)
    if array.null_count == 0:
        return values
    known = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[start : start + rows]
    return np.where(known, values, _NULL)


def _hashed_texts(buffers: list[Any], start: int, rows: int) -> Hashes:
    ends = np.frombuffer(buffers[0], np.int32, rows + 1, start * 4)
    data = buffers[1].to_pybytes() if buffers[1] else b""
    first = data[ends[0] : ends[1]]
    same = (np.diff(ends) == len(first)).all()
    if same and data[ends[0] : ends[-1]] == first * rows:
        return np.full(rows, _hashed(first), np.uint64)
    texts = (data[a:b] for a, b in pairwise(ends.tolist()))
    return np.fromiter(map(_hashed, texts), np.uint64, rows)


@lru_cache(1 << 12)
def _hashed(text: bytes) -> int:
    return int.from_bytes(sha256(text).digest()[:8], "little")
