"""Which geometry and policy to set, also for a fleet: recommendations, regrets, Pareto front."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from sweep.results.bounds import BOUNDS
from sweep.results.columns import choices_in, parameters_in, unit
from sweep.results.runs import SCHEMA

PARETO: Final = ("nr_lock_drops", "hold_ns_p99", "standing_bytes")
NR_TIES_NAMED: Final = 5
_FACTORS: Final = {
    "bytes": {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30},
    "ns": {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9},
}
"""By the unit of a column: what may stand behind a limit of it."""
_RELATIONS: Final = {"<=": pl.Expr.le, ">=": pl.Expr.ge, "<": pl.Expr.lt, ">": pl.Expr.gt}
_LIMIT: Final = re.compile(
    r"\s*(\w+)\s*(<=|>=|<|>)\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z]*)\s*"
)


@dataclass(frozen=True)
class Limit:
    """A bound that a recommendation keeps in every one of its points: `standing_bytes<=200KiB`."""

    column: str
    relation: str
    value: float

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Raises ValueError if `text` is not COLUMN RELATION NUMBER[UNIT]."""
        match = _LIMIT.fullmatch(text)
        if match is None:
            raise ValueError(
                f"--within {text!r}: write COLUMN<=NUMBER[UNIT] (or >=, <, >), "
                "such as standing_bytes<=200KiB or hold_ns_p99<2ms."
            )
        column, relation, number, suffix = match.groups()
        factors = _FACTORS.get(unit(column).removesuffix(" (modelled)"), {})
        if suffix and suffix not in factors:
            have = ", ".join(factors) or "none"
            raise ValueError(
                f"--within {text!r}: {column} has no unit {suffix!r}; its units: {have}."
            )
        return cls(column, relation, float(number) * factors.get(suffix, 1))

    def worst(self) -> pl.Expr:
        """The value of a group of points that is the nearest to breaking the limit."""
        column = pl.col(self.column)
        return column.max() if self.relation.startswith("<") else column.min()

    def holds(self) -> pl.Expr:
        """Whether a row whose column holds `worst()` keeps the limit."""
        return _RELATIONS[self.relation](pl.col(f"worst_{self.column}"), self.value)


def alternatives(
    results: pl.LazyFrame,
    minimize: str = "nr_lock_drops",
    within: Sequence[Limit] = (),
    by: Sequence[str] = (),
) -> pl.LazyFrame:
    """One row for each group of `by` and each geometry and policy, best first.

    `minimize` and `PARETO` are averaged over the row's points, `nr_points` of them. A row is
    `admissible` if it keeps each limit in every point (`worst_...` says how near it came) and has
    all points of its group: failed ones are left out. `regret` is how much more than the group's
    best admissible row it costs, null if it is not admissible.
    """
    columns = results.collect_schema().names()
    options = choices_in(columns, but=by)
    rest = parameters_in(columns, but=[*options, *by])
    same_points = (pl.struct(rest).hash() % (1 << 32)).sum() if rest else pl.lit(0, pl.UInt64)
    group = list(by) or pl.lit(0)
    complete = pl.col("nr_points") == pl.col("nr_points").max().over(group)
    covers = pl.col("covers") == pl.col("covers").filter(complete).max().over(group)
    keeps = pl.all_horizontal(complete, covers, *(limit.holds() for limit in within))
    rows = (
        results.filter(pl.col("error").is_null())
        .group_by([*by, *options])
        .agg(
            *(pl.col(c).mean() for c in averaged(minimize, columns)),
            *(limit.worst().alias(f"worst_{limit.column}") for limit in within),
            nr_points=pl.len().cast(pl.Int64),
            covers=same_points,
        )
        .with_columns(admissible=keeps)
        .drop("covers")
    )
    return ranked(rows, minimize, by)


def averaged(minimize: str, columns: Sequence[str]) -> list[str]:
    """The outcomes, and bounds of them, that are averaged over the points of an alternative."""
    shown = (*PARETO, "full_bytes", *BOUNDS)
    return list(dict.fromkeys([minimize, *(c for c in shown if c in columns)]))


def ranked(rows: pl.LazyFrame, minimize: str, by: Sequence[str] = ()) -> pl.LazyFrame:
    """Alternatives with their `regret` in each group of `by`, best first: of equals the one with
    the least memory."""
    least = pl.col(minimize).filter("admissible").min().over(list(by) or pl.lit(0))
    regret = pl.when("admissible").then(pl.col(minimize) - least)
    columns = rows.collect_schema().names()
    memory = [column for column in ("full_bytes", "standing_bytes") if column in columns]
    order = [*by, "regret", *memory, *choices_in(columns, but=by)]
    return rows.with_columns(regret=regret).sort(order, nulls_last=True)


def recommended(alternatives: pl.LazyFrame, by: Sequence[str] = ()) -> pl.LazyFrame:
    """The first of the best rows of each group: of equals the one with the least memory.

    `nr_ties` counts its equals, `ties` names the first of them by what differs. All of it is null
    where no row is admissible.
    """
    options = choices_in(alternatives.collect_schema().names(), but=by)
    varying = [pl.when(pl.col(c).n_unique() > 1).then(pl.format(c + "={}", c)) for c in options]
    named = pl.concat_str(varying, separator=" ", ignore_nulls=True)
    is_best = pl.col("regret") == 0
    others = pl.col("_name").filter(is_best).slice(1)
    return (
        alternatives.with_columns(_name=named)
        .group_by(*by, pl.lit(0).alias("_all"), maintain_order=True)
        .agg(
            pl.exclude("_name", "regret", "admissible", *by).filter(is_best).first(),
            nr_ties=pl.when(is_best.any()).then(others.len().cast(pl.Int64)),
            ties=pl.when(is_best.any()).then(others.head(NR_TIES_NAMED).str.join("; ")),
        )
        .drop("_all")
    )


