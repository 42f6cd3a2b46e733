"""Two runs side by side: which rows only one has, which columns changed, what got worse."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from sweep.results.bounds import with_optimum
from sweep.results.columns import OUTCOME_NAMES, parameters_in

SIDES: Final = ("both", "only in A", "only in B")


def settings_that_differ(a: pl.LazyFrame, b: pl.LazyFrame) -> pl.LazyFrame:
    """One row for each parameter that has one value in `a` and another one in all of `b`.

    These are what is compared, so rows of the two runs are not joined on them.
    """
    single = [
        pl.when(pl.col(c).min() == pl.col(c).max()).then(pl.col(c).first().cast(pl.String)).alias(c)
        for c in parameters_in(_names(a, b))
    ]
    one, other = (
        run.select(single).unpivot(variable_name="setting", value_name=side)
        for side, run in (("a", a), ("b", b))
    )
    differ = pl.col("a") != pl.col("b")
    return one.join(other, on="setting", maintain_order="left").filter(differ)


def _names(a: pl.LazyFrame, b: pl.LazyFrame) -> set[str]:
    return set(a.collect_schema().names()) & set(b.collect_schema().names())


def joined(a: pl.LazyFrame, b: pl.LazyFrame, ignore: Sequence[str] = ()) -> pl.LazyFrame:
    """Rows of both runs, joined on the parameters that both have, without those to `ignore`.

    Every outcome that both have comes twice, as `x` (from `a`) and `x_b`, and `side` is one of
    `SIDES`. Rows that failed are left out, and so count as missing.
    """
    names = _names(a, b)
    on = parameters_in(names, but=ignore)
    outcomes = [name for name in OUTCOME_NAMES if name in names]
    one, other = (
        run.filter(pl.col("error").is_null())
        .select(*on, *outcomes, pl.lit(True).alias("present"))
        .unique(on)
        for run in (a, b)
    )
    only_a, only_b = pl.col("present_b").is_null(), pl.col("present").is_null()
    side = pl.when(only_a).then(pl.lit(SIDES[1])).when(only_b).then(pl.lit(SIDES[2]))
    return (
        one.join(other, on=on, how="full", coalesce=True, suffix="_b")
        .with_columns(side=side.otherwise(pl.lit(SIDES[0])))
        .drop("present", "present_b")
    )


def outcomes_in(pairs: pl.LazyFrame) -> list[str]:
    """Outcome columns that a frame of `joined` has twice."""
    columns = pairs.collect_schema().names()
    return [name for name in OUTCOME_NAMES if f"{name}_b" in columns]


def _change(column: str) -> pl.Expr:
    return pl.col(f"{column}_b") - pl.col(column)


def _changed(column: str, tolerance: float) -> pl.Expr:
    return _change(column).abs() > tolerance * pl.col(column).abs()


def row_counts(pairs: pl.LazyFrame, tolerance: float = 0.0) -> pl.LazyFrame:
    """How many rows are on each side, and in how many of them an outcome changed.

    A change of at most `tolerance` times the value in `a` is none.
    """
    changed = pl.any_horizontal(_changed(c, tolerance) for c in outcomes_in(pairs))
    return (
        pairs.group_by("side")
        .agg(
            nr_rows=pl.len().cast(pl.Int64),
            changed_rows=changed.fill_null(False).sum().cast(pl.Int64),
        )
        .sort("side")
    )


def changed_columns(pairs: pl.LazyFrame, tolerance: float = 0.0) -> pl.LazyFrame:
    """One row for each outcome that changed, with the sums over the rows that both runs have."""
    both = pairs.filter(side=SIDES[0])
    rows = [
        both.select(
            column=pl.lit(name),
            changed_rows=_changed(name, tolerance).sum().cast(pl.Int64),
            total_a=pl.col(name).sum().cast(pl.Float64),
            total_b=pl.col(f"{name}_b").sum().cast(pl.Float64),
            least_change=_change(name).min().cast(pl.Float64),
            largest_change=_change(name).max().cast(pl.Float64),
        )
        for name in outcomes_in(pairs)
    ]
    return pl.concat(rows).filter(pl.col("changed_rows") > 0)


def biggest_changes(pairs: pl.LazyFrame, metric: str, count: int = 5) -> pl.LazyFrame:
    """The `count` rows in which `metric` grew most, then the `count` in which it shrank most.

    Columns: `kind` (regression or improvement), the joined parameters, `a`, `b`, `change`.
    """
    parameters, change = parameters_in(pairs.collect_schema().names()), pl.col("change")
    rows = (
        pairs.filter(side=SIDES[0])
        .select(*parameters, a=pl.col(metric), b=pl.col(f"{metric}_b"), change=_change(metric))
        .sort(-change.abs(), *parameters)
    )
    kinds = {"regression": change > 0, "improvement": change < 0}
    return pl.concat(
        rows.filter(is_kind).head(count).select(pl.lit(kind).alias("kind"), pl.all())
        for kind, is_kind in kinds.items()
    )


def beside_bounds(changes: pl.LazyFrame, a: pl.LazyFrame, b: pl.LazyFrame) -> pl.LazyFrame:
    """`changes` of lock drops (from `biggest_changes`) and what bounds them on either side.

    `unbounded_drops`: caches that never run dry. `optimum_a`, `optimum_b`: the fewest that any
    policy costs with the caches of that side; null where that is not known.
    """
    on = parameters_in(changes.collect_schema().names())
    caches_and_workload = parameters_in(on, but=["policy"])
    points = changes.select(caches_and_workload).unique()
    for side, run in (("a", a), ("b", b)):
        rows = with_optimum(run.join(points, on=caches_and_workload, how="semi"))
        best = rows.group_by(on).agg(pl.col("unbounded_drops", "optimum_drops").min())
        best = best.rename({"optimum_drops": f"optimum_{side}"})
        changes = changes.join(best, on=on, how="left", maintain_order="left", suffix="_again")
    return changes.drop("unbounded_drops_again")


def varying_in(pairs: pl.DataFrame) -> list[str]:
    """The joined parameters that have more than one value."""
    return [name for name in parameters_in(pairs.columns) if pairs[name].n_unique() > 1]
