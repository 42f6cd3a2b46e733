"""The charts of a report, as Vega-Lite. The only module that draws."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import altair as alt
import polars as pl

from core.parameters import BY_NAME
from sweep.results import chart_rows
from sweep.results.answers.seed_question import CAPACITIES
from sweep.results.columns import Varying, choices_in, unit, varying

COLOURS: Final = ("alias_ratio", "policy", "workload", "memslot_gib", "object_capacity", "kernel")
"""What tells lines apart, if it varies: the first of these."""

_TENS: Final = [10**power for power in range(10)]
_ROUND: Final = [step * ten for ten in _TENS for step in (1, 1.5, 2, 3, 5, 7)]
_CLOSE: Final = [step / 10 * ten for ten in _TENS for step in (*range(10, 20), *range(20, 100, 5))]
_LABELLED: Final = (513, 521, 553, 641, 1026, 2049, 4097)
"""Where an axis of capacities is labelled."""

Drawing: TypeAlias = tuple[pl.DataFrame, Any, Sequence[str]]
"""Rows, the marks that show them, and columns to choose one value of."""


class _LeftOut(Exception):  # noqa: N818  (a reason, not an error)
    """Why a run has no such chart."""


@dataclass(frozen=True)
class Chart:
    """One chart and the rows behind it. `made_of` says how few of the run's values these are,
    `start` at which of them its filters begin."""

    name: str
    title: str
    reading: str
    rows: pl.DataFrame
    spec: Mapping[str, Any]
    start: Mapping[str, Any]
    made_of: str


def draw(results: pl.LazyFrame, names: Collection[str]) -> tuple[list[Chart], dict[str, str]]:
    """Those of `CHARTS` that are named, and why the run has none of some, by name."""
    usable = results.filter(pl.col("error").is_null())
    values = varying(usable)
    few = chart_rows.thinned(usable, values)
    charts, left_out = [], {}
    for name in names:
        title, reading, drawing = CHARTS[name]
        try:
            rows, marks, by = drawing(*few)
        except _LeftOut as reason:
            left_out[name] = str(reason)
            continue
        start = _start(rows, [c for c in by if c in rows.columns])
        spec = _filtered(marks, rows, start).to_dict()
        charts.append(Chart(name, title, reading, rows, spec, start, _made_of(rows, values)))
    return charts, left_out


def _filtered(marks: Any, rows: pl.DataFrame, start: Mapping[str, Any]) -> Any:
    """The chart of `marks`, with a drop-down for each column of `start`."""
    chart = marks.properties(data=alt.NamedData("rows"), width="container", height=320)
    for column, value in start.items():
        options = rows[column].unique().sort().to_list()
        select = alt.binding_select(options=options, name=f"{_titled(column)} ")
        chart = chart.add_params(alt.param(name=f"only_{column}", value=value, bind=select))
        chart = chart.transform_filter(f"datum.{column} == only_{column}")
    return chart


def _start(rows: pl.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """What filters begin with: a middling alias_ratio, defaults, or else the largest value."""
    for name in names:
        taken = rows[name].unique().sort()
        usual = taken[len(taken) // 2] if name == "alias_ratio" else BY_NAME[name].default
        rows = rows.filter(pl.col(name) == (usual if usual in taken else taken[-1]))
    return {name: rows[name][0] for name in names}


def _made_of(rows: pl.DataFrame, values: Varying) -> str:
    """In words, what a chart's rows leave out of a run."""
    shown = {c: rows[c].n_unique() for c in values if c in rows.columns}
    means = ", ".join(c for c in values if c not in shown)
    some = [
        f"{n} of {len(values[c])} values of {c}" for c, n in shown.items() if n < len(values[c])
    ]
    return "; ".join([*([f"means over {means}"] if means else []), *some]) or "every value swept"


def _titled(column: str) -> str:
    words = column.removeprefix("nr_").replace("_", " ")
    return f"{words} [{unit(column)}]" if unit(column) else words


def _tips(rows: pl.DataFrame) -> list[Any]:
    number, text = {"type": "quantitative", "format": ",.5~r"}, {"type": "nominal"}
    kinds = {c: number if d.is_numeric() else text for c, d in rows.schema.items()}
    return [alt.Tooltip(c, title=_titled(c), **kind) for c, kind in kinds.items()]


