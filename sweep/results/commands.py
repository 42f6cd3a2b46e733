"""The `sweep-results` command. Its commands: `reading`, `upkeep`, `weighing`, in this order."""

import sweep.results.reading
import sweep.results.upkeep
import sweep.results.weighing  # noqa: F401  (both add themselves to the app)
from sweep.pipes import ends_with_its_reader
from sweep.results.cli import run_app


@ends_with_its_reader
def main() -> None:
    """The console script."""
    run_app()
