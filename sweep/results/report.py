"""One self-contained page about a run: question, answer, charts, tables, settings, provenance."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final

import polars as pl
import vl_convert

from sweep.results import description
from sweep.results.answers import answer, without_constants
from sweep.results.best import alternatives, in_words, recommended, same_everywhere
from sweep.results.bounds import with_optimum
from sweep.results.charts import CHARTS, Chart, draw
from sweep.results.columns import groups, unit
from sweep.results.formats import cell, named
from sweep.results.runs import Run

MAX_TABLE: Final = 400
"""A table of the page itself shows no more rows than this; the tables of charts show all."""
VEGA_LITE: Final = "6.4"

_DISTINCT: Final = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c8c8c",
    "#7a52c7", "#8b5a2b", "#a3b000",
)  # fmt: skip
"""Okabe and Ito's colours, which people with any colour vision tell apart, and three for more."""


def _theme(text: str, quiet: str, line: str, mark: str, shades: Sequence[float]) -> dict[str, Any]:
    axis = {"labelColor": quiet, "titleColor": text, "gridColor": line, "domainColor": line}
    return {
        "background": None,
        "aria": False,
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "mark": {"color": mark},
        "axisQuantitative": {"tickCount": 6},
        "axis": {**axis, "tickColor": line, "titleFontWeight": "normal", "labelLimit": 120},
        "legend": {"labelColor": quiet, "titleColor": text, "titleFontWeight": "normal"},
        "range": {
            "category": list(_DISTINCT),
            "ordinal": {"scheme": "viridis", "extent": list(shades)},
        },
    }


THEMES: Final = {
    "light": _theme("#1b1f24", "#59636e", "#e1e6eb", "#0550ae", (0, 0.85)),
    "dark": _theme("#e6eaef", "#9ba5b0", "#2a313a", "#7ab7ff", (0.2, 1)),
}


def image(run: Run, name: str, kind: str) -> bytes:
    """A single chart of a run as `png` or `svg`, on white, with its filters where they begin.

    ValueError if there is no such chart, or the run lacks what it shows.
    """
    if name not in CHARTS:
        raise ValueError(f"there is no chart {name!r}: choose one of {', '.join(CHARTS)}.")
    charts, left_out = draw(run.scan(), [name])
    if left_out:
        raise ValueError(f"{run.name} has no chart {name}: {left_out[name]}.")
    (chart,) = charts
    title = {"text": chart.title, "subtitle": named(chart.start), "anchor": "start"}
    rows = {"datasets": {"rows": chart.rows.to_dicts()}}
    spec = {**chart.spec, **rows, "width": 720, "title": title}
    config = {**THEMES["light"], "background": "#ffffff", "font": "sans-serif"}
    if kind == "png":
        return bytes(vl_convert.vegalite_to_png(spec, VEGA_LITE, config=config, scale=2))
    return str(vl_convert.vegalite_to_svg(spec, VEGA_LITE, config=config)).encode()


def page(run: Run) -> str:
    """The report on `run` as one HTML file that needs nothing else, and no network."""
    rows = run.scan()
    facts = list(description.provenance(run).items())
    workloads = description.presets(run) or ["One workload, given by the settings below."]
    charts, left_out = draw(rows, CHARTS)
    sections = {
        "Answer": _answer(run, rows),
        **{chart.title: _figure(chart, run) for chart in charts},
        "Workloads": '<pre class="text">' + escape("\n".join(workloads)) + "</pre>",
        "Settings": _settings(run),
        "Provenance": _table(pl.DataFrame(facts, ["fact", "value"], orient="row")),
    }
    if left_out:
        lacking = [f"{CHARTS[name][0]}: {reason}." for name, reason in left_out.items()]
        sections["Not drawn"] = _listed(lacking)
    embedded = {"charts": [_embedded(chart) for chart in charts], "themes": THEMES}
    body = [
        f'<section id="{_slug(t)}"><h2>{escape(t)}</h2>{s}</section>' for t, s in sections.items()
    ]
    body += [
        f'<script type="application/json" id="{i}">{_json(d)}</script>' for i, d in embedded.items()
    ]
    question = description.question(run)[:1]
    javascript: str = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(run.name),
        question="".join(f'<p class="question">{escape(q)}</p>' for q in question),
        links=" ".join(f'<a href="#{_slug(title)}">{escape(title)}</a>' for title in sections),
        sections="\n".join(body),
        javascript=javascript.replace("</script", "<\\/script"),  # Vega, Vega-Lite, Vega-Embed
    )


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


def _json(data: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _embedded(chart: Chart) -> dict[str, Any]:
    rows = chart.rows.with_columns(pl.selectors.float().round_sig_figs(7))
    data = {"columns": rows.columns, "units": list(map(unit, rows.columns)), "rows": rows.rows()}
    return {"name": chart.name, "spec": chart.spec, "data": data}


def _answer(run: Run, rows: pl.LazyFrame) -> str:
    found = answer(run.plan.name, rows)
    by = groups(rows)
    best = recommended(alternatives(with_optimum(rows), by=by), by).collect()
    best = best.drop(same_everywhere(best))
    sentences = found.sentences or in_words(best, by)
    shown, notes = without_constants(found.rows)
    return (
        (_listed(sentences, "answer") if sentences else "")
        + (_table(shown, "The rows behind it") if shown.width else "")
        + "".join(f'<p class="quiet">{escape(note)}</p>' for note in notes)
        + _table(best, "What to set for the fewest lock drops, and what ties with it")
    )


def _listed(lines: Sequence[str], kind: str = "") -> str:
    return f'<ul class="{kind}">' + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _figure(chart: Chart, run: Run) -> str:
    nr_rows = chart.rows.height
    reading, name = escape(chart.reading), chart.name
    return (
        f'<p>{reading}</p><figure><div class="chart" id="chart-{name}" tabindex="0" role="img" '
        f'aria-label="{escape(chart.title)}. {reading}"></div>'
        f'<figcaption class="quiet">{nr_rows:,} rows of the run\'s {run.plan.points:,} points '
        f"({escape(chart.made_of)}); only these are in this file.</figcaption></figure>"
        f'<details id="table-{name}"><summary>Table: {nr_rows:,} rows</summary>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table"></div></details>'
    )


def _table(frame: pl.DataFrame, caption: str = "") -> str:
    kinds = [
        "number" if dtype.is_numeric() else "wide" if column == "ties" else "text"
        for column, dtype in frame.schema.items()
    ]
    head = "".join(
        f'<th scope="col" class="{kind}">{escape(c)}<small>{escape(unit(c))}</small></th>'
        for c, kind in zip(frame.columns, kinds, strict=True)
    )
    rows = (
        "".join(f'<td class="{k}">{_cell(v)}</td>' for k, v in zip(kinds, row, strict=True))
        for row in frame.head(MAX_TABLE).iter_rows()
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    more = "" if frame.height <= MAX_TABLE else f" (the first {MAX_TABLE} of {frame.height:,})"
    label = escape(caption or "Table")
    return (
        f'<p class="quiet">{escape(caption)}{more}</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    text = escape(cell(value))
    return f'<span class="mark">{text}</span>' if value == "assumption" else text


def _settings(run: Run) -> str:
    columns = description.columns(run)
    assumed = ", ".join(columns.filter(mark="assumption")["column"])
    note = f"Assumptions, not measurements: {escape(assumed)}. Every time in this page is modelled"
    settings = _table(description.settings(columns), "Settings, what was swept first")
    return f"<p>{note} from them.</p>{settings}"
