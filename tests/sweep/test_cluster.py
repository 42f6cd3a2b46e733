"""Contract: a cluster that others started, with nodes that are not what they should be."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.backends import BackendConfig
from sweep.launch import Job, launch
from tests.sweep.cluster import Cluster
from tests.sweep.standins import seeds_by_capacities
from tests.sweep.tables import table_of
from tests.sweep.test_faults import run_of, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.fault]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def cluster(shared):
    started = Cluster(shared, jobs=True)
    yield started
    started.close()


def drive(cluster, folder, engine="tiny", code=ROOT, **environment):
    """Run the stand-in driver of the checkout `code` on the cluster: (exit code, what it said)."""
    backend = {"kind": "ray_cluster", "shard_points": 200}
    settings = {"seeds": 10, "results_dir": str(folder), "backend": backend}
    done = subprocess.run(
        [sys.executable, "-m", "tests.sweep.driver", engine, json.dumps(settings)],
        env=cluster.environment | {"RAY_ADDRESS": cluster.address} | environment,
        cwd=code, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_workers_run_the_drivers_code_which_is_shipped_in_kilobytes(cluster, shared, tmp_path):
    # The driver's checkout is a copy: what the nodes have installed is another folder.
    checkout = tmp_path / "checkout"
    for folder in ("core", "sweep", "conf", "tests/sweep"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, checkout / folder, ignore=ignored)
    hidden = f'mount -t tmpfs tmpfs {checkout}; exec "$@"'
    number = cluster.start(wrap=("unshare", "-m", "bash", "-c", hidden, "bash"))
    kernels = str(tmp_path / "kernels")  # what `sweep` sets in its own environment
    mine = {"PYTHONPATH": str(checkout), "SPLITSWEEP_KERNELS": kernels}
    code, said = drive(cluster, shared / "a", "telling", checkout, **mine)
    cluster.kill(number)
    assert code == 0, said
    assert len(table_of(run_of(shared / "a"))) == 1000
    told = [json.loads(path.read_text()) for path in shared.glob("told-*.json")]
    shipped = next(t for t in told if "py_modules_files" in t["core"])
    assert "py_modules_files" in shipped["sweep"]
    assert shipped["threads"] == "1"
    assert shipped["kernels"] == kernels
    packages = [Path(shipped[name]).parent for name in ("core", "sweep")]
    files = [file for package in packages for file in package.rglob("*") if file.is_file()]
    assert not any(file.suffix == ".nbc" for file in files)
    assert 50_000 < sum(f.stat().st_size for f in files if f.suffix != ".pyc") < 1_000_000


def test_a_node_that_does_not_share_the_folder_is_refused_with_the_remedy(cluster, shared):
    folder = shared / "b"
    folder.mkdir()
    wait_for(lambda: alive(cluster) == 1)
    hidden = f'mount -t tmpfs tmpfs {folder}; exec "$@"'
    number = cluster.start(wrap=("unshare", "-m", "bash", "-c", hidden, "bash"))
    code, said = drive(cluster, folder)
    cluster.kill(number)
    assert code == 2, said
    assert "does not see the driver's" in said
    assert "Set results_dir to a folder that all nodes share (NFS, Lustre), or to s3://" in said
    assert not list(folder.glob("*/shard-*"))


def test_a_node_with_other_versions_is_refused_with_the_difference(cluster, shared):
    other = shared / "site"
    (other / "numpy-9.9.9.dist-info").mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: numpy\nVersion: 9.9.9\n"
    (other / "numpy-9.9.9.dist-info" / "METADATA").write_text(metadata)
    number = cluster.start(environment={"PYTHONPATH": str(other)})
    code, said = drive(cluster, shared / "c")
    cluster.kill(number)
    assert code == 2, said
    assert "has numpy 9.9.9 (driver: " in said
    assert not list((shared / "c").glob("*/shard-*"))


def alive(cluster):
    """Nodes that the cluster believes to be alive, asked from a process of its own."""
    script = (
        "import ray, ray._private.ray_constants as c; c.ENABLE_RAY_CLUSTER = False;"
        f"ray.init('{cluster.address}', logging_level='error');"
        "print(sum(n['Alive'] for n in ray.nodes()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=cluster.environment, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.parametrize(
    ("address", "word"),
    [
        (None, "no address"),
        ("127.0.0.1:1", "no Ray cluster answers"),
        ("ray://h:1", "ray job submit"),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_refused(tmp_path, capsys, monkeypatch, address, word):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    backend = BackendConfig(kind="ray_cluster", address=address, shard_points=10)
    job = Job(results_dir=str(tmp_path), backend=backend)
    assert launch(seeds_by_capacities(1, 2), job) == 2
    assert word in capsys.readouterr().err
    assert os.environ.get("RAY_ADDRESS") is None


def test_a_job_submitted_from_a_checkout_uploads_kilobytes_and_leaves_a_whole_run(
    cluster, shared, tmp_path
):
    checkout = tmp_path / "checkout"
    here = shutil.ignore_patterns(".git", ".venv", "__pycache__", "results", ".*_cache")
    shutil.copytree(ROOT, checkout, ignore=here)
    for heavy in (checkout / ".venv" / "lib", checkout / "results" / "old-0123456789ab"):
        heavy.mkdir(parents=True)
        (heavy / "shard-0-1.parquet").write_bytes(os.urandom(40 << 20))
    wait_for(lambda: alive(cluster) == 1)
    words = ["-m", "workload.memslot_gib=1,2", "caches.desc_capacity=range(553,603)"]
    words += ["backend=ray_cluster", "backend.shard_points=20", f"results_dir={shared / 'job'}"]
    done = subprocess.run(
        [Path(sys.executable).with_name("ray"), "job", "submit", "--address", cluster.jobs,
         "--runtime-env", "conf/cluster/runtime_env.yaml", "--", sys.executable, "-m", "sweep",
         *words],
        env=cluster.environment, cwd=checkout, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "backend ray_cluster" in done.stdout
    run = run_of(shared / "job")
    rows = table_of(run)
    assert (len(rows), rows.column("error").null_count) == (100, 100)
    assert json.loads((run / "done.json").read_text())["rows"] == 100
    (unpacked,) = cluster.folder.glob("session_2*/runtime_resources/working_dir_files/*/")
    names = {path.name for path in unpacked.iterdir()}
    assert {"core", "sweep", "conf"} <= names
    assert not names & {"results", ".venv", "tests", ".git"}
    files = [f for f in unpacked.rglob("*") if f.is_file() and f.suffix != ".pyc"]
    assert sum(f.stat().st_size for f in files) < 1 << 20
    assert not list(unpacked.rglob("*.nbc"))  # kernels are compiled once a machine, not once a job


def test_a_job_without_the_token_is_turned_away(cluster):
    bare = {k: v for k, v in cluster.environment.items() if not k.startswith("RAY_AUTH")}
    done = subprocess.run(
        [Path(sys.executable).with_name("ray"), "job", "submit", "--address", cluster.jobs, "--",
         "true"],
        env=bare | {"HOME": str(cluster.folder / "nobody")}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "token" in done.stdout + done.stderr
