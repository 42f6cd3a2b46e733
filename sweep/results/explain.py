"""One point of a run, told attempt by attempt."""

import polars as pl

from core.parameters import BY_NAME
from core.story import Attempt, story
from sweep.inputs import kept_workloads
from sweep.results.columns import parameters_in
from sweep.results.runs import Run, RunError


def replayed(run: Run, point: int) -> pl.DataFrame:
    """One row an attempt of point number `point`: columns are the fields of `core.story.Attempt`.

    Parameters that an old run lacks have their defaults. RunError if the run has no such point yet;
    ValueError if its drops depend on time, which a story does not have, or are an expectation.
    """
    rows = run.scan().filter(pl.col("point") == point).collect()
    if rows.is_empty():
        last = run.plan.points - 1
        raise RunError(f"{run.name} has no point {point} yet: its points are 0 to {last:,}.")
    if rows["engine"][0] == "expected":
        raise ValueError(
            f"point {point} of {run.name} is what to expect of all draws (engine=expected), and a "
            "story is of one draw: run the point with engine=auto to be told it."
        )
    values = rows.select(parameters_in(rows.columns)).row(0, named=True)
    defaults = {name: parameter.default for name, parameter in BY_NAME.items()}
    recordings = kept_workloads(run.store, run.plan.inputs)
    attempts = [vars(attempt) for attempt in story({**defaults, **values}, recordings)]
    return pl.DataFrame(attempts, schema=list(Attempt.__dataclass_fields__))


def sentence(attempts: pl.DataFrame) -> str:
    """What happened, in one sentence."""
    drops = attempts.filter(pl.col("cause") != "")
    causes = drops["cause"].value_counts().sort("cause").rows()
    why = ", ".join(f"{count:,} for {cause}" for cause, count in causes) or "none"
    return (
        f"{attempts.height - drops.height:,} splits in {attempts.height:,} attempts; "
        f"{drops.height:,} lock drops ({why})."
    )
