"""Derived: what splits take, with the arithmetic beside each number."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.demand import Demand, demand_of, prefix
from core.workload import ALIASED_2M, Workload, drawn


def test_an_unaliased_memslot_takes_one_shadow_page_a_split_and_no_descriptor() -> None:
    demand = demand_of(Workload(nr_huge_pages=512))
    assert (demand.nr_splits, demand.nr_created, demand.desc_sum[-1]) == (512, 512, 0)


def test_a_second_role_takes_512_descriptors_and_a_15th_takes_512_more() -> None:
    # 15 roles a page: 4K rmaps grow from 0 to 14 entries; descriptors at the 2nd and 15th.
    demand = demand_of(Workload(nr_huge_pages=8 * 512, alias_ratio=1 / 512, alias_degree=15,
                                distinct_role_ratio=1, placement="periodic"))  # fmt: skip
    assert np.diff(demand.desc_sum).tolist() == [512] * (8 * 2)
    assert demand.desc_at[:2].tolist() == [511 + 1, 511 + 14]  # page 511 is the first aliased one


def test_aliases_of_one_role_share_a_page_and_take_one_descriptor_at_the_second_parent() -> None:
    demand = demand_of(Workload(nr_huge_pages=4, alias_ratio=1, alias_degree=3))
    assert demand.desc_at.tolist() == [1, 4, 7, 10]
    assert np.diff(demand.desc_sum).tolist() == [1] * 4
    assert demand.reuse.tolist() == [1, 2, 4, 5, 7, 8, 10, 11]
    assert demand.nr_created == 4


def test_eleven_roles_over_1_gib_run_out_of_shadow_pages() -> None:
    # n_max = 262144 // 50 = 5242. 11 level-2 tables are in use; a split needs more than 5 free, so
    # 5242 - 5 - 11 = 5226 of 11 * 512 = 5632 succeed and 406 are left. 5226 = 475 * 11 + 1: heads
    # 475 .. 511 fail, 37 of them.
    demand = demand_of(Workload(512, alias_ratio=1, alias_degree=11, distinct_role_ratio=1))
    assert (demand.nr_splits, demand.nr_unsplit, demand.nr_enospc) == (5226, 406, 37)


def test_ten_roles_over_1_gib_fit() -> None:
    demand = demand_of(Workload(512, alias_ratio=1, alias_degree=10, distinct_role_ratio=1))
    assert (demand.nr_splits, demand.nr_unsplit, demand.nr_enospc) == (5120, 0, 0)


def test_a_1g_page_is_split_once_and_then_its_512_2m_pages() -> None:
    demand = demand_of(Workload(nr_huge_pages=1024, ratio_1g=1))
    assert (demand.nr_huge_sptes, demand.nr_splits, demand.nr_created) == (2, 2 + 1024, 1026)
    assert demand.giant.tolist() == [0, 1]


def test_clearing_splits_each_1g_page_just_before_its_2m_pages() -> None:
    demand = demand_of(Workload(nr_huge_pages=1024, ratio_1g=1, clear_chunk=512))
    assert demand.giant.tolist() == [0, 513]
    assert demand.breaks.tolist() == [513]


def test_two_1g_views_of_different_roles_take_512_descriptors_at_both_levels() -> None:
    # Level 3: the second split adds a second entry to 512 rmaps of 2M. Then each 2M page has two
    # SPTEs of different roles: 512 descriptors for the second, 512 times.
    demand = demand_of(Workload(512, alias_ratio=1, distinct_role_ratio=1, ratio_1g=1))
    assert demand.nr_splits == 2 + 1024
    assert demand.desc_sum[-1] == 512 + 512 * 512


def test_a_second_round_takes_no_shadow_pages_but_the_same_descriptors() -> None:
    once = demand_of(Workload(64, alias_ratio=1, distinct_role_ratio=1))
    twice = demand_of(Workload(64, alias_ratio=1, distinct_role_ratio=1, rounds=2))
    assert (twice.nr_splits, twice.nr_created) == (2 * once.nr_splits, once.nr_created)
    assert twice.desc_sum[-1] == 2 * once.desc_sum[-1]


def test_a_second_round_over_a_1g_page_is_one_split_that_finds_non_leaf_entries() -> None:
    demand = demand_of(Workload(512, ratio_1g=1, rounds=2))
    assert demand.nr_splits == 513 + 1
    assert demand.nonleaf.tolist() == [513]


@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from([2, 5, 11, 17]),
    st.sampled_from([0, 0.3, 1.0]),
    st.sampled_from([0, 100]),
    st.sampled_from([0.1, 1.0]),
)
def test_a_smaller_memslot_is_the_beginning_of_a_larger_one(
    one: int, other: int, degree: int, distinct: float, chunk: int, ratio: float
) -> None:
    size, largest = sorted((one, other))
    drawn = Workload(largest, ratio, degree, distinct, clear_chunk=chunk, seed=one)
    want = demand_of(replace(drawn, nr_huge_pages=size))
    found = prefix(demand_of(drawn), drawn, size)
    if found is not None:
        for field in fields(Demand):
            assert np.array_equal(getattr(found, field.name), getattr(want, field.name)), field.name
    else:
        assert demand_of(drawn).nr_enospc or degree >= 11  # only where shadow pages run out


def test_memslots_are_split_one_after_the_other() -> None:
    demand = demand_of(Workload(nr_huge_pages=64, nr_memslots=3))
    assert (demand.nr_splits, demand.breaks.tolist()) == (192, [64, 128])


@pytest.mark.parametrize("placement", ["uniform", "clustered", "periodic"])
def test_a_smaller_memslot_is_a_prefix_and_a_larger_ratio_keeps_the_pages(placement: str) -> None:
    small = drawn(7, ALIASED_2M, 0, 5_000, 0.1, placement)
    assert small.tolist() == [
        p for p in drawn(7, ALIASED_2M, 0, 50_000, 0.1, placement) if p < 5000
    ]
    if placement != "periodic":
        assert set(small) <= set(drawn(7, ALIASED_2M, 0, 5_000, 0.3, placement))


@pytest.mark.parametrize("ratio", [0.001, 0.05, 0.5, 0.99])
def test_the_share_drawn_is_the_ratio_within_five_standard_errors(ratio: float) -> None:
    n = 200_000
    error = np.sqrt(ratio * (1 - ratio) / n)
    assert abs(drawn(3, ALIASED_2M, 0, n, ratio).size / n - ratio) < 5 * error
    assert abs(drawn(3, ALIASED_2M, 0, n, ratio, "periodic").size - n * ratio) <= 1


def test_ratios_of_nothing_and_everything_are_exact() -> None:
    assert drawn(1, ALIASED_2M, 0, 1000, 0.0).size == 0
    assert drawn(1, ALIASED_2M, 0, 1000, 1.0).tolist() == list(range(1000))


def test_a_round_after_the_last_shadow_page_only_gives_enospc() -> None:
    # The 512 heads are visited again: 475 of them hold SPTEs once more, 37 still do.
    demand = demand_of(
        Workload(512, alias_ratio=1, alias_degree=11, distinct_role_ratio=1, rounds=3)
    )
    assert (demand.nr_splits, demand.nr_enospc) == (5226, 37 + 2 * 512)


def test_clearing_meets_a_page_without_shadow_pages_once_a_word_of_64() -> None:
    # 37 heads fail as above, each in the 512 / 64 = 8 mask words that cover it.
    demand = demand_of(
        Workload(512, alias_ratio=1, alias_degree=11, distinct_role_ratio=1, clear_chunk=64)
    )
    assert demand.nr_enospc == 37 * 8


def test_tables_alone_can_use_up_the_shadow_pages() -> None:
    demand = demand_of(Workload(2, alias_ratio=1, alias_degree=70, distinct_role_ratio=1))
    # n_max = 64, 70 tables in use already: no page can be split.
    assert (demand.nr_splits, demand.nr_enospc, demand.nr_unsplit) == (0, 2, 140)


def test_more_draws_than_expected_are_all_kept() -> None:
    clustered = drawn(11, ALIASED_2M, 0, 64 * 40, 0.01, "clustered")
    assert clustered.size % 64 == 0
    assert max(drawn(s, ALIASED_2M, 0, 640, 0.02, "clustered").size for s in range(200)) >= 128
