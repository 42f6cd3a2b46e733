"""Questions to a run of 10^7 rows: ours through polars, DuckDB and pandas, on the same files.

`python -m bench.queries READER QUERY FOLDER` asks one question and prints seconds and MiB.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.engine import row

POINTS = 10_000_000
REPEATS = 7
GROUPED = "drops by capacity: mean, p99"
QUERIES = (GROUPED, "one seed, all columns", "20 slowest points, all columns")


def _polars(query: str, folder: Path) -> int:
    import polars as pl

    rows = pl.scan_parquet(folder / "*.parquet")
    if query == GROUPED:
        drops = pl.col("nr_lock_drops")
        asked = rows.group_by("desc_capacity").agg(
            drops.mean().alias("mean"), drops.quantile(0.99).alias("p99")
        )
    elif query == QUERIES[1]:
        asked = rows.filter(pl.col("seed") == 77)
    else:
        asked = rows.top_k(20, by="total_ns")
    return asked.collect(engine="streaming").height


def _duckdb(query: str, folder: Path) -> int:
    import duckdb

    source = f"read_parquet('{folder}/*.parquet')"
    asked = {
        GROUPED: f"SELECT desc_capacity, avg(nr_lock_drops), quantile_cont(nr_lock_drops, 0.99) "
        f"FROM {source} GROUP BY desc_capacity",
        QUERIES[1]: f"SELECT * FROM {source} WHERE seed = 77",
        QUERIES[2]: f"SELECT * FROM {source} ORDER BY total_ns DESC LIMIT 20",
    }[query]
    return duckdb.sql(asked).to_arrow_table().num_rows


def _pandas(query: str, folder: Path) -> int:
    import pandas as pd

    files = sorted(folder.glob("*.parquet"))
    if query == GROUPED:
        rows = pd.read_parquet(files, columns=["desc_capacity", "nr_lock_drops"])
        drops = rows.groupby("desc_capacity").nr_lock_drops
        return len(pd.DataFrame({"mean": drops.mean(), "p99": drops.quantile(0.99)}))
    if query == QUERIES[1]:
        return len(pd.read_parquet(files, filters=[("seed", "==", 77)]))
    return len(pd.read_parquet(files).nlargest(20, "total_ns"))


READERS: dict[str, Callable[[str, Path], int]] = {
    "polars": _polars,
    "duckdb": _duckdb,
    "pandas": _pandas,
}
ROWS = {GROUPED: 1000, QUERIES[1]: 1000, QUERIES[2]: 20}


def _ask(reader: str, query: str, folder: Path) -> None:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        assert READERS[reader](query, folder) == ROWS[query]
        times.append(time.perf_counter() - start)
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"seconds": min(times), "peak_mib": int(peak) / 1024}))


def _asked(reader: str, query: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.queries", reader, query, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def table() -> list[dict[str, Any]]:
    """Best of three for each reader, query and layout, each in a process of its own."""
    found = []
    with tempfile.TemporaryDirectory(prefix="ss-") as folder:
        for layout, files in _layouts(Path(folder)).items():
            for query in QUERIES:
                for reader in READERS:
                    each = {"layout": layout, "query": query, "reader": reader}
                    found.append(each | _asked(reader, query, files))
                    print(f"  {found[-1]}", file=sys.stderr)
    return found


def _layouts(folder: Path) -> dict[str, Path]:
    """A run as it was written, and the same rows in one file sorted by capacity."""
    command = [
        sys.executable,
        "-m",
        "bench.peers",
        "sweep inline",
        str(POINTS),
        str(folder / "runs"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (run,) = (folder / "runs").iterdir()
    one = folder / "compacted"
    one.mkdir()
    file = one / "rows.parquet"
    subprocess.run([sys.executable, "-c", _COMPACT, str(run), str(file)], check=True)
    return {"shards": run, "compacted": one}


_COMPACT = """
import sys, polars as pl
rows = pl.scan_parquet(sys.argv[1] + "/*.parquet").sort("desc_capacity", "seed")
rows.sink_parquet(sys.argv[2], row_group_size=1 << 18)
"""


def rows(asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Grouped queries against DuckDB's."""
    took = {(e["layout"], e["query"], e["reader"]): e["seconds"] for e in asked}
    return [
        row(
            f"grouped query, {layout}, polars / DuckDB",
            took[layout, GROUPED, "polars"] / took[layout, GROUPED, "duckdb"],
            "times its time",
            "<= 1",
        )
        for layout in ("shards", "compacted")
    ]


if __name__ == "__main__":
    _ask(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
