"""Contract: one suite, whichever backend computes."""

import json

import pytest

from sweep.backends import BackendConfig
from sweep.launch import Job, launch
from tests.sweep.standins import fussy, seeds_by_capacities
from tests.sweep.tables import table_of

GRID = seeds_by_capacities(10, 60)


@pytest.fixture(params=["inline", pytest.param("ray_local", marks=pytest.mark.ray)])
def backend(request, by_value):
    return BackendConfig(kind=request.param, num_cpus=1, shard_points=70)


def job_of(folder, backend, **more):
    return Job(results_dir=str(folder), backend=backend, **more)


def run_of(folder):
    return next(folder.glob("sweep-*"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The table that every backend and every disturbed run must end with."""
    folder = tmp_path_factory.mktemp("undisturbed")
    inline = BackendConfig(kind="inline", shard_points=70)
    assert launch(GRID, job_of(folder, inline), fussy) == 1
    return table_of(run_of(folder))


def test_a_run_ends_with_every_point_and_the_one_bad_point_named(
    tmp_path, backend, undisturbed, capsys
):
    assert launch(GRID, job_of(tmp_path, backend), fussy) == 1
    said = capsys.readouterr().err
    assert "600 points, 1 failed" in said
    # Seed 5, capacity 600: 5 x 60 + 600 - 553.
    assert "point 347: ValueError: seed 5 and 600 do not go together" in said
    assert f"sweep-results sql {run_of(tmp_path)} " in said
    assert ("Ray took" in said) == (backend.kind == "ray_local")
    assert table_of(run_of(tmp_path)).equals(undisturbed)
    done = json.loads((run_of(tmp_path) / "done.json").read_text())
    assert (done["rows"], done["shards"], done["failures"]) == (600, 9, 1)
    assert done["seconds"] > done["start_seconds"]
    assert (done["start_seconds"] > 0) == (backend.kind == "ray_local")
    assert done["peak_rss"] > 1 << 20


def test_missing_and_torn_shards_are_computed_and_the_others_kept(tmp_path, backend, undisturbed):
    inline = BackendConfig(kind="inline", shard_points=70)
    launch(GRID, job_of(tmp_path, inline), fussy)
    shards = sorted(run_of(tmp_path).glob("shard-*"))
    shards[1].unlink()
    shards[4].write_bytes(shards[4].read_bytes()[:-9])
    (run_of(tmp_path) / "done.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in shards if path.exists()}
    assert launch(GRID, job_of(tmp_path, backend), fussy) == 1
    assert table_of(run_of(tmp_path)).equals(undisturbed)
    changed = [p for p, at in before.items() if p.stat().st_mtime_ns != at]
    assert changed == [shards[4]]


@pytest.mark.ray
def test_two_workers_give_the_table_of_one(tmp_path, by_value, undisturbed):
    backend = BackendConfig(kind="ray_local", num_cpus=2, shard_points=33)
    assert launch(GRID, job_of(tmp_path, backend), fussy) == 1
    assert table_of(run_of(tmp_path)).equals(undisturbed)
