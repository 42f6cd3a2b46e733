"""`sweep-results report`: a run as one page, or its charts as pictures."""

from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.cli import Folder, RunName, app, find
from sweep.commands.tables import say


@app.command(epilog="Example:  sweep-results report seed_question -o report.html")
def report(
    run: RunName,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to write the page.")
    ] = "",
    png: Annotated[
        list[str] | None, typer.Option(metavar="CHART=FILE", help="One chart as a picture.")
    ] = None,
    svg: Annotated[
        list[str] | None, typer.Option(metavar="CHART=FILE", help="One chart as a drawing.")
    ] = None,
    results_dir: Folder = "results",
) -> None:
    """Write one HTML file with the answer, charts, tables, settings and assumptions of a run.

    It opens without a network. Charts: staircase, heat, pareto, holds, rises.
    """
    from sweep.results.report import image, page

    found = find(results_dir, run)
    files = {}
    for kind, asked in (("png", png), ("svg", svg)):
        for chart, _, file in (text.partition("=") for text in asked or ()):
            files[file or f"{chart}.{kind}"] = image(found, chart, kind)
    if output or not files:
        files[output or f"{found.name}.html"] = page(found).encode()
    for file, data in files.items():
        Path(file).write_bytes(data)
        say(f"{file}: {len(data) / 1e6:.1f} MB")
