"""Invariant: whatever is killed, the run ends, or resumes, with an undisturbed run's table."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from sweep.backends import BackendConfig
from sweep.launch import Job, launch
from sweep.results.status import status
from sweep.store import Store
from tests.sweep.cluster import Cluster
from tests.sweep.standins import seeds_by_capacities, tiny
from tests.sweep.tables import table_of

pytestmark = pytest.mark.fault

GRID = seeds_by_capacities(20, 100)
INLINE = {"kind": "inline", "shard_points": 50}
RAY = {"kind": "ray_local", "num_cpus": 2, "shard_points": 50}


def driver(folder, engine, backend, environment=None, **settings):
    """A driver process of its own group, on the 2,000 points of `GRID`."""
    settings |= {"results_dir": str(folder), "backend": backend}
    command = [sys.executable, "-m", "tests.sweep.driver", engine, json.dumps(settings)]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=(environment or os.environ) | {"MARK": str(folder)},
    )  # fmt: skip


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def shards_in(folder):
    return list(folder.glob("sweep-*/shard-*.parquet"))


def run_of(folder):
    return next(folder.glob("sweep-*"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert launch(GRID, Job(results_dir=str(folder), backend=BackendConfig(**INLINE)), tiny) == 0
    return table_of(run_of(folder))


@pytest.mark.parametrize("backend", [INLINE, pytest.param(RAY, marks=pytest.mark.ray)])
def test_a_driver_killed_half_way_resumes_to_the_same_table(tmp_path, backend, undisturbed):
    first = driver(tmp_path, "slow", backend)
    wait_for(lambda: len(shards_in(tmp_path)) >= 10)
    first.kill()
    first.communicate()
    before = len(shards_in(tmp_path))  # workers may outlive their driver by a shard
    facts = status(Store(str(run_of(tmp_path))))
    assert 50 * before <= facts["points_done"] <= 50 * len(shards_in(tmp_path))
    assert (facts["state"], facts["eta_s"]) == ("stopped", None)
    assert facts["writer"] == f"{os.uname().nodename}, process {first.pid}, which is gone"
    kept = {p: p.stat().st_mtime_ns for p in shards_in(tmp_path)}
    assert 10 <= len(kept) < 40
    second = driver(tmp_path, "tiny", INLINE)
    said = second.communicate()[1]
    assert second.returncode == 0, said
    assert table_of(run_of(tmp_path)).equals(undisturbed)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert json.loads((run_of(tmp_path) / "done.json").read_text())["rows"] == 2000


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
@pytest.mark.parametrize("backend", [INLINE, pytest.param(RAY, marks=pytest.mark.ray)])
def test_an_interrupted_run_says_how_to_resume(tmp_path, backend, number, code, word, undisturbed):
    first = driver(tmp_path, "slow", backend, resume="sweep experiment=x")
    wait_for(lambda: len(shards_in(tmp_path)) >= 3)
    os.killpg(first.pid, number)  # a terminal's Ctrl-C reaches the whole group
    said = first.communicate(timeout=30)[1]
    assert first.returncode == code, said
    assert f"{word}. What is done is kept; resume with: sweep experiment=x" in said
    assert "Traceback" not in said
    names = {p.name for p in run_of(tmp_path).iterdir()}
    assert "lease.json" not in names
    assert "done.json" not in names
    second = driver(tmp_path, "tiny", INLINE)
    assert second.wait() == 0
    second.stderr.close()
    assert table_of(run_of(tmp_path)).equals(undisturbed)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A cluster of two nodes, of which every test leaves two."""
    folder = tmp_path_factory.mktemp("shared")
    started = Cluster(folder)
    started.start()
    yield started
    started.close()


@pytest.fixture
def workers(shared):
    """The backend and environment of drivers on that cluster, which remembers no other test."""
    shutil.rmtree(shared.mark)
    shared.mark.mkdir()
    return {"kind": "ray_cluster", "address": shared.address, "shard_points": 50}


