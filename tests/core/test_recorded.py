"""Captured: recordings of real kernels as workloads. Oracle: their own lock drops."""

import gzip
import json
from pathlib import Path

import pytest

from core.engine import outcomes
from tests.core.test_engine import points

TRACES = Path(__file__).parents[1] / "data" / "traces"


def text_of(name: str) -> str:
    return gzip.decompress((TRACES / f"{name}.trace.gz").read_bytes()).decode()


@pytest.mark.parametrize("name", ["6.1-e", "6.12-e", "6.1-fd", "6.12-fs", "6.12-r1", "6.1-gm"])
def test_a_recording_swept_at_mainline_capacity_drops_the_lock_as_recorded(name: str) -> None:
    recorded = json.loads((TRACES / f"{name}.json").read_text())["recorded"]
    kernel = "v6_1" if name.startswith("6.1-") else "v6_12"
    columns = points(2, path=name, workload="trace", desc_capacity=[553, 1026], kernel=kernel)
    table = outcomes(columns, recordings={name: text_of(name)})
    assert table["nr_lock_drops"][0] == recorded["eagain"] - recorded["eagain_no_topup_needed"]
    assert table["nr_splits_2m"][0] + table["nr_splits_1g"][0] == recorded["ok"]
    assert table["nr_sp_created"][0] == recorded["sp_new"]
    assert table["nr_unsplit"].tolist() == [0, 0]


def test_a_histogram_is_swept_like_any_workload() -> None:
    text = "Rmap_Count:\t0\t1\t2-3\nLevel=4K:\t9\t0\t0\nLevel=2M:\t0\t300\t0\nLevel=1G:\t0\t0\t0\n"
    text = text.replace("300\t0", "0\t300")
    columns = points(4, path="stat", desc_capacity=[513, 514, 553, 1026])
    # 300 pages with two same-role mappings, as derived in test_replay.
    table = outcomes(columns, recordings={"stat": text})
    assert table["nr_lock_drops"].tolist() == [307, 157, 15, 8]


@pytest.mark.parametrize("values", [{"rounds": 2}, {"caller": "clear"}, {"alias_ratio": 0.5}])
def test_what_a_recording_cannot_be_asked_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="leave these at their defaults"):
        outcomes(points(path="e", **values), recordings={"e": text_of("6.1-e")})
