"""The model as a shard calls it: points in, outcomes out, imported and compiled where it runs."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

from core.compiled import PATIENCE, interpreted
from sweep import jit_cache
from sweep.grid import Columns, Grid
from sweep.provenance import versions

Outcomes: TypeAlias = Callable[[Mapping[str, NDArray[Any]]], Columns]
"""Columns of parameters to columns of outcomes, a row a point."""


@dataclass(frozen=True)
class Engine:
    """`core.engine.outcomes`, imported where it runs, with the text of recorded workloads."""

    name: str
    recordings: Mapping[str, str]

    def __call__(self, points: Mapping[str, NDArray[Any]]) -> Columns:
        if "numba" not in sys.modules:
            os.environ.update(jit_cache.settings(versions()))
        from core.engine import outcomes, steps

        with interpreted(steps(points, self.name)):
            return outcomes(points, self.name, self.recordings)

    def is_brief(self, grid: Grid) -> bool:
        """Whether a grid takes less time than it would take to measure how long it takes."""
        from core.engine import steps

        return len(grid) <= 64 and steps(grid.columns(0, len(grid)), self.name) <= PATIENCE
