"""Fixtures of the batch system's tests."""

import pytest


@pytest.fixture(scope="session")
def by_value():
    """Send the stand-in engines themselves to Ray workers, which cannot import tests."""
    import ray

    from tests.sweep import standins

    ray.cloudpickle.register_pickle_by_value(standins)
