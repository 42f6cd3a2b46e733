"""A checksum of rows that adds up: the same for a table however it is cut, sorted or compacted.

Each row hashes its point number and everything that was computed for it; a table's checksum is the
sum over its rows. Parameters follow from the plan, so `verify` compares them with it instead.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
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
    if array.null_count == len(array):
        return np.full(len(array), _NULL)
    if pa.types.is_string(array.type):
        array = array.dictionary_encode()
    rows, start = len(array), array.offset
    valid, data, *_ = array.buffers()
    if pa.types.is_dictionary(array.type):
        texts = array.dictionary.view(pa.binary()).to_pylist()
        hashes = np.array([_hashed(text) for text in texts], np.uint64)
        values = hashes[np.frombuffer(data, np.int32, rows, start * 4)]
    else:
        values = np.frombuffer(data, np.uint64, rows, start * 8)
    if array.null_count == 0:
        return values
    known = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[start : start + rows]
    return np.where(known, values, _NULL)


@lru_cache(1 << 12)
def _hashed(text: bytes) -> int:
    return int.from_bytes(sha256(text).digest()[:8], "little")
