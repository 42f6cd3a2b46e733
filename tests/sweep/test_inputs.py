"""Contract: files that users hand in are read, or refused by file, line and rule."""

import gzip
import tracemalloc
from pathlib import Path

import pytest

from core.parameters import PARAMETERS
from sweep.grid import Axis, Choice, Grid, Leaf
from sweep.grid.values import Range
from sweep.inputs import read_workload, read_workloads

TRACES = Path(__file__).parents[1] / "data" / "traces"
SPLIT = b"vmm-7 [000] 1.0: kvm_mmu_split_huge_page: gfn 0 spte 1 level 2 errno "
FAR = SPLIT.replace(b"gfn 0", b"gfn fffffffe00") + b"0\n"


def test_a_recording_reads_the_same_plain_or_zipped(tmp_path):
    zipped = TRACES / "6.1-e.trace.gz"
    plain = tmp_path / "plain.trace"
    plain.write_bytes(gzip.decompress(zipped.read_bytes()))
    assert read_workload(plain) == read_workload(zipped)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no kvm_mmu_split_huge_page event"),
        (SPLIT + b"-11\n" + SPLIT + b"-1", ":2: the last line has no end: the file is truncated"),
        (SPLIT + b"-11\n" + SPLIT[:-9], ":2: the last line has no end: the file is truncated"),
        (SPLIT + b"-11\n" + SPLIT + b"0\nvmm-7", ":3: the last line has no end"),
        (SPLIT + b"-11\n" + SPLIT + b"\n", ":2: "),
        (SPLIT + b"-11\n\xff\n", ":2: byte 0 is not UTF-8"),
        (SPLIT + b"-11\n" + b"x" * 70_000 + b"\n", ":2: over 65536 bytes"),
        (gzip.compress(SPLIT + b"0\n")[:-5], "broken gzip"),
        (b"\x1f\x8bnonsense", ":1: broken gzip"),
        (SPLIT + b"-11\n", ":1: only lock drops were recorded"),
        (SPLIT + b"-11\n" + SPLIT + b"0\n" + FAR, "memslot.npages"),
        (b"Level=4K: 1\n", "no `Level=2M:` line"),
    ],
)
def test_a_damaged_recording_is_refused(tmp_path, content, message):
    path = tmp_path / "damaged.trace"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r".") as refusal:
        read_workload(path)
    assert message in str(refusal.value)


def test_a_whole_last_event_needs_no_line_end(tmp_path):
    path = tmp_path / "copied.trace"
    path.write_bytes(SPLIT + b"-11\n" + SPLIT + b"0")
    assert read_workload(path).count("\n") == 2


def test_a_folder_is_no_recording(tmp_path):
    with pytest.raises(ValueError, match="Is a directory: need a readable file"):
        read_workload(tmp_path)


def test_looking_for_recordings_does_not_list_long_ranges():
    leaf = Leaf({p.name: p.default for p in PARAMETERS if p.name != "seed"})
    ranges = (Range.of(0, 10**6), Range.of(1, 10**6))
    blocks = [(str(i), Axis("seed", seeds, leaf)) for i, seeds in enumerate(ranges)]
    grid = Grid(Choice("experiment", tuple(blocks)))
    tracemalloc.start()
    assert read_workloads(grid) == {}
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()
