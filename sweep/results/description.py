"""What runs say of themselves: question, provenance, settings, columns, state."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from core.outcome import OUTCOMES
from core.parameters import PARAMETERS
from sweep.grid.tree import from_json, walk
from sweep.results.formats import cell
from sweep.results.runs import SCHEMA, Run
from sweep.schema import schema

_RUN_LINE: Final = re.compile(r"\s*\bRun:\s+sweep \S+\s*")
_SHOWN: Final = ("nr_lock_drops", "standing_bytes", "lock_held_ns", "hold_ns_p99", "error")


def notes(run: Run, group: str) -> dict[str, dict[str, str]]:
    """By option of a config group that the run was composed of: what its file says in comments.

    The key `""` has the file's header, every other key is a leaf with its source and mark.
    """
    said = run.plan.config.get("notes", {})
    pairs = ((key.partition("="), text) for key, text in said.items())
    return {option: text for (name, _, option), text in pairs if name == group and text}


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
    taken = _taken(run)
    settings = [
        ("axis" if len(v) > 1 else "setting", p.name, _listed(v), p.unit, p.mark, p.text)
        for p in PARAMETERS
        if (v := taken.get(p.name))
    ]
    settings.sort(key=lambda row: row[0])
    outcomes = [("outcome", o.name, "", o.unit, "", o.text) for o in OUTCOMES]
    names = ("role", "column", "values", "unit", "mark", "text")
    return pl.DataFrame(settings + outcomes, names, orient="row")


def _taken(run: Run) -> dict[str, list[Any]]:
    """The values of each parameter, from the grid as it is: runs of older versions are read too."""
    grid = run.plan.grid
    swept: dict[str, dict[Any, None]] = {}
    for name, values in walk(from_json(grid["root"])):
        swept.setdefault(name, {}).update(dict.fromkeys(values))
    fixed = {name: [value] for name, value in grid["fixed"].items()}
    return fixed | {name: list(values) for name, values in swept.items()}


def _listed(taken: Sequence[Any]) -> str:
    """All of a few values, the first and the last of many."""
    few = [cell(value) or '""' for value in (taken if len(taken) <= 6 else taken[:3])]
    if len(taken) > 6:
        few.append(f"... {cell(taken[-1])} ({len(taken):,} values)")
    return ", ".join(few)


def settings(columns: pl.DataFrame) -> pl.DataFrame:
    """The rows of `columns` that went in, axes first."""
    return columns.filter(pl.col("role") != "outcome").drop("role")


def first_rows(run: Run, columns: pl.DataFrame, count: int) -> pl.DataFrame:
    """The first `count` points (0: all): what is swept, and the outcomes that matter most."""
    axes = columns.filter(pl.col("role") == "axis")["column"].to_list()
    rows = run.scan().select("point", *axes, *_SHOWN).sort("point")
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
    plan = run.plan
    told = {
        "state": run.progress(),
        "created": plan.created,
        "command": plan.resume,
        "engine": plan.engine,
        "model": f"version {plan.model_version}, schema {plan.schema_version}",
        "code": ", ".join(f"{name} {version}" for name, version in plan.code.items()),
    }
    done = (run.done or {}).items()
    return told | {k: _amount(k, v) for k, v in done if isinstance(v, int | float)}


def _amount(name: str, value: float) -> str:
    """A number of `done.json` with its unit: those of bytes in MiB."""
    in_bytes = name == "bytes" or name.endswith("_rss")
    return f"{value / (1 << 20):,.1f} MiB" if in_bytes else cell(value)


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


def facts(found: Mapping[str, Any], in_words: bool) -> pl.DataFrame:
    """A row for each fact, `what` it is and how it is `now` in words; else a column for each."""
    if not in_words:
        return pl.DataFrame([found])
    known = {name: "-" if value is None else value for name, value in found.items()}
    now = [f"{v:,}" if isinstance(v, int | float) else str(v) for v in known.values()]
    return pl.DataFrame({"what": list(found), "now": now})
