"""What a run sweeps, read from its rows."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from core.parameters import PARAMETERS
from sweep.results.columns import CHOICE_NAMES, parameters_in

_PRESET: Final = {p.name for p in PARAMETERS if p.group == "workload"} - {"workload"}

Varying = Mapping[str, Sequence[Any]]
"""Parameters with more than one value, and their values in order."""


def varying(results: pl.LazyFrame) -> dict[str, list[Any]]:
    """Every parameter with more than one value, and its values in order.

    Parameters of the workload that follow from its name, because presets set them, are left out.
    """
    names = parameters_in(results.collect_schema().names())
    differs = results.select(pl.col(c).min() != pl.col(c).max() for c in names).collect()
    left = [c for c in names if differs[c].any()]
    if "workload" in left:
        others = [pl.col(c).min() != pl.col(c).max() for c in left if c != "workload"]
        swept = results.group_by("workload").agg(others)
        set_here = swept.drop("workload").select(pl.all().any()).collect()
        left = [c for c in left if c not in _PRESET or set_here[c].any()]
    lists = [pl.col(c).unique().sort().implode() for c in left]
    return dict(results.select(lists).collect().row(0, named=True)) if lists else {}


def groups(results: pl.LazyFrame) -> list[str]:
    """What a run sweeps that no maintainer sets: all that varies but caches, policy and seed."""
    return parameters_in(varying(results), but=["seed", *CHOICE_NAMES])
