"""The Parquet schema, made from `core.parameters` and `core.outcome`, and columns into tables."""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.outcome import OUTCOMES
from core.parameters import PARAMETERS

_TYPES: Final = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}

DICTIONARY: Final = [*(p.name for p in PARAMETERS), "engine"]
"""Columns with few values a shard. The others would only fill dictionaries that overflow."""

WORDS: Final = frozenset(x.name for x in PARAMETERS if x.kind is str) | {"engine"}
"""Texts that repeat: dictionaries in memory, plain strings to whoever reads a file."""

FLOATS: Final = [o.name for o in OUTCOMES if o.kind is float]
"""Columns that compress best byte by byte (BYTE_STREAM_SPLIT)."""

COUNTS: Final = ["point", *(o.name for o in OUTCOMES if o.kind is int)]
"""Whole numbers without a dictionary: neighbours differ by little (DELTA_BINARY_PACKED)."""


def _field(name: str, kind: type, role: str, unit: str, text: str, **more: str) -> pa.Field:
    metadata = {"role": role, "unit": unit, "description": text}
    metadata |= {key: value for key, value in more.items() if value}
    return pa.field(name, _TYPES[kind], role in ("outcome", "failure"), metadata=metadata)


@cache
def schema() -> pa.Schema:
    """Every column of a run: `point`, parameters, outcomes, `engine`, `error`.

    Field metadata has `role` (identity, parameter, outcome or failure), `unit`, `description`, and
    for parameters `key` (the override word) and, for costs, `mark`.
    """
    fields = [
        _field("point", int, "identity", "", "number of the point in its grid"),
        *(
            _field(p.name, p.kind, "parameter", p.unit, p.text, key=p.key, mark=p.mark)
            for p in PARAMETERS
        ),
        *(_field(o.name, o.kind, "outcome", o.unit, o.text) for o in OUTCOMES),
        _field("engine", str, "outcome", "", "what computed the outcome"),
        _field("error", str, "failure", "", "why there is no outcome"),
    ]
    return pa.schema(fields)


@cache
def held() -> pa.Schema:
    """The schema of rows in memory: `WORDS` are dictionaries, so that a row costs them a number."""
    word = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([f.with_type(word) if f.name in WORDS else f for f in schema()])


def table(
    first: int,
    parameters: Mapping[str, NDArray[Any]],
    outcomes: Mapping[str, NDArray[Any]],
    errors: Mapping[int, str],
) -> pa.Table:
    """A shard's rows, in the schema `held`.

    Parameters
    ----------
    first
        Number of the first point.
    parameters, outcomes
        Arrays of shape (n,); `outcomes` has `engine` too.
    errors
        Message by row; the outcomes of these rows become null, as do outcomes that are nan.
    """
    rows = len(next(iter(parameters.values())))
    failed = np.isin(np.arange(rows), list(errors)) if errors else None
    columns = {"point": _array(np.arange(first, first + rows))}
    columns |= {name: _array(values) for name, values in parameters.items()}
    columns |= {name: _array(v, _without(v, failed)) for name, v in outcomes.items()}
    columns["error"] = pa.nulls(rows, pa.string())
    if errors:
        columns["error"] = pa.array(map(errors.get, range(rows)), pa.string())
    wanted = held()
    return pa.table([columns[field.name] for field in wanted], schema=wanted)


def _without(values: NDArray[Any], failed: NDArray[Any] | None) -> NDArray[Any] | None:
    """Which rows have no such outcome."""
    if values.dtype.kind == "f" and (unknown := np.isnan(values)).any():
        failed = unknown if failed is None else unknown | failed
    return failed


def _array(values: NDArray[Any], null: NDArray[Any] | None = None) -> pa.Array:
    """`values` as they lie in memory: pyarrow, asked to look at them, would import pandas."""
    if values.strides == (0,) and null is None and 0 < len(values) <= _KEPT_ROWS:
        return _constant(values.dtype.str, values[:1].tobytes(), len(values))
    if values.dtype.kind == "U":
        texts, codes = _dictionary(values)
        return pa.DictionaryArray.from_arrays(_array(codes, null), texts, safe=False)
    valid = None if null is None else _bits(~null)
    plain = _bits(values) if values.dtype == bool else pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [valid, plain])


_KEPT_ROWS: Final = 1 << 17
"""Constant columns of more rows are not kept: forty of these take 40 MB."""


@lru_cache(40)
def _constant(dtype: str, value: bytes, rows: int) -> pa.Array:
    """A parameter that is not swept: the same column in shard after shard."""
    column = np.repeat(np.frombuffer(value, dtype), rows)
    column.flags.writeable = False
    return _array(column)


def _bits(flags: NDArray[Any]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def _dictionary(values: NDArray[Any]) -> tuple[pa.Array, NDArray[np.int32]]:
    """The different texts among `values`, and which of them each one is."""
    different, codes = values[:1], np.zeros(len(values), np.int32)
    if (values != different).any():
        different, found = np.unique(values, return_inverse=True)
        codes = found.astype(np.int32)
    texts = [text.encode() for text in different.tolist()]
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers), codes