@pytest.mark.ray
@pytest.mark.parametrize("engine", ["mortal_once", "hungry", "greedy"])
def test_a_worker_that_dies_in_a_shard_costs_nothing(
    tmp_path, shared, workers, engine, undisturbed
):
    run = driver(tmp_path, engine, workers, shared.environment)
    said = run.communicate(timeout=100)[1]
    assert run.returncode == 0, said
    assert table_of(run_of(tmp_path)).equals(undisturbed)
    assert {p.name[0] for p in run_of(tmp_path).iterdir()} == {"s", "p", "d"}


@pytest.mark.ray
def test_a_point_that_kills_every_worker_becomes_one_error_row(
    tmp_path, shared, workers, undisturbed
):
    run = driver(tmp_path, "deadly", workers | {"shard_points": 100}, shared.environment)
    said = run.communicate(timeout=100)[1]
    assert run.returncode == 1, said
    rows = table_of(run_of(tmp_path))
    # Seed 3 begins at point 300; capacity 600 is 47 after 553.
    errors = [row for row in rows.to_pylist() if row["error"]]
    assert [row["point"] for row in errors] == [347]
    assert errors[0]["error"] == "WorkerLost: its worker died, 3 times."
    assert rows.slice(0, 347).equals(undisturbed.slice(0, 347))
    assert rows.slice(348).equals(undisturbed.slice(348))


@pytest.mark.ray
@pytest.mark.parametrize("deadline_s", [3, 900])
def test_a_shard_that_hangs_is_computed_by_others(
    tmp_path, shared, workers, deadline_s, undisturbed
):
    # Within the deadline the kernel ends the worker; without one, idle workers take over.
    backend = workers | {"deadline_s": deadline_s}
    run = driver(tmp_path, "hanging_once", backend, shared.environment)
    said = run.communicate(timeout=100)[1]
    assert run.returncode == 0, said
    assert table_of(run_of(tmp_path)).equals(undisturbed)


NOTICED_S = 7.0
"""About 3 s, on a machine that has other work, too; Ray by itself takes 12 s, or a minute."""


@pytest.mark.ray
def test_a_killed_and_a_silent_node_are_noticed_and_made_up_for_and_a_late_one_is_used(
    tmp_path, shared, workers, undisturbed
):
    killed, silent = len(shared.nodes) - 1, shared.start()
    names = shared.mark / "nodes"
    with shared.watched() as since:
        since(3)
        run = driver(tmp_path, "located", workers, shared.environment)
        wait_for(lambda: len(list(names.glob("*"))) == 3)
        at = time.time()
        shared.kill(killed)
        assert since(2) - at < NOTICED_S
        at = time.time()
        shared.silence(silent)
        assert since(1) - at < NOTICED_S
        shared.start()
    said = run.communicate(timeout=100)[1]
    shared.kill(silent)
    assert run.returncode == 0, said
    assert table_of(run_of(tmp_path)).equals(undisturbed)
    assert len(list(names.iterdir())) == 4


@pytest.fixture
def cluster(tmp_path):
    started = Cluster(tmp_path)
    yield started
    started.close()


@pytest.mark.ray
def test_without_its_head_node_a_run_ends_with_the_command_that_resumes_it(
    tmp_path, cluster, undisturbed
):
    cluster.start()
    backend = {"kind": "ray_cluster", "address": cluster.address, "shard_points": 50}
    run = driver(tmp_path, "slow", backend, cluster.environment, resume="sweep experiment=x")
    wait_for(lambda: len(shards_in(tmp_path)) >= 4)
    cluster.kill(0)
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 1, said
    assert "resume with: sweep experiment=x" in said
    again = driver(tmp_path, "tiny", INLINE)
    said = again.communicate()[1]
    assert again.returncode == 0, said
    assert table_of(run_of(tmp_path)).equals(undisturbed)


