"""Rows as programs read them (csv, json, Parquet), and values as people do."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl

from sweep.terminal import clean


def encode(frame: pl.DataFrame, form: str) -> bytes:
    """`frame` as csv, json (a list of objects, one a row) or Parquet."""
    out = BytesIO()
    if form == "csv":
        frame.write_csv(out)
    elif form == "json":
        numbers = pl.selectors.float()
        finite = frame.with_columns(pl.when(numbers.is_finite()).then(numbers).name.keep())
        out.write(json.dumps(finite.to_dicts(), indent=1, default=str).encode() + b"\n")
    else:
        frame.write_parquet(out)
    return out.getvalue()


def cell(value: Any) -> str:
    """One value as people read it: 32,768, 0.0125, yes, or nothing for null.

    Small numbers have four significant digits, and never an exponent: 0.00001, 819.2.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if abs(value) >= 1_000:
            return f"{value:,.0f}"
        return np.format_float_positional(value, precision=4, fractional=False, trim="-")
    return clean(str(value))


def named(values: Mapping[str, Any]) -> str:
    """Those of `values` that are known: desc_capacity 553, policy kernel."""
    return ", ".join(f"{name} {cell(v)}" for name, v in values.items() if v is not None)
