"""Reading runs from Python: rows as lazy polars frames, and the named answers as functions.

    import sweep.results as r
    rows = r.open("results/seed_question-0123456789ab")  # or s3://bucket/..., or several
    r.seed_question(rows).collect()

Every function takes a LazyFrame and gives one; `describe()` documents what a run's rows hold.
"""

# ruff: noqa: F401

from sweep.results.answers import Answer, answer
from sweep.results.answers.choices import (
    ext_2_or_14,
    fleet_bytes,
    is_40_right,
    is_553_right,
    is_exact_counting_worth_it,
    opportunistic_top_up,
    summary,
    versus,
)
from sweep.results.answers.seed_question import seed_question
from sweep.results.answers.walks import (
    clear_chunks,
    flush_flavours,
    starvation,
    where_enospc_starts,
)
from sweep.results.best import (
    Limit,
    alternatives,
    fleet,
    pareto_front,
    read_mix,
    recommended,
)
from sweep.results.bounds import with_bounds
from sweep.results.compare import biggest_changes, changed_columns, joined, row_counts
from sweep.results.description import describe
from sweep.results.runs import scan

open = scan