def _number(channel: Any, column: str, title: str = "", **scale: Any) -> Any:
    """An axis of numbers; the less a logarithmic one spans, the closer its labels are."""
    axis = channel(column, type="quantitative", title=title or _titled(column))
    if scale.get("type") == "log":
        domain = f"domain('{'x' if channel is alt.X else 'y'}')"
        spans = f"{domain}[1] / {domain}[0]"
        labels = f"{spans} < 4 ? {_CLOSE} : {spans} < 2000 ? {_ROUND} : {_TENS}"
        axis = axis.axis(values=alt.ExprRef(labels))
    return axis.scale(nice=False, padding=8, **scale)


def _first(values: Varying, columns: Sequence[str]) -> list[str]:
    """The first of `columns` that varies, but not over more values than a legend or an axis has
    room for, if there is one."""
    return [c for c in columns if 1 < len(values.get(c, ())) <= chart_rows.MAX_VALUES][:1]


def _series(channel: Any, rows: pl.DataFrame, columns: Sequence[str]) -> Any:
    """What tells series apart, if `rows` has it: numbers in order, names as different as can be."""
    for column in columns:
        if column in rows.columns:
            kind = "ordinal" if rows.schema[column].is_numeric() else "nominal"
            legend = alt.Legend(orient="bottom", columns=4)
            return channel(column, type=kind, title=_titled(column), legend=legend)
    return alt.Undefined


def _staircase(results: pl.LazyFrame, values: Varying) -> Drawing:
    if "desc_capacity" not in values:
        raise _LeftOut("the run has one desc_capacity")
    colour = _first(values, COLOURS)
    by = chart_rows.filters(values, ["desc_capacity", *colour])
    rows = chart_rows.fitting(partial(chart_rows.staircase, results), [*colour, *by])
    drops = ("nr_lock_drops", "floor_drops")
    y, least = (_number(alt.Y, c, _titled("nr_lock_drops"), type="log") for c in drops)
    capacities = rows["desc_capacity"].to_list()
    below, most = min(capacities) - 1, max(capacities)
    # Logarithmic in what is above the smallest capacity, which is what the steps depend on.
    x = _number(alt.X, "above", _titled("desc_capacity"), type="log")
    ticks = sorted(c - below for c in {*_LABELLED, below + 1, most} if below < c <= most)
    axis = alt.Axis(values=ticks, labelExpr=f"datum.value + {below}", labelOverlap="greedy")
    steps = alt.Chart().encode(x=x.axis(axis), y=y, color=_series(alt.Color, rows, colour))
    line = steps.mark_line(interpolate="step-after", strokeWidth=2)
    floor = steps.mark_line(strokeDash=[3, 3], strokeWidth=1).encode(y=least)
    points = steps.mark_circle(size=45).encode(tooltip=_tips(rows))
    marks = alt.layer(floor, line, points)
    return rows, marks.transform_calculate(above=f"datum.desc_capacity - {below}"), by


