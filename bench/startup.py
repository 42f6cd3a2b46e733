"""How long until something happens: commands and imports, medians of fresh processes."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.engine import row

REPEATS = 5
BIN = Path(sys.executable).parent
ALONE = ["hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=none"]
QUIET = ["backend=inline"]
HERE = {"PYTHONPATH": str(Path(__file__).parent.parent)}
"""Where the bare apps are found."""

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
    subprocess.run(command, cwd=folder, env=os.environ | HERE, capture_output=True, check=True)
    return time.perf_counter() - start


def table() -> list[dict[str, Any]]:
    """Median seconds of each command, after a first run that writes its bytecode.

    Commands take turns, so that a machine that slows down does so for all of them.
    """
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(1 + REPEATS):
        for name, command in COMMANDS.items():
            with tempfile.TemporaryDirectory(prefix="ss-") as folder:
                if name.endswith(("again", "sql")):
                    _once(COMMANDS["sweep, one point"], folder)
                times[name].append(_once(command, folder))
    return [{"name": n, "seconds": statistics.median(each[1:])} for n, each in times.items()]


def rows(commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A one-point sweep against the start of a bare Hydra app."""
    took = {each["name"]: each["seconds"] for each in commands}
    ours = took["sweep, one point"]
    return [
        row(f"one-point sweep / {bare}", ours / took[bare], "times its time", "<= 1.5")
        for bare in ("bare Hydra app, the same configs", "bare Hydra app, no config")
    ]
