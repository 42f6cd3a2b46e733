"""One shard, as a plain function: columns of the grid in, a table out, a bad point isolated."""

import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from core.outcome import OUTCOMES
from sweep import shard_file
from sweep.grid import Columns, Grid
from sweep.model import Outcomes
from sweep.plan import Plan, Shard
from sweep.schema import table
from sweep.shard_file import Manifest
from sweep.store import Store, shard_name

MAX_ERROR_CHARS = 500


def evaluate(parameters: Columns, outcomes: Outcomes) -> tuple[Columns, dict[int, str]]:
    """Outcomes of all points, and a message for each point that has none.

    Whatever raises is halved until the guilty point is alone, so that its neighbours keep their
    outcomes. MemoryError is halved too: fewer points need less memory.
    """
    rows = len(next(iter(parameters.values())))
    try:
        return dict(outcomes(parameters)), {}
    except (Exception, SystemExit) as error:
        if rows == 1:
            message = f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARS]
            return blank(), {0: message}
    middle = rows // 2
    left, left_errors = evaluate({n: v[:middle] for n, v in parameters.items()}, outcomes)
    right, right_errors = evaluate({n: v[middle:] for n, v in parameters.items()}, outcomes)
    both = {name: np.concatenate([left[name], right[name]]) for name in left}
    return both, left_errors | {row + middle: text for row, text in right_errors.items()}


def blank() -> Columns:
    """Outcomes of a point that has none; they are stored as nulls."""
    zeros: Columns = {o.name: np.zeros(1, o.kind) for o in OUTCOMES}
    return zeros | {"engine": np.zeros(1, "U1")}


@dataclass(frozen=True)
class Work:
    """Everything that computing and storing a shard takes. Sent to the workers once.

    Workers make sure that they see the lease of the driver `owner` and have its `versions`.
    """

    plan: Plan
    store: Store
    outcomes: Outcomes
    owner: str = ""
    deadline_s: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    grid: Grid = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "grid", Grid.from_json(self.plan.grid))

    def rows(self, first: int, last: int) -> pa.Table:
        """The rows of points `first` to `last` - 1."""
        parameters = self.grid.columns(first, last)
        found, errors = evaluate(parameters, self.outcomes)
        return table(first, parameters, found, errors)

    def run(self, shard: Shard, name: str = "") -> Manifest:
        """Compute one shard and store it, as file `name` if that is not its own."""
        start = time.monotonic()
        rows = self.rows(*shard)
        return self.keep(shard, rows, time.monotonic() - start, name)

    def keep(self, shard: Shard, rows: pa.Table, seconds: float, name: str = "") -> Manifest:
        """Store the rows of one shard."""
        name = name or shard_name(shard, self.plan.points)
        manifest = shard_file.write(self.store, name, rows, self.plan, shard, seconds)
        return manifest._replace(peak_rss=peak_rss())


def peak_rss() -> int:
    """Largest memory this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
