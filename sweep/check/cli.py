"""The `sweep-check` command: its arguments, what it prints, and how it ends.

Exit codes: 0 all agree, 1 something differs (named), 2 refused: a file that cannot be read or
breaks a rule. Nothing runs before every file has been checked.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import InputError
from core.patterns import KERNELS
from sweep.terminal import ends_with_its_reader

if TYPE_CHECKING:
    from sweep.check.goldens import Report
    from sweep.check.recordings import TraceReport

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Check the engines against recorded behaviour.",
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


@app.command()
def golden(
    files: Annotated[list[Path], typer.Argument(help="Golden files, plain or .gz.")],
    as_json: Json = False,
) -> None:
    """Every event and total of golden scenarios, for the reference machine and the fast path."""
    from rich.console import Console
    from rich.progress import track

    from sweep.check.goldens import check_goldens, read_goldens

    number = sum(1 for path in files for _ in read_goldens(path))
    every = (each for path in files for each in read_goldens(path))
    console = Console(stderr=True)
    shown = track(every, "checking", number, console=console, disable=not console.is_terminal)
    report = check_goldens(shown)
    _print(report.as_json()) if as_json else _golden_tables(report)
    raise typer.Exit(0 if report.agrees else 1)


def _print(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=1))


def _golden_tables(report: "Report") -> None:
    from rich.console import Console
    from rich.table import Table

    from sweep.check.goldens import Verdict

    console, verdicts = Console(markup=False, emoji=False), report.verdicts
    families, engines = (sorted({key[i] for key in verdicts}) for i in (0, 1))
    table = Table("family", *engines, title="scenarios that agree, of those compared")
    for family in families:
        table.add_row(family, *(str(verdicts.get((family, each), "-")) for each in engines))
    console.print(table)
    for engine in engines:
        all_of = [verdict for (_, each), verdict in verdicts.items() if each == engine]
        total = Verdict(sum(v.agreed for v in all_of), sum(v.differed for v in all_of))
        console.print(f"{engine}: {total} agree")
    if report.first_difference is not None:
        console.print("first difference:", json.dumps(report.first_difference), soft_wrap=True)


Kernel = Annotated[
    str | None,
    typer.Option(
        help="v6_1 (to 6.3) or v6_12 (from 6.4). Default: what the .json says, or what explains it."
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option("--task", help="A thread of the VM, as `comm-pid` or thread group. Repeatable."),
]


@app.command()
def trace(
    paths: Annotated[
        list[Path], typer.Argument(help="Recordings (ftrace, trace-cmd, perf), folders.")
    ],
    kernel: Kernel = None,
    task: Tasks = None,
    as_json: Json = False,
) -> None:
    """Recorded lock drops and splits against those predicted, from the trace and from its .json."""
    from sweep.check.recordings import check_trace, trace_files

    layout = _layout(kernel)
    reports = [check_trace(path, layout, task or ()) for path in trace_files(paths)]
    if as_json:
        agreed = sum(report.agrees for report in reports)
        _print({"recordings": len(reports), "agreed": agreed, "each": list(map(asdict, reports))})
    else:
        _trace_tables(reports)
    raise typer.Exit(0 if all(report.agrees for report in reports) else 1)


def _layout(kernel: str | None) -> str | None:
    if kernel is not None and kernel not in KERNELS:
        raise typer.BadParameter(
            f"{kernel!r}: choose {' or '.join(KERNELS)}", param_hint="--kernel"
        )
    return kernel


def _trace_tables(reports: "list[TraceReport]") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, emoji=False)
    table = Table(title="lock drops: recorded, and predicted from the recording alone")
    table.add_column("recording", no_wrap=True)
    for name in ("splits", "-28", "-11", "predicted", "extra", "missed", "by .json", "agrees"):
        table.add_column(name, justify="right")
    for r in reports:
        counts = (r.recorded["splits"], r.recorded["enospc"], r.recorded["eagain"])
        found = (r.alone["explained"], len(r.alone["extra"]), len(r.alone["missed"]))
        beside = "-" if r.workload is None else r.workload["predicted"]
        cells = (Path(r.file).name, *counts, *found, beside, "yes" if r.agrees else "NO")
        table.add_row(*map(str, cells))
    console.print(table)
    for r in reports:
        for note in r.notes:
            console.print(f"{r.file}: {note}", soft_wrap=True)
        for part in filter(None, (r.alone, r.workload)):
            if part["first_difference"]:
                console.print(f"{r.file}: {json.dumps(part['first_difference'])}", soft_wrap=True)
    agreed = sum(r.agrees for r in reports)
    extra = sum(len(r.alone["extra"]) for r in reports)
    console.print(
        f"{agreed} of {len(reports)} recordings agree; {extra} lock drops needed no top-up"
    )


@app.command("calibrate")
def calibrate_command(
    path: Annotated[Path, typer.Argument(metavar="TRACE", help="A recording of your own machine.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Cost group file to write.")],
    kernel: Kernel = None,
    task: Tasks = None,
) -> None:
    """Measure the cost of splits and lock drops: a file for `sweep cost=NAME`."""
    from sweep.check.recordings import calibration, cost_file

    found = calibration(path, _layout(kernel), task or ())
    text = cost_file(path, found)
    try:
        output.write_text(text)
    except OSError as error:
        raise typer.BadParameter(f"{output}: {error.strerror}", param_hint="--output") from error
    print(text, end="")


@ends_with_its_reader
def main() -> None:
    """Entry point. Turns bad input into exit code 2 and one message."""
    try:
        app()
    except InputError as error:
        print(f"sweep-check: {error}", file=sys.stderr)
        sys.exit(2)
