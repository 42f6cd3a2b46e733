"""Reading runs from Python: rows as lazy polars frames, and the named answers as functions.

    import sweep.results as r
    rows = r.open("results/seed_question-0123456789ab")  # or s3://bucket/..., or several
    r.seed_question(rows).collect()

Every function takes a LazyFrame and gives one; `describe()` documents what a run's rows hold, and
`sweep.results.door` lists all there is. It is imported when first used: `--help` needs no polars.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.results.door import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if find_spec(f"{__name__}.{name}"):
        raise AttributeError(f"{name} is a module that is not imported yet")
    door = import_module("sweep.results.door")
    offered = [word for word in vars(door) if not word.startswith("_")]
    if name not in offered:
        raise AttributeError(f"{__name__} has no {name}; it has {', '.join(sorted(offered))}")
    return getattr(door, name)
