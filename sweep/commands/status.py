"""`sweep-results status`: how a run is doing."""

from sweep.commands.cli import Folder, Form, RunName, app
from sweep.commands.tables import Format, write


@app.command(epilog="Example:  sweep-results status seed_question --format json")
def status(run: RunName, results_dir: Folder = "results", form: Form = Format.table) -> None:
    """How a run is doing: progress, rate, time left, failures, and who writes it.

    Reads the run's folder alone, so it works from any machine that sees the folder.
    """
    from sweep.results.description import listed, one_row
    from sweep.results.runs import find as find_run
    from sweep.results.status import status as read_status

    facts = read_status(find_run(results_dir, run).store)
    rows = listed(facts) if form is Format.table else one_row(facts)
    write(rows, form, "Status", 0)
