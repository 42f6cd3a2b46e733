"""Invariant: one process of a machine compiles, whatever becomes of it; the others load."""

import fcntl

import pytest

from sweep import jit_cache
from sweep.jit_cache import FOLDER, warm_up

VERSIONS = {"python": "of these tests"}


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """The folder of compiled kernels, and a machine without other processes."""
    monkeypatch.setenv(FOLDER, str(tmp_path / "kernels"))
    monkeypatch.setattr(jit_cache.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(jit_cache, "_warm", set())
    (tmp_path / "kernels").mkdir()
    return tmp_path / "kernels"


def test_the_first_process_compiles_and_later_ones_do_not(kernels, monkeypatch):
    done = []
    warm_up(VERSIONS, lambda: done.append("first"))
    warm_up(VERSIONS, lambda: done.append("again"))
    monkeypatch.setattr(jit_cache, "_warm", set())
    warm_up(VERSIONS, lambda: done.append("another process"))
    assert done == ["first"]


def test_a_process_that_may_not_keep_its_kernels_compiles_once(kernels):
    kernels.rmdir()
    done = []
    warm_up(VERSIONS, lambda: done.append("first"))
    warm_up(VERSIONS, lambda: done.append("again"))
    assert done == ["first"]
    assert not kernels.exists()


def test_one_that_failed_to_compile_leaves_it_to_the_next(kernels):
    def fail():
        raise MemoryError

    with pytest.raises(MemoryError):
        warm_up(VERSIONS, fail)
    done = []
    warm_up(VERSIONS, lambda: done.append("next"))
    assert done == ["next"]


def test_one_that_hangs_is_not_waited_for_for_ever(kernels, monkeypatch, tmp_path):
    monkeypatch.setattr(jit_cache, "_PATIENCE_S", 0.2)
    done = []
    warm_up(VERSIONS, lambda: None)
    (lock,) = tmp_path.glob("splitsweep-*.lock")
    (kernels / "warm").unlink()
    monkeypatch.setattr(jit_cache, "_warm", set())
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        warm_up(VERSIONS, lambda: done.append("without the lock"))
    assert done == ["without the lock"]
