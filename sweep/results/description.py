"""What runs say of themselves: question, provenance, settings, columns, state, failures."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from core.outcome import OUTCOMES
from core.parameters import PARAMETERS
from sweep.grid.tree import from_json, walk
from sweep.results.formats import cell
from sweep.results.runs import SCHEMA, Run
from sweep.schema import schema

_RUN_LINE = re.compile(r"\s*\bRun:\s+sweep \S+\s*")
SHOWN = ("nr_lock_drops", "standing_bytes", "lock_held_ns", "hold_ns_p99", "error")


def notes(run: Run, group: str) -> dict[str, dict[str, str]]:
    """By option of a config group that the run was composed of: what its file says in comments.

    The key `""` has the file's header, every other key is a leaf with its source and mark.
    """
    said = run.plan.config.get("notes", {})
    pairs = ((key.partition("="), text) for key, text in said.items())
    return {option: text for (name, _, option), text in pairs if name == group and text}


def values(run: Run) -> dict[str, Sequence[Any]]:
    """Every parameter of a run and the values it takes, in the order of its plan.

    Read from the grid as it is, so that runs of older versions can be read too.
    """
    grid = run.plan.grid
    found: dict[str, dict[Any, None]] = {}
    for name, taken in walk(from_json(grid["root"])):
        found.setdefault(name, {}).update(dict.fromkeys(taken))
    fixed = {name: (value,) for name, value in grid["fixed"].items()}
    return {**fixed, **{name: tuple(taken) for name, taken in found.items()}}


def describe() -> pl.DataFrame:
    """One row for each column of every run: `column`, `dtype`, `unit`, `text`."""
    said = (b"unit", b"description")
    rows = [
        (field.name, str(SCHEMA[field.name]), *(field.metadata[key].decode() for key in said))
        for field in schema()
    ]
    run = ("run", str(pl.String), "", "name of the run")
    return pl.DataFrame([run, *rows], schema=["column", "dtype", "unit", "text"], orient="row")


def columns(run: Run) -> pl.DataFrame:
    """One row for each column of the table.

    `role` is axis, setting or outcome; `values` is empty for outcomes; `mark` says how well a
    setting is known: verified, derived or assumption.
    """
    taken = values(run)
    settings = [
        ("axis" if len(v) > 1 else "setting", p.name, _values(v), p.unit, p.mark, p.text)
        for p in PARAMETERS
        if (v := taken.get(p.name))
    ]
    settings.sort(key=lambda row: row[0])
    outcomes = [("outcome", o.name, "", o.unit, "", o.text) for o in OUTCOMES]
    schema = ("role", "column", "values", "unit", "mark", "text")
    return pl.DataFrame(settings + outcomes, schema=schema, orient="row")


def _values(taken: Sequence[Any]) -> str:
    shown = [cell(taken[i]) or '""' for i in range(min(len(taken), 6))]
    if len(taken) <= len(shown):
        return ", ".join(shown)
    return f"{', '.join(shown[:3])}, ... {cell(taken[len(taken) - 1])} ({len(taken):,} values)"


def settings(columns: pl.DataFrame) -> pl.DataFrame:
    """The rows of `columns` that went in, axes first."""
    return columns.filter(pl.col("role") != "outcome").drop("role")


def outcomes(columns: pl.DataFrame) -> pl.DataFrame:
    """The rows of `columns` that came out."""
    return columns.filter(pl.col("role") == "outcome").select("column", "unit", "text")


def first_rows(run: Run, columns: pl.DataFrame, count: int) -> pl.DataFrame:
    """The first `count` points (0: all): what is swept, and the outcomes that matter most."""
    axes = columns.filter(pl.col("role") == "axis")["column"].to_list()
    rows = run.scan().select("point", *axes, *SHOWN).sort("point")
    return (rows.head(count) if count else rows).collect()


def question(run: Run) -> list[str]:
    """What the run's experiments ask, and how to read them."""
    headers = [said.get("", "") for said in notes(run, "experiment").values()]
    parts = [part for text in headers for part in _RUN_LINE.split(text)]
    said = (part.removeprefix("Question:").strip() for part in parts if part)
    return [text[:1].upper() + text[1:] for text in said]


def presets(run: Run) -> list[str]:
    """The reasoning, source and marks of every workload preset of the run."""
    lines = []
    for name, said in notes(run, "workload").items():
        lines.append(f"{name}: {said.get('', '')}")
        lines += [f"  {leaf}: {text}" for leaf, text in said.items() if leaf]
    return lines


def provenance(run: Run) -> dict[str, str]:
    """Where the run comes from and what it came to."""
    plan, done = run.plan, run.done or {}
    code = ", ".join(f"{name} {version}" for name, version in plan.code.items())
    facts = {
        "state": run.progress(),
        "created": plan.created,
        "command": plan.resume,
        "engine": plan.engine,
        "model": f"version {plan.model_version}, schema {plan.schema_version}",
        "code": code,
    }
    numbers = {k: v for k, v in done.items() if isinstance(v, int | float)}
    return facts | {k: _amount(k, v) for k, v in numbers.items()}


def _amount(name: str, value: float) -> str:
    """A number of `done.json` with its unit: those of bytes in MiB."""
    in_bytes = name == "bytes" or name.endswith("_rss")
    return f"{value / (1 << 20):,.1f} MiB" if in_bytes else cell(value)


def lines(run: Run) -> list[str]:
    """The run in words: name, question, presets with their sources, provenance."""
    facts = provenance(run)
    width = max(map(len, facts))
    said = [f"{name:<{width}} {value}" for name, value in facts.items()]
    return [run.name, *question(run), *presets(run), *said]


def failed_points(run: Run, most: int) -> pl.DataFrame:
    """`point` and `error` of the first points without an outcome, `most` at most."""
    failed = run.scan().filter(pl.col("error").is_not_null()).select("point", "error")
    return failed.head(most).collect(engine="streaming")


def listing(runs: Sequence[Run]) -> pl.DataFrame:
    """One row for each run: when it was made, how large it is, how far it has come."""
    rows = [
        {
            "run": run.name,
            "created": run.created[:16].replace("T", " "),
            "nr_points": run.plan.points if run.is_legible else None,
            "state": run.progress(),
            "failed_points": int((run.done or {}).get("failures", 0)),
        }
        for run in runs
    ]
    return pl.DataFrame(rows, schema_overrides={"nr_points": pl.Int64, "failed_points": pl.Int64})


def one_row(facts: Mapping[str, Any]) -> pl.DataFrame:
    """A column for each fact."""
    return pl.DataFrame([facts])


def listed(facts: Mapping[str, Any]) -> pl.DataFrame:
    """A row for each fact: `what`, and how it is `now`, in words."""
    return pl.DataFrame({"what": list(facts), "now": [_text(v) for v in facts.values()]})


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
