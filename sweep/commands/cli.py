"""What every `sweep-results` command shares: the app, its arguments, and finding a run."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sweep.commands.tables import Format
from sweep.errors import suggestion
from sweep.terminal import clean, tell

if TYPE_CHECKING:
    from sweep.results.runs import Run

FAILED: Final = 1
"""Exit code: it ran, but some points or checks failed."""

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
Table = Annotated[
    str, typer.Option("--table", help="Only this one of the tables; the first, if not printed.")
]


def find(results_dir: str, name: str) -> "Run":
    """The run `name`; a note on standard error says so if it has not finished."""
    from sweep.results.runs import find as find_run

    run = find_run(results_dir, name)
    if run.done is None:
        said = f"{run.name} has not finished: {run.progress()}. To go on: {run.plan.resume}"
        tell(clean(said))
    return run


def hint(name: str, columns: Collection[str]) -> str:
    """What to say to someone who named a column that there is not: the nearest one, if any."""
    return suggestion(name, columns) or " `sweep-results show RUN` lists them."


def known(names: Iterable[str], columns: Collection[str], option: str) -> list[str]:
    """`names`; ValueError with the nearest column if one of them is none of `columns`."""
    for name in (wanted := list(names)):
        if name not in columns:
            raise ValueError(f"{option} {name}: there is no such column.{hint(name, columns)}")
    return wanted


def words(text: str) -> list[str]:
    """The words of `a,b,c`."""
    return [word.strip() for word in text.split(",") if word.strip()]
