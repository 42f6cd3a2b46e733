"""Which column means what, and which of them vary: names and units of every column of a table."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import polars as pl

from core.outcome import OUTCOMES
from core.parameters import PARAMETERS

PARAMETER_NAMES: Final = tuple(p.name for p in PARAMETERS)
OUTCOME_NAMES: Final = tuple(o.name for o in OUTCOMES)
CHOICE_NAMES: Final = tuple(p.name for p in PARAMETERS if p.group in {"caches", "policy"})
"""What a maintainer can set; every other parameter is what a VM happens to be."""

_PRESET: Final = {p.name for p in PARAMETERS if p.group == "workload"} - {"workload"}
_UNITS: Final = {p.name: p.unit for p in PARAMETERS} | {o.name: o.unit for o in OUTCOMES}
_BY_ENDING: Final = {
    "_per_kib": "drops/KiB", "_kib": "KiB", "_mib": "MiB", "_gib": "GiB", "_bytes": "bytes",
    "_ns": "ns (modelled)", "_us": "us (modelled)", "_ms": "ms (modelled)", "_percent": "%",
    "_ratio": "ratio", "_share": "share", "_points": "points", "_rows": "rows", "_drops": "drops",
}  # fmt: skip

Varying = Mapping[str, Sequence[Any]]
"""Parameters with more than one value, and their values in order."""


def unit(column: str) -> str:
    """Unit of a column, of the table or derived from it; empty if it has none.

    A derived column says its unit by its ending: `saved_per_kib`, `standing_kib`, `floor_drops`.
    """
    if column in _UNITS:
        return _UNITS[column]
    if column.endswith("_per_million_vms"):
        return f"{unit(column.removesuffix('_per_million_vms'))} per 10^6 VMs"
    if column.startswith("drops_"):
        return "drops"
    return next((u for ending, u in _BY_ENDING.items() if column.endswith(ending)), "")


def parameters_in(names: Collection[str], but: Collection[str] = ()) -> list[str]:
    """Those of `names` that are parameters, without those in `but`, in their declared order."""
    return [name for name in PARAMETER_NAMES if name in names and name not in but]


def choices_in(names: Collection[str], but: Collection[str] = ()) -> list[str]:
    """Those of `names` that a maintainer can set, without those in `but`, in declared order."""
    return [name for name in CHOICE_NAMES if name in names and name not in but]


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
