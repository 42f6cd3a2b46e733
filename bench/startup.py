"""How long until something happens: commands and imports, medians of fresh processes."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from bench.engine import row

REPEATS = 5
BIN = Path(sys.executable).parent
ALONE = ["hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=none"]
QUIET = ["backend=inline"]

COMMANDS: dict[str, list[str]] = {
    "bare Hydra app, no config": [sys.executable, "-m", "bench.bare_app", "--alone", *ALONE],
    "bare Hydra app, the same configs": [sys.executable, "-m", "bench.bare_app"],
    "sweep --help": [str(BIN / "sweep"), "--help"],
    "sweep, one point": [str(BIN / "sweep"), *QUIET],
    "sweep, one point again": [str(BIN / "sweep"), *QUIET],
    "sweep-results sql": [
        str(BIN / "sweep-results"),
        "sql",
        "sweep",
        "SELECT count(*) FROM results",
    ],
    **{
        f"import {name}": [sys.executable, "-c", f"import {name}"]
        for name in ("core.parameters", "core.engine", "sweep.grid", "sweep.app", "sweep.launch")
    },
    **{
        f"import {name} (a dependency)": [sys.executable, "-c", f"import {name}"]
        for name in ("numpy", "numba", "hydra", "pyarrow", "polars", "ray")
    },
}


def _once(command: list[str], folder: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, check=True)
    return time.perf_counter() - start


@cache
def _environment() -> dict[str, str]:
    """This project can be imported everywhere, and keeps its bytecode as installed packages do."""
    here = str(Path(__file__).parent.parent)
    kept = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": here}


def table() -> list[dict[str, Any]]:
    """Median seconds of each command, after a first run that writes its bytecode."""
    found = []
    for name, command in COMMANDS.items():
        times = []
        for _ in range(1 + REPEATS):
            with tempfile.TemporaryDirectory(prefix="ss-") as folder:
                if name.endswith(("again", "sql")):
                    _once(COMMANDS["sweep, one point"], folder)
                times.append(_once(command, folder))
        found.append({"name": name, "seconds": statistics.median(times[1:])})
    return found


def rows(commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A one-point sweep against the start of a bare Hydra app."""
    took = {each["name"]: each["seconds"] for each in commands}
    ours = took["sweep, one point"]
    return [
        row(f"one-point sweep / {bare}", ours / took[bare], "times its time", "<= 1.5")
        for bare in ("bare Hydra app, the same configs", "bare Hydra app, no config")
    ]
