"""The `sweep-results` command. Its commands: `reading`, `upkeep`, `weighing`, in this order."""

import re
import sys

import sweep.results.reading
import sweep.results.upkeep
import sweep.results.weighing  # noqa: F401  (all three add themselves to the app)
from sweep.pipes import ends_with_its_reader
from sweep.results.cli import app, hint
from sweep.terminal import clean, tell


@ends_with_its_reader
def main() -> None:
    """The console script. What its user can put right ends as one message and exit code 2."""
    try:
        app()
    except Exception as error:
        home = type(error).__module__.partition(".")[0]
        if home not in ("polars", "sweep") and not isinstance(error, ValueError | OSError):
            raise
        message = _of_polars(str(error)) if home == "polars" else str(error)
        tell(clean(f"sweep-results: {message}"))
        sys.exit(2)


def _of_polars(message: str) -> str:
    if missing := re.search(r'unable to find column "(.*?)"; valid columns: \[(.*?)\]', message):
        columns = re.findall(r'"(.*?)"', missing[2])
        return f"there is no column {missing[1]}.{hint(missing[1], columns)}"
    first_line = message.strip().split("\n")[0].rstrip(".")
    return f"{first_line}. If a file is torn, `sweep-results verify RUN` names it."
