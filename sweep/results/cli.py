"""What every `sweep-results` command shares: the app, its arguments, and how errors end."""

import re
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sweep.results.columns import Format

if TYPE_CHECKING:
    import polars as pl

    from sweep.results.runs import Run

FAILED: Final = 1
"""Exit code: it ran, but some points or checks failed."""
REFUSED: Final = 2
"""Exit code: nothing was done."""

app = typer.Typer(
    name="sweep-results",
    help="Read the tables of finished and unfinished runs, and answer questions from them.",
    epilog="Example:  sweep-results show seed_question",
    invoke_without_command=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    from sweep.results.runs import runs_in

    folder = ctx.params.get("results_dir") or "results"
    return [run.name for run in runs_in(folder) if run.name.startswith(incomplete)]


RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run, as `sweep-results ls` names it; the start of the name will do.",
        autocompletion=_complete_run,
    ),
]
RunNames = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="Runs, as `sweep-results ls` names them; the start of a name will do.",
        autocompletion=_complete_run,
    ),
]
Folder = Annotated[
    str,
    typer.Option(
        "--results-dir",
        envvar="SWEEP_RESULTS_DIR",
        help="Where runs lie: a folder, or a URI such as s3://bucket/results.",
    ),
]
Form = Annotated[
    Format, typer.Option("--format", "-f", help="How to write the rows; csv and json for scripts.")
]
Rows = Annotated[
    int, typer.Option("--limit", "-n", min=0, help="Most rows of a printed table; 0: all.")
]


def find(results_dir: str, name: str) -> "Run":
    """The run `name`; a note on standard error says so if it has not finished."""
    from sweep.results.runs import find as find_run

    run = find_run(results_dir, name)
    if run.done is None:
        note(f"{run.name} has not finished: {run.progress()}. To go on: {run.plan['resume']}")
    return run


def note(text: str) -> None:
    """Say something beside the answer, on standard error."""
    from sweep.terminal import clean

    print(clean(text), file=sys.stderr)


def known(names: Iterable[str], columns: Sequence[str], option: str) -> list[str]:
    """`names`; ValueError with the nearest column if one of them is none of `columns`."""
    for name in (wanted := list(names)):
        if name not in columns:
            near = get_close_matches(name, columns, 1)
            hint = f" Did you mean {near[0]}?" if near else " `sweep-results show RUN` lists them."
            raise ValueError(f"{option} {name}: there is no such column.{hint}")
    return wanted


def listed(text: str) -> list[str]:
    """The words of `a,b,c`."""
    return [word.strip() for word in text.split(",") if word.strip()]


def write_one(tables: "dict[str, pl.DataFrame]", chosen: str, form: Format, limit: int) -> None:
    """Print every table, or write the chosen one (the first, if none is) in another format.

    ValueError if `chosen` is no name of a table.
    """
    from sweep.results.tables import write

    if chosen and chosen not in tables:
        raise ValueError(f"--table {chosen}: choose one of {', '.join(tables)}.")
    if form is not Format.table:
        return write(tables[chosen or next(iter(tables))], form)
    for name in [chosen] if chosen else tables:
        write(tables[name], form, name, limit)


def run_app() -> None:
    """Run the command; what its user can put right ends as one message and exit code 2."""
    from sweep.errors import RefusedError

    try:
        app()
    except (ValueError, OSError, RefusedError) as error:
        _refuse(str(error))
    except Exception as error:
        home = type(error).__module__.partition(".")[0]
        if home not in ("polars", "sweep"):
            raise
        _refuse(_of_polars(str(error)) if home == "polars" else str(error))


def _of_polars(message: str) -> str:
    if missing := re.search(r'unable to find column "(.*?)"; valid columns: \[(.*?)\]', message):
        near = get_close_matches(missing[1], re.findall(r'"(.*?)"', missing[2]), 1)
        hint = f"Did you mean {near[0]}?" if near else "`sweep-results show RUN` lists them."
        return f"there is no column {missing[1]}. {hint}"
    first_line = message.strip().split("\n")[0].rstrip(".")
    return f"{first_line}. If a file is torn, `sweep-results verify RUN` names it."


def _refuse(message: str) -> None:
    note(f"sweep-results: {message}")
    sys.exit(REFUSED)
