"""Invariant: what verify, status and compact say of a run, from its folder alone."""

import json
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.outcome import OUTCOMES
from sweep import shard_file
from sweep.backends import BackendConfig
from sweep.checksum import checksum
from sweep.errors import RefusedError
from sweep.grid import Axis, Grid
from sweep.launch import Job, launch
from sweep.ledger import Ledger
from sweep.plan import Plan, Segment, Shard
from sweep.progress import Reporter
from sweep.results.compact import compact
from sweep.results.runs import scan
from sweep.results.status import status
from sweep.results.verify import verify
from sweep.schema import schema
from sweep.shard_file import Manifest
from sweep.store import Store
from tests.sweep.standins import fussy, seeds_by_capacities, tiny
from tests.sweep.tables import table_of

GRID = seeds_by_capacities(8, 50)
INLINE = BackendConfig(kind="inline", shard_points=100)


@pytest.fixture
def run(tmp_path):
    assert launch(GRID, Job(results_dir=str(tmp_path), backend=INLINE), fussy) == 1
    return next(tmp_path.glob("sweep-*"))


def problems(run, sample=400, outcomes=fussy):
    return list(verify(Store(str(run)), sample, seed=1, outcomes=outcomes))


def test_an_untouched_run_has_no_problems(run):
    assert problems(run) == []


def rewritten(run, name, change):
    """Change a shard's rows and write it again as the product would, checksum included."""
    store = Store(str(run))
    plan = Plan.from_json((run / "plan.json").read_text(), "plan.json")
    first, last = (int(n) for n in name.split(".")[0].split("-")[1:])
    rows = change(shard_file.read(store, name))
    return shard_file.write(store, name, rows, plan, Shard(first, last), 0.1)


def with_column(rows, name, row, value):
    values = rows.column(name).to_pylist()
    values[row] = value
    at = rows.schema.get_field_index(name)
    column = pa.array(values, rows.schema.field(at).type)
    return rows.set_column(at, rows.schema.field(at), column)


def forged_done(run, old, new):
    """Make done.json agree with a forged shard."""
    done = json.loads((run / "done.json").read_text())
    total = int(done["checksum"], 16) - int(old.checksum, 16) + int(new.checksum, 16)
    (run / "done.json").write_text(json.dumps(done | {"checksum": f"{total % (1 << 128):032x}"}))


def cut(run):
    path = run / "shard-100-200.parquet"
    path.write_bytes(path.read_bytes()[:-20])


def flip(run):
    path = run / "shard-100-200.parquet"
    data = bytearray(path.read_bytes())
    data[data.index(b"PAR1") + 300] ^= 1
    path.write_bytes(data)


def remove(run):
    (run / "shard-100-200.parquet").unlink()


def swap(run):
    one, two = run / "shard-100-200.parquet", run / "shard-200-300.parquet"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def add(run):
    (run / "shard-100-300.parquet").write_bytes((run / "shard-100-200.parquet").read_bytes())


def change_outcome(run):
    rewritten(run, "shard-100-200.parquet", lambda r: with_column(r, "nr_lock_drops", 7, 1))


def change_parameter(run):
    rewritten(run, "shard-100-200.parquet", lambda r: with_column(r, "seed", 7, 6))


def repeat_point(run):
    rewritten(run, "shard-100-200.parquet", lambda r: with_column(r, "point", 7, 108))


def hide_error(run):
    rewritten(run, "shard-200-300.parquet", lambda r: with_column(r, "error", 97, None))


def forge(run):
    store = Store(str(run))
    plan = Plan.from_json((run / "plan.json").read_text(), "plan.json")
    old = shard_file.check(store, "shard-100-200.parquet", plan, Shard(100, 200))
    new = rewritten(run, "shard-100-200.parquet", lambda r: with_column(r, "nr_splits_2m", 7, 1))
    forged_done(run, old, new)


def edit_plan(run):
    path = run / "plan.json"
    path.write_text(path.read_text().replace('"points": 400', '"points": 300'))


def edit_done(run):
    path = run / "done.json"
    path.write_text(path.read_text().replace('"failures": 1', '"failures": 0'))


def lose_done(run):
    (run / "done.json").unlink()


TAMPERINGS = [
    (cut, "shard-100-200.parquet"), (flip, "shard-100-200.parquet"),
    (remove, "points 100 to 199"), (swap, "not this shard"), (add, "no shards of this run"),
    (change_outcome, "checksum is"), (change_parameter, "column seed differs"),
    (repeat_point, "once and in order"), (hide_error, "computed again"),
    (forge, "point 107: nr_splits_2m is 1, computed again it is 2562"),
    (edit_done, "failures is 0"), (lose_done, "has not finished"),
]  # fmt: skip


