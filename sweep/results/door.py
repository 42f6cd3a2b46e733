"""Everything that `sweep.results` offers: each name that is imported here."""

# ruff: noqa: F401

from sweep.results.about import describe
from sweep.results.answers import Answer, answer
from sweep.results.best import Limit, alternatives, pareto_front, recommended
from sweep.results.bounds import with_bounds
from sweep.results.compare import biggest_changes, changed_columns, joined, row_counts
from sweep.results.mix import fleet, read_mix
from sweep.results.questions import (
    clear_chunks,
    ext_2_or_14,
    fleet_bytes,
    flush_flavours,
    is_40_right,
    is_553_right,
    is_exact_counting_worth_it,
    opportunistic_top_up,
    starvation,
    summary,
    versus,
    where_enospc_starts,
)
from sweep.results.runs import scan
from sweep.results.seed import seed_question

open = scan
