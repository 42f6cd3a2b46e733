"""Derived and invariant: what a plan is, and when two are the same run."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.errors import RefusedError
from sweep.plan import MAX_PLAN_BYTES, Plan, Segment, Shard, refuse_mismatch
from tests.sweep.standins import seeds_by_capacities


def plan_of(grid, segments=None, **more):
    segments = segments or (Segment(0, len(grid), 100),)
    return Plan(name="t", points=len(grid), grid=grid.to_json(), segments=segments, **more)


@st.composite
def segmentations(draw):
    sizes = draw(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 60)), min_size=1))
    segments, first = [], 0
    for points, size in sizes:
        segments.append(Segment(first, first + points, size))
        first += points
    return segments


@given(segmentations())
def test_shards_cover_every_point_once_and_in_order(segments):
    plan = plan_of(seeds_by_capacities(1, 2), segments)
    shards = list(plan.shards())
    covered = [point for shard in shards for point in range(*shard)]
    assert covered == list(range(segments[-1].last))
    assert len(shards) == plan.nr_shards
    assert [plan.ordinal(shard) for shard in shards] == list(range(len(shards)))


def test_a_plan_for_a_billion_points_is_small():
    grid = seeds_by_capacities(250_000, 4000)
    text = plan_of(grid, (Segment(0, len(grid), 1 << 17),)).to_json()
    assert len(grid) == 10**9
    assert len(text) < MAX_PLAN_BYTES / 100


def test_a_plan_survives_its_file():
    plan = plan_of(seeds_by_capacities(3, 4), overrides=("seed=1",), config={"a": [1, 2]})
    again = Plan.from_json(plan.to_json(), "plan.json")
    assert again.digest == plan.digest
    assert list(again.shards()) == list(plan.shards())
    assert again.config == plan.config


def test_shards_code_and_overrides_do_not_change_what_run_it_is():
    plan = plan_of(seeds_by_capacities(3, 4))
    other = replace(plan, segments=(Segment(0, 12, 1),), code={"core": "x"}, overrides=("a=1",))
    assert other.run_name == plan.run_name
    refuse_mismatch(plan, other, "there")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"model_version": 99}, "model_version: 99 there, "),
        ({"points": 7}, "points: 7 there, 12 here"),
        ({"inputs": {"a.json": "00"}}, 'inputs: {"a.json": "00"} there, {} here'),
    ],
)
def test_another_plan_is_refused_with_the_difference(change, line):
    plan = plan_of(seeds_by_capacities(3, 4))
    with pytest.raises(RefusedError) as refusal:
        refuse_mismatch(plan, replace(plan, **change), "results/x")
    assert line in str(refusal.value)
    assert "results/x" in str(refusal.value)


def edited(**changes):
    data = json.loads(plan_of(seeds_by_capacities(3, 4)).to_json())
    return json.dumps(data | changes)


def test_an_edited_plan_is_refused():
    with pytest.raises(RefusedError, match="was changed after it was written"):
        Plan.from_json(edited(points=13), "plan.json")


CUT_WRONG = {
    "nothing": [],
    "not the end": [[0, 11, 4]],
    "not the beginning": [[4, 12, 4]],
    "beyond the end": [[0, 13, 4]],
    "a gap": [[0, 4, 4], [8, 12, 4]],
    "an overlap": [[0, 8, 4], [4, 12, 4]],
    "back to front": [[8, 12, 4], [0, 8, 4]],
    "an empty stretch": [[0, 0, 4], [0, 12, 4]],
    "a stretch that runs back": [[0, 12, 4], [12, 4, 4], [4, 12, 4]],
    "no size": [[0, 12, 0]],
    "a negative size": [[0, 12, -5]],
    "half a point": [[0, 12, 1.5]],
    "text": [["0", "12", "4"]],
}


@pytest.mark.parametrize("segments", CUT_WRONG.values(), ids=CUT_WRONG)
def test_a_plan_whose_shards_are_not_every_point_once_is_refused(segments):
    with pytest.raises(RefusedError, match=r"(?s)plan\.json.*segments"):
        Plan.from_json(edited(segments=segments), "plan.json")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"digest": 1, "shards": 2, "segments": [3]}', "[" * 200_000],
    ids=range(5),
)
def test_a_file_that_is_no_plan_is_refused(text):
    with pytest.raises(RefusedError, match="not a plan"):
        Plan.from_json(text, "plan.json")


@pytest.mark.parametrize("name", Plan("x", 1, {}, ()).__dict__)
def test_a_plan_with_a_field_of_another_kind_is_refused(name):
    data = json.loads(plan_of(seeds_by_capacities(3, 4)).to_json())
    for wrong in (None, [7] if isinstance(data[name], dict) else {}):
        with pytest.raises(RefusedError, match=f"not a plan of this version .*{name}"):
            Plan.from_json(json.dumps(data | {name: wrong}), "plan.json")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "a\nb", "/etc", "x" * 101])
def test_a_name_that_could_leave_the_results_folder_is_refused(name):
    with pytest.raises(RefusedError, match="run name"):
        Plan(name=name, points=1, grid={}, segments=())


def test_a_shard_is_a_half_open_range():
    plan = plan_of(seeds_by_capacities(1, 5), (Segment(0, 5, 2),))
    assert list(plan.shards()) == [Shard(0, 2), Shard(2, 4), Shard(4, 5)]
