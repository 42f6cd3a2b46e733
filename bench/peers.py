"""One peer, one process: `python -m bench.peers NAME POINTS FOLDER` computes and stores POINTS."""

import contextlib
import os
import runpy
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

CPUS = 2
BATCH = 1 << 16
STORE_BYTES = 1 << 30


def sweep(points: int, folder: Path, backend: str) -> None:
    """Ours, through the command line."""
    from bench.points import overrides
    from sweep.app import main

    where = [f"backend={backend}", f"results_dir={folder}", "name=bench"]
    cpus = [f"backend.num_cpus={CPUS}"] if backend == "ray_local" else []
    sys.argv = ["sweep", "-m", *overrides(points), *where, *cpus]
    with contextlib.suppress(SystemExit):
        main()


def _shard(points: int, first: int, path: Path) -> None:
    from bench.points import rows

    write(rows(points, first, min(first + BATCH, points)), path)


def write(columns: dict[str, Any], path: Path) -> None:
    """A Parquet file of `columns`, with pyarrow's defaults and zstd."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, compression="zstd")


def process_pool(points: int, folder: Path) -> None:
    """The least that stores the same rows: no plan, no resume, no checks, no metadata."""
    with ProcessPoolExecutor(CPUS) as pool:
        jobs = [
            pool.submit(_shard, points, first, folder / f"{first}.parquet")
            for first in range(0, points, BATCH)
        ]
        for job in jobs:
            job.result()


def numba_loop(points: int, folder: Path) -> None:
    """Every point alone, split by split, in a compiled loop."""
    from bench.points import rows

    write(rows(points, 0, points, "reference"), folder / "0.parquet")


def hydra_basic(points: int, folder: Path, *launcher: str) -> None:
    """A Hydra multirun of `points` jobs."""
    last = f"caches.desc_capacity=range(513,{513 + points})"
    where = [
        "hydra/sweeper=basic",
        "hydra.callbacks.one_run._target_=hydra.experimental.callback.Callback",
        f"hydra.sweep.dir={folder}",
        "hydra.sweep.subdir=${hydra:job.num}",
    ]
    logs = ["hydra/job_logging=default", "hydra.output_subdir=.hydra", "workload.seed=0"]
    sys.argv = ["app", "-m", last, *where, *logs, *launcher]
    runpy.run_module("bench.hydra_app", run_name="__main__")


def hydra_joblib(points: int, folder: Path) -> None:
    """The same on two processes, with hydra-joblib-launcher."""
    hydra_basic(points, folder, "hydra/launcher=joblib", f"hydra.launcher.n_jobs={CPUS}")


@contextlib.contextmanager
def _ray() -> Iterator[Any]:
    """A Ray of our own: loopback, own folder, own token."""
    home = Path(tempfile.mkdtemp(prefix="ss-", dir="/tmp"))
    token = home / "token"
    token.write_text(secrets.token_hex(32))
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TRAIN_V2_ENABLED": "1"}
    import ray

    ray.init(
        num_cpus=CPUS,
        include_dashboard=False,
        object_store_memory=STORE_BYTES,
        log_to_driver=False,
        logging_level="error",
        _node_ip_address="127.0.0.1",
        _temp_dir=str(home),
    )
    try:
        yield ray
    finally:
        ray.shutdown()


def ray_data(points: int, folder: Path) -> None:
    """A Ray Data pipeline: ids, map_batches, write_parquet."""
    from bench.points import rows

    def batch(ids: dict[str, Any]) -> dict[str, Any]:
        first, last = int(ids["id"][0]), int(ids["id"][-1]) + 1
        return rows(points, first, last)

    with _ray() as ray:
        ray.data.DataContext.get_current().enable_progress_bars = False
        data = ray.data.range(points).map_batches(batch, batch_size=BATCH, zero_copy_batch=True)
        data.write_parquet(str(folder / "rows"), compression="zstd")


def ray_tune(points: int, folder: Path) -> None:
    """A Ray Tune grid search, a trial a point, actors reused: its fastest way."""
    from bench.points import one

    def trial(config: dict[str, int]) -> None:
        from ray import tune

        tune.report(one(0, config["capacity"]))

    with _ray():
        from ray import tune

        space = {"capacity": tune.grid_search(list(range(513, 513 + points)))}
        tuner = tune.Tuner(
            trial,
            param_space=space,
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
        )
        assert len(tuner.fit()) == points


PEERS: dict[str, Callable[[int, Path], None]] = {
    "sweep inline": lambda n, to: sweep(n, to, "inline"),
    "sweep ray_local": lambda n, to: sweep(n, to, "ray_local"),
    "process pool": process_pool,
    "numba loop": numba_loop,
    "Ray Data": ray_data,
    "Ray Tune": ray_tune,
    "Hydra basic": hydra_basic,
    "Hydra joblib": hydra_joblib,
}

if __name__ == "__main__":
    PEERS[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
