"""Invariant: what a checksum sees, and what it is blind to on purpose."""

import hashlib
import struct
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import compiled
from core.outcome import OUTCOMES
from sweep.checksum import added, checksum
from tests.sweep.standins import fussy, seeds_by_capacities, tiny
from tests.sweep.test_shard import work_of

GRID = seeds_by_capacities(10, 100)
TINY, FUSSY = work_of(GRID, tiny), work_of(GRID, fussy)
ROWS = FUSSY.rows(500, 600)  # fussy refuses one of these points


@given(st.lists(st.integers(0, 100), max_size=5), st.randoms())
def test_it_does_not_depend_on_how_a_table_is_cut_or_sorted(cuts, random):
    ends = [0, *sorted(cuts), 100]
    parts = [ROWS.slice(a, b - a) for a, b in pairwise(ends)]
    random.shuffle(parts)
    assert added(map(checksum, parts)) == checksum(ROWS)
    order = random.sample(range(100), 100)
    assert checksum(ROWS.take(order).combine_chunks()) == checksum(ROWS)


def changed(name, row, value):
    at = ROWS.schema.get_field_index(name)
    values = ROWS.column(name).to_pylist()
    assert values[row] != value
    values[row] = value
    return ROWS.set_column(at, ROWS.schema.field(at), pa.array(values, ROWS.schema.field(at).type))


@pytest.mark.parametrize("name", ["nr_lock_drops", "hold_ns_p99", "engine", "error", "point"])
def test_it_sees_a_changed_value_and_a_missing_one(name):
    new = {"engine": "other", "error": "other"}.get(name, 12345)
    assert checksum(changed(name, 3, new)) != checksum(ROWS)
    if name not in ("error", "point"):
        assert checksum(changed(name, 3, None)) != checksum(ROWS)


def test_it_sees_the_last_bit_of_a_time():
    nudged = np.nextafter(ROWS.column("total_ns")[3].as_py(), np.inf)
    assert checksum(changed("total_ns", 3, float(nudged))) != checksum(ROWS)


def test_it_sees_outcomes_that_have_changed_places():
    at = [ROWS.schema.get_field_index("point")]
    good = TINY.rows(0, 2)
    swapped = good.take([1, 0]).set_column(at[0], good.schema.field(at[0]), good.column("point"))
    assert checksum(swapped.combine_chunks()) != checksum(good)


def test_it_tells_the_one_row_with_an_error_from_the_same_row_without():
    assert checksum(ROWS) != checksum(TINY.rows(500, 600))


def mixed(k):
    """splitmix64's finaliser, in whole numbers."""
    k = (k ^ k >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    k = (k ^ k >> 27) * 0x94D049BB133111EB % 2**64
    return k ^ k >> 31


def word(value):
    if value is None:
        return int.from_bytes(b"null", "big")
    if isinstance(value, str):
        return int.from_bytes(hashlib.sha256(value.encode()).digest()[:8], "little")
    return struct.unpack("<Q", struct.pack("<q" if isinstance(value, int) else "<d", value))[0]


@pytest.mark.parametrize("patience", [float("inf"), -1.0], ids=["interpreted", "compiled"])
def test_it_is_the_sum_of_what_whole_numbers_give_for_each_row(monkeypatch, patience):
    monkeypatch.setattr(compiled._State, "steps_left", patience)
    names = ["point", *(o.name for o in OUTCOMES), "engine", "error"]
    total = 0
    for row in ROWS.slice(45, 5).to_pylist():  # the third of them has an error
        first, *others = (word(row[name]) for name in names)
        for other in others:
            first = mixed(first) ^ other
        total += mixed(first) + (mixed(mixed(first)) << 64)
    assert checksum(ROWS.slice(45, 5)) == f"{total % 2**128:032x}"
