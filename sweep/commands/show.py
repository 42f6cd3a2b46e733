"""`sweep-results show`: what a run is, in words and tables."""

from sweep.commands.cli import Folder, Form, Rows, RunName, app, find
from sweep.commands.tables import Format, say, write


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
    say(*description.lines(found))
    write(description.settings(columns), form, "Settings", 0)
    write(description.outcomes(columns), form, "Outcomes", 0)
    write(description.first_rows(found, columns, limit), form, "First rows", limit)
