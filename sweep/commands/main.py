"""The `sweep-results` command: all its commands, and how it ends."""

import re
import sys
from typing import Final

from sweep.commands.cli import app, hint
from sweep.terminal import clean, ends_with_its_reader, tell

# In the order in which --help lists their commands:
from sweep.commands import runs, upkeep, analysis  # noqa: F401  # isort: skip

_TORN: Final = ("parquet: ", "ARROW:schema")
"""What polars' errors have in them if a Parquet file is damaged."""


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
    if any(words in first_line for words in _TORN):
        return f"{first_line}. A file is torn: `sweep-results verify RUN` names it."
    return f"{first_line}."
