"""The `sweep-results` command: `runs`, `upkeep` and `analysis` hold its commands.

`main` is the entry point, `cli` has the app and its arguments, `tables` prints. What needs polars
stands in `sweep.results` and is imported when a command runs: `--help` loads none of it.
"""
