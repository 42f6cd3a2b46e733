"""A driver in a process of its own: python -m tests.sweep.driver ENGINE JSON."""

import json
import sys

from sweep.backends import BackendConfig
from sweep.launch import Job, launch
from tests.sweep import standins


def main():
    engine, settings = sys.argv[1], json.loads(sys.argv[2])
    grid = standins.seeds_by_capacities(settings.pop("seeds", 20), settings.pop("capacities", 100))
    backend = BackendConfig(**settings.pop("backend"))
    if backend.kind != "inline":
        import ray

        ray.cloudpickle.register_pickle_by_value(standins)
    return launch(grid, Job(backend=backend, **settings), getattr(standins, engine))


if __name__ == "__main__":
    sys.exit(main())