def _at_some_capacities(results: pl.LazyFrame, values: Varying) -> tuple[pl.LazyFrame, Varying]:
    """Of many capacities three to compare: those of the question, or evenly chosen ones."""
    swept = values.get("desc_capacity", ())
    if len(swept) <= chart_rows.MAX_VALUES:
        return results, values
    some = [c for c in CAPACITIES if c in swept]
    if len(some) < 2:
        some = [swept[0], swept[len(swept) // 2], swept[-1]]
    kept = results.filter(pl.col("desc_capacity").is_in(some))
    return kept, {**values, "desc_capacity": some}


def _heat(results: pl.LazyFrame, values: Varying) -> Drawing:
    axes = ["alias_ratio", "memslot_gib"]
    if not all(axis in values for axis in axes):
        raise _LeftOut("the run does not sweep both alias_ratio and memslot_gib")
    results, values = _at_some_capacities(results, values)
    by = chart_rows.filters(values, axes)
    rows = chart_rows.fitting(partial(chart_rows.heat, results), [*axes, *by])
    cells = alt.Chart().encode(
        x=alt.X("alias_ratio", type="ordinal", title=_titled("alias_ratio")).axis(labelAngle=0),
        y=alt.Y("memslot_gib", type="ordinal", title=_titled("memslot_gib"), sort="descending"),
    )
    most = max(2.0, *rows["times_floor"].to_list())
    times = alt.Color("times_floor", type="quantitative", title="times the page caches' drops")
    times = times.scale(type="log", scheme="cividis", domain=[1, most])
    times = times.legend(orient="bottom", values=[v for v in _ROUND if v <= most])
    heat = cells.mark_rect().encode(color=times, tooltip=_tips(rows))
    is_light = alt.when(f"datum.times_floor > {most**0.5}")
    text = cells.mark_text(fontSize=11).encode(
        text=alt.Text("times_floor", type="quantitative", format=".3~r"),
        color=is_light.then(alt.value("black")).otherwise(alt.value("white")),
    )
    return rows, alt.layer(heat, text), by


def _pareto(results: pl.LazyFrame, values: Varying) -> Drawing:
    options = choices_in(values)
    if not options:
        raise _LeftOut("the run has one geometry and one policy, so there is nothing to trade")
    by = chart_rows.filters(values, options)
    rows = chart_rows.fitting(partial(chart_rows.trade, results), by)
    rows = rows.drop(c for c in choices_in(rows.columns) if c not in values)
    colour = _first(values, ["policy", "object_capacity", "pte_list_ext"])
    x = _number(alt.X, "standing_kib", "standing memory [KiB]", zero=False)
    y = _number(alt.Y, "nr_lock_drops", type="log")
    dots = alt.Chart().encode(x=x, y=y, tooltip=_tips(rows))
    size = alt.when("datum.on_front").then(alt.value(90)).otherwise(alt.value(40))
    opacity = alt.when("datum.on_front").then(alt.value(1)).otherwise(alt.value(0.55))
    points = dots.mark_point(filled=True).encode(
        color=_series(alt.Color, rows, colour),
        shape=_series(alt.Shape, rows, colour),  # under the same legend
        size=size,
        opacity=opacity,
    )
    return rows, points, by


def _holds(results: pl.LazyFrame, values: Varying) -> Drawing:
    results, values = _at_some_capacities(results, values)
    axis = _first(values, ["policy", "desc_capacity", "object_capacity", "memslot_gib", "workload"])
    if not axis:
        raise _LeftOut("the run has nothing to compare hold times over")
    by = chart_rows.filters(values, axis)
    rows = chart_rows.fitting(partial(chart_rows.holds, results), [*axis, *by])
    x, most = (
        _number(alt.X, c, "mmu_lock held [us (modelled)]", type="log") for c in ("p50_us", "max_us")
    )
    y = alt.Y(axis[0], type="nominal", title=_titled(axis[0]))
    bars = alt.Chart().encode(x=x, y=y, tooltip=_tips(rows))
    span = bars.mark_bar(height=12, opacity=0.75).encode(x2="p99_us")
    median = bars.mark_tick(thickness=3, height=20)
    longest = bars.mark_point(filled=True, size=60).encode(x=most)
    return rows, alt.layer(span, median, longest), by


def _rises(results: pl.LazyFrame, values: Varying) -> Drawing:
    if "desc_capacity" not in values:
        raise _LeftOut("the run has one desc_capacity")
    rows = chart_rows.rises(results, [c for c in values if c != "desc_capacity"]).collect()
    if rows.is_empty():
        raise _LeftOut("no capacity costs more lock drops than the next smaller one swept")
    x = _number(alt.X, "desc_capacity", zero=False)
    y = _number(alt.Y, "more_drops", "more than the next smaller one [drops]")
    points = alt.Chart().mark_point(filled=True, size=60, opacity=0.8)
    colour = _series(alt.Color, rows, _first(values, COLOURS))
    return rows, points.encode(x=x, y=y, color=colour, tooltip=_tips(rows)), []


CHARTS: Final[Mapping[str, tuple[str, str, Callable[[pl.LazyFrame, Varying], Drawing]]]] = {
    "staircase": (
        "Lock drops over descriptor capacity",
        "Each solid line falls in steps, not in a curve: another descriptor helps only where it "
        "makes room for one more split. Dashed: what the page caches cost alone, the pages made "
        "divided by object_capacity, rounded up. No capacity goes below it.",
        _staircase,
    ),
    "heat": (
        "Where capacity matters: aliasing ratio and memslot size",
        "Lock drops divided by those of the page caches alone. 1 means that the descriptor cache "
        "costs nothing, 2 that it doubles the lock drops.",
        _heat,
    ),
    "pareto": (
        "Lock drops against standing memory",
        "Each mark is one geometry and policy. The large ones are on the Pareto front: nothing in "
        "the run has fewer lock drops, less memory and shorter holds at once.",
        _pareto,
    ),
    "holds": (
        "How long mmu_lock is held",
        "From the median (tick) to the 99th percentile (end of the bar) and the longest hold "
        "(dot). All times are modelled from the costs in the settings.",
        _holds,
    ),
    "rises": (
        "Where a larger cache costs more lock drops",
        "Lock drops are not monotone in the capacity: a refill that used to coincide with a page "
        "refill can move away from it. Each dot is a capacity that is worse than the next smaller.",
        _rises,
    ),
}
