"""Oracle: the points and their order are those that Hydra's own BasicSweeper would launch."""

import random
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from core.parameters import BY_KEY, BY_NAME, GROUPS, PARAMETERS
from sweep.config import CONF, options, register
from sweep.errors import RefusedError
from sweep.grid import Grid, Leaf
from sweep.sweeper import Sweep


@pytest.fixture(scope="module")
def loader() -> Iterator[ConfigLoader]:
    register()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        yield GlobalHydra.instance().config_loader()


@cache
def compose_all(*overrides: str) -> DictConfig:
    return compose("config", overrides=list(overrides), return_hydra_config=True)


def swept(loader: ConfigLoader, *arguments: str) -> Sweep:
    """As `sweep -m` makes it: sweeps are left out of the base."""
    parsed = OverridesParser.create().parse_overrides(list(arguments))
    fixed = [str(o.input_line) for o in parsed if not o.is_sweep_override()]
    return Sweep(loader, compose_all(*fixed), arguments)


def rows(sweep: Sweep, *names: str) -> list[tuple[Any, ...]]:
    columns = sweep.grid.columns(0, len(sweep.grid))
    return list(zip(*(columns[n].tolist() for n in names), strict=True))


# Each group's options all set the leaf of the group's own name, so that it tells them apart.
GROUP_AXES = (
    "policy=kernel,exact_demand",
    "kernel=v6_1,v6_12",
    "workload=glob(k*)",
    "workload=choice(kata_fleet,uniform)",
    "policy=glob(*,exclude=exact*)",
)
VALUE_AXES = (
    "workload.alias_ratio=0,0.25,1",
    "workload.alias_degree=choice(2,3)",
    "caches.desc_capacity=range(513,520,3)",
    "caches.desc_capacity=range(530,513,-8)",
    "workload.distinct_role_ratio=range(0,1,0.5)",
    "workload.placement='uniform',\"clustered\"",
    "caller.rounds=sort(3,1,2)",
    "caller.rounds=sort(range(1,4),reverse=true)",
    "kernel.preempt_on_contention=true,false",
    "cost.running_vcpus=int(1.0,2.0)",
    "cost.think_ns=float(range(1,3))",
    "workload.seed=tag(a,choice(1,5))",
    "caches.pte_list_ext=14,2",
    "workload.memslot_gib=0.001953125,64",
)
FIXED = ("caller=clear", "workload.memslot_gib=128", "caches=doubled", "cost.split_ns=1e3")


def random_overrides(seed: int) -> list[str]:
    draw = random.Random(seed)
    some = [draw.choice(GROUP_AXES)] if draw.random() < 0.4 else []
    some += draw.sample(VALUE_AXES, draw.randint(0, 3)) + draw.sample(FIXED, draw.randint(0, 2))
    draw.shuffle(some)
    return some


