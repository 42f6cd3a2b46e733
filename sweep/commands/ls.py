"""`sweep-results` without a command, and `sweep-results ls`: which runs there are."""

import os

import typer

from sweep.commands.cli import Folder, Form, Rows, app
from sweep.commands.tables import Format, say, write

NEXT_STEPS = """What next:
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
    runs = found[:5]
    if not runs:
        say(f"There are no runs in {results_dir} yet. Make one: sweep experiment=seed_question")
        return
    write(listing(runs), Format.table, f"Recent runs in {results_dir}")
    stem = runs[0].name.rpartition("-")[0]
    is_only = sum(run.name.startswith(stem) for run in found) == 1
    say(NEXT_STEPS.format(run=stem if is_only else runs[0].name))


@app.command(epilog="Example:  sweep-results ls --format json")
def ls(results_dir: Folder = "results", form: Form = Format.table, limit: Rows = 40) -> None:
    """List runs, the newest first."""
    from sweep.results.description import listing
    from sweep.results.runs import runs_in

    write(listing(runs_in(results_dir)), form, f"Runs in {results_dir}", limit)
