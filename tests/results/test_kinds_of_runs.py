"""Invariant: what holds for drawn runs holds for recorded ones and for expectations too."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from core.parameters import PARAMETERS
from sweep.backends import BackendConfig
from sweep.grid import Axis, Grid, Leaf
from sweep.launch import Job, launch
from sweep.results.best import alternatives, pareto_front
from sweep.results.explain import replayed
from sweep.results.report import page
from sweep.results.runs import find
from sweep.results.verify import verify

TRACE = Path(__file__).parents[1] / "data/traces/6.12-a.trace.gz"


def run_of(folder, capacities, engine="auto", **fixed):
    """A finished run of `capacities`, by the real engine."""
    values = {p.name: p.default for p in PARAMETERS if p.name != "desc_capacity"} | fixed
    grid = Grid(Axis("desc_capacity", capacities, Leaf()), values)
    inline = BackendConfig(kind="inline")
    assert launch(grid, Job("kind", str(folder), inline, engine=engine)) == 0
    return find(str(folder), "kind")


@pytest.fixture
def recorded(tmp_path):
    return run_of(tmp_path, (513, 600), path=str(TRACE), kernel="v6_12")


@pytest.fixture
def expectation(tmp_path):
    capacities = tuple(range(513, 700, 10))
    return run_of(tmp_path, capacities, "expected", memslot_gib=1.0, alias_ratio=0.1)


def test_a_recorded_point_is_told_as_it_was_recorded(recorded):
    # 64 pages that nothing aliases, and 40 objects a top-up: dropped before splits 0 and 40.
    attempts = replayed(recorded, 0)
    row = recorded.scan().filter(pl.col("point") == 0).collect()
    drops = attempts.filter(pl.col("cause") != "")
    assert drops["split"].to_list() == [0, 40]
    assert row["nr_lock_drops"][0] == 2
    assert attempts.height - 2 == row["nr_splits_2m"][0] == 64


def test_a_recorded_run_is_proved(recorded):
    assert list(verify(recorded.store, seed=1)) == []


def test_expectations_are_proved_and_their_unknown_holds_are_null(expectation):
    assert list(verify(expectation.store, seed=1)) == []
    holds = expectation.scan().select(pl.col("^hold_ns_.*$").null_count()).collect()
    assert set(holds.row(0)) == {19}


def test_an_expectation_is_not_told_as_one_draw(expectation):
    with pytest.raises(ValueError, match="engine=auto"):
        replayed(expectation, 0)


def test_what_is_not_known_keeps_no_row_on_the_front(expectation):
    front = pareto_front(alternatives(expectation.scan())).collect()
    drops, memory = front["nr_lock_drops"].to_list(), front["standing_bytes"].to_list()
    assert front.height < 19
    # Along the front, fewer drops cost more memory.
    assert drops == sorted(drops)
    assert memory == sorted(memory, reverse=True)


def test_the_page_of_an_expectation_holds_json_that_browsers_read(expectation):
    blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page(expectation))
    assert blocks
    for block in blocks:
        json.loads(block, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