@pytest.mark.parametrize(("tamper", "word"), TAMPERINGS, ids=lambda x: getattr(x, "__name__", ""))
def test_verify_finds_a_planted_tampering(run, tamper, word):
    tamper(run)
    assert any(word in problem for problem in problems(run, sample=4000))


def test_verify_refuses_an_edited_plan_and_a_folder_without_one(run, tmp_path):
    edit_plan(run)
    with pytest.raises(RefusedError, match="changed after it was written"):
        problems(run)
    with pytest.raises(RefusedError, match="is no run"):
        problems(tmp_path)


def test_verify_counts_rows_by_the_points_of_the_plan(run):
    (run / "shard-100-200.parquet").unlink()
    done = json.loads((run / "done.json").read_text())
    (run / "done.json").write_text(json.dumps(done | {"rows": 300}))
    assert "100 of 400 points are missing" in problems(run)


def test_verify_refuses_a_plan_that_was_shortened(run):
    data = json.loads((run / "plan.json").read_text())
    (run / "plan.json").write_text(json.dumps(data | {"segments": [[0, 300, 100]]}))
    with pytest.raises(RefusedError, match="segments"):
        problems(run)


def test_a_changed_recording_is_found(tmp_path):
    recording = tmp_path / "mmu_rmaps_stat"
    recording.write_text("Rmap_Count:\t0\t1\nLevel=2M:\t0\t3\n")
    grid = seeds_by_capacities(1, 2, path=str(recording))
    launch(grid, Job(results_dir=str(tmp_path), backend=INLINE), tiny)
    run = next(tmp_path.glob("sweep-*"))
    next((run / "inputs").iterdir()).write_text("{ }\n")
    assert any("missing or was changed" in problem for problem in problems(run, outcomes=tiny))


def test_a_recording_of_any_size_is_kept_whole(tmp_path):
    recording = tmp_path / "mmu_rmaps_stat"
    padding = (" " * 60_000 + "\n") * 80
    recording.write_text("Rmap_Count:\t0\t1\nLevel=2M:\t0\t3\n" + padding)
    grid = seeds_by_capacities(1, 2, path=str(recording))
    launch(grid, Job(results_dir=str(tmp_path), backend=INLINE), tiny)
    assert problems(next(tmp_path.glob("sweep-*")), outcomes=tiny) == []


def test_compacting_keeps_every_row_and_sorts_by_the_axis(run):
    before = table_of(run).to_pylist()
    found = compact(Store(str(run)), "desc_capacity", rows=150)
    assert not list(run.glob("shard-*"))
    # 8 points a capacity, so 18 capacities make a file of at most 150 rows: 50 make 3 files.
    assert list(found["files"]) == [f"table-{i:06d}.parquet" for i in range(3)]
    rows = scan(str(run)).collect()
    assert rows["desc_capacity"].is_sorted()
    assert rows.sort("point").drop("run").to_dicts() == before
    assert problems(run) == []


@pytest.mark.parametrize("by", ["desc_capacity", "seed"])
def test_grouping_by_the_axis_that_a_run_is_sorted_by_hashes_nothing_and_is_right(run, by):
    compact(Store(str(run)), by, rows=150)
    assert scan(str(run)).collect()[by].flags["SORTED_ASC"]
    # nr_lock_drops is 1000 x seed + capacity + its place; seeds are 0 to 7, capacities 553 to 602.
    drops = pl.col("nr_lock_drops") - [o.name for o in OUTCOMES].index("nr_lock_drops")
    groups = scan(str(run), str(run)).filter(pl.col("error").is_null()).group_by("desc_capacity")
    rows = groups.agg(drops.mean(), pl.len()).sort("desc_capacity").collect(engine="streaming")
    # Both copies count; seed 5 has no outcome at 600, so the seeds there have a mean of 23 / 7.
    mean = {c: 3500 + c for c in range(553, 603)} | {600: 23 / 7 * 1000 + 600}
    assert dict(rows.select("desc_capacity", "nr_lock_drops").rows()) == pytest.approx(mean)
    assert rows["len"].to_list() == [14 if c == 600 else 16 for c in range(553, 603)]


def test_compacting_sorts_by_words_as_by_numbers(tmp_path):
    policies = ("opportunistic", "kernel", "exact_demand")
    inner = seeds_by_capacities(2, 30)
    fixed = {name: value for name, value in inner.fixed.items() if name != "policy"}
    grid = Grid(Axis("policy", policies, inner.root), fixed)
    assert launch(grid, Job(results_dir=str(tmp_path), backend=INLINE), tiny) == 0
    run = next(tmp_path.glob("sweep-*"))
    before = table_of(run).to_pylist()
    assert compact(Store(str(run)), "policy", rows=100)["by"] == "policy"
    rows = scan(str(run)).collect()
    assert rows["policy"].to_list() == [p for p in sorted(policies) for _ in range(60)]
    assert rows.sort("point").drop("run").to_dicts() == before
    assert problems(run, outcomes=tiny) == []


