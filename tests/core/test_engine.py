"""Oracle: a drawn point equals the reference, event by event. Derived: outcomes and their sums."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.constants import ENOSPC
from core.demand import Demand, demand_of
from core.engine import outcomes, workload_of
from core.outcome import OUTCOMES
from core.parameters import PARAMETERS
from core.recording.workload import recorded_demand
from core.reference import run_reference
from core.scenario import parse_scenario
from core.story import attempts, story
from core.workload import Workload
from tests.core.spelled import scenario

Table = dict[str, np.ndarray]


def points(n: int = 1, **values: Any) -> Table:
    """Columns of n points: defaults, but for `values` (scalars or n long)."""
    return {
        p.name: np.broadcast_to(np.asarray(values.get(p.name, p.default)), (n,)) for p in PARAMETERS
    }


def outcome(engine: str = "auto", **values: Any) -> dict[str, Any]:
    return {name: column[0] for name, column in outcomes(points(**values), engine).items()}


WORKLOADS = st.builds(
    Workload,
    nr_huge_pages=st.one_of(st.integers(1, 1600), st.sampled_from([512, 1024])),
    alias_ratio=st.sampled_from([0, 0.05, 0.4, 1.0]),
    alias_degree=st.sampled_from([2, 3, 5, 15, 17]),
    distinct_role_ratio=st.sampled_from([0, 0.3, 1.0]),
    ratio_1g=st.sampled_from([0, 0.5, 1.0]),
    placement=st.sampled_from(["uniform", "clustered", "periodic"]),
    seed=st.integers(0, 2**40),
    clear_chunk=st.sampled_from([0, 100, 512]),
    pte_list_ext=st.sampled_from([2, 14]),
    kernel=st.sampled_from(["v6_1", "v6_12"]),
)


@settings(max_examples=60)
@given(WORKLOADS, st.sampled_from([513, 553, 1026]), st.sampled_from([1, 8, 40]))
def test_a_drawn_workload_is_split_as_the_reference_splits_it(
    workload: Workload, capacity: int, objects: int
) -> None:
    raw = scenario(workload, desc_capacity=capacity, object_capacity=objects)
    run = run_reference(parse_scenario(raw), workload.kernel, events_limit=10**6)
    assert run.events is not None
    told = list(attempts(demand_of(workload), "kernel", 513, capacity, objects))
    seen = [event for event in run.events if event.result != ENOSPC]
    assert [(a.level, a.result, a.desc, a.page) for a in told] == [
        (e.level, e.result, e.desc_after, e.page_after) for e in seen
    ]
    nr_enospc = run.totals["enospc"] * (8 if workload.clear_chunk else 1)
    if not (workload.clear_chunk and workload.ratio_1g):  # a 1G page is visited 4096 times
        assert demand_of(workload).nr_enospc == nr_enospc


@settings(max_examples=60)
@given(WORKLOADS)
def test_a_drawn_workload_demands_what_its_written_out_scenario_does(workload: Workload) -> None:
    unbroken = replace(workload, clear_chunk=0)
    drawn = demand_of(unbroken)
    written = recorded_demand(parse_scenario(scenario(unbroken)), workload.kernel)
    for field in fields(Demand):
        same = np.array_equal(getattr(drawn, field.name), getattr(written, field.name))
        assert same, field.name


def test_a_page_of_two_roles_is_write_protected_once_where_it_is_recorded_too() -> None:
    # Two shadow pages of 512 entries, of one 2M page.
    pages = Workload(3, alias_ratio=1, distinct_role_ratio=1)
    written = recorded_demand(parse_scenario(scenario(pages)), pages.kernel)
    assert written.nr_walked == demand_of(pages).nr_walked == 3


def parameters_of(workload: Workload) -> dict[str, Any]:
    return {
        "memslot_gib": workload.nr_huge_pages / 512,
        "caller": "clear" if workload.clear_chunk else "enable",
        "clear_chunk_gib": max(workload.clear_chunk, 1) / 512,
        **{name: getattr(workload, name) for name in (
            "alias_ratio", "alias_degree", "distinct_role_ratio", "ratio_1g", "placement", "seed",
            "pte_list_ext", "kernel")},
    }  # fmt: skip


POLICIES = st.sampled_from(["kernel", "exact_demand", "opportunistic", "split_per_drop"])


@given(WORKLOADS, POLICIES, st.integers(1, 3), st.integers(1, 2))
@settings(max_examples=60)
def test_replay_and_machine_give_every_point_the_same_outcomes(
    workload: Workload, policy: str, rounds: int, nr_memslots: int
) -> None:
    values = parameters_of(workload) | {"policy": policy, "rounds": rounds}
    both = [outcome(engine, nr_memslots=nr_memslots, **values) for engine in ("auto", "reference")]
    replayed, run = ({n: v for n, v in each.items() if n != "engine"} for each in both)
    assert replayed == pytest.approx(run, rel=1e-12)


def test_a_caller_lets_go_of_the_lock_behind_the_last_split_too() -> None:
    # 1G pages alone: the second walk splits one page a GiB again, and its chunks of a quarter GiB
    # are four calls of which the last three, in every walk, come after the split.
    values = {"memslot_gib": 1.0, "ratio_1g": 1.0, "rounds": 2, "caller": "clear"}
    quarters = outcome("reference", clear_chunk_gib=0.25, **values)
    whole = outcome("reference", clear_chunk_gib=1.0, **values)
    lock_drop_ns = next(p.default for p in PARAMETERS if p.name == "lock_drop_ns")
    assert quarters["nr_lock_drops"] == whole["nr_lock_drops"]
    assert quarters["total_ns"] - whole["total_ns"] == pytest.approx(6 * lock_drop_ns)


@given(WORKLOADS, POLICIES)
@settings(max_examples=30)
def test_outcomes_are_the_sums_of_the_story(workload: Workload, policy: str) -> None:
    values = parameters_of(workload) | {"policy": policy, "rounds": 2}
    point = {name: column[0].item() for name, column in points(**values).items()}
    told = list(story(point))
    found = outcome(**values)
    drops = [a.cause for a in told if a.result]
    assert found["nr_lock_drops"] == len(drops)
    assert [found[f"nr_drops_{cause}"] for cause in ("desc", "page", "both", "resched")] == [
        drops.count(cause) for cause in ("desc", "page", "both", "policy")
    ]
    assert found["nr_splits_1g"] == sum(a.level == 3 and not a.result for a in told)
    assert found["nr_sp_created"] == sum(a.takes_page for a in told)
    assert found["nr_desc_used"] == sum(a.takes_desc for a in told)
    assert (found["nr_desc_left"], found["nr_pages_left"]) == (told[-1].desc, told[-1].page)


def test_every_outcome_is_there_with_its_type() -> None:
    table = outcomes(points(3, desc_capacity=[513, 553, 1026]))
    for declared in OUTCOMES:
        assert table[declared.name].dtype == (np.int64 if declared.kind is int else np.float64)
        assert table[declared.name].shape == (3,)
    assert table["engine"].tolist() == ["replay"] * 3


def test_the_order_and_company_of_points_change_nothing() -> None:
    capacity = np.tile([513, 553, 600, 1026], 6)
    ratio = np.repeat([0.0, 0.1, 0.5], 8)
    policy = np.tile(["kernel", "kernel", "opportunistic", "exact_demand"], 6)
    columns = points(24, desc_capacity=capacity, alias_ratio=ratio, policy=policy, memslot_gib=2.0)
    together = outcomes(columns)
    shuffled = np.random.default_rng(0).permutation(24)
    mixed = outcomes({name: column[shuffled] for name, column in columns.items()})
    for name, column in together.items():
        assert mixed[name].tolist() == column[shuffled].tolist()
        alone = [outcomes({n: c[i : i + 1] for n, c in columns.items()})[name][0] for i in (0, 11)]
        assert alone == [column[0], column[11]]


def test_standing_bytes_of_an_unaliased_64_gib_vm() -> None:
    # 820 refills of 40 pages, 32,768 taken: 32 left.
    # 553 * (8 + 128) + 2 * 40 * 8 + 32 * (184 + 4096)
    found = outcome(memslot_gib=64.0)
    assert found["nr_pages_left"] == 820 * 40 - 32768 == 32
    assert found["standing_bytes"] == 75_208 + 640 + 32 * 4_280
    # Full caches, the table of the domain: 75,208 + 171,840.
    assert found["full_bytes"] == 247_048


@pytest.mark.parametrize(
    ("capacity", "ext", "nbytes"),
    [(513, 14, 241_608), (553, 14, 247_048), (1024, 14, 311_104), (1026, 14, 311_376),
     (513, 2, 20_520 + 171_840), (553, 2, 22_120 + 171_840)],
)  # fmt: skip
def test_full_bytes_are_the_published_table(capacity: int, ext: int, nbytes: int) -> None:
    assert outcome(desc_capacity=capacity, pte_list_ext=ext)["full_bytes"] == nbytes


def test_an_exact_policy_never_allocates_descriptors_that_nobody_needs() -> None:
    found = outcome(policy="exact_demand")
    assert (found["nr_desc_allocated"], found["nr_desc_left"]) == (0, 0)
    assert found["standing_bytes"] == 640 + 32 * 4_280


def test_f1_flushes_at_every_split_and_f0_only_for_non_leaf_entries() -> None:
    assert outcome(flush="f1")["nr_tlb_flushes"] == 32768
    assert outcome(flush="f0")["nr_tlb_flushes"] == 0
    assert outcome(flush="f0", ratio_1g=1.0, rounds=2)["nr_tlb_flushes"] == 64


def test_a_hold_is_forty_splits_when_nothing_is_aliased() -> None:
    # 40 * (9650 + 8 * 1100) = 738,000 ns; the last hold has 32768 - 819 * 40 = 8 splits.
    found = outcome(flush="f1", running_vcpus=8)
    assert (found["hold_ns_p50"], found["hold_ns_max"]) == (738_000, 738_000)
    assert found["lock_held_ns"] == 32768 * 18_450


def test_a_clear_chunk_bounds_a_hold() -> None:
    # 8 huge pages a call: no hold is longer, and each call takes the lock anew without a drop.
    found = outcome(caller="clear", clear_chunk_gib=8 / 512, flush="f0")
    assert found["hold_ns_max"] == 8 * 9650
    assert found["nr_lock_drops"] == 820


def test_a_cache_smaller_than_a_split_runs_on_the_machine() -> None:
    found = outcome(desc_min=16, desc_capacity=17, alias_ratio=1.0, distinct_role_ratio=1.0,
                    memslot_gib=1 / 512)  # fmt: skip
    # One page, two roles: the second split takes 512, of which 17 are cached and 495 bypass it.
    assert (found["engine"], found["nr_desc_used"], found["nr_desc_left"]) == ("machine", 17, 0)


def test_a_splitter_that_always_yields_starves_and_says_what_is_left() -> None:
    found = outcome(memslot_gib=1.0, preempt_on_contention=True, think_ns=5_000.0,
                    running_vcpus=64, split_ns=17_000.0, flush="f0")  # fmt: skip
    assert (found["engine"], found["nr_splits_2m"], found["nr_unsplit"]) == ("machine", 0, 512)
    assert found["nr_drops_resched"] > 90_000


def test_waiting_vcpus_cost_time_but_no_drops_when_nothing_preempts() -> None:
    calm = outcome(memslot_gib=1.0)
    busy = outcome(memslot_gib=1.0, think_ns=50_000.0)
    assert busy["nr_lock_drops"] == calm["nr_lock_drops"]
    assert busy["total_ns"] > calm["total_ns"]


def test_chunks_and_time_slices_both_end_a_hold_on_the_machine() -> None:
    values = {"memslot_gib": 1.0, "caller": "clear", "clear_chunk_gib": 8 / 512, "flush": "f0"}
    found = outcome(**values, timeslice_ns=1e12)
    assert (found["engine"], found["hold_ns_max"]) == ("machine", 8 * 9_650)
    assert found["nr_lock_drops"] == outcome(**values)["nr_lock_drops"] == 13


def test_non_leaf_entries_are_flushed_on_the_machine_too() -> None:
    values = {"memslot_gib": 2.0, "ratio_1g": 1.0, "rounds": 2, "flush": "f0"}
    slow, fast = outcome(engine="reference", **values), outcome(**values)
    assert slow["lock_held_ns"] == pytest.approx(fast["lock_held_ns"])
    assert fast["lock_held_ns"] == pytest.approx(1026 * 9_650 + 2 * (750 + 8 * 1_100))


def test_an_engine_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="auto, reference, expected"):
        outcome(engine="fast")


def test_a_time_slice_ends_a_hold() -> None:
    found = outcome(memslot_gib=1.0, timeslice_ns=100_000.0, flush="f0")
    # need_resched() after 100 us is seen at the 11th check: 11 * 9650 = 106,150 ns.
    assert found["hold_ns_max"] == 11 * 9_650
    assert found["nr_drops_resched"] > 0


def test_the_story_of_a_point_that_depends_on_time_is_refused() -> None:
    point = {name: column[0].item() for name, column in points(timeslice_ns=1.0).items()}
    with pytest.raises(ValueError, match="no clock"):
        story(point)


def test_a_point_names_the_workload_it_means() -> None:
    point = {name: column[0].item() for name, column in points(caller="clear").items()}
    assert workload_of(point) == Workload(nr_huge_pages=32768, clear_chunk=512)


@pytest.mark.parametrize("more", [{}, {"nr_memslots": 2}, {"rounds": 2}, {"ratio_1g": 0.5}])
def test_sizes_swept_together_equal_sizes_swept_alone(more: dict[str, Any]) -> None:
    values = {"alias_ratio": 0.1, "alias_degree": 3, "distinct_role_ratio": 0.5, **more}
    sizes = np.array([4.0, 0.5, 1.0, 3.25])
    together = outcomes(points(4, memslot_gib=sizes, **values))
    for i, size in enumerate(sizes.tolist()):
        alone = outcome(memslot_gib=size, **values)
        assert {name: column[i] for name, column in together.items()} == alone
