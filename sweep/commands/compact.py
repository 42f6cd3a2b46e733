"""`sweep-results compact`: a finished run as few large files."""

from typing import Annotated

import typer

from sweep.commands.cli import Folder, RunName, app, find
from sweep.commands.tables import say


@app.command(epilog="Example:  sweep-results compact seed_question --by desc_capacity")
def compact(
    run: RunName,
    results_dir: Folder = "results",
    by: Annotated[str, typer.Option(help="Axis to sort by, if not the usual one.")] = "",
) -> None:
    """Rewrite a finished run as few large files, sorted by the axis that people filter most."""
    from sweep.results.compact import compact as rewrite

    found = find(results_dir, run)
    made = rewrite(found.store, by)
    say(f"{found.name}: {len(made['files'])} files, sorted by {made['by']}")
