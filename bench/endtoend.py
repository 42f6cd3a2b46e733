"""Points per second from the command to the stored row, side by side on one grid and function."""

import sys
import tempfile
from typing import Any

from bench.engine import row
from bench.watch import watch

POINTS = {
    "sweep inline": 10_000_000,
    "sweep ray_local": 30_000_000,
    "process pool": 30_000_000,
    "numba loop": 50_000,
    "Ray Data": 6_000_000,
    "Ray Tune": 200,
    "Hydra basic": 100,
    "Hydra joblib": 100,
}
"""Points for each peer, so that it runs for 20 s to a minute and its start weighs little."""


def table() -> list[dict[str, Any]]:
    """Points, seconds, points per second and memory of every peer."""
    found = []
    for peer, points in POINTS.items():
        with tempfile.TemporaryDirectory(prefix="ss-") as folder:
            run = watch([sys.executable, "-m", "bench.peers", peer, str(points), folder])
        each = {"name": peer, "points": points, "seconds": run.seconds}
        found.append(each | {"points_per_s": points / run.seconds, "peak_mib": run.peak_mib})
        print(f"  {peer}: {points:,} points in {run.seconds:.1f} s", file=sys.stderr)
    return found


def rows(peers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What ours makes of its peers."""
    rate = {each["name"]: each["points_per_s"] for each in peers}
    ours = rate["sweep ray_local"]
    return [
        row("sweep / Hydra basic", ours / rate["Hydra basic"], "times the points/s", ">= 10000"),
        row("sweep / hydra-joblib-launcher", ours / rate["Hydra joblib"], "times", ">= 10000"),
        row("sweep / Ray Tune", ours / rate["Ray Tune"], "times", ">= 1000"),
        row("sweep / Ray Data", ours / rate["Ray Data"], "times", ">= 3"),
        row("sweep / a bare process pool", rate["process pool"] / ours, "times its time", "<= 1.3"),
        row("sweep / a numba loop over points", ours / rate["numba loop"], "times", ">= 1"),
    ]
