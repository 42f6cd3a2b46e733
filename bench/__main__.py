"""`make bench`: every part, one after the other, into results/bench/*.json and a Markdown page."""

import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import batch, endtoend, engine, queries, startup

FOLDER = Path("results/bench")
PACKAGES = (
    "hydra-core",
    "hydra-joblib-launcher",
    "ray",
    "numba",
    "pyarrow",
    "polars",
    "duckdb",
    "pandas",
)
PARTS = {
    part.__name__.removeprefix("bench."): part
    for part in (engine, endtoend, batch, startup, queries)
}
Rows = list[dict[str, Any]]


def main() -> None:
    """Run the parts named on the command line, or all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its bytecode
    for name in sys.argv[1:] or PARTS:
        print(f"{name} ...", file=sys.stderr)
        start = time.perf_counter()
        table = PARTS[name].table()
        rows = PARTS[name].rows(table)
        found = {"rows": rows, "table": table, "seconds": time.perf_counter() - start}
        (FOLDER / f"{name}.json").write_text(json.dumps(found | _machine(), indent=1))
    page = "\n\n".join(_page(name) for name in PARTS if (FOLDER / f"{name}.json").exists())
    (FOLDER / "README.md").write_text(page + "\n")
    print(page)


def _machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _page(name: str) -> str:
    """One part as Markdown: its measurements, then its goals."""
    found = json.loads((FOLDER / f"{name}.json").read_text())
    goals = [
        {
            "ratio": each["name"],
            "measured": f"{_number(each['value'])} {each['unit']}",
            "goal": each["goal"],
            "": "met" if each["met"] else "MISSED",
        }
        for each in found["rows"]
    ]
    head = f"### {name} ({found['cpus']} CPUs, {found['seconds']:.0f} s)"
    return "\n\n".join([head, *(_markdown(part) for part in (found["table"], goals) if part)])


def _markdown(rows: Rows) -> str:
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([_number(each[k]) for k in head] for each in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
