"""Invariant: every experiment runs, thinned to two values an axis, and its axes matter."""

from collections.abc import Iterator
from itertools import islice

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra

from core.engine import outcomes
from core.parameters import BY_NAME
from sweep.config import CONF, options, register
from sweep.sweeper import Sweep


@pytest.fixture(scope="module")
def loader() -> Iterator[ConfigLoader]:
    register()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        yield GlobalHydra.instance().config_loader()


def whole(loader: ConfigLoader, experiment: str) -> Sweep:
    chosen = [f"experiment={experiment}"]
    return Sweep(loader, compose("config", overrides=chosen, return_hydra_config=True), chosen)


def thinned(loader: ConfigLoader, experiment: str) -> Sweep:
    """The first two values of each axis; of a preset axis, its first two presets."""
    config = whole(loader, experiment).blocks[0]
    swept = whole(loader, experiment).grid.axes()
    axes = []
    for key, values in config.grid.items():
        some = values[:2] if key in config else islice(swept[key.split(".")[1]], 2)
        axes.append(f"{key}={','.join(map(str, some))}")
    words = [f"experiment={experiment}", *axes]
    return Sweep(loader, compose("config", overrides=words[:1], return_hydra_config=True), words)


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_runs_at_reduced_size(loader: ConfigLoader, experiment: str) -> None:
    grid = thinned(loader, experiment).grid
    rows = outcomes(grid.columns(0, len(grid)))
    causes = sum(rows[f"nr_drops_{cause}"] for cause in ("desc", "page", "both", "resched"))
    assert (causes == rows["nr_lock_drops"] - rows["nr_enomem"]).all()
    assert (rows["nr_splits_2m"] + rows["nr_unsplit"] > 0).all()
    assert len(grid) == 2 ** len(thinned(loader, experiment).blocks[0].grid)


def test_the_seed_question_has_ten_thousand_points_and_the_maintainers_three_capacities(
    loader: ConfigLoader,
) -> None:
    grid = whole(loader, "seed_question").grid
    assert len(grid) >= 10_000
    assert {513, 553, 1026} <= set(grid.axes()["desc_capacity"])
    assert {1, 64, 1024, 24 * 1024} <= set(grid.axes()["memslot_gib"])


def test_there_is_an_experiment_for_each_question(loader: ConfigLoader) -> None:
    swept = {e: set(whole(loader, e).grid.axes()) for e in options("experiment")}
    assert swept["is_40_right"] >= {"object_capacity"}
    assert swept["is_exact_counting_worth_it"] >= {"policy"}
    assert swept["clear_chunks"] >= {"clear_chunk_gib"}
    assert swept["ext_2_or_14"] >= {"pte_list_ext", "alias_degree"}
    assert swept["flush_flavours"] >= {"flush", "running_vcpus"}
    assert swept["starvation"] >= {"think_ns", "preempt_on_contention"}
    assert len(swept) == 11
    assert all(names <= BY_NAME.keys() for names in swept.values())
