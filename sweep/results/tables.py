"""Frames onto the terminal or into a file: table, csv, json, parquet."""

import json
import sys
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.results.columns import Format, unit
from sweep.terminal import clean

if TYPE_CHECKING:
    import polars as pl

WIDE: Final = 400
"""Columns of text when nobody's terminal limits them."""

NAME: Final = 40
"""Letters of the longest word that is never folded."""


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


def encode(frame: "pl.DataFrame", form: Format) -> bytes:
    """`frame` as csv, json (a list of objects, one a row) or Parquet."""
    import polars as pl

    out = BytesIO()
    if form is Format.csv:
        frame.write_csv(out)
    elif form is Format.json:
        numbers = pl.selectors.float()
        finite = frame.with_columns(pl.when(numbers.is_finite()).then(numbers).name.keep())
        out.write(json.dumps(finite.to_dicts(), indent=1, default=str).encode() + b"\n")
    else:
        frame.write_parquet(out)
    return out.getvalue()


def _print(frame: "pl.DataFrame", title: str) -> None:
    """On a narrow terminal words are folded, but no number ever is: then lines are longer."""
    screen = console()
    table = Table(
        title=clean(title) or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    units = "\n" if any(unit(name) for name in frame.columns) else ""
    heads = [(_broken(clean(name)) + units, unit(name)) for name in frame.columns]
    columns = [[cell(value) for value in column] for column in frame]
    spans = [_span("".join(head), cells) for head, cells in zip(heads, columns, strict=True)]
    widths = _widths(spans, screen.width - 2 * len(heads) - 1)
    for head, dtype, width in zip(heads, frame.dtypes, widths, strict=True):
        justify: Any = "right" if dtype.is_numeric() else "left"
        text = Text(head[0], style="bold").append(head[1], style="dim")
        table.add_column(text, justify=justify, vertical="top", overflow="fold", width=width)
    for row in zip(*columns, strict=True):
        table.add_row(*map(Text, row))
    screen.width = max(screen.width, sum(widths) + 2 * len(widths) + 1)
    screen.print(table)


def _span(head: str, cells: list[str]) -> tuple[int, int]:
    """Letters that a column takes at least, so that no word is cut, and at most."""
    lines = head.split("\n")
    words = [word for text in cells for word in text.split() if cell_len(word) <= NAME]
    return max(map(cell_len, [*lines, *words])), max(map(cell_len, [*lines, *cells]))


def _widths(spans: list[tuple[int, int]], room: int) -> list[int]:
    """Letters of each column: the most if there is room for all, but never less than the least."""
    least, most = sum(low for low, _ in spans), sum(high for _, high in spans)
    share = min(1.0, max(0, room - least) / max(1, most - least))
    return [low + int(share * (high - low)) for low, high in spans]


def _broken(name: str) -> str:
    """`a_long_name` on lines of about a dozen letters, broken behind underscores."""
    lines = [""]
    for part in name.replace("_", "_ ").split():
        lines[-1:] = [lines[-1] + part] if len(lines[-1] + part) <= 13 else [lines[-1], part]
    return "\n".join(lines).strip()


def cell(value: Any) -> str:
    """One value as people read it: 32,768, 0.0125, yes, or nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else positional(value)
    return clean(str(value))


def named(values: Mapping[str, Any]) -> str:
    """Those of `values` that are known: desc_capacity 553, policy kernel."""
    return ", ".join(f"{name} {cell(v)}" for name, v in values.items() if v is not None)


def positional(value: float) -> str:
    """Four significant digits, never an exponent: 0.00001, 0.0125, 819.2."""
    import numpy as np

    return np.format_float_positional(value, precision=4, fractional=False, trim="-")
