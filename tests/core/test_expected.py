"""Oracle: expectations against sampled runs, within their standard error. Derived: limits."""

from dataclasses import replace

import numpy as np
import pytest

from core.cost import Cost
from core.demand import demand_of
from core.expected import expected_drops
from core.replay import replay
from core.workload import Workload
from tests.core.test_engine import outcome

CAPACITIES = np.array([513, 514, 553, 600, 1024, 1025, 1026, 1537, 2065, 4609])


@pytest.mark.parametrize(
    ("pages", "ratio", "distinct", "objects"),
    [(32768, 0.1, 0.0, 40), (32768, 0.1, 1.0, 40), (32768, 0.05, 0.3, 40), (3000, 0.3, 0.5, 7),
     (4096, 0.5, 0.5, 1), (8192, 0.025, 1.0, 40)],
)  # fmt: skip
def test_sampled_runs_agree_within_their_standard_error(
    pages: int, ratio: float, distinct: float, objects: int
) -> None:
    runs = 60
    sampled = np.empty((runs, CAPACITIES.size, 3))
    for seed in range(runs):
        workload = Workload(pages, ratio, 2, distinct, seed=seed)
        found = replay(demand_of(workload), "kernel", 513, CAPACITIES, objects, Cost(), timed=False)
        sampled[seed] = found.drops[:, :3]
    one, many = ratio * (1 - distinct), ratio * distinct
    drops, _ = expected_drops(pages, one, many, CAPACITIES - 513, objects)
    error = sampled.std(axis=0, ddof=1) / np.sqrt(runs)
    # Five standard errors, and what the finite renewal expansion leaves out.
    assert (np.abs(np.column_stack(drops) - sampled.mean(axis=0)) < 5 * error + 0.5).all()


def test_two_roles_everywhere_is_no_longer_random() -> None:
    # 513: a refill before each of 32768 pages. Two shadow pages a page: a page refill every 20
    # pages, ceil(65536 / 40) = 1639, each of them together with a descriptor refill.
    drops, _ = expected_drops(32768, 0.0, 1.0, np.array([0]), 40)
    assert np.allclose(np.ravel(drops), [32768 - 1639, 0, 1639], atol=1e-6)


def test_without_aliases_only_page_refills_are_left() -> None:
    drops, _ = expected_drops(32768, 0.0, 0.0, np.array([40]), 40)
    assert np.allclose(np.ravel(drops), [0, 819, 1])


def test_a_point_can_be_expected_instead_of_drawn() -> None:
    values = {"alias_ratio": 0.05, "distinct_role_ratio": 1.0, "desc_capacity": 1026}
    drawn = outcome(**values)
    found = outcome(engine="expected", **values)
    assert found["engine"] == "expected"
    for name in ("nr_lock_drops", "nr_desc_used", "nr_sp_created", "lock_held_ns", "total_ns"):
        assert found[name] == pytest.approx(drawn[name], rel=0.05)
    assert np.isnan(found["hold_ns_p50"])


@pytest.mark.parametrize(
    ("values", "rule"),
    [({"alias_degree": 3}, "alias_degree must be 2"), ({"policy": "opportunistic"}, "policy"),
     ({"think_ns": 1.0}, "think_ns"), ({"desc_min": 100}, "desc_min")],
)  # fmt: skip
def test_what_has_no_expectation_is_refused_with_the_rule(
    values: dict[str, object], rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        outcome(engine="expected", **values)


def test_a_seed_does_not_matter_to_an_expectation() -> None:
    base = Workload(512, 0.1)
    assert replace(base, seed=9) != base
    assert (
        outcome(engine="expected", seed=9, alias_ratio=0.1)["nr_lock_drops"]
        == (outcome(engine="expected", seed=1, alias_ratio=0.1)["nr_lock_drops"])
    )
