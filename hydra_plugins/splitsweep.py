"""Where Hydra 1.3 looks for a sweeper. Loaded by every Hydra app, so it imports nothing of ours."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(Sweeper):
    """`sweep -m`: all axes of the command line become one grid, one run and one table."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra composed; nothing is launched a point, so `task_function` is not used."""
        self.config, self.hydra_context = config, hydra_context

    def sweep(self, arguments: list[str]) -> Any:
        """Run the grid of the override strings `arguments`; ends the process with its exit code."""
        from sweep.app import execute

        execute(self.hydra_context.config_loader, self.config, arguments)
