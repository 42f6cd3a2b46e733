"""`sweep-results sql`: a question of one's own."""

from typing import Annotated

import typer

from sweep.commands.cli import Folder, Form, Rows, RunNames, app, find
from sweep.commands.tables import Format, write


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
