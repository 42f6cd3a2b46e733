"""`sweep-results answer`: what a run's experiment asks, and what its rows say."""

from sweep.commands.cli import Folder, Form, Rows, RunName, app, find
from sweep.commands.tables import Format


@app.command(epilog="Example:  sweep-results answer seed_question")
def answer(
    run: RunName, results_dir: Folder = "results", form: Form = Format.table, limit: Rows = 40
) -> None:
    """Answer the question of the run's experiment again: its table, and sentences that follow."""
    from sweep.commands.announce import print_answer

    print_answer(find(results_dir, run), form, limit)
