"""Questions to a run of 10^7 rows: ours through polars, DuckDB and pandas, on the same files.

`python -m bench.queries READER QUERY FOLDER` asks one question and prints seconds and MiB.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench.engine import row
from bench.watch import own_peak_mib

POINTS = 10_000_000
ENOUGH_S = 1.0
"""A question is asked again, up to ten times, until it took this long; its best time counts."""
ROUNDS = 3
"""Grouped queries, whose ratios are goals, go round the readers so often; the median counts."""

MEAN, P99 = "mean drops by capacity", "p99 of drops by capacity"
SEED, SLOWEST = "one seed, all columns", "20 slowest points, all columns"
ROWS = {MEAN: 1000, P99: 1000, SEED: 1000, SLOWEST: 20}
"""How many rows each question has for an answer."""


def _polars(query: str, folder: Path) -> int:
    import polars as pl

    import sweep.results

    rows, drops = sweep.results.open(str(folder)), pl.col("nr_lock_drops")
    asked = {
        MEAN: rows.group_by("desc_capacity").agg(drops.mean()),
        P99: rows.group_by("desc_capacity").agg(drops.quantile(0.99)),
        SEED: rows.filter(pl.col("seed") == 77),
        SLOWEST: rows.top_k(20, by="total_ns"),
    }[query]
    return asked.collect(engine="streaming").height


def _duckdb(query: str, folder: Path) -> int:
    import duckdb

    rows = f"read_parquet('{folder}/*.parquet')"
    asked = {
        MEAN: f"SELECT desc_capacity, avg(nr_lock_drops) FROM {rows} GROUP BY 1",
        P99: f"SELECT desc_capacity, quantile_cont(nr_lock_drops, 0.99) FROM {rows} GROUP BY 1",
        SEED: f"SELECT * FROM {rows} WHERE seed = 77",
        SLOWEST: f"SELECT * FROM {rows} ORDER BY total_ns DESC LIMIT 20",
    }[query]
    return duckdb.sql(asked).to_arrow_table().num_rows


def _pandas(query: str, folder: Path) -> int:
    import pandas as pd

    files = sorted(folder.glob("*.parquet"))
    if query in (MEAN, P99):
        rows = pd.read_parquet(files, columns=["desc_capacity", "nr_lock_drops"])
        drops = rows.groupby("desc_capacity").nr_lock_drops
        return len(drops.mean() if query == MEAN else drops.quantile(0.99))
    if query == SEED:
        return len(pd.read_parquet(files, filters=[("seed", "==", 77)]))
    # All columns of all rows would take 11 GB, so the points are found first.
    slowest = pd.read_parquet(files, columns=["point", "total_ns"]).nlargest(20, "total_ns")
    return len(pd.read_parquet(files, filters=[("point", "in", slowest.point.tolist())]))


READERS: dict[str, Callable[[str, Path], int]] = {
    "polars": _polars,
    "duckdb": _duckdb,
    "pandas": _pandas,
}


def _ask(reader: str, query: str, folder: Path) -> None:
    times: list[float] = []
    while len(times) < 10 and sum(times) < ENOUGH_S:
        start = time.perf_counter()
        assert READERS[reader](query, folder) == ROWS[query]
        times.append(time.perf_counter() - start)
    print(json.dumps({"seconds": min(times), "peak_mib": own_peak_mib()}))


def _asked(reader: str, query: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.queries", reader, query, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def table() -> list[dict[str, Any]]:
    """Best time of each reader for each query and layout, each in a process of its own."""
    found = []
    with tempfile.TemporaryDirectory(prefix="ss-") as folder:
        for layout, files in _layouts(Path(folder)).items():
            for query in ROWS:
                rounds = ROUNDS if query in (MEAN, P99) else 1
                took = [{r: _asked(r, query, files) for r in READERS} for _ in range(rounds)]
                for reader in READERS:
                    each = {"layout": layout, "query": query, "reader": reader}
                    parts = [asked[reader] for asked in took]
                    found.append(each | {k: median(part[k] for part in parts) for k in parts[0]})
                    print(f"  {found[-1]}", file=sys.stderr)
    return found


def _layouts(folder: Path) -> dict[str, Path]:
    """A run as it was written, and the same run after `sweep-results compact`."""
    from sweep.results.compact import compact
    from sweep.store import Store

    command = [sys.executable, "-m", "bench.peers", "sweep inline", str(POINTS), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    (run,) = folder.iterdir()
    copy = shutil.copytree(run, folder / "compacted")
    compact(Store(str(copy)))
    return {"shards": run, "compacted": copy}


def rows(asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Grouped queries against DuckDB's."""
    took = {(e["layout"], e["query"], e["reader"]): e["seconds"] for e in asked}
    return [
        row(
            f"{query}, {layout}: polars / DuckDB",
            took[layout, query, "polars"] / took[layout, query, "duckdb"],
            "times its time",
            "<= 1",
        )
        for layout in ("shards", "compacted")
        for query in (MEAN, P99)
    ]


if __name__ == "__main__":
    _ask(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
