"""The Parquet schema, made from `core.parameters` and `core.outcome`, and columns into tables."""

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.outcome import OUTCOMES
from core.parameters import PARAMETERS, Parameter

_TYPES: Final = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}

DICTIONARY: Final = [*(p.name for p in PARAMETERS), "engine"]
"""Columns with few values a shard. The others would only fill dictionaries that overflow."""

FLOATS: Final = [o.name for o in OUTCOMES if o.kind is float]
"""Columns that compress best byte by byte (BYTE_STREAM_SPLIT)."""

COUNTS: Final = ["point", *(o.name for o in OUTCOMES if o.kind is int)]
"""Whole numbers without a dictionary: in sorted rows, neighbours differ by little."""


def _field(name: str, kind: type, role: str, unit: str, text: str, **more: str) -> pa.Field:
    metadata = {"role": role, "unit": unit, "description": text} | more
    nullable = role in ("outcome", "failure")
    return pa.field(name, _TYPES[kind], nullable, metadata=metadata)


def _parameter(p: Parameter) -> pa.Field:
    more = {"mark": p.mark} if p.mark else {}
    return _field(p.name, p.kind, "parameter", p.unit, p.text, key=p.key, **more)


@cache
def schema() -> pa.Schema:
    """Every column of a run: `point`, parameters, outcomes, `engine`, `error`.

    Field metadata has `role` (identity, parameter, outcome or failure), `unit`, `description`, and
    for parameters `key` (the override word) and, for costs, `mark`.
    """
    fields = [
        _field("point", int, "identity", "", "number of the point in its grid"),
        *(_parameter(p) for p in PARAMETERS),
        *(_field(o.name, o.kind, "outcome", o.unit, o.text) for o in OUTCOMES),
        _field("engine", str, "outcome", "", "what computed the outcome"),
        _field("error", str, "failure", "", "why there is no outcome"),
    ]
    return pa.schema(fields)


def table(
    first: int,
    parameters: Mapping[str, NDArray[Any]],
    outcomes: Mapping[str, NDArray[Any]],
    errors: Mapping[int, str],
) -> pa.Table:
    """A shard's rows.

    Parameters
    ----------
    first
        Number of the first point.
    parameters, outcomes
        Arrays of shape (n,); `outcomes` has `engine` too.
    errors
        Message by row; the outcomes of these rows become null.
    """
    rows = len(next(iter(parameters.values())))
    failed = np.zeros(rows, bool)
    failed[list(errors)] = True
    columns: dict[str, pa.Array] = {"point": pa.array(np.arange(first, first + rows))}
    columns |= {name: _array(values, None) for name, values in parameters.items()}
    columns |= {
        name: _array(values, failed if errors else None) for name, values in outcomes.items()
    }
    messages = np.full(rows, None, object)
    for row, message in errors.items():
        messages[row] = message
    columns["error"] = pa.array(messages, pa.string()) if errors else pa.nulls(rows, pa.string())
    wanted = schema()
    return pa.table([columns[field.name] for field in wanted], schema=wanted)


def _array(values: NDArray[Any], null: NDArray[Any] | None) -> pa.Array:
    if values.dtype.kind != "U":
        return pa.array(values, mask=null)
    if len(values) and (values == values[0]).all():
        texts = pa.repeat(pa.scalar(str(values[0])), len(values))
    else:
        words, codes = np.unique(values, return_inverse=True)
        texts = pa.array(words, pa.string()).take(pa.array(codes))
    if null is None:
        return texts
    return pa.compute.if_else(pa.array(null), pa.scalar(None, pa.string()), texts)


def checksum(rows: pa.Table) -> str:
    """sha256 over everything that was computed: outcomes, `engine` and `error`, column by column.

    Parameters and `point` follow from the plan, so that `verify` compares them with it instead.
    """
    digest = hashlib.sha256()
    for field in schema():
        if field.metadata[b"role"] in (b"outcome", b"failure"):
            digest.update(field.name.encode())
            _update(digest, rows.column(field.name).combine_chunks())
    return digest.hexdigest()


def _update(digest: Any, values: pa.ChunkedArray | pa.Array) -> None:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    digest.update(np.packbits(valid).tobytes())
    if pa.types.is_string(array.type):
        encoded = array.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy()
        digest.update("\0".join(encoded.dictionary.to_pylist()).encode())
        digest.update(np.ascontiguousarray(codes, np.int32))
    else:
        digest.update(np.ascontiguousarray(array.fill_null(0).to_numpy()))
