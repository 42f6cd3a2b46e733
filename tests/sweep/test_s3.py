"""Contract: a run on S3, with a real server process on loopback, is a run like any other."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pyarrow.fs as fs
import pytest

from sweep.backends import BackendConfig
from sweep.launch import Job, launch
from sweep.results.runs import scan
from sweep.results.status import status
from sweep.results.verify import verify
from sweep.store import Store
from tests.sweep.cluster import free_port
from tests.sweep.standins import fussy, seeds_by_capacities

GRID = seeds_by_capacities(10, 60)
INLINE = BackendConfig(kind="inline", shard_points=70)
SECRET = "a-very-secret-key"


@pytest.fixture(scope="module")
def server():
    """The address of an S3 server."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not answers(port):
        assert time.monotonic() < end
        time.sleep(0.05)
    yield f"127.0.0.1:{port}"
    process.kill()
    process.wait()


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def bucket(server, monkeypatch):
    """A results_dir in an empty bucket, credentials in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    urllib.request.urlopen(f"http://{server}/moto-api/reset", data=b"").close()
    options = f"endpoint_override={server}&scheme=http&region=us-east-1"
    where, path = fs.FileSystem.from_uri(f"s3://sweeps?{options}&allow_bucket_creation=true")
    where.create_dir(path)
    return f"s3://sweeps/results?{options}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    launch(GRID, Job(results_dir=str(folder), backend=INLINE), fussy)
    return rows_of(str(next(folder.glob("sweep-*"))))


def rows_of(run):
    return scan(run).drop("run").sort("point").collect()


def store_of(bucket):
    where, path = fs.FileSystem.from_uri(bucket)
    found = where.get_file_info(fs.FileSelector(path))
    return Store.open(bucket, found[0].base_name)


def test_a_run_on_s3_is_computed_verified_and_queried(bucket, capsys, undisturbed):
    assert launch(GRID, Job(results_dir=bucket, backend=INLINE), fussy) == 1
    store = store_of(bucket)
    assert rows_of(store.uri).equals(undisturbed)
    assert list(verify(store, 50, outcomes=fussy)) == []
    assert status(store)["state"] == "finished"
    assert set(store.files()) >= {"plan.json", "done.json"}
    said = capsys.readouterr().err
    assert SECRET not in said + store.get("plan.json").decode() + store.get("done.json").decode()


def test_a_run_on_s3_resumes(bucket, undisturbed):
    launch(GRID, Job(results_dir=bucket, backend=INLINE), fussy)
    store = store_of(bucket)
    store.delete("done.json")
    store.delete("shard-070-140.parquet")
    store.put("shard-140-210.parquet", b"torn")
    assert launch(GRID, Job(results_dir=bucket, backend=INLINE), fussy) == 1
    assert rows_of(store.uri).equals(undisturbed)


def test_the_commands_take_s3_where_they_take_a_folder(bucket, tmp_path):
    def command(name, *words):
        path = Path(sys.executable).with_name(name)
        done = subprocess.run(
            [path, *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr
        return done.stdout

    axes = [
        "workload.memslot_gib=1,4",
        "workload.alias_ratio=0,0.1",
        "caches.desc_capacity=513,553",
    ]
    command("sweep", "-m", *axes, f"results_dir='{bucket}'", "backend=inline")
    where = ["--results-dir", bucket]
    told = json.loads(command("sweep-results", "status", "sweep", "-f", "json", *where))
    assert (told[0]["state"], told[0]["points"]) == ("finished", 8)
    command("sweep-results", "verify", "sweep", "--sample", "8", *where)
    asked = "SELECT count(*) AS n, max(desc_capacity) AS c FROM results"
    told = [command("sweep-results", "sql", "sweep", asked, "-f", "csv", *where)]
    command("sweep-results", "compact", "sweep", *where)
    told.append(command("sweep-results", "sql", "sweep", asked, "-f", "csv", *where))
    assert told == ["n,c\n8,553\n"] * 2
    command("sweep-results", "verify", "sweep", *where)
    assert "sweep" in command("sweep-results", "ls", *where)
    assert "sweep" in command("sweep-results", "show", "sweep", *where)
    assert "recommended" in command("sweep-results", "best", "sweep", *where)
    command("sweep-results", "compare", "sweep", "sweep", *where)  # 0: they are equal
    assert "553" in command("sweep-results", "explain", "sweep", "--point", "1", *where)
    command("sweep-results", "report", "sweep", "-o", "page.html", *where)
    assert "desc_capacity" in (tmp_path / "page.html").read_text()


@pytest.mark.ray
def test_ray_workers_write_to_s3(bucket, by_value, undisturbed):
    backend = BackendConfig(kind="ray_local", num_cpus=2, shard_points=70)
    assert launch(GRID, Job(results_dir=bucket, backend=backend), fussy) == 1
    assert rows_of(store_of(bucket).uri).equals(undisturbed)


def test_a_large_file_is_uploaded_in_parts_and_appears_whole(bucket):
    store = Store.open(bucket, "run")
    data = os.urandom(12 << 20)
    store.put("big", data)
    where, path = store.file("big")
    with where.open_input_file(path) as file:
        assert file.read() == data


def test_a_bucket_that_is_not_there_is_refused_without_the_secret(bucket, capsys, monkeypatch):
    monkeypatch.setattr("sweep.folder.REMOTE_PATIENCE_S", 0.5)
    missing = bucket.replace("s3://sweeps/", "s3://none/")
    assert launch(GRID, Job(results_dir=missing, backend=INLINE), fussy) == 2
    said = capsys.readouterr().err
    assert "refused: " in said
    assert SECRET not in said


@pytest.mark.fault
def test_503s_and_resets_are_waited_out(bucket, server, undisturbed):
    port = free_port()
    proxy = Path(__file__).parent / "flaky_proxy.py"
    command = [sys.executable, str(proxy), str(port), server.split(":")[1], "30"]
    process = subprocess.Popen(command)
    while not answers(port):
        time.sleep(0.05)
    flaky = bucket.replace(server, f"127.0.0.1:{port}")
    assert launch(GRID, Job(results_dir=flaky, backend=INLINE), fussy) == 1
    process.kill()
    process.wait()
    assert rows_of(store_of(bucket).uri).equals(undisturbed)


@pytest.mark.fault
def test_of_two_drivers_on_s3_one_is_refused_and_the_table_is_whole(bucket, undisturbed):
    settings = {"seeds": 10, "capacities": 60, "results_dir": bucket, "backend": vars(INLINE)}
    command = [sys.executable, "-m", "tests.sweep.driver", "fussy", json.dumps(settings)]
    drivers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [driver.communicate(timeout=60)[1] for driver in drivers]
    codes = sorted(driver.returncode for driver in drivers)
    assert codes in ([1, 1], [1, 2]), said
    assert rows_of(store_of(bucket).uri).equals(undisturbed)
