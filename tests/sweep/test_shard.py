"""Derived: one shard as a plain function, and the schema of its table."""

import numpy as np
import pyarrow as pa

from core.outcome import OUTCOMES
from core.parameters import PARAMETERS
from sweep.plan import Plan, Segment
from sweep.schema import schema
from sweep.shard import Work, evaluate
from sweep.store import Store
from tests.sweep.standins import fussy, seeds_by_capacities, tiny


def work_of(grid, outcomes, folder="unused"):
    segments = (Segment(0, len(grid), 100),)
    plan = Plan(name="t", points=len(grid), grid=grid.to_json(), segments=segments)
    return Work(plan, Store(str(folder)), outcomes)


def test_rows_hold_the_parameters_and_outcomes_of_their_points():
    rows = work_of(seeds_by_capacities(3, 4), tiny).rows(5, 7)
    # Points 5 and 6 of 3 seeds x 4 capacities: seed 1, capacities 554 and 555.
    assert rows.column("point").to_pylist() == [5, 6]
    assert rows.column("seed").to_pylist() == [1, 1]
    assert rows.column("desc_capacity").to_pylist() == [554, 555]
    assert rows.column("nr_huge_sptes").to_pylist() == [1554, 1555]
    assert rows.column("workload").to_pylist() == ["uniform", "uniform"]
    assert rows.column("engine").to_pylist() == ["tiny", "tiny"]
    assert rows.column("error").to_pylist() == [None, None]


def test_a_range_without_points_has_no_rows():
    assert work_of(seeds_by_capacities(3, 4), tiny).rows(5, 5).num_rows == 0


def test_one_bad_point_becomes_one_error_row_and_its_neighbours_are_kept():
    grid = seeds_by_capacities(10, 100)
    work = work_of(grid, fussy)
    rows = work.rows(500, 600)
    # Seed 5 starts at point 500; capacity 600 is 47 after 553.
    errors = {row["point"]: row["error"] for row in rows.to_pylist() if row["error"]}
    assert errors == {547: "ValueError: seed 5 and 600 do not go together"}
    bad = rows.slice(47, 1).to_pylist()[0]
    assert all(bad[o.name] is None for o in OUTCOMES)
    assert bad["engine"] is None
    assert (bad["seed"], bad["desc_capacity"]) == (5, 600)
    good = work_of(grid, tiny).rows(500, 600).to_pylist()
    rows = rows.to_pylist()
    assert rows[:47] + rows[48:] == good[:47] + good[48:]


def test_a_bad_point_in_a_million_is_found_in_about_forty_calls():
    calls = []

    def one_bad(points):
        calls.append(len(points["seed"]))
        if (points["seed"] == 654_321).any():
            raise ArithmeticError("no")
        return {"nr_lock_drops": points["seed"] * 2}

    found, errors = evaluate({"seed": np.arange(1 << 20)}, one_bad)
    assert errors == {654_321: "ArithmeticError: no"}
    # Twenty halvings, each with a good half and a bad one, after the whole: 1 + 2 x 20.
    assert len(calls) == 41
    assert len(found["nr_lock_drops"]) == 1 << 20


def test_memory_that_runs_out_is_tried_again_with_fewer_points():
    def greedy(points):
        if len(points["seed"]) > 8:
            raise MemoryError
        return tiny(points)

    grid = seeds_by_capacities(4, 16)
    rows = work_of(grid, greedy).rows(0, 64)
    assert rows.equals(work_of(grid, tiny).rows(0, 64))


def test_an_engine_that_exits_is_an_error_row_not_an_exit():
    def exiting(points):
        raise SystemExit(3)

    rows = work_of(seeds_by_capacities(1, 2), exiting).rows(0, 2)
    assert rows.column("error").to_pylist() == ["SystemExit: 3"] * 2


def test_every_column_says_its_type_unit_and_meaning():
    fields = {field.name: field for field in schema()}
    expected = ["point", *(p.name for p in PARAMETERS), *(o.name for o in OUTCOMES)]
    assert list(fields) == [*expected, "engine", "error"]
    assert all(set(f.metadata) >= {b"role", b"unit", b"description"} for f in fields.values())
    assert fields["memslot_gib"].metadata[b"unit"] == b"GiB"
    assert fields["memslot_gib"].metadata[b"key"] == b"workload.memslot_gib"
    assert fields["desc_alloc_ns"].metadata[b"mark"] == b"assumption"
    assert fields["point"].type == fields["nr_lock_drops"].type == pa.int64()
    assert not fields["point"].nullable
    assert fields["error"].nullable
