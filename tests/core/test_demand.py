"""Derived: what splits take, with the arithmetic beside each number."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.demand import Demand, demand_of, prefix
from core.draws import ALIASED_2M, drawn
from core.workload import Memslot, Workload


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


def descriptors(degree: int, own: float, ext: int = 14) -> list[int]:
    """What each split of one huge page takes."""
    demand = demand_of(Workload(1, 1, degree, own, pte_list_ext=ext))
    taken = np.zeros(degree, np.int64)
    taken[demand.desc_at] = np.diff(demand.desc_sum)
    return taken.tolist()


def test_sixteen_aliases_take_what_the_two_descriptor_sizes_promise() -> None:
    # Of one role: the 2nd parent makes a descriptor, the 15th a second one.
    assert descriptors(16, own=0) == [0, 1] + [0] * 12 + [1, 0]
    # Roles 3 to 14 fit the descriptor that the 2nd role made in each of the 512 child rmaps.
    assert descriptors(16, own=1) == [0, 512] + [0] * 12 + [512, 0]
    # With two pointers a descriptor: entries 1, 2, 4, 6 find none free.
    assert descriptors(7, own=1, ext=2) == [0, 512, 512, 0, 512, 0, 512]
    # In all 2 or 8 for one role, 1024 or 4096 for sixteen.
    sums = [sum(descriptors(16, own, ext)) for own in (0, 1) for ext in (14, 2)]
    assert sums == [2, 8, 1024, 4096]


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


def test_clearing_splits_a_1g_page_behind_all_aliases_of_the_2m_pages_before_it() -> None:
    # Seed 26 draws the second GiB for a 1G page, with three views, and 27 2M pages of the first for
    # three views each: 512 + 2 * 27 = 566 splits come before.
    demand = demand_of(Workload(1024, 0.05, 3, ratio_1g=0.3, seed=26, clear_chunk=512))
    assert demand.giant.tolist() == [566, 567, 568]


def test_two_1g_views_of_different_roles_take_512_descriptors_at_both_levels() -> None:
    # Level 3: the second split adds a second entry to 512 rmaps of 2M. Then each 2M page has two
    # SPTEs of different roles: 512 descriptors for the second, 512 times.
    demand = demand_of(Workload(512, alias_ratio=1, distinct_role_ratio=1, ratio_1g=1))
    assert demand.nr_splits == 2 + 1024
    assert demand.desc_sum[-1] == 512 + 512 * 512
    assert demand.desc_at.tolist() == [1, *range(3, 1026, 2)]


@pytest.mark.parametrize("chunk", [0, 512])
def test_views_of_a_1g_page_stay_apart_whatever_roles_aliases_draw(chunk: int) -> None:
    # Seed 0 draws a role of its own for the 1G page's second view, so two shadow pages map each 2M
    # page: the second takes 512, although half of all aliases share a role.
    demand = demand_of(Workload(512, 1, 2, 0.5, ratio_1g=1, clear_chunk=chunk))
    assert demand.desc_at.tolist() == [1, *range(3, 1026, 2)]
    assert set(np.diff(demand.desc_sum).tolist()) == {512}
    assert demand.reuse.size == 0


def test_a_second_round_takes_no_shadow_pages_but_the_same_descriptors() -> None:
    once = demand_of(Workload(64, alias_ratio=1, distinct_role_ratio=1))
    twice = demand_of(Workload(64, alias_ratio=1, distinct_role_ratio=1, rounds=2))
    assert (twice.nr_splits, twice.nr_created) == (2 * once.nr_splits, once.nr_created)
    assert twice.desc_sum[-1] == 2 * once.desc_sum[-1]
    assert (once.nr_walked, twice.nr_walked) == (64, 2 * 64)


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


def test_a_smaller_memslot_may_run_out_of_shadow_pages_where_a_larger_one_does_not() -> None:
    # Seed 186 draws page 4, and five among the 2,043 that follow. 5 pages may have 64 shadow pages,
    # but 70 tables are in use already. With 54 of them 64 - 5 - 54 = 5 are left, one a page: the
    # last one's other 53 SPTEs are refused. With 53 all are linked.
    for degree, own in ((70, 1), (54, 0), (53, 0)):
        large = Workload(2048, 0.002, degree, own, seed=186)
        assert demand_of(large).nr_enospc == 0
        small = prefix(demand_of(large), large, 5)
        assert (small.nr_splits if small else None) == (4 + 53 if degree == 53 else None)


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


def test_1g_pages_of_eleven_roles_run_out_of_shadow_pages_inside() -> None:
    # 5242 - 5 - 11 = 5226 as above: 11 at level 3, 5215 = 474 * 11 + 1 at level 2. So heads
    # 474 .. 511 fail, 38 of them, and 11 * 512 - 5215 = 417 SPTEs of 2M are left.
    demand = demand_of(
        Workload(512, alias_ratio=1, alias_degree=11, distinct_role_ratio=1, ratio_1g=1)
    )
    assert (demand.nr_splits, demand.nr_unsplit, demand.nr_enospc) == (5226, 417, 38)
    assert demand.giant.tolist() == list(range(11))


# n_max = 524288 // 50 = 10485; two 1G pages of 22 views hang below 22 tables of level 3. So
# 10485 - 5 - 22 = 10458 splits succeed.
TWO_GIANTS = Workload(
    1024, alias_ratio=1, alias_degree=22, distinct_role_ratio=1, ratio_1g=1, clear_chunk=100
)


def test_clearing_stops_inside_one_1g_page_and_leaves_the_next_whole() -> None:
    # 22 at level 3, 10436 = 474 * 22 + 8 at level 2. 512 * 22 - 10436 = 828 of 2M and 22 of 1G are
    # left. 38 2M heads lie in 8 words of 64 gfns each, the 1G head in 512 * 8.
    demand = demand_of(TWO_GIANTS)
    assert (demand.nr_splits, demand.nr_unsplit) == (10458, 828 + 22)
    assert demand.nr_enospc == 38 * 8 + 512 * 8
    assert demand.giant.tolist() == list(range(22))
    # Calls of 100 pages: page 100 begins with split 22 + 100 * 22; page 500 is never split.
    assert demand.breaks.tolist() == [2222, 4422, 6622, 8822]
    # A 1G page takes 512 for its 2nd and 15th view, so do 474 2M pages; the 475th the 2nd alone.
    assert (demand.desc_at.size, demand.desc_sum[-1]) == (2 * 475 + 1, 951 * 512)


def test_enabling_splits_both_1g_pages_before_it_stops() -> None:
    # 44 at level 3, 10414 = 473 * 22 + 8 at level 2: heads 473 .. 1023 fail, once each.
    demand = demand_of(replace(TWO_GIANTS, clear_chunk=0))
    assert (demand.nr_splits, demand.giant.size, demand.nr_enospc) == (10458, 44, 1024 - 473)
    assert demand.nr_unsplit == 1024 * 22 - 10414


def test_clearing_again_without_shadow_pages_meets_each_1g_page_once_a_word() -> None:
    demand = demand_of(replace(TWO_GIANTS, rounds=3))
    assert demand.nr_enospc == 38 * 8 + 512 * 8 + 2 * (2 * 512 * 8)
    assert demand.nr_walked == 3 * 1024


def test_nothing_is_linked_either_once_the_last_shadow_page_is_made() -> None:
    # n_max = 64, 56 tables: 64 - 5 - 56 = 3 shadow pages, one a head, whose other 55 SPTEs link it.
    # The third is made by split 2 * 56; its head keeps 55 SPTEs, three more heads keep 56.
    demand = demand_of(Workload(6, alias_ratio=1, alias_degree=56))
    assert (demand.nr_splits, demand.nr_created) == (2 * 56 + 1, 3)
    assert (demand.nr_unsplit, demand.nr_enospc) == (55 + 3 * 56, 4)
    assert demand.reuse.tolist() == [*range(1, 56), *range(57, 112)]
    # parent_ptes of n SPTEs takes one more at n = 1, 14, 28, 42.
    assert demand.desc_at.tolist() == [1, 14, 28, 42, 57, 70, 84, 98]


@pytest.mark.parametrize(
    ("size", "slots", "splits", "failing"),
    [
        # Each GiB that is begun has 11 tables of level 2.
        # 2 GiB: 10485 - 5 - 22 = 10458 = 950 * 11 + 8: heads 950 .. 1023 fail.
        (1024, 1, 10458, 74),
        # 1.5 GiB: 393216 // 50 = 7864, 7864 - 5 - 22 = 7837 = 712 * 11 + 5: heads 712 .. 767 fail.
        (768, 1, 7837, 56),
        # Two memslots of 1 GiB are as 2 GiB; three: 15728 - 5 - 33 = 15690 = 1426 * 11 + 4.
        (512, 2, 10458, 74),
        (512, 3, 15690, 1536 - 1426),
    ],
)
def test_each_gib_and_memslot_has_tables_of_its_own(
    size: int, slots: int, splits: int, failing: int
) -> None:
    demand = demand_of(Workload(size, 1, 11, 1, nr_memslots=slots))
    assert (demand.nr_splits, demand.nr_enospc) == (splits, failing)
    assert demand.nr_unsplit == 11 * size * slots - splits


# Seed 0 draws the second of three GiB for a 1G page, and no other; 100 pages follow.
ONE_GIANT = Workload(1636, ratio_1g=0.3, rounds=3)


def test_later_rounds_find_one_head_where_the_1g_page_was_split() -> None:
    # 1636 + 1 splits, the 1G page first. Then the 512 2M heads of the block are empty: 1125 splits.
    demand = demand_of(ONE_GIANT)
    assert demand.nr_splits == 1637 + 1125 + 1125
    assert demand.giant.tolist() == [0, 1637, 1637 + 1125]
    assert demand.breaks.tolist() == demand.nonleaf.tolist() == [1637, 1637 + 1125]
    assert demand.reuse.tolist() == [1637, 1637 + 1125]
    assert demand.nr_walked == 3 * 1636


def test_clearing_again_passes_over_what_the_1g_page_has_left_empty() -> None:
    # The 1G page comes before page 512: pages up to 512 are as many splits from the start, later
    # ones one more; in later rounds pages 512 .. 1023 are empty, so page p is split p - 511.
    demand = demand_of(replace(ONE_GIANT, clear_chunk=100))
    first = [100, 200, 300, 400, 500, *range(601, 1637, 100)]
    again = [100, 200, 300, 400, 500, *[513] * 5, *range(1100 - 511, 1637 - 511, 100)]
    starts = (1637, 1637 + 1125)
    assert demand.breaks.tolist() == [
        *first,
        *(start + split for start in starts for split in (0, *again)),
    ]
    assert demand.giant.tolist() == [512, *(start + 512 for start in starts)]
    assert demand.nonleaf.tolist() == [start + 512 for start in starts]


def test_clearing_again_finds_one_head_in_each_1g_page() -> None:
    # Three 1G pages. As many splits come before page p as pages, and one for each 1G page begun; in
    # the second round only the latter.
    demand = demand_of(Workload(1536, ratio_1g=1, clear_chunk=100, rounds=2))
    pages = range(100, 1536, 100)
    begun = [1] * 5 + [2] * 5 + [3] * 5
    first = [page + giants for page, giants in zip(pages, begun, strict=True)]
    assert demand.breaks.tolist() == [*first, 1539, *(1539 + giants for giants in begun)]
    assert demand.giant.tolist() == [0, 513, 1026, 1539, 1540, 1541]


def test_later_rounds_take_the_same_descriptors_at_the_same_pages() -> None:
    demand = demand_of(Workload(4, alias_ratio=1, alias_degree=3, rounds=3))
    # 12 splits a round, one descriptor at the second parent of each page, as above. Later rounds
    # fill shadow pages without children again.
    assert demand.desc_at.tolist() == [12 * r + at for r in range(3) for at in (1, 4, 7, 10)]
    assert demand.reuse.tolist() == [12 * r + at for r in range(3) for at in range(12) if at % 3]


def test_the_largest_descriptor_count_of_a_split() -> None:
    assert demand_of(Workload(4)).max_desc == 0
    assert demand_of(Workload(4, alias_ratio=1)).max_desc == 1
    assert demand_of(Workload(4, alias_ratio=1, distinct_role_ratio=1)).max_desc == 512


def test_every_memslot_begins_a_call_of_its_own_between_the_calls_that_clear() -> None:
    demand = demand_of(Workload(250, nr_memslots=2, clear_chunk=100))
    assert demand.breaks.tolist() == [100, 200, 250, 250 + 100, 250 + 200]


@pytest.mark.parametrize(("ratio_1g", "seed"), [(0, 3), (1, 3), (1, 4)])
def test_two_memslots_draw_what_the_halves_of_one_twice_as_large_draw(
    ratio_1g: float, seed: int
) -> None:
    one = Workload(3072, 0.8, 5, 0.3, ratio_1g, seed=seed, clear_chunk=512)
    halves = demand_of(replace(one, nr_huge_pages=1536, nr_memslots=2))
    for field in fields(Demand):
        found, want = getattr(halves, field.name), getattr(demand_of(one), field.name)
        assert np.array_equal(found, want), field.name
    assert halves.reuse.size


@pytest.mark.parametrize(("degree", "splits", "emptied"), [(94, 5143, 214), (166, 5071, 121)])
def test_shadow_pages_may_run_out_behind_heads_of_one_spte(
    degree: int, splits: int, emptied: int
) -> None:
    # Every 4th page has 94 views: 97 splits in 4 heads, 94 tables. 5242 - 5 - 94 = 5143 = 53 * 97
    # + 2: two heads of one SPTE after 53 * 4 others; 512 - 214 fail. With 166 views 5071 = 30 * 169
    # + 1: one head after 30 * 4 others.
    demand = demand_of(Workload(512, 1 / 4, degree, 1, placement="periodic"))
    assert (demand.nr_splits, demand.nr_enospc) == (splits, 512 - emptied)
    assert demand.nr_unsplit == 128 * (degree + 3) - splits


def test_shadow_pages_may_run_out_inside_a_head_of_1g() -> None:
    # n_max = 2621440 // 50 = 52428, 51 tables: 52372 = 2 * 513 * 51 + 46 splits. The third 1G page
    # keeps 5 of 51 SPTEs and has 512 2M pages of 46 views, the last seven stay whole.
    demand = demand_of(replace(TWO_GIANTS, nr_huge_pages=5120, alias_degree=51))
    assert (demand.nr_splits, demand.giant.size) == (52372, 2 * 51 + 46)
    assert demand.nr_unsplit == 5 + 512 * 46 + 7 * 51
    assert demand.nr_enospc == 512 * 8 + 8 * 512 + 7 * 512 * 8


def test_later_rounds_leave_2m_pages_alone_of_1g_pages() -> None:
    # Each later round splits the two views of the 1G page, which find their shadow pages.
    demand = demand_of(Workload(512, 1, 2, 1, ratio_1g=1, rounds=3))
    assert demand.nr_splits == 2 + 1024 + 2 + 2
    assert demand.nonleaf.tolist() == demand.reuse.tolist() == [1026, 1027, 1028, 1029]
    assert demand.desc_sum[-1] == 512 + 512 * 512


def test_later_rounds_link_the_views_of_a_1g_page_as_the_first_does() -> None:
    # Three views of one role: the second parent takes a descriptor, in each round; 512 2M pages.
    demand = demand_of(Workload(512, 1, 3, 0, ratio_1g=1, rounds=2))
    assert demand.nr_splits == 3 + 512 + 3
    assert demand.desc_at.tolist() == [1, 515 + 1]
    assert np.diff(demand.desc_sum).tolist() == [1, 1]
    assert demand.reuse.tolist() == [1, 2, 515, 516, 517]


def test_shadow_pages_may_run_out_before_the_first_head_of_several_sptes() -> None:
    # Seed 186 draws page 4: 64 - 5 - 58 = 1 shadow page, for page 0; five heads keep 4 + 58 SPTEs.
    demand = demand_of(Workload(6, 0.002, 58, seed=186))
    assert (demand.nr_splits, demand.nr_enospc, demand.nr_unsplit) == (1, 5, 62)


def test_shadow_pages_may_run_out_inside_the_first_head() -> None:
    # n_max = 64, 58 tables: one shadow page, so one split; no head is empty. Three more rounds meet
    # all six again.
    demand = demand_of(Workload(6, alias_ratio=1, alias_degree=58))
    assert (demand.nr_splits, demand.nr_enospc, demand.nr_unsplit) == (1, 6, 6 * 58 - 1)
    assert demand_of(Workload(6, 1, 58, rounds=4)).nr_enospc == 6 + 3 * 6


def test_links_after_the_very_last_shadow_page_are_refused() -> None:
    # As many shadow pages as heads: 64 - 5 - 56 = 3. The third head is begun and never emptied.
    demand = demand_of(Workload(3, alias_ratio=1, alias_degree=56))
    assert (demand.nr_splits, demand.nr_enospc, demand.nr_unsplit) == (2 * 56 + 1, 1, 55)


def test_shadow_pages_may_run_out_just_before_a_head_of_1g() -> None:
    # n_max = 566784 // 50 = 11335; 22 tables of level 3, and 22 of level 2 for 83 pages behind the
    # 1G pages: 11286 = 513 * 22 splits. One 1G page is done, the other and 83 pages are untouched.
    demand = demand_of(replace(TWO_GIANTS, nr_huge_pages=1024 + 83))
    assert (demand.nr_splits, demand.giant.size) == (11286, 22)
    assert demand.nr_unsplit == 22 + 83 * 22
    assert demand.nr_enospc == 512 * 8 + 83 * 8


def test_shadow_pages_may_run_out_just_behind_a_head_of_1g() -> None:
    # n_max = 825856 // 50 = 16517, 32 tables of either level: 16448 = 513 * 32 + 32 splits. The
    # second 1G page has just become 512 pages of 2M, the third and 77 pages are untouched.
    demand = demand_of(replace(TWO_GIANTS, nr_huge_pages=1536 + 77, alias_degree=32))
    assert (demand.nr_splits, demand.giant.size) == (16448, 2 * 32)
    assert demand.nr_unsplit == 512 * 32 + 32 + 77 * 32
    assert demand.nr_enospc == 512 * 8 + 512 * 8 + 77 * 8


GIB = 512
"""2M pages in a GiB, all that one table of level 2 maps."""


@pytest.mark.parametrize(
    ("twice_mapped", "mapped_1g", "tables"),
    [
        ({}, {}, 1024),  # one of level 2 a GiB
        ({7: 3}, {}, 1024 + 2),
        ({0: 2, GIB - 1: 3}, {}, 1024 + 2),  # the second and third table serve both pages
        ({GIB - 1: 2, GIB: 3}, {}, 1024 + 1 + 2),
        ({}, dict.fromkeys(range(1024), 1), 2),  # one of level 3 for 512 GiB, none of level 2
        ({}, dict.fromkeys(range(1024), 1) | {0: 4, 511: 2, 512: 3}, 2 + 3 + 2),
        ({GIB: 2}, {0: 1}, 1023 + 1 + 1),
    ],
)
def test_tables_hold_the_huge_sptes_of_a_memslot_of_1_tib(
    twice_mapped: dict[int, int], mapped_1g: dict[int, int], tables: int
) -> None:
    aliased, lengths = np.array(list(twice_mapped.items()), np.int64).reshape(-1, 2).T
    block, views = np.array(list(mapped_1g.items()), np.int64).reshape(-1, 2).T
    slot = Memslot(0, 1024 * GIB, aliased, lengths, block * GIB, views)
    assert slot.nr_parent_pages == tables