def launched(loader: ConfigLoader, overrides: list[str]) -> list[list[str]]:
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(overrides)
    (batch,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return batch


def as_columns(job: list[str]) -> dict[str, Any]:
    """The columns that one job's overrides name, as Hydra's parser and OmegaConf read them."""
    parsed = OverridesParser.create().parse_overrides(job)
    named = [(BY_KEY.get(o.key_or_group, BY_NAME.get(o.key_or_group)), o) for o in parsed]
    return {
        p.name: type(p.default)(o.value()) for p, o in named if p and o.key_or_group != "caller"
    }


@pytest.mark.parametrize("seed", range(100))
def test_points_and_order_are_those_of_hydras_basic_sweeper(
    loader: ConfigLoader, seed: int
) -> None:
    overrides = random_overrides(seed)
    jobs = launched(loader, overrides)
    wanted = [as_columns(job) for job in jobs]
    got = swept(loader, *overrides).grid
    columns = got.columns(0, len(got))
    assert [{n: columns[n][i].item() for n in job} for i, job in enumerate(wanted)] == wanted
    assert len(got) == len(jobs)


def test_every_point_equals_the_config_that_hydra_composes_for_its_job(
    loader: ConfigLoader,
) -> None:
    overrides = [
        "caches.desc_capacity=553,1026",
        "workload=kata_fleet,hyperv_vbs",
        "caller.rounds=1,2",
        "caller=clear",
    ]
    grid = swept(loader, *overrides).grid
    columns = grid.columns(0, len(grid))
    for i, job in enumerate(launched(loader, overrides)):
        config = compose_all(*job)
        point = {key: columns[key.split(".")[1]][i].item() for key in BY_KEY}
        assert point == {key: OmegaConf.select(config, key) for key in BY_KEY}


def test_a_config_without_grid_is_one_point(loader: ConfigLoader) -> None:
    assert len(swept(loader).grid) == 1


def test_a_later_override_of_the_same_key_wins_in_the_earlier_ones_place(
    loader: ConfigLoader,
) -> None:
    overrides = ["caller.rounds=1,2", "workload.seed=0,1", "caller.rounds=3,4"]
    got = rows(swept(loader, *overrides), "rounds", "seed")
    assert got == [(3, 0), (3, 1), (4, 0), (4, 1)]


def test_axes_of_the_config_are_inside_those_of_the_command_line(loader: ConfigLoader) -> None:
    sweep = swept(loader, "experiment=clear_chunks", "policy=kernel,opportunistic")
    assert len(sweep.grid) == 2 * 6 * 3 * 3 * 2 * 3
    first = rows(sweep, "policy", "clear_chunk_gib", "desc_capacity")
    assert list(islice(first, 4)) == [
        ("kernel", 0.25, 513),
        ("kernel", 0.25, 553),
        ("kernel", 0.25, 1026),
        ("kernel", 0.25, 513),
    ]
    assert sweep.grid.blocks() == 2


@pytest.mark.parametrize("given", ["caches.desc_capacity=600", "caches.desc_capacity=600,601"])
def test_the_command_line_wins_over_an_axis_of_the_config(loader: ConfigLoader, given: str) -> None:
    sweep = swept(loader, "experiment=clear_chunks", given)
    assert {c for (c,) in rows(sweep, "desc_capacity")} <= {600, 601}
    assert len(sweep.grid) == 6 * 3 * 3 * 2 * (1 + given.count(","))


def test_experiments_are_swept_like_any_group_each_with_its_own_grid(loader: ConfigLoader) -> None:
    both = swept(loader, "experiment=clear_chunks,where_enospc_starts")
    alone = [swept(loader, f"experiment={e}") for e in ("clear_chunks", "where_enospc_starts")]
    assert len(both.grid) == sum(len(one.grid) for one in alone)
    assert rows(both, *BY_NAME) == [row for one in alone for row in rows(one, *BY_NAME)]


def test_a_group_axis_of_a_config_composes_a_block_for_each_option(loader: ConfigLoader) -> None:
    sweep = swept(loader, "experiment=is_553_right", "caches.desc_capacity=553")
    assert [w for (w,) in rows(sweep, "workload")] == [
        "selftest_nested",
        "gce_one_l2",
        "kata_fleet",
        "microvm_clones",
        "hyperv_vbs",
        "wsl2_dev",
        "consolidation_1t",
        "stress_24t",
        "legacy_hist",
    ]
    assert len(sweep.blocks) == 9


def test_an_option_on_the_command_line_replaces_a_group_axis_of_the_config(
    loader: ConfigLoader,
) -> None:
    words = ["experiment=is_553_right", "workload=kata_fleet", "caches.desc_capacity=553"]
    assert rows(swept(loader, *words), "workload") == [("kata_fleet",)]


def test_a_billion_points_are_taken_without_being_listed(loader: ConfigLoader) -> None:
    sweep = swept(loader, "workload.seed=range(0,1000000000)", "caches.desc_capacity=513,553")
    assert len(sweep.grid) == 2 * 10**9


REFUSED = {
    "workload.alias_ration=0,1": ("workload.alias_ration", "Did you mean workload.alias_ratio?"),
    "desc_capacity=1,2": ("desc_capacity", "Did you mean caches.desc_capacity?"),
    "caches.capacity=1,2": ("caches.capacity", "Did you mean caches.desc_capacity?"),
    "caches.zzz=1,2": ("caches.zzz: no such parameter or setting. caches has desc_min",),
    "foo=1,2": ("foo", "Groups: workload, caches, kernel"),
    "policy=kernel,opportunstic": ("opportunstic", "Did you mean opportunistic?"),
    "workload=glob(z*)": ("workload=glob(z*)", "axis is empty"),
    "workload.alias_ratio=0,1.5": ("workload.alias_ratio=1.5", "between 0 and 1. It is a share"),
    "workload.alias_ratio=range(0,2,0.25)": ("workload.alias_ratio=1.75", "It is a share"),
    "workload.memslot_gib=1,1.001": ("workload.memslot_gib=1.001", "multiple of 0.001953125 GiB"),
    "workload.memslot_gib=1,0.001": ("workload.memslot_gib=0.001", "between 0.001953125 and"),
    "workload.memslot_gib=range(1,2,0.001)": ("workload.memslot_gib=1.001", "2 MiB huge pages"),
    "caches.desc_capacity=553,512": ("desc_capacity=512, desc_min=513", "Mainline has 553"),
    "caches.desc_capacity=range(500,600)": ("desc_capacity=500, desc_min=513", "at least"),
    "workload.alias_degree=2,1001": ("workload.alias_degree=1001", "RMAP_RECYCLE_THRESHOLD"),
    "caller.rounds=1,x": ("caller.rounds='x'", "takes a whole number (rounds)"),
    "caller.rounds=1,2.5": ("caller.rounds=2.5", "takes a whole number"),
    "caller.rounds=range(1,3,0.5)": ("caller.rounds=range(1,3,0.5)", "takes a whole number"),
    "workload.placement=uniform,cluster": ("'cluster'", "Did you mean clustered?"),
    "workload.placement=range(1,3)": ("workload.placement", "takes text"),
    "kernel.preempt_on_contention=true,7.5": ("7.5", "takes true or false"),
    "caller.rounds=range(5,5)": ("caller.rounds=range(5,5,1)", "at least one value"),
    "caller.rounds=1,2,1": ("caller.rounds: 1", "twice"),
    "workload.memslot_gib=64,64.0": ("workload.memslot_gib: 64.0", "twice"),
    "policy=kernel,kernel": ("policy: kernel", "twice"),
    "caller.rounds=interval(1,2)": ("interval(1,2)", "range(start,stop,step)"),
    "caller.rounds=shuffle(range(1,9))": ("shuffle", "could not be resumed"),
    "policy=shuffle(kernel,exact_demand)": ("shuffle", "could not be resumed"),
    "workload.seed=0,${caller.rounds}": ("${caller.rounds}", "no value of an axis"),
    "hydra.job.name=a,b": ("hydra.job.name", "a setting of the whole run is no axis"),
    "backend=inline,ray_local": ("backend", "a setting of the whole run is no axis"),
    "backend.num_cpus=1,2": ("backend.num_cpus", "is no axis"),
    "results_dir=a,b": ("results_dir", "is no axis"),
    "engine=auto,reference": ("engine", "is no axis"),
    "dry_run=true,false": ("dry_run", "is no axis"),
    "+caller.rounds=1,2": ("+caller.rounds", "without the +"),
    "experiment=seed_question,flush_flavors": ("flush_flavors", "Did you mean flush_flavours?"),
}


@pytest.mark.parametrize("axis", REFUSED)
def test_a_bad_axis_is_refused_with_its_name_value_rule_and_options(
    loader: ConfigLoader, axis: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        swept(loader, axis)
    assert [part for part in REFUSED[axis] if part not in str(refused.value)] == []


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ("shuffle(kernel,exact_demand)", "could not be resumed"),
        ("interval(1,2)", "range(start,stop,step)"),
    ],
)
def test_a_group_axis_of_a_config_that_is_no_list_of_points_is_refused(
    loader: ConfigLoader, values: str, part: str
) -> None:
    with pytest.raises(RefusedError, match=r"^policy=") as refused:
        swept(loader, f"+grid.policy='{values}'")
    assert part in str(refused.value)


