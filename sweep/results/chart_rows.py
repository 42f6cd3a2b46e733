"""The rows behind the charts: small frames, aggregated from a run of any size."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import polars as pl

from sweep.results.best import PARETO, alternatives, on_front
from sweep.results.bounds import FLOOR
from sweep.results.columns import Varying, choices_in

MAX_ROWS: Final = 8_000
"""A chart embeds no more rows than this."""
MAX_VALUES: Final = 16
"""Of a parameter with more values than this, but for the capacity, a chart shows `FEW`."""
FEW: Final = 9


def thinned(results: pl.LazyFrame, values: Varying) -> tuple[pl.LazyFrame, dict[str, list[Any]]]:
    """The rows at a few values of each parameter with many, evenly chosen, ends included."""
    kept = {name: list(taken) for name, taken in values.items()}
    for name, taken in values.items():
        if len(taken) > MAX_VALUES and name not in ("desc_capacity", "seed"):
            kept[name] = [taken[round(i * (len(taken) - 1) / (FEW - 1))] for i in range(FEW)]
            results = results.filter(pl.col(name).is_in(kept[name]))
    return results, kept


def filters(values: Varying, axes: Sequence[str]) -> list[str]:
    """Parameters to choose one value of in a chart with `axes`: the fewest values first.

    Others that vary, among them always the seed, are averaged over.
    """
    rest = [c for c in values if c not in {*axes, "seed"} and len(values[c]) <= MAX_VALUES]
    return sorted(rest, key=lambda c: len(values[c]))


def fitting(make: Callable[[Sequence[str]], pl.LazyFrame], by: Sequence[str]) -> pl.DataFrame:
    """`make(by)`, without the last of `by`, and so on, until it has at most `MAX_ROWS` rows."""
    rows = make(by).head(MAX_ROWS + 1).collect()
    return fitting(make, by[:-1]) if by and rows.height > MAX_ROWS else rows.head(MAX_ROWS)


def _drops(results: pl.LazyFrame, by: Sequence[str]) -> pl.LazyFrame:
    """Mean lock drops and the page caches' floor in each group of `by`, in order."""
    floor = FLOOR.mean().alias("floor_drops")
    return results.group_by(by).agg(pl.col("nr_lock_drops").mean(), floor).sort(by)


def staircase(results: pl.LazyFrame, by: Sequence[str]) -> pl.LazyFrame:
    """Mean lock drops and the page caches' floor for each capacity at which one of them changes,
    and for the last one, in each group of `by`."""
    group = list(by) or pl.lit(0)
    changes = pl.col("nr_lock_drops") != pl.col("nr_lock_drops").shift(1)
    last = pl.col("desc_capacity") == pl.col("desc_capacity").max()
    steps = _drops(results, [*by, "desc_capacity"])
    return steps.filter((changes.fill_null(True) | last).over(group))


def heat(results: pl.LazyFrame, by: Sequence[str]) -> pl.LazyFrame:
    """Lock drops, and `times_floor`: how often those of the page caches alone, for each cell."""
    times = pl.col("nr_lock_drops") / pl.col("floor_drops")
    return _drops(results, by).with_columns(times.alias("times_floor"))


def trade(results: pl.LazyFrame, by: Sequence[str]) -> pl.LazyFrame:
    """Each geometry and policy in each group of `by`, and whether it is on the Pareto front.

    Of those that differ only in the capacity and cost the same lock drops, the cheapest stands.
    """
    options = choices_in(results.collect_schema().names(), but=by)
    same = [*by, *(c for c in options if c != "desc_capacity"), "nr_lock_drops"]
    return (
        alternatives(results, by=by)
        .with_columns(on_front(PARETO, by).alias("on_front"))
        .sort("standing_bytes", *options)
        .unique(same, keep="first", maintain_order=True)
        .with_columns((pl.col("standing_bytes") / 1024).alias("standing_kib"))
        .select(*by, *options, "nr_lock_drops", "standing_kib", "hold_ns_p99", "on_front")
        .sort(*by, "standing_kib", *options)
    )


def holds(results: pl.LazyFrame, by: Sequence[str]) -> pl.LazyFrame:
    """Median, 99th percentile and maximum of the hold times, in us, averaged in each group."""
    micros = {f"{q}_us": pl.col(f"hold_ns_{q}").mean() / 1000 for q in ("p50", "p99", "max")}
    return results.group_by(by).agg(**micros).sort(by)


def rises(results: pl.LazyFrame, same: Sequence[str]) -> pl.LazyFrame:
    """Every capacity that costs more lock drops than the next smaller one, at equal `same`.

    `more_drops` is how many more; the largest come first, `MAX_ROWS` of them at most.
    """
    group = list(same) or pl.lit(0)
    return (
        results.select(*same, "desc_capacity", "nr_lock_drops")
        .sort(*same, "desc_capacity")
        .with_columns(
            pl.col("desc_capacity").shift(1).over(group).alias("smaller_capacity"),
            pl.col("nr_lock_drops").diff().over(group).alias("more_drops"),
        )
        .filter(pl.col("more_drops") > 0)
        .sort(-pl.col("more_drops"), *same, "desc_capacity")
        .head(MAX_ROWS)
    )
