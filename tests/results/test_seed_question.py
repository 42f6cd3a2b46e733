"""Derived: the seed question on literal rows whose drops are the closed forms of 64 GiB."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sweep.results.answers.seed_question import seed_question, seed_sentences

# Bytes of 513, 553 and 1026 descriptors of 128 B with their pointers, and of 40 page
# headers of 184 B and 40 shadow pages of 4 KiB with theirs.
STANDING = {513: 241_608, 553: 247_048, 1026: 311_376}
# 64 GiB are 32,768 huge pages: ceil(32768 / 40) = 820 drops if none is aliased; a distinct-role
# alias of each needs as many shadow pages again: ceil(65536 / 40) = 1639.
UNALIASED = (0.0, 0.0, 32_768, (820, 820, 820))
SAME_ROLE = (1.0, 0.0, 32_768, (33_587, 1_619, 883))
OWN_ROLE = (1.0, 1.0, 65_536, (32_768, 32_768, 16_384))


def rows(*workloads):
    return pl.LazyFrame(
        [
            {
                "memslot_gib": 64.0,
                "alias_ratio": ratio,
                "distinct_role_ratio": roles,
                "desc_capacity": capacity,
                "object_capacity": 40,
                "nr_sp_created": created,
                "nr_lock_drops": nr_drops,
                "full_bytes": STANDING[capacity],
                "error": None,
            }
            for ratio, roles, created, drops in workloads
            for capacity, nr_drops in zip(STANDING, drops, strict=True)
        ],
        schema_overrides={"error": pl.String},
    )


def test_each_workload_becomes_one_row_with_all_three_capacities():
    want = pl.DataFrame(
        {
            "distinct_role_ratio": [0.0],
            "memslot_gib": [64.0],
            "alias_ratio": [1.0],
            "unbounded_drops": [1.0],
            "floor_drops": [820.0],
            "drops_513": [33_587.0],
            "drops_553": [1_619.0],
            "drops_1026": [883.0],
            "standing_513_kib": [235.9453125],
            "standing_553_kib": [241.2578125],
            "standing_1026_kib": [304.078125],
            "saved_553_per_kib": [31_968 / 5.3125],
            "saved_1026_per_kib": [736 / 62.8203125],
            # 883 is 7.7 % above 820: more than the 5 % that count as enough.
            "enough": ["none"],
        }
    )
    assert_frame_equal(seed_question(rows(SAME_ROLE)).collect(), want)


@pytest.mark.parametrize(
    ("drops", "enough"),
    [
        # The page caches cost 820; 5 % more is 861.
        ((861, 861, 861), "513"),
        ((862, 861, 861), "553"),
        ((862, 862, 861), "1026"),
        ((862, 862, 862), "none"),
    ],
)
def test_a_capacity_is_enough_within_five_percent_of_the_page_caches(drops, enough):
    answer = seed_question(rows((0.01, 0.0, 32_768, drops))).collect()
    assert answer["enough"].to_list() == [enough]


def test_draws_of_one_workload_are_averaged():
    first, second = (0.1, 0.0, 32_768, (900, 840, 820)), (0.1, 0.0, 32_768, (910, 860, 820))
    answer = seed_question(rows(first, second)).collect()
    assert answer.select("drops_513", "drops_553", "drops_1026").rows() == [(905.0, 850.0, 820.0)]


def test_a_failed_point_is_left_out():
    failed = rows(UNALIASED).with_columns(pl.lit("no memory").alias("error"))
    both = pl.concat([rows(SAME_ROLE), failed])
    assert seed_question(both).collect()["alias_ratio"].to_list() == [1.0]


def test_the_answer_is_three_sentences_with_the_crossover_ratios():
    answer = seed_question(
        rows(
            UNALIASED,
            (0.001, 0.0, 32_768, (850, 821, 820)),
            (0.01, 0.0, 32_768, (1_100, 830, 821)),
            (0.1, 0.0, 32_768, (4_000, 900, 870)),
            (0.0, 1.0, 32_768, (820, 820, 820)),
            (0.1, 1.0, 36_045, (4_000, 4_000, 2_400)),
        )
    ).collect()
    irrelevant, enough, too_few = seed_sentences(answer)
    assert "up to an aliasing ratio of 0.001 (not at 0.01) when aliases share a role" in irrelevant
    assert "up to an aliasing ratio of 0 (not at 0.1) when each alias has a role of" in irrelevant
    assert "from 0.01 up to 0.01 (not at 0.1) when aliases share a role" in enough
    # 553 holds no more splits of 512 descriptors than 513 does.
    assert "nowhere (it saves 0.0 % of the lock drops of 513) when each alias has a role" in enough
    # 2,400 drops against ceil(36045 / 40) = 902: 2.7 times.
    assert (
        "from 0.1 on (at a ratio of 0.1 and 64 GiB it costs 2,400 lock drops, 2.7 times" in too_few
    )


def test_a_run_without_the_three_capacities_says_that_it_cannot_answer():
    only_553 = rows(UNALIASED).filter(pl.col("desc_capacity") == 553)
    answer = seed_question(only_553).collect()
    assert answer["enough"].to_list() == [None]
    assert "cannot answer" in seed_sentences(answer)[0]
