"""The `sweep-results` command: one module for each of its commands, and what they share.

`main` is the entry point, `cli` has the app and its arguments, `tables` prints. What needs polars
stands in `sweep.results` and is imported when a command runs: `--help` loads none of it.
"""