@pytest.mark.ray
def test_a_driver_killed_at_ten_random_moments_resumes_to_the_same_table(tmp_path, undisturbed):
    moments = random.Random(20260629)
    for number in range(10):
        backend, longest = (RAY, 4.0) if number % 3 == 0 else (INLINE, 1.5)
        run = driver(tmp_path, "slower", backend)  # ten tries are not enough to finish
        time.sleep(moments.uniform(0.2, longest))
        run.kill()
        run.communicate()
    assert not (run_of(tmp_path) / "done.json").exists()
    again = driver(tmp_path, "tiny", INLINE)
    said = again.communicate()[1]
    assert again.returncode == 0, said
    assert table_of(run_of(tmp_path)).equals(undisturbed)
    assert {p.name[0] for p in run_of(tmp_path).iterdir()} == {"s", "p", "d"}


def test_of_two_drivers_one_works_and_one_is_refused(tmp_path, undisturbed):
    first = driver(tmp_path, "slow", INLINE)
    wait_for(lambda: len(shards_in(tmp_path)) >= 2)
    second = driver(tmp_path, "slow", INLINE)
    said = second.communicate(timeout=30)[1]
    assert second.returncode == 2, said
    assert f"is being written by {os.uname().nodename}, process {first.pid}" in said
    assert "sweep-results status" in said
    said = first.communicate(timeout=30)[1]
    assert first.returncode == 0, said
    assert table_of(run_of(tmp_path)).equals(undisturbed)


def test_two_drivers_that_start_together_leave_one_whole_table(tmp_path, undisturbed):
    drivers = [driver(tmp_path, "slow", INLINE) for _ in range(2)]
    said = [run.communicate(timeout=60)[1] for run in drivers]
    assert sorted(run.returncode for run in drivers) == [0, 2], said
    assert table_of(run_of(tmp_path)).equals(undisturbed)


def leased(folder, **facts):
    """An unfinished run with the lease of a driver on another machine."""
    assert launch(GRID, Job(results_dir=str(folder), backend=BackendConfig(**INLINE)), tiny) == 0
    run = run_of(folder)
    (run / "done.json").unlink()
    shards_in(folder)[0].unlink()
    lease = {"owner": "x", "host": "elsewhere", "pid": 1, "machine": "m", "started": "1"} | facts
    (run / "lease.json").write_text(json.dumps(lease))
    return run, lease


def test_a_silent_lease_of_another_machine_is_taken_over(tmp_path, undisturbed):
    run, _ = leased(tmp_path)
    assert launch(GRID, Job(results_dir=str(tmp_path), backend=BackendConfig(**INLINE)), tiny) == 0
    assert table_of(run).equals(undisturbed)
    assert not (run / "lease.json").exists()


def test_a_beating_lease_of_another_machine_is_respected(tmp_path, capsys):
    run, lease = leased(tmp_path)
    again = lease | {"beat": 2}
    beats = threading.Timer(2.0, lambda: Store(str(run)).put_json("lease.json", again))
    beats.start()
    assert launch(GRID, Job(results_dir=str(tmp_path), backend=BackendConfig(**INLINE)), tiny) == 2
    beats.join()
    assert "is being written by elsewhere, process 1" in capsys.readouterr().err
    assert (run / "lease.json").exists()


@pytest.mark.ray
def test_a_disk_that_fills_up_under_ray_workers_loses_nothing(tmp_path, undisturbed):
    script = f"""
        mount -t tmpfs -o size=1m tmpfs {tmp_path}
        "$0" -m tests.sweep.driver tiny "$1"; echo "exit $?"
        mount -o remount,size=100m {tmp_path}
        "$0" -m tests.sweep.driver tiny "$2"; echo "exit $?"
        cp {tmp_path}/sweep-*/*.parquet {tmp_path}/sweep-*/done.json "$3"
    """
    kept = tmp_path.parent / "kept-from-the-small-disk" / "sweep-0"
    kept.mkdir(parents=True)
    settings = [json.dumps({"results_dir": str(tmp_path), "backend": b}) for b in (RAY, INLINE)]
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", script, sys.executable, *settings, str(kept)],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["exit", "1", "exit", "0"], done.stderr
    assert "No space left on device" in done.stderr
    assert table_of(kept).equals(undisturbed)
