"""Invariant: whatever is killed, the run ends, or resumes, with an undisturbed run's table."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from sweep.backends import BackendConfig
from sweep.launch import Job, launch
from tests.sweep.standins import seeds_by_capacities, tiny
from tests.sweep.tables import table_of

pytestmark = pytest.mark.fault

GRID = seeds_by_capacities(20, 100)
INLINE = {"kind": "inline", "shard_points": 50}
RAY = {"kind": "ray_local", "num_cpus": 2, "shard_points": 50}


def driver(folder, engine, backend, **settings):
    """A driver process of its own group, on the 2,000 points of `GRID`."""
    settings |= {"results_dir": str(folder), "backend": backend}
    command = [sys.executable, "-m", "tests.sweep.driver", engine, json.dumps(settings)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


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
