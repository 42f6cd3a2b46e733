"""Invariant: what launching does before, beside and after computing."""

import json
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep.backends import BackendConfig
from sweep.launch import Job, TerminatedError, launch
from tests.sweep.standins import fussy, seeds_by_capacities, tiny
from tests.sweep.tables import table_of

INLINE = BackendConfig(kind="inline", shard_points=50)
GRID = seeds_by_capacities(4, 50)


def job_of(folder, **more):
    return Job(results_dir=str(folder), **({"backend": INLINE} | more))


def run_of(folder):
    return next(folder.glob("sweep-*"))


def test_a_finished_run_is_left_as_it_is(tmp_path, capsys):
    assert launch(GRID, job_of(tmp_path), tiny) == 0
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in run_of(tmp_path).iterdir()}
    assert launch(GRID, job_of(tmp_path), tiny) == 0
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in run_of(tmp_path).iterdir()} == before
    assert "200 points, 0 failed" in capsys.readouterr().err


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(tmp_path, capsys):
    assert launch(GRID, job_of(tmp_path / "new", dry_run=True), tiny) == 0
    said = capsys.readouterr().err
    assert "200 points, 1 blocks, 4 shards, about" in said
    assert "core seconds" in said
    assert " MB, backend inline" in said
    assert not (tmp_path / "new").exists()


def test_a_dry_run_knows_the_size_of_the_files_to_come(tmp_path, capsys):
    launch(GRID, job_of(tmp_path, dry_run=True), tiny)
    megabytes = float(re.search(r"([\d.]+) MB", capsys.readouterr().err)[1])
    launch(GRID, job_of(tmp_path), tiny)
    written = sum(path.stat().st_size for path in run_of(tmp_path).glob("shard-*")) / 1e6
    assert written / 1.5 < megabytes < written * 1.5


@pytest.mark.parametrize(
    ("cause", "code", "word"),
    [(KeyboardInterrupt, 130, "interrupted"), (TerminatedError, 143, "terminated")],
)
def test_a_signal_that_a_call_into_ray_has_wrapped_is_still_a_signal(
    tmp_path, capsys, monkeypatch, cause, code, word
):
    class Wrapping:
        def run(self, work, shards):
            raise SystemError("wait returned a result with an exception set") from cause()

    monkeypatch.setattr("sweep.launch._backend", lambda config: Wrapping())
    assert launch(GRID, job_of(tmp_path), tiny) == code
    assert f"{word}. What is done is kept" in capsys.readouterr().err
    assert not list(tmp_path.glob("*/lease.json"))


def test_one_bad_point_in_a_million_is_one_error_row(tmp_path, capsys):
    grid = seeds_by_capacities(1000, 1000)
    assert launch(grid, job_of(tmp_path, backend=BackendConfig(kind="inline")), fussy) == 1
    # Seed 5, capacity 600: 5 x 1000 + 600 - 553.
    assert "point 5,047: ValueError" in capsys.readouterr().err
    columns = ["point", "error", "nr_lock_drops"]
    files = sorted(run_of(tmp_path).glob("shard-*"))
    rows = pa.concat_tables(pq.read_table(path, columns=columns) for path in files)
    assert rows.column("point").to_numpy().tolist() == list(range(10**6))
    missing = rows.column("nr_lock_drops").is_null().to_numpy()
    assert missing.nonzero()[0].tolist() == [5047]
    assert (~rows.column("error").is_null().to_numpy()).nonzero()[0].tolist() == [5047]


def test_auto_is_inline_for_a_short_run(tmp_path, capsys):
    assert launch(GRID, job_of(tmp_path, backend=BackendConfig()), tiny) == 0
    assert "backend inline" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["127.0.0.1:1", "http://127.0.0.1:8265"])
def test_auto_is_inline_for_a_short_run_wherever_ray_address_leads(
    tmp_path, capsys, monkeypatch, address
):
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert launch(GRID, job_of(tmp_path, backend=BackendConfig()), tiny) == 0
    assert "backend inline" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "why"),
    [("127.0.0.1:1", "no Ray cluster answers"), ("http://127.0.0.1:8265", "ray job submit")],
)
@pytest.mark.parametrize("given", ["environment", "config"])
def test_auto_means_the_cluster_for_a_long_run_and_is_refused_without_one(
    tmp_path, capsys, monkeypatch, address, why, given
):
    monkeypatch.setattr("sweep.planning.INLINE_S", 0.0)
    backend = BackendConfig(address=address if given == "config" else None)
    if given == "environment":
        monkeypatch.setenv("RAY_ADDRESS", address)
    assert launch(GRID, job_of(tmp_path, backend=backend), tiny) == 2
    said = capsys.readouterr().err
    assert (address in said, why in said) == (True, True)
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_shards_are_not_all_in_its_plan_is_refused(tmp_path, capsys):
    launch(GRID, job_of(tmp_path), tiny)
    plan = run_of(tmp_path) / "plan.json"
    data = json.loads(plan.read_text())
    plan.write_text(json.dumps(data | {"segments": [[0, 150, 50]]}))
    (run_of(tmp_path) / "shard-150-200.parquet").unlink()
    (run_of(tmp_path) / "done.json").unlink()
    assert launch(GRID, job_of(tmp_path), tiny) == 2
    assert "[0, 150, 50]" in capsys.readouterr().err


