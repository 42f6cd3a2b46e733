"""Configuration and columns as pages of Markdown: `make reference` writes both."""

from collections.abc import Iterable
from pathlib import Path

from core.parameters import GROUPS, PARAMETERS, Parameter
from sweep.config import CONF, SETTINGS, notes, options
from sweep.schema import schema

_INTRO = """# Configuration reference

Made from `core/parameters.py` and the comments of the files in this folder by `make reference`; do
not edit. A *leaf* is set with `group.leaf=value`, an *option* of a group with `group=option`; both
are swept with `sweep -m` and several values, or in the `grid` of a config. Every leaf is a column
of the results under its own name. Values in files carry marks: verified (read in a source), derived
(arithmetic from one), assumption."""


_RUNS = """# Runs

One folder a run, none of them kept in git; `sweep-results ls` lists them.

| file | holds |
| --- | --- |
| `plan.json` | what was decided once: grid, shard boundaries, versions, resolved configuration |
| `shard-<first>-<last>.parquet` | the rows of points first to last |
| `done.json` | written last: rows, shards, failures, seconds, peak memory |

Every row has every column, swept or fixed, so it describes itself. polars, DuckDB and pandas read
the files as they are, with type, unit and description of each column in the Parquet metadata. Times
are modelled; counts are exact. Made by `make reference`; do not edit."""


def columns() -> str:
    """What a run's files are, and a row for each column of its schema."""
    said = (b"unit", b"description")
    rows = (
        (f"`{field.name}`", str(field.type), *(field.metadata[key].decode() for key in said))
        for field in schema()
    )
    return f"{_RUNS}\n\n{_table(('column', 'type', 'unit', 'meaning'), rows)}\n"


def reference() -> str:
    """Settings, then for each group its leaves and options, then the experiments."""
    settings = _table(("setting", "meaning"), ((f"`{k}`", v) for k, v in SETTINGS.items()))
    parts = [_INTRO, "## Settings", settings]
    for group in GROUPS:
        leaves = (_leaf(p) for p in PARAMETERS if p.group == group)
        parts += [f"## {group}", _table(("leaf", "default", "allowed", "meaning"), leaves)]
        parts.append(_options(group))
    parts += ["## backend", _options("backend"), "## experiment", _experiments()]
    templates = "Files to copy and fill in; they are no options of `sweep`."
    parts += ["## cluster", templates, _options("cluster")]
    return "\n\n".join(parts) + "\n"


def _leaf(p: Parameter) -> tuple[str, str, str, str]:
    text = p.text + (f" ({p.mark})" if p.mark else "") + (f". {p.reason}" if p.reason else "")
    default = f"{str(p.default).lower() if p.kind is bool else p.default}"
    return f"`{p.name}`", f"{default} {p.unit}".strip(), _allowed(p), text


def _allowed(p: Parameter) -> str:
    if p.choices:
        return ", ".join(f"`{choice}`" for choice in p.choices)
    if p.kind is bool:
        return "`true`, `false`"
    if p.low is None or p.high is None:
        return "any text"
    return f"{p.low:,.19g} to {p.high:,.19g}" + (f" in steps of {p.step}" if p.step else "")


def _options(group: str) -> str:
    rows = ((f"`{option}`", notes(group, option)[""]) for option in options(group))
    return _table(("option", "what it is"), rows)


def _experiments() -> str:
    said = ((name, notes("experiment", name)[""]) for name in options("experiment"))
    rows = ((f"`{name}`", text.split("Question: ")[1].split(" Run: ")[0]) for name, text in said)
    return _table(("experiment", "question"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


if __name__ == "__main__":
    (CONF / "README.md").write_text(reference())
    Path("results", "README.md").write_text(columns())
