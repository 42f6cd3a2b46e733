"""`sweep-check`: do the engines agree with recorded scenarios and recorded kernels?

Exit codes: 0 all agree, 1 something differs (named), 2 refused: a file that cannot be read or
breaks a rule. Nothing runs before every file has been checked.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sweep.conform import Report

app = typer.Typer(no_args_is_help=True, help="Check the engines against recorded behaviour.")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


@app.callback()
def _commands() -> None:
    """Keep `golden` a word of its own."""


@app.command()
def golden(
    files: Annotated[list[Path], typer.Argument(help="Golden files, plain or .gz.")],
    as_json: Json = False,
) -> None:
    """Every event and total of golden scenarios, for the reference machine and the fast path."""
    from rich.progress import track

    from sweep.conform import check_goldens, read_goldens

    number = sum(1 for path in files for _ in read_goldens(path))
    every = (each for path in files for each in read_goldens(path))
    quiet = as_json or not sys.stderr.isatty()
    report = check_goldens(track(every, "checking", total=number, disable=quiet, transient=True))
    _print(report.as_json()) if as_json else _golden_tables(report)
    raise typer.Exit(0 if report.agrees else 1)


def _print(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=1))


def _golden_tables(report: "Report") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    engines = sorted({engine for each in report.verdicts.values() for engine in each})
    table = Table("family", *engines, title="scenarios that agree, of those compared")
    for family, verdicts in sorted(report.verdicts.items()):
        cells = (verdicts.get(engine) for engine in engines)
        counts = (f"{v.agreed} of {v.agreed + len(v.differed)}" if v else "-" for v in cells)
        table.add_row(family, *counts)
    console.print(table)
    for engine in engines:
        all_of = [each[engine] for each in report.verdicts.values() if engine in each]
        agreed = sum(v.agreed for v in all_of)
        console.print(
            f"{engine}: {agreed} of {agreed + sum(len(v.differed) for v in all_of)} agree"
        )
    if report.first_difference is not None:
        console.print("first difference:", json.dumps(report.first_difference), soft_wrap=True)


def main() -> None:
    """Entry point. Turns bad input into exit code 2 and one message."""
    from core.files import InputError

    try:
        app()
    except InputError as error:
        print(f"sweep-check: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
