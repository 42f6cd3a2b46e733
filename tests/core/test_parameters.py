"""Derived: what is refused, and what the refusal says."""

import math

import pytest

from core.parameters import BY_KEY, BY_NAME, GROUPS, PARAMETERS, problems


def test_leaf_names_are_unique_over_all_groups_and_every_default_is_allowed() -> None:
    assert len(BY_NAME) == len(BY_KEY) == len(PARAMETERS)
    assert GROUPS == ("workload", "caches", "kernel", "policy", "caller", "cost")
    assert problems({p.name: [p.default] for p in PARAMETERS}) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("alias_ratio", 1.2, ["workload.alias_ratio=1.2", "between 0 and 1", "share"]),
        ("alias_ratio", -0.1, ["between 0 and 1"]),
        ("alias_ratio", math.nan, ["between 0 and 1"]),
        ("memslot_gib", 0.001, ["between 0.001953125 and 1048576 GiB"]),
        ("memslot_gib", 64.001, ["multiple of 0.001953125 GiB", "2 MiB"]),
        ("alias_degree", 1001, ["between 2 and 1000", "RMAP_RECYCLE_THRESHOLD"]),
        ("kernel", "v5_15", ["choose one of v6_1, v6_12"]),
        ("policy", "kernal", ["exact_demand"]),
        ("desc_capacity", 0, ["between 1"]),
    ],
)
def test_a_value_is_refused_with_the_rule_and_the_reason(
    name: str, value: object, words: list[str]
) -> None:
    (text,) = problems({name: [value]})
    assert all(word in text for word in words), text


def test_a_capacity_below_the_minimum_is_refused_as_a_pair() -> None:
    (text,) = problems({"desc_capacity": [600, 553], "desc_min": [513, 554]})
    assert "desc_capacity=553, desc_min=554" in text
    assert "Mainline has 553 and 513" in text


def test_a_fine_grid_has_no_problems() -> None:
    assert problems({"desc_capacity": [513, 553], "desc_min": [513], "memslot_gib": [0.5, 1]}) == []