def test_a_compacted_run_is_in_files_that_are_read_fast(run):
    compact(Store(str(run)), "desc_capacity", rows=150)
    parquet = pq.ParquetFile(run / "table-000000.parquet")
    columns = {
        c["path_in_schema"]: c for c in parquet.metadata.to_dict()["row_groups"][0]["columns"]
    }
    assert "DELTA_BINARY_PACKED" in columns["nr_lock_drops"]["encodings"]
    assert "RLE_DICTIONARY" in columns["desc_capacity"]["encodings"]
    assert "BYTE_STREAM_SPLIT" in columns["total_ns"]["encodings"]


def test_a_compacted_run_is_finished_and_compacting_again_changes_nothing(run, capsys):
    first = compact(Store(str(run)), "seed")
    assert compact(Store(str(run)), "desc_capacity") == first
    assert launch(GRID, Job(results_dir=str(run.parent), backend=INLINE), fussy) == 1
    assert "compacted" in capsys.readouterr().err
    assert not list(run.glob("shard-*"))


def test_verify_finds_tampering_with_a_compacted_run(run):
    compact(Store(str(run)), "desc_capacity", rows=150)
    table = run / "table-000001.parquet"
    kept = table.read_bytes()
    table.write_bytes((run / "table-000000.parquet").read_bytes())
    found = problems(run)
    assert any("there twice" in problem for problem in found)
    assert any("points are missing" in problem for problem in found)
    table.write_bytes(kept[:-9])
    assert any("table-000001" in problem for problem in problems(run))


def test_compacting_a_run_that_lacks_a_shard_is_refused(run):
    remove(run)
    with pytest.raises(RefusedError, match="was changed: sweep-results verify"):
        compact(Store(str(run)), "desc_capacity", rows=150)
    assert len(list(run.glob("shard-*"))) == 3


def test_compacting_removes_what_it_has_read_and_nothing_else(run):
    add(run)
    compact(Store(str(run)), "desc_capacity", rows=150)
    assert [path.name for path in run.glob("shard-*")] == ["shard-100-300.parquet"]
    assert len(scan(str(run)).collect()) == 400


def test_compacting_does_not_hide_what_was_changed_before(run):
    change_outcome(run)
    with pytest.raises(RefusedError, match="was changed: sweep-results verify"):
        compact(Store(str(run)), "desc_capacity", rows=150)
    assert len(list(run.glob("shard-*"))) == 4
    assert not (run / "compacted.json").exists()


def test_a_compacted_file_rewritten_with_its_checksum_is_found_without_computing_again(run):
    store = Store(str(run))
    compact(store, "desc_capacity", rows=150)
    name = "table-000001.parquet"
    forged = with_column(shard_file.read(store, name), "nr_lock_drops", 7, 1).combine_chunks()
    pq.write_table(forged, run / name)
    listed = json.loads((run / "compacted.json").read_text())
    listed["files"][name] = checksum(forged)
    (run / "compacted.json").write_text(json.dumps(listed))
    found = problems(run, sample=0)
    assert len(found) == 1
    assert found[0].startswith("done.json: checksum is")


def test_a_compacted_file_with_other_points_or_columns_is_a_problem_not_a_crash(run):
    store = Store(str(run))
    compact(store, "desc_capacity", rows=150)
    name = "table-000001.parquet"
    pq.write_table(with_column(shard_file.read(store, name), "point", 7, 1 << 40), run / name)
    assert any("not of this grid" in problem for problem in problems(run))
    pq.write_table(pa.table({"point": [1]}), run / name)
    assert any("has other columns" in problem for problem in problems(run))


@pytest.mark.parametrize("name", ["../other/table-000000.parquet", "/etc/passwd", "shard-0-1"])
def test_a_compacted_run_cannot_name_files_outside_of_its_folder(run, name):
    (run / "compacted.json").write_text(json.dumps({"by": "seed", "files": {name: "0" * 32}}))
    with pytest.raises(RefusedError, match="does not list tables of this run"):
        scan(str(run))
    with pytest.raises(RefusedError, match="does not list tables of this run"):
        problems(run)


def test_a_run_cut_otherwise_has_the_same_checksum(run, tmp_path):
    other = BackendConfig(kind="inline", shard_points=33)
    assert launch(GRID, Job(results_dir=str(tmp_path / "other"), backend=other), fussy) == 1
    again = next(tmp_path.glob("other/sweep-*"))
    sums = [json.loads((r / "done.json").read_text())["checksum"] for r in (run, again)]
    assert sums[0] == sums[1] == checksum(table_of(again))