def same_everywhere(rows: pl.DataFrame) -> dict[str, Any]:
    """What all alternatives share, of what need not be a column then, with its value."""
    beside = ("unbounded_drops", "optimum_drops", "nr_points", "admissible")
    names = [*choices_in(rows.columns), *(c for c in beside if c in rows.columns)]
    return {c: rows[c][0] for c in names if rows[c].n_unique() == 1}


def in_words(best: pl.DataFrame, by: Sequence[str] = ()) -> list[str]:
    """What the rows of `recommended` amount to: one sentence for each option that they vary in."""
    options = [c for c in choices_in(best.columns, but=by) if best[c].n_unique() > 1]
    return [f"For the fewest lock drops: {c} {_spread(best[c].drop_nulls())}." for c in options]


def _spread(values: pl.Series) -> str:
    counts = values.value_counts(sort=True).sort("count", values.name, descending=[True, False])
    if len(counts) > NR_TIES_NAMED:
        least, middle, most = (values.quantile(q, "lower") for q in (0, 0.5, 1))
        return (
            f"{least:,.0f} to {most:,.0f}, half of the {len(values):,} cases at most {middle:,.0f}"
        )
    return ", ".join(
        f"{value} in {count:,} of {len(values):,} cases" for value, count in counts.rows()
    )


def pareto_front(alternatives: pl.LazyFrame, by: Sequence[str] = ()) -> pl.LazyFrame:
    """The admissible rows of each group that no other row beats in one of `PARETO` without being
    beaten in another."""
    metrics = [c for c in PARETO if c in alternatives.collect_schema().names()]
    front = alternatives.filter(on_front(metrics, by)).drop("admissible")
    return front.sort([*by, *metrics])


def on_front(metrics: Sequence[str], by: Sequence[str]) -> pl.Expr:
    """Whether a row of `alternatives` is on the front of its group (see `pareto_front`)."""
    kept = pl.struct(metrics).map_batches(_undominated, return_dtype=pl.Boolean)
    return pl.col("admissible") & kept.over([*by, "admissible"])


def _undominated(rows: pl.Series) -> pl.Series:
    """A metric that is not known is worse than any that is."""
    values = rows.struct.unnest().fill_null(np.inf).to_numpy()
    order = np.lexsort(values.T[::-1])
    front = np.empty((0, values.shape[1]))
    kept = np.zeros(len(values), bool)
    for i in order:  # whoever beats a row comes before it
        kept[i] = not np.any(np.all(front <= values[i], axis=1) & np.any(front < values[i], axis=1))
        if kept[i] and not np.any(np.all(front == values[i], axis=1)):
            front = np.vstack([front, values[i]])
    return pl.Series(kept)


def read_mix(path: str, results: pl.LazyFrame) -> pl.DataFrame:
    """The kinds of VM in a csv file: columns of parameters, and `share`.

    Raises ValueError if the file is no csv, a column is neither, a share is negative or missing, a
    kind comes twice, or `results` has no row of a kind.
    """
    try:
        given = pl.read_csv(Path(path))
        kinds = parameters_in(given.columns)
        if not kinds or {*kinds, "share"} != set(given.columns):
            raise ValueError(
                f"{path} has the columns {', '.join(given.columns)}: give parameters, such as "
                "workload and memslot_gib, and share, a number for each kind of VM."
            )
        typed = [pl.col(name).cast(SCHEMA[name]) for name in kinds]
        mix = given.select(*typed, pl.col("share").cast(pl.Float64).fill_null(-1))
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from error
    share = mix["share"]
    if not (share.is_finite() & (share >= 0)).all() or share.sum() <= 0:
        raise ValueError(
            f"{path}: each share is a number that is not negative, and one is above 0."
        )
    if mix.select(kinds).is_duplicated().any():
        raise ValueError(f"{path}: a kind of VM comes twice. Add up its shares.")
    have = results.select(kinds).unique().collect()
    lacking = mix.join(have, on=kinds, how="anti").select(kinds)
    if lacking.height:
        raise ValueError(f"{path}: the run has no rows of {lacking.row(0, named=True)}.")
    return mix


def fleet(
    results: pl.LazyFrame,
    mix: pl.DataFrame,
    minimize: str = "nr_lock_drops",
    within: Sequence[Limit] = (),
) -> pl.LazyFrame:
    """One row for each geometry and policy, best first: what a VM of the fleet costs on average.

    `mix` has a row for each kind of VM: values of parameters, and its `share` (any scale). Columns
    are those of `alternatives`, then drops and bytes for each million VMs.
    """
    kinds = [name for name in mix.columns if name != "share"]
    shares = mix.lazy().with_columns(pl.col("share") / pl.col("share").sum())
    parts = alternatives(results, minimize, within, kinds).join(shares, on=kinds)
    columns = parts.collect_schema().names()
    means = averaged(minimize, columns)
    rows = parts.group_by(choices_in(columns, but=kinds)).agg(
        *((pl.col(c) * pl.col("share")).sum() for c in means),
        pl.col("nr_points").sum(),
        admissible=pl.col("admissible").all() & (pl.len() == mix.height),
    )
    return ranked(rows, minimize).with_columns(
        (pl.col(c) * 10**6).alias(f"{c}_per_million_vms")
        for c in ("nr_lock_drops", "standing_bytes")
        if c in means
    )
