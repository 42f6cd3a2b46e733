"""Invariant: the benchmark's peers store the same numbers, so that their times compare."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from bench.endtoend import POINTS
from bench.peers import PEERS
from core.outcome import OUTCOMES

COLUMNS = ["seed", "desc_capacity", *(o.name for o in OUTCOMES)]


def stored(peer: str, folder: Path) -> pl.DataFrame:
    (folder / peer).mkdir()
    command = [sys.executable, "-m", "bench.peers", peer, "2000", str(folder / peer)]
    subprocess.run(command, check=True, capture_output=True)
    files = sorted((folder / peer).glob("**/*.parquet"))
    return pl.concat([pl.read_parquet(f) for f in files]).select(COLUMNS)


def test_every_peer_is_measured() -> None:
    assert POINTS.keys() == PEERS.keys()


@pytest.mark.parametrize("peer", ["process pool", "numba loop"])
def test_a_peer_stores_what_a_sweep_stores(tmp_path: Path, peer: str) -> None:
    ours = stored("sweep inline", tmp_path)
    assert_frame_equal(ours, stored(peer, tmp_path), check_exact=True)
    assert ours.height == 2000
