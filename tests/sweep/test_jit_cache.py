"""Invariant: one process of a machine compiles, whatever becomes of it; the others load."""

import fcntl

import pytest

from sweep import jit_cache
from sweep.backends import ray_worker
from sweep.jit_cache import FOLDER, warm_up
from sweep.plan import Shard
from tests.sweep.standins import seeds_by_capacities, tiny
from tests.sweep.test_shard import work_of

VERSIONS = {"python": "of these tests"}


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """The folder of compiled kernels, and a machine without other processes."""
    monkeypatch.setenv(FOLDER, str(tmp_path / "kernels"))
    monkeypatch.setattr(jit_cache.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(jit_cache, "_warm", set())
    (tmp_path / "kernels").mkdir()
    return tmp_path / "kernels"


@pytest.fixture
def warmed(kernels, monkeypatch):
    """Warm up as another process would each time; True if something was compiled."""

    def warm(engine="auto", versions=VERSIONS, result=True):
        monkeypatch.setattr(jit_cache, "_warm", set())
        done = []
        warm_up(versions, engine, lambda: done.append(1) or result)
        return bool(done)

    return warm


def test_the_first_process_compiles_and_later_ones_do_not(warmed):
    assert warmed()
    assert not warmed()


def test_another_engine_and_other_versions_are_compiled_too(warmed):
    assert warmed("auto")
    assert warmed("reference")
    assert warmed("auto", VERSIONS | {"core": "edited"})


def test_one_that_failed_leaves_it_to_the_next(warmed):
    assert warmed(result=False)
    assert warmed()
    assert not warmed()


def test_a_process_that_may_not_keep_its_kernels_compiles_once(kernels):
    kernels.rmdir()
    done = []
    for _ in range(2):
        warm_up(VERSIONS, "auto", lambda: done.append(1) or True)
    assert done == [1]
    assert not kernels.exists()


def test_who_had_to_wait_looks_again(kernels, monkeypatch):
    done = []

    def compile_elsewhere(file):
        if not done:  # another process has the lock, and compiles
            monkeypatch.setattr(jit_cache, "_locked", locked)
            warm_up(VERSIONS, "auto", lambda: done.append("other") or True)
            monkeypatch.setattr(jit_cache, "_warm", set())
        return locked(file)

    locked = jit_cache._locked
    monkeypatch.setattr(jit_cache, "_locked", compile_elsewhere)
    monkeypatch.setattr(jit_cache, "_PATIENCE_S", 0.2)
    warm_up(VERSIONS, "auto", lambda: done.append("waiter") or True)
    assert done == ["other"]


def test_one_that_hangs_is_not_waited_for_for_ever(warmed, kernels, monkeypatch, tmp_path):
    monkeypatch.setattr(jit_cache, "_PATIENCE_S", 0.2)
    warmed()
    (lock,) = tmp_path.glob("splitsweep-*.lock")
    for mark in kernels.iterdir():
        mark.unlink()
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert warmed()


def test_a_worker_whose_first_point_fails_says_nothing_of_its_kernels(kernels, tmp_path):
    def broken(points):
        raise MemoryError

    for outcomes, marks in ((broken, 0), (tiny, 1)):
        work = work_of(seeds_by_capacities(1, 2), outcomes, tmp_path)
        ok = ray_worker._compile(work, Shard(0, 2).first)
        assert ok is bool(marks)
        jit_cache._warm.clear()
        warm_up(VERSIONS, "", lambda ok=ok: ok)
        assert len(list(kernels.glob("warm-*"))) == marks