def test_a_folder_that_holds_another_plan_is_refused_with_the_difference(tmp_path, capsys):
    launch(GRID, job_of(tmp_path), tiny)
    other = seeds_by_capacities(2, 50)
    launch(other, job_of(tmp_path / "other"), tiny)
    wrong = tmp_path / run_of(tmp_path / "other").name
    shutil.copytree(run_of(tmp_path), wrong)
    kept = sorted(p.name for p in wrong.iterdir())
    assert launch(other, job_of(tmp_path), tiny) == 2
    said = capsys.readouterr().err
    assert "holds another plan" in said
    assert "points: 200 there, 100 here" in said
    assert sorted(p.name for p in wrong.iterdir()) == kept


def test_a_foreign_parquet_file_in_the_run_is_refused_and_kept(tmp_path, capsys):
    launch(GRID, job_of(tmp_path), tiny)
    foreign = run_of(tmp_path) / "mine.parquet"
    pq.write_table(table_of(run_of(tmp_path)).select(["seed"]), foreign)
    assert launch(GRID, job_of(tmp_path), tiny) == 2
    assert "mine.parquet is no shard of this run" in capsys.readouterr().err
    assert foreign.exists()


def test_an_unwritable_folder_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert launch(GRID, job_of(tmp_path / "file"), tiny) == 2
    assert "cannot write to" in capsys.readouterr().err


def test_a_recorded_workload_is_copied_into_the_run_and_named_in_the_plan(tmp_path):
    recording = tmp_path / "mmu_rmaps_stat"
    recording.write_text("Rmap_Count:\t0\t1\nLevel=2M:\t0\t3\n")
    grid = seeds_by_capacities(1, 2, path=str(recording))
    assert launch(grid, job_of(tmp_path / "r"), tiny) == 0
    plan = json.loads((run_of(tmp_path / "r") / "plan.json").read_text())
    sha256 = plan["inputs"][str(recording)]
    assert (run_of(tmp_path / "r") / "inputs" / sha256).read_text() == recording.read_text()


def test_a_recorded_workload_that_is_not_there_is_refused(tmp_path, capsys):
    grid = seeds_by_capacities(1, 2, path=str(tmp_path / "none.json"))
    assert launch(grid, job_of(tmp_path), tiny) == 2
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["", "slurm"])
def test_an_unknown_backend_is_refused_with_the_options(tmp_path, capsys, kind):
    assert launch(GRID, job_of(tmp_path, backend=BackendConfig(kind=kind)), tiny) == 2
    assert "auto, inline, ray_local, ray_cluster" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("field", "value"),
    [("shard_points", 0), ("shard_points", -5), ("num_cpus", 0), ("num_cpus", 8193),
     ("deadline_s", 0.0), ("deadline_s", -1.0), ("deadline_s", float("nan")),
     ("deadline_s", 2e9)],
)  # fmt: skip
@pytest.mark.parametrize("dry_run", [False, True])
def test_an_impossible_backend_is_refused_before_a_file_is_written(
    tmp_path, capsys, field, value, dry_run
):
    backend = BackendConfig(**{field: value})
    assert launch(GRID, job_of(tmp_path / "new", backend=backend, dry_run=dry_run), tiny) == 2
    assert f"backend.{field}={value:g}" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("engine", ["", "fast"])
def test_an_unknown_engine_is_refused_with_the_options(tmp_path, capsys, engine):
    assert launch(GRID, job_of(tmp_path, engine=engine)) == 2
    assert f"engine={engine}: choose one of auto, reference, expected" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_problem_of_a_backend_is_named_at_once(tmp_path, capsys):
    backend = BackendConfig(kind="inline", num_cpus=0, shard_points=0, address="a:1")
    assert launch(GRID, job_of(tmp_path, backend=backend), tiny) == 2
    said = capsys.readouterr().err
    parts = ("backend.num_cpus=0", "backend.shard_points=0", "backend.address=a:1")
    assert [part for part in parts if part not in said] == []


def test_the_plan_has_what_is_needed_to_run_it_again(tmp_path):
    launch(GRID, job_of(tmp_path, overrides=("seed=1",), config={"a": 1}, resume="sweep x"), tiny)
    plan = json.loads((run_of(tmp_path) / "plan.json").read_text())
    assert plan["overrides"] == ["seed=1"]
    assert plan["config"] == {"a": 1}
    assert plan["resume"] == "sweep x"
    assert plan["points"] == 200
    assert plan["segments"] == [[0, 200, 50]]
    assert set(plan["code"]) >= {"python", "numpy", "numba", "ray", "core", "splitsweep"}
