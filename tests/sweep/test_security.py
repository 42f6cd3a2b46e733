"""Invariant: what a hostile file, name or neighbour can do to a run, which is nothing."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweep import shard_file
from sweep.errors import RefusedError
from sweep.plan import Shard
from sweep.results.status import status
from sweep.schema import schema
from sweep.shard_file import TornError, encode
from sweep.store import LEASE, PLAN, Store
from tests.sweep.standins import seeds_by_capacities, tiny
from tests.sweep.test_shard import work_of

ROOT = Path(__file__).parents[2]
NAME = "shard-00-20.parquet"
WORK = work_of(seeds_by_capacities(2, 10), tiny)
WHOLE = bytes(encode(WORK.rows(0, 20), {}))


def checked(folder, data):
    """What reading a shard of these bytes comes to: its manifest, or why not."""
    (folder / NAME).write_bytes(data)
    store = Store(str(folder))
    try:
        return shard_file.check(store, NAME, WORK.plan, Shard(0, 20))
    except (TornError, RefusedError) as error:
        return error


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=16))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_parquet_ends_in_an_error(tmp_path, at, noise):
    damaged = WHOLE[:at] + noise + WHOLE[at + len(noise) :]
    assert isinstance(checked(tmp_path, damaged), Exception)


def test_a_column_whose_name_is_no_text_ends_in_an_error(tmp_path):
    damaged = WHOLE.replace(b"engine", b"\x80ngine")
    assert isinstance(checked(tmp_path, damaged), TornError | RefusedError)


@given(st.binary(max_size=300))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_that_claim_to_be_parquet_end_in_an_error(tmp_path, noise):
    assert isinstance(checked(tmp_path, b"PAR1" + noise + b"PAR1"), Exception)


def test_a_footer_that_claims_gigabytes_is_refused(tmp_path):
    claim = WHOLE[:-8] + (0x7FFFFFFF).to_bytes(4, "little") + b"PAR1"
    assert isinstance(checked(tmp_path, claim), TornError)


def test_a_small_file_that_would_fill_the_memory_is_refused(tmp_path):
    rows = WORK.rows(0, 20)
    at = rows.schema.get_field_index("error")
    texts = pa.array(["x" * (20 << 20), *[None] * 19], pa.string())
    bomb = bytes(encode(rows.set_column(at, rows.schema.field(at), texts), {}))
    assert len(bomb) < 100_000
    found = checked(tmp_path, bomb)
    assert isinstance(found, RefusedError)
    assert "unfolds to 20,9" in str(found)  # 20 << 20 is 20,971,520
    with pytest.raises(RefusedError, match="unfolds"):
        shard_file.read(Store(str(tmp_path)), NAME)


@pytest.mark.parametrize("text", ['["no", "object"]', "[" * 200_000], ids=range(2))
def test_metadata_that_is_no_json_object_is_foreign(tmp_path, text):
    sink = pa.BufferOutputStream()
    stored = schema().with_metadata({"splitsweep": text})
    pa.parquet.write_table(WORK.rows(0, 20).cast(stored), sink)
    assert isinstance(checked(tmp_path, bytes(sink.getvalue())), RefusedError)


def test_a_pickle_in_the_folder_is_never_opened(tmp_path):
    trap = tmp_path / "opened"
    pickle = b"cposix\nsystem\n(S'touch " + str(trap).encode() + b"'\ntR."
    for name in (PLAN, LEASE, NAME):
        (tmp_path / name).write_bytes(pickle)
    with pytest.raises(RefusedError):
        status(Store(str(tmp_path)))
    assert isinstance(checked(tmp_path, pickle), TornError)
    assert not trap.exists()


@pytest.mark.ray
def test_local_ray_listens_on_loopback_alone_and_asks_for_a_token_that_is_gone_afterwards(tmp_path):
    values = {"results_dir": str(tmp_path), "backend": {"kind": "ray_local", "num_cpus": 1,
              "shard_points": 20}}  # fmt: skip
    command = [sys.executable, "-m", "tests.sweep.driver", "slow", json.dumps(values)]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=ROOT)
    driver = psutil.Process(run.pid)
    end = time.monotonic() + 60
    while not list(tmp_path.glob("sweep-*/shard-*")):
        assert time.monotonic() < end
        time.sleep(0.05)
    family = [driver, *driver.children(recursive=True)]
    listening = [
        link.laddr.ip
        for process in family
        for link in process.net_connections("tcp")
        if link.status == psutil.CONN_LISTEN
    ]
    started = " ".join(word for process in family for word in process.cmdline())
    assert not any(name in started for name in ("dashboard.py", "monitor.py", "log_monitor"))
    assert os.getpgid(driver.pid) not in {os.getpgid(process.pid) for process in family[1:]}
    raylet = next(p for p in family if p.name() == "raylet").environ()
    token = Path(raylet["RAY_AUTH_TOKEN_PATH"])
    assert (raylet["RAY_AUTH_MODE"], token.stat().st_mode & 0o777) == ("token", 0o600)
    assert len(token.read_text()) == 64
    assert run.wait(60) == 0
    assert len(listening) >= 3
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
    assert not token.exists()
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family[1:])