def test_a_shard_whose_footer_says_too_little_is_computed_again(run):
    plan = Plan.from_json((run / "plan.json").read_text(), "plan.json")
    footer = {"splitsweep": json.dumps({"digest": plan.digest, "first": 100, "last": 200})}
    rows = table_of(run).slice(100, 100).cast(schema().with_metadata(footer))
    pq.write_table(rows, run / "shard-100-200.parquet")
    assert launch(GRID, Job(results_dir=str(run.parent), backend=INLINE), fussy) == 1
    assert problems(run) == []


def test_compacting_an_unfinished_run_is_refused(run):
    (run / "done.json").unlink()
    with pytest.raises(RefusedError, match="has not finished"):
        compact(Store(str(run)))


def test_status_of_a_finished_run(run):
    facts = status(Store(str(run)))
    assert (facts["state"], facts["points_done"], facts["shards_done"]) == ("finished", 400, 4)
    assert (facts["failures"], facts["writer"]) == (1, None)


def test_status_of_a_stopped_run_says_how_to_go_on(run):
    (run / "done.json").unlink()
    (run / "shard-100-200.parquet").unlink()
    facts = status(Store(str(run)))
    assert (facts["state"], facts["shards_done"], facts["points_done"]) == ("stopped", 3, 300)
    assert facts["resume"] == "sweep"


@pytest.mark.parametrize(
    ("age", "state", "writer", "eta_s"),
    [(1, "running", "h, process 7", 3.5), (100, "silent", "h, process 7, which is silent", None)],
)
def test_status_says_who_writes_and_counts_what_is_on_disk(run, age, state, writer, eta_s):
    (run / "done.json").unlink()
    (run / "shard-100-200.parquet").unlink()
    lease = {"host": "h", "pid": 7, "at": time.time() - age, "points_done": 12, "eta_s": 3.5,
             "failures": 1}  # fmt: skip
    (run / "lease.json").write_text(json.dumps(lease))
    facts = status(Store(str(run)))
    assert (facts["state"], facts["writer"], facts["eta_s"]) == (state, writer, eta_s)
    assert (facts["points_done"], facts["shards_done"], facts["failures"]) == (300, 3, 1)
    assert facts["beat_s_ago"] >= age


@pytest.mark.parametrize("text", ['{"at": null}', '{"at": [], "host": 7, "machine": {}}'])
def test_status_bears_a_lease_that_is_nonsense(run, text):
    (run / "done.json").unlink()
    (run / "lease.json").write_text(text)
    assert status(Store(str(run)))["state"] == "silent"


class Arrivals:
    """A ledger of an empty folder, and a reporter that is told of each shard too."""

    def __init__(self, folder, *segments):
        points = segments[-1].last
        plan = Plan(name="t", points=points, grid={}, segments=segments)
        self.ledger = Ledger(plan, Store(str(folder)))
        self.reporter = Reporter(self.ledger)

    def add(self, first, last, seconds):
        manifest = Manifest(first, last, 0, seconds, 1, "0")
        self.ledger.add(manifest)
        self.reporter.add(manifest)


def test_the_time_left_follows_shards_not_points(tmp_path):
    # Three shards of 100 points each have come; three of one point, cut to take as long, have not.
    start = time.monotonic()
    arrivals = Arrivals(tmp_path, Segment(0, 300, 100), Segment(300, 303, 1))
    for first in (0, 100, 200):
        time.sleep(0.1)
        arrivals.add(first, first + 100, 0.1)
    assert 0.3 <= arrivals.reporter.eta_s <= 1.1 * (time.monotonic() - start)


def test_the_last_shard_takes_as_long_as_a_shard_however_many_workers_there_are(tmp_path):
    arrivals = Arrivals(tmp_path, Segment(0, 101, 1))
    for first in range(100):
        arrivals.add(first, first + 1, 5.0)
    assert 4.0 < arrivals.reporter.eta_s <= 5.0
    arrivals.add(100, 101, 5.0)
    assert arrivals.reporter.eta_s == 0.0


def test_the_commands_answer_from_the_folder(run):
    where = ["--results-dir", str(run.parent)]

    def command(*words):
        done = subprocess.run(
            [Path(sys.executable).with_name("sweep-results"), *words, *where],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    code, said = command("status", "sweep", "--format", "json")
    assert (code, json.loads(said)[0]["state"]) == (0, "finished")
    # These rows are a stand-in's, so the engine computes something else: verify says so.
    code, said = command("verify", "sweep")
    assert code == 1
    assert "computed again it is" in said
    code, said = command("compact", "sweep", "--by", "seed")
    assert (code, "sorted by seed" in said) == (0, True)
    assert pl.read_parquet(run / "table-*.parquet")["seed"].is_sorted()
    assert pl.read_parquet(run / "table-*.parquet")["point"].sort().to_list() == list(range(400))
