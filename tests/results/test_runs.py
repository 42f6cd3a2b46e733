"""Contract: runs are read from any place, whole or not, by us and by others without our help."""

import socket
import time

import duckdb
import pandas as pd
import polars as pl
import pytest
from moto.server import ThreadedMotoServer
from polars.testing import assert_frame_equal
from pyarrow import fs

import sweep.results as r
from sweep.results.runs import RunError, find, open_run, runs_in
from tests.results.conftest import write_run

AXES = {"alias_ratio": (0.0, 0.1), "desc_capacity": (513, 553)}
DROPS = {"nr_lock_drops": [13, 13, 60, 20]}
COLUMNS = ("point", "alias_ratio", "desc_capacity", "nr_lock_drops", "error")
ROWS = pl.LazyFrame(
    {
        "point": [0, 1, 2, 3],
        "alias_ratio": [0.0, 0.0, 0.1, 0.1],
        "desc_capacity": [513, 553, 513, 553],
        "nr_lock_drops": [13, 13, 60, 20],
        "error": [None] * 4,
    },
    schema_overrides={"error": pl.String},
)


def test_a_run_opens_as_a_lazy_frame_with_every_column_documented(run_dir):
    name = run_dir(AXES, DROPS)
    rows = r.open(f"{run_dir.folder}/{name}")
    assert isinstance(rows, pl.LazyFrame)
    assert_frame_equal(rows.select(COLUMNS), ROWS)
    documented = r.describe()
    assert documented["column"].to_list() == rows.collect_schema().names()
    assert documented["text"].str.len_chars().min() > 5


def test_several_runs_stand_below_each_other_under_their_names(run_dir):
    names = [run_dir(AXES, DROPS, name=name) for name in ("first", "second")]
    rows = r.scan(*(f"{run_dir.folder}/{name}" for name in names)).collect()
    assert rows["run"].to_list() == [names[0]] * 4 + [names[1]] * 4


def test_duckdb_and_pandas_read_the_same_files_with_no_help(run_dir):
    files = f"{run_dir.folder}/{run_dir(AXES, DROPS)}/*.parquet"
    query = f"SELECT desc_capacity, sum(nr_lock_drops) FROM '{files}' GROUP BY 1 ORDER BY 1"
    assert duckdb.sql(query).fetchall() == [(513, 73), (553, 33)]
    frame = pd.read_parquet(next(run_dir.folder.glob("*/*.parquet")))
    assert frame.groupby("desc_capacity").nr_lock_drops.sum().to_dict() == {513: 73, 553: 33}


def test_a_failed_point_is_a_row_with_its_reason(run_dir):
    name = run_dir(AXES, DROPS, errors={2: "ValueError: no"})
    failed = r.open(f"{run_dir.folder}/{name}").filter(pl.col("error").is_not_null()).collect()
    assert failed.select("point", "nr_lock_drops", "error").rows() == [(2, None, "ValueError: no")]


def test_a_run_without_a_finished_shard_is_an_empty_frame_of_the_same_columns(run_dir):
    name = run_dir(AXES, DROPS, finished=False)
    whole = r.open(f"{run_dir.folder}/{name}").collect_schema()
    for shard in run_dir.folder.glob("*/*.parquet"):
        shard.unlink()
    empty = r.open(f"{run_dir.folder}/{name}").collect()
    assert empty.height == 0
    assert dict(empty.schema) == dict(whole)


def test_a_shard_of_another_run_is_not_read_as_one_of_this(run_dir):
    name = run_dir(AXES, DROPS, finished=False)
    (shard,) = (run_dir.folder / name).glob("*.parquet")
    (shard.parent / "shard-0-3.parquet").write_bytes(shard.read_bytes())
    run = open_run(f"{run_dir.folder}/{name}")
    assert_frame_equal(run.scan().select(COLUMNS), ROWS)
    assert run.progress() == "1 of 1 shards"


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"has no plan\.json that can be read"):
        r.open(str(tmp_path))
    assert runs_in(str(tmp_path / "nowhere")) == []


def test_hostile_folder_names_are_only_names(tmp_path):
    folder = tmp_path / "a [b] {c} *? 'd'"
    name = write_run(folder, AXES, DROPS)
    assert find(str(folder), name).scan().collect().height == 4


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """URI of an empty bucket on a local stand-in for S3."""
    with socket.socket() as free, pytest.MonkeyPatch.context() as patch:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        free.close()
        server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
        server.start()
        time.sleep(0.2)
        query = f"endpoint_override=127.0.0.1:{port}&scheme=http&allow_bucket_creation=true"
        where, path = fs.FileSystem.from_uri(f"s3://results?{query}")
        where.create_dir(path)
        yield f"s3://results/results?{query}"
        server.stop()


def test_a_run_in_a_bucket_is_found_and_read_like_a_local_one(s3):
    name = write_run(s3, AXES, DROPS)
    run = find(s3, name[:8])
    assert run.name == name
    assert_frame_equal(run.scan().select(COLUMNS), ROWS)
    assert_frame_equal(open_run(run.store.uri).scan().select(COLUMNS), ROWS)
