"""Oracle: interpreted and compiled kernels give the same outcomes; patience is bounded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from core import compiled
from core.compiled import PATIENCE, Kernel, elementwise, interpreted
from core.draws import mix
from core.engine import outcomes, steps
from tests.core.test_engine import points

POINTS = st.fixed_dictionaries(
    {
        "memslot_gib": st.sampled_from([1 / 512, 1 / 8, 1.0]),
        "alias_ratio": st.sampled_from([0.0, 0.1, 1.0]),
        "alias_degree": st.sampled_from([2, 3, 15]),
        "distinct_role_ratio": st.sampled_from([0.0, 0.5, 1.0]),
        "placement": st.sampled_from(["uniform", "clustered", "periodic"]),
        "policy": st.sampled_from(["kernel", "exact_demand", "opportunistic"]),
        "object_capacity": st.sampled_from([1, 8, 40]),
        "seed": st.integers(0, 2**63 - 1),
    }
)


@pytest.fixture
def patience(monkeypatch):
    monkeypatch.setattr(compiled._State, "steps_left", 10 * PATIENCE)
    return compiled._State


@settings(max_examples=30)
@given(POINTS)
def test_interpreted_kernels_give_the_same_outcomes(values):
    table = points(2, **values, desc_capacity=[553, 1026])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled._State, "steps_left", float("inf"))
        with interpreted(0):
            told = outcomes(table)
    for name, column in outcomes(table).items():
        np.testing.assert_array_equal(told[name], column, err_msg=name)


def test_a_kernel_is_interpreted_only_inside_the_block_and_while_patience_lasts(patience):
    def is_interpreted():
        return patience.interpreting

    with interpreted(9 * PATIENCE):
        assert is_interpreted()
    assert not is_interpreted()
    with interpreted(2 * PATIENCE):
        assert not is_interpreted()


def test_interpreting_one_point_leaves_the_compiler_alone(patience, monkeypatch):
    def refuse(self):
        raise AssertionError("compiled")

    monkeypatch.setattr(Kernel, "_compiled", property(refuse))
    with interpreted(1):
        assert outcomes(points(1, memslot_gib=0.5, alias_ratio=0.1))["nr_lock_drops"][0] > 0
    with pytest.raises(AssertionError, match="compiled"):
        mix(np.uint64(1))


def test_long_work_is_never_interpreted():
    # 24 TiB has 12,582,912 pages, each of which is drawn; 64 GiB without aliases has 820 refills.
    assert steps(points(1, memslot_gib=24576.0, alias_ratio=0.01), "auto") > 12_582_912
    assert 820 < steps(points(1, memslot_gib=64.0), "auto") < PATIENCE
    for slow in ({"think_ns": 1.0}, {"timeslice_ns": 1.0}, {"policy": "split_per_drop"}):
        assert steps(points(1, **slow), "auto") == float("inf")
    assert steps(points(1), "reference") == steps(points(1), "expected") == float("inf")


def test_both_ways_give_the_published_finaliser():
    # splitmix64 of 1, worked out with whole numbers modulo 2^64.
    k = (1 ^ 1 >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    k = (k ^ k >> 27) * 0x94D049BB133111EB % 2**64
    assert mix(np.uint64(1)) == k ^ k >> 31
    with interpreted(0):
        assert mix(np.uint64(1)) == k ^ k >> 31


@elementwise
def mixed_and_added(key, number):
    return mix(key) + number


def test_an_elementwise_kernel_takes_arrays_and_single_numbers_either_way():
    keys = np.arange(5, dtype=np.uint64)
    wanted = [int(mix(key)) + 1 for key in keys]
    before = compiled.nr_compiled()
    assert mixed_and_added(keys, np.uint64(1)).tolist() == wanted
    assert compiled.nr_compiled() > before or config.DISABLE_JIT
    with interpreted(0):
        assert mixed_and_added(keys, np.uint64(1)).tolist() == wanted
