"""`sweep-results` without a command, and `ls`, `show`, `answer` and `sql`: what runs hold."""

import os
from typing import Annotated, Final

import typer

from sweep.commands.cli import Folder, Form, Rows, RunName, RunNames, app, find
from sweep.commands.tables import Format, say, write

NEXT_STEPS: Final = """What next:
  sweep-results show {run}  what it is
  sweep-results best {run}  what to set
  sweep-results report {run} -o report.html  all in one page
  sweep-results sql {run} "SELECT policy, avg(nr_lock_drops) FROM results GROUP BY 1"
  sweep-results --help  every command"""


@app.callback()
def overview(ctx: typer.Context, results_dir: Folder = "results") -> None:
    """Read the tables of runs, and answer questions from them. Without a command: recent runs."""
    if ctx.invoked_subcommand is not None:
        # Said before the command, it holds for the command, whatever the environment says.
        source = ctx.get_parameter_source("results_dir")
        if source is not None and source.name == "COMMANDLINE":
            os.environ["SWEEP_RESULTS_DIR"] = results_dir
        return
    from sweep.results.description import listing
    from sweep.results.runs import runs_in

    found = runs_in(results_dir)
    if not found:
        say(f"There are no runs in {results_dir} yet. Make one: sweep experiment=seed_question")
        return
    newest = found[0].name
    write(listing(found[:5]), Format.table, f"Recent runs in {results_dir}")
    stem = newest.rpartition("-")[0]
    is_only = sum(run.name.startswith(stem) for run in found) == 1
    say(NEXT_STEPS.format(run=stem if is_only else newest))


@app.command(epilog="Example:  sweep-results ls --format json")
def ls(results_dir: Folder = "results", form: Form = Format.table, limit: Rows = 40) -> None:
    """List runs, the newest first."""
    from sweep.results.description import listing
    from sweep.results.runs import runs_in

    write(listing(runs_in(results_dir)), form, f"Runs in {results_dir}", limit)


@app.command(epilog="Example:  sweep-results show seed_question")
def show(
    run: RunName, results_dir: Folder = "results", form: Form = Format.table, limit: Rows = 5
) -> None:
    """Show one run: its question, provenance, settings and columns with units, and first rows.

    Settings that are assumptions say so. Other formats than a table hold one row for each column.
    """
    from sweep.results import description

    found = find(results_dir, run)
    columns = description.columns(found)
    if form is not Format.table:
        return write(columns, form)
    outcomes = columns.filter(role="outcome").select("column", "unit", "text")
    facts = description.provenance(found)
    width = max(map(len, facts))
    say(found.name, *description.question(found), *description.presets(found))
    say(*(f"{name:<{width}} {value}" for name, value in facts.items()))
    write(description.settings(columns), form, "Settings", 0)
    write(outcomes, form, "Outcomes", 0)
    write(description.first_rows(found, columns, limit), form, "First rows", limit)


@app.command(epilog="Example:  sweep-results answer seed_question")
def answer(
    run: RunName, results_dir: Folder = "results", form: Form = Format.table, limit: Rows = 40
) -> None:
    """Answer the question of the run's experiment again: its table, and sentences that follow."""
    from sweep.commands.announce import print_answer

    print_answer(find(results_dir, run), form, limit)


@app.command(
    epilog='Example:  sweep-results sql seed_question "SELECT desc_capacity, avg(nr_lock_drops) '
    'FROM results GROUP BY desc_capacity ORDER BY 1"'
)
def sql(
    runs: RunNames,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A SELECT over `results`.")],
    results_dir: Folder = "results",
    form: Form = Format.table,
    limit: Rows = 40,
) -> None:
    """Ask in SQL: `results` holds the rows of all the runs named, the column `run` names each.

    The dialect is polars'. A query reads the runs it names and nothing else, and changes nothing.
    """
    from sweep.results.runs import query as run_query

    found = [find(results_dir, name) for name in runs]
    write(run_query(found, query).collect(engine="streaming"), form, limit=limit)