def test_more_than_two_to_the_63_points_are_refused(loader: ConfigLoader) -> None:
    axes = ("workload.seed=range(0,9000000000000000)", "caches.desc_min=range(1,1000000000)")
    with pytest.raises(RefusedError, match="64-bit integers"):
        swept(loader, *axes, "caches.desc_capacity=1000000000", "caller.rounds=1,2,3")


@pytest.mark.parametrize("workload", ["trace", "rmap_histogram"])
def test_a_recorded_workload_needs_its_file(loader: ConfigLoader, workload: str) -> None:
    with pytest.raises(RefusedError, match=r"workload\.path must name"):
        swept(loader, f"workload={workload},uniform")


def test_taking_a_parameter_away_is_refused(loader: ConfigLoader) -> None:
    with pytest.raises(RefusedError, match=r"~caller\.rounds"):
        Sweep(loader, compose_all(), ["~caller.rounds"])


@pytest.mark.parametrize(
    "own",
    [
        "caches.desc_min=${caches.desc_capacity}",
        "name=run_${caches.desc_capacity}",
        "workload.seed=${oc.select:caches.desc_capacity,3}",
        "workload.seed=${workload.alias_degree}",
    ],
)
def test_a_value_interpolated_from_an_axis_is_refused(loader: ConfigLoader, own: str) -> None:
    chain = "workload.alias_degree=${caches.desc_capacity}"
    with pytest.raises(RefusedError, match="interpolated from an axis"):
        swept(loader, chain if "degree" in own else own, own, "caches.desc_capacity=513,553")


def test_an_interpolation_that_depends_on_no_axis_is_resolved(loader: ConfigLoader) -> None:
    own = "caches.desc_capacity=${caches.desc_min}"
    assert rows(swept(loader, own, "caller.rounds=1,2"), "desc_capacity") == [(513,), (513,)]


def test_blocks_may_not_disagree_on_settings(loader: ConfigLoader) -> None:
    named = "name=${workload.workload}"
    with pytest.raises(RefusedError, match="name is uniform in one block and kata_fleet in"):
        swept(loader, named, "workload=uniform,kata_fleet")


@pytest.mark.parametrize("group", [*GROUPS, "experiment"])
def test_every_option_of_every_group_composes_to_a_legal_point(
    loader: ConfigLoader, group: str
) -> None:
    for option in options(group):
        needs_path = option in ("trace", "rmap_histogram")
        path = ["workload.path=some/file"] if needs_path else []
        assert len(swept(loader, f"{group}={option}", *path).grid) >= 1
    assert options(group)


def test_the_default_files_say_what_the_parameters_declare(loader: ConfigLoader) -> None:
    point = Grid(Leaf({p.name: p.default for p in PARAMETERS})).fixed
    assert swept(loader).grid.fixed == point
