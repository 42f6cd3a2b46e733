"""Invariant: files appear whole or not at all, and only files of the run count."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from sweep import shard_file
from sweep.errors import RefusedError
from sweep.folder import StorageError
from sweep.lease import Lease
from sweep.plan import Shard
from sweep.schema import schema
from sweep.shard_file import ForeignError, TornError
from sweep.store import Store, shard_name
from tests.sweep.standins import fussy, seeds_by_capacities, tiny
from tests.sweep.test_shard import work_of


@pytest.fixture
def work(tmp_path):
    return work_of(seeds_by_capacities(4, 50), tiny, tmp_path)


def test_a_shard_is_checked_by_its_footer_alone(work):
    written = work.run(Shard(0, 100))
    found = shard_file.check(work.store, shard_name((0, 100), 200), work.plan, Shard(0, 100))
    assert found == written._replace(peak_rss=0)
    assert (found.failures, found.bytes) == (0, next(iter(work.store.files().values())))


def test_a_shard_is_compressed_as_declared_and_carries_page_checksums(work, tmp_path):
    work.run(Shard(0, 100))
    parquet = pq.ParquetFile(tmp_path / "shard-000-100.parquet")
    columns = {
        c["path_in_schema"]: c for c in parquet.metadata.to_dict()["row_groups"][0]["columns"]
    }
    assert {c["compression"] for c in columns.values()} == {"ZSTD"}
    assert "RLE_DICTIONARY" in columns["desc_capacity"]["encodings"]
    assert "RLE_DICTIONARY" not in columns["nr_lock_drops"]["encodings"]
    assert "BYTE_STREAM_SPLIT" in columns["total_ns"]["encodings"]
    assert "DELTA_BINARY_PACKED" in columns["nr_lock_drops"]["encodings"]
    assert "RLE_DICTIONARY" in columns["policy"]["encodings"]
    assert "RLE_DICTIONARY" not in columns["split_ns"]["encodings"]  # it is not swept
    capacities = columns["desc_capacity"]["statistics"]
    assert (capacities["min"], capacities["max"]) == (553, 602)


def test_texts_are_plain_strings_to_a_reader(tmp_path):
    def two_engines(points):
        found = fussy(points)
        return found | {"engine": np.where(points["desc_capacity"] % 2, "odd", "even")}

    work = work_of(seeds_by_capacities(10, 100), two_engines, tmp_path)
    work.run(Shard(500, 600))
    rows = pq.read_table(tmp_path / "shard-0500-0600.parquet")
    assert rows.schema.equals(schema())
    assert rows.schema.field("policy").metadata == schema().field("policy").metadata
    assert rows.column("policy").to_pylist() == ["kernel"] * 100
    engines = rows.column("engine").to_pylist()
    # 553 + 47 is 600, which seed 5 does not go together with.
    assert engines == [*["odd", "even"] * 23, "odd", None, *["odd", "even"] * 26]
    again = shard_file.encode(rows, {})
    assert pq.read_table(pa.BufferReader(again)).equals(rows)


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_torn_shard_is_told_from_a_whole_one(work, tmp_path, keep):
    work.run(Shard(0, 100))
    path = tmp_path / "shard-000-100.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TornError, match=path.name):
        shard_file.check(work.store, path.name, work.plan, Shard(0, 100))


def test_a_shard_of_another_run_or_range_is_foreign(work, tmp_path):
    work.run(Shard(0, 100))
    path = tmp_path / "shard-000-100.parquet"
    path.rename(tmp_path / "shard-100-200.parquet")
    with pytest.raises(ForeignError, match="not this shard of this run"):
        shard_file.check(work.store, "shard-100-200.parquet", work.plan, Shard(100, 200))


def test_parquet_with_other_columns_is_foreign(work, tmp_path):
    pq.write_table(work.rows(0, 100).select(["point"]), tmp_path / "shard-000-100.parquet")
    with pytest.raises(ForeignError, match="other columns"):
        shard_file.check(work.store, "shard-000-100.parquet", work.plan, Shard(0, 100))


def test_writing_a_shard_twice_leaves_one_equal_file(work, tmp_path):
    work.run(Shard(0, 100))
    before = shard_file.read(work.store, "shard-000-100.parquet")
    work.run(Shard(0, 100))
    assert [p.name for p in tmp_path.iterdir()] == ["shard-000-100.parquet"]
    assert shard_file.read(work.store, "shard-000-100.parquet").equals(before)


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    store = Store(str(tmp_path))
    store.put_json("x.json", {"a": 1})
    store.put_json("x.json", {"a": 2})
    assert store.get_json("x.json") == {"a": 2}
    assert list(store.files()) == ["x.json"]


def test_a_missing_folder_is_empty_and_a_missing_file_is_none(tmp_path):
    store = Store(str(tmp_path / "none"))
    assert store.files() == {}
    assert store.get("plan.json") is None


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "[" * 200_000], ids=range(5))
def test_a_torn_json_file_counts_as_missing(tmp_path, text):
    (tmp_path / "done.json").write_text(text)
    assert Store(str(tmp_path)).get_json("done.json") is None


def test_a_file_of_any_size_is_read_whole(tmp_path):
    data = bytes(range(256)) * (5 << 12)
    store = Store(str(tmp_path))
    store.put("recording", data)
    assert store.get("recording") == data


def test_a_file_that_is_larger_than_it_may_be_is_never_cut(tmp_path):
    store = Store(str(tmp_path))
    for name in ("plan.json", "done.json"):
        store.put(name, b"{" + b" " * (4 << 20) + b"}")
    with pytest.raises(RefusedError, match=r"plan\.json takes 4,194,306 bytes.* 4,194,304"):
        store.plan()
    assert store.get_json("done.json") is None


class Hiccups:
    """Stands for `pyarrow.fs`: its next `failures` addresses cannot be resolved."""

    LocalFileSystem, FileSelector, FileType = fs.LocalFileSystem, fs.FileSelector, fs.FileType

    def __init__(self):
        self.failures = 0
        self.FileSystem = self

    def from_uri(self, uri):
        if self.failures:
            self.failures -= 1
            raise OSError("When resolving region for bucket 'b': NETWORK_CONNECTION")
        return fs.FileSystem.from_uri(uri)


@pytest.fixture
def hiccups(monkeypatch):
    stand_in = Hiccups()
    monkeypatch.setattr("sweep.folder.fs", stand_in)
    return stand_in


def test_an_address_that_cannot_be_resolved_just_now_is_tried_again(hiccups):
    hiccups.failures = 2
    where, path = Store("s3://b/p?endpoint_override=127.0.0.1:9&scheme=http").file("plan.json")
    assert (where.type_name, path) == ("s3", "b/p/plan.json")
    assert hiccups.failures == 0


def test_a_lease_goes_on_beating_after_its_folder_was_out_of_reach(tmp_path, hiccups, monkeypatch):
    monkeypatch.setattr("sweep.lease.BEAT_S", 0.01)
    store = Store(f"file://{tmp_path}")
    with Lease(store) as lease:
        hiccups.failures = 3
        end = time.monotonic() + 10
        while hiccups.failures:
            assert time.monotonic() < end
            time.sleep(0.01)
        before = store.get_json("lease.json")["beat"]
        while store.get_json("lease.json")["beat"] == before:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert not lease.lost


def test_a_lease_that_was_waited_for_is_still_held_against_a_rival_who_waited_too(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("sweep.lease.STALE_S", 0.5)
    monkeypatch.setattr("sweep.lease._SETTLE_S", {True: 1.0})
    store = Store(str(tmp_path))
    store.put_json("lease.json", {"owner": "gone", "machine": "of the dead"})
    rival = {"owner": "b", "host": "rival", "pid": 7}
    with Lease(store) as lease:
        threading.Timer(0.2, store.put_json, ("lease.json", rival)).start()
        with pytest.raises(RefusedError, match="written by rival, process 7"):
            lease.settle()
    assert store.get_json("lease.json") == rival


@pytest.mark.fault
def test_without_a_network_a_run_is_out_of_reach_not_refused():
    script = (
        "from sweep import folder\n"
        "folder.REMOTE_PATIENCE_S = 1.0\n"
        "try: folder.Folder('s3://some-bucket/run').get_json('plan.json')\n"
        "except folder.StorageError as error: print(error)"
    )
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", script],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "s3://some-bucket/run: When resolving region" in done.stdout


@pytest.mark.parametrize("place", ["foo://x", "s3://bucket?what=1"])
def test_an_address_that_names_no_place_is_refused_at_once(place):
    with pytest.raises(RefusedError, match="results_dir"):
        Store.open(place, "run").get_json("plan.json")


@pytest.mark.parametrize("inside", ["a-file/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, inside):
    (tmp_path / "a-file").write_text("")
    with pytest.raises(RefusedError, match="Choose another results_dir"):
        Store.open(str(tmp_path / inside), "run").create()


@pytest.mark.parametrize(
    "uri",
    ["s3://AKIA:verysecret@bucket/p", "s3://bucket/p?secret_key=verysecret&access_key=AKIA"],
)
def test_credentials_in_results_dir_are_refused_and_not_repeated(uri):
    with pytest.raises(RefusedError, match="credentials") as refusal:
        Store.open(uri, "run")
    assert "verysecret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("", "results_dir=. is the current folder"),
        (" \t", "results_dir=. is the current folder"),
        ("a\0b", "must be a folder or a URI"),
        ("s3://", "names no bucket"),
        ("gs:///prefix", "names no bucket"),
        ("s3://?region=x", "names no bucket"),
        ("s3:bucket/prefix", "a URI has ://"),
        ("s3:/bucket/prefix", "a URI has ://"),
        ("file:/prefix", "a URI has ://"),
    ],
)
def test_what_is_no_place_is_refused_before_anything_is_made_there(written, rule):
    with pytest.raises(RefusedError, match="results_dir=") as refusal:
        Store.open(written, "run")
    assert rule in str(refusal.value)


@pytest.mark.parametrize(
    ("uri", "seconds"), [("gs://b/p", 10), ("gs://b/p?retry_limit_seconds=3", 3)]
)
def test_a_request_to_googles_storage_is_given_up_in_time(uri, seconds):
    options = Store(uri).file("x")[0].__reduce__()[1][0]
    assert options["retry_time_limit"] == timedelta(seconds=seconds)


def test_a_run_lives_inside_results_dir():
    assert Store.open("/a/b/", "run").uri == "/a/b/run"
    assert Store.open("hdfs:///p", "run").uri == "hdfs:///p/run"
    assert Store.open("s3://b/p/?region=x", "run").uri == "s3://b/p/run?region=x"


def test_only_one_of_many_makes_a_file_where_none_was(tmp_path):
    store = Store(str(tmp_path))
    for turn in range(20):
        at_once = threading.Barrier(4)

        def make(who, name=f"lease-{turn}.json", at_once=at_once):
            at_once.wait()
            return store.put_new_json(name, {"who": who})

        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(make, range(4)))
        assert sum(made) == 1
        assert store.get_json(f"lease-{turn}.json") == {"who": made.index(True)}
    assert len(list(tmp_path.iterdir())) == 20


def test_where_no_file_can_be_made_by_one_alone_none_is_made(tmp_path):
    assert not Store(str(tmp_path / "absent")).put_new_json("lease.json", {})
    assert not Store("s3://bucket/run").put_new_json("lease.json", {})


@pytest.mark.fault
def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path):
    # A mount namespace of its own: the 1 MB disk is gone with the process.
    script = f"""
        mount -t tmpfs -o size=1m tmpfs {tmp_path}
        "$0" -m tests.sweep.driver tiny "$1"; echo "exit $?"
        ls -a {tmp_path}/sweep-*
        mount -o remount,size=100m {tmp_path}
        "$0" -m tests.sweep.driver tiny "$1"; echo "exit $?"
        cat {tmp_path}/sweep-*/done.json
    """
    settings = {"results_dir": str(tmp_path), "backend": {"kind": "inline", "shard_points": 50}}
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", script, sys.executable, json.dumps(settings)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "stopped: cannot write shard-" in done.stderr
    assert "No space left on device" in done.stderr
    assert "resume with: sweep" in done.stderr
    first, second = done.stdout.split("exit 1\n")[1].split("exit 0\n")
    assert "plan.json" in first
    assert "shard-0000-0050.parquet" in first
    assert "lease.json" not in first
    assert not any(name.startswith(".shard") for name in first.split())
    assert json.loads(second)["rows"] == 2000


def test_storage_errors_name_the_place_and_the_reason(tmp_path):
    store = Store(str(tmp_path / "missing"))
    with pytest.raises(StorageError, match=r"cannot write x.json in .*missing: .*No such file"):
        store.put_json("x.json", {})
    assert not Path(tmp_path / "missing").exists()
