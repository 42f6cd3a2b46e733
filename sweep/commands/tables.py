"""Frames onto the terminal or into a file: table, csv, json, parquet."""

import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.terminal import clean

if TYPE_CHECKING:
    import polars as pl

WIDE: Final = 400
"""Columns of text when nobody's terminal limits them."""

NAME: Final = 40
"""Letters of the longest word that is never folded."""


class Format(StrEnum):
    """How a table is written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def console() -> Console:
    """Standard output: as wide as the terminal, or as the table needs when there is none."""
    width = None if sys.stdout.isatty() else WIDE
    return Console(width=width, highlight=False, soft_wrap=not sys.stdout.isatty())


def say(*lines: str) -> None:
    """Print lines of text, folded at the terminal's width; configs and traces cannot colour it."""
    for line in lines:
        console().print(Text("\n".join(clean(part) for part in line.split("\n"))))


def write(frame: "pl.DataFrame", form: Format, title: str = "", limit: int = 40) -> None:
    """Write `frame` to standard output.

    `title` and `limit`, the most rows shown (0: all), are for the table only; the other formats
    hold every row. Raises ValueError instead of writing Parquet to a terminal.
    """
    from sweep.results.formats import encode

    if form is Format.table:
        shown = frame.head(limit) if limit else frame
        _print(shown, title)
        if shown.height < frame.height:
            say(f"{frame.height - shown.height:,} more rows; --limit 0 shows all.")
        return
    if form is Format.parquet and sys.stdout.isatty():
        raise ValueError("--format parquet is binary: redirect it, as in  > rows.parquet")
    data = encode(frame, form)
    if sys.stdout.isatty():
        lines = data.decode().split("\n")
        data = "\n".join(clean(line) for line in lines).encode()
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def _print(frame: "pl.DataFrame", title: str) -> None:
    """On a narrow terminal words are folded, but no number ever is: then lines are longer."""
    from sweep.results.columns import unit
    from sweep.results.formats import cell

    table = Table(
        title=clean(title) or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    units = "\n" if any(map(unit, frame.columns)) else ""
    columns = [[cell(value) for value in column] for column in frame]
    for column, cells in zip(frame, columns, strict=True):
        head = Text(_broken(clean(column.name)) + units, style="bold")
        head.append(unit(column.name), style="dim")
        words = [word[:NAME] for text in cells for word in text.split()]
        least, most = (max(map(cell_len, [*head.plain.split("\n"), *c])) for c in (words, cells))
        table.add_column(head, overflow="fold", min_width=least, no_wrap=least == most)
        if column.dtype.is_numeric():
            table.columns[-1].justify = "right"
    for row in zip(*columns, strict=True):
        table.add_row(*map(Text, row))
    screen = console()
    narrowest = 1 + sum((column.min_width or 0) + 2 for column in table.columns)
    screen.width = max(screen.width, narrowest)
    screen.print(table, crop=False)


def _broken(name: str) -> str:
    """`a_long_name` on lines of about a dozen letters, broken behind underscores."""
    lines = [""]
    for part in re.split("(?<=_)", name):
        lines[-1:] = [lines[-1] + part] if len(lines[-1] + part) <= 13 else [lines[-1], part]
    return "\n".join(lines).strip()


def write_one(tables: "Mapping[str, pl.DataFrame]", chosen: str, form: Format, limit: int) -> None:
    """Print every table, or write the chosen one (the first, if none is) in another format.

    ValueError if `chosen` is no name of a table.
    """
    if chosen and chosen not in tables:
        raise ValueError(f"--table {chosen}: choose one of {', '.join(tables)}.")
    if form is not Format.table:
        return write(tables[chosen or next(iter(tables))], form)
    for name in [chosen] if chosen else tables:
        write(tables[name], form, name, limit)
