"""One answer for a fleet: kinds of VM, each with its share."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from sweep.results.best import Limit, alternatives, averaged, ranked
from sweep.results.columns import choices_in, parameters_in
from sweep.results.runs import SCHEMA


def read_mix(path: str, results: pl.LazyFrame) -> pl.DataFrame:
    """The kinds of VM in a csv file: columns of parameters, and `share`.

    Raises ValueError if the file is no csv, a column is neither, a share is negative or missing, a
    kind comes twice, or `results` has no row of a kind.
    """
    try:
        given = pl.read_csv(Path(path))
        kinds = parameters_in(given.columns)
        if not kinds or {*kinds, "share"} != set(given.columns):
            raise ValueError(
                f"{path} has the columns {', '.join(given.columns)}: give parameters, such as "
                "workload and memslot_gib, and share, a number for each kind of VM."
            )
        typed = [pl.col(name).cast(SCHEMA[name]) for name in kinds]
        mix = given.select(*typed, pl.col("share").cast(pl.Float64).fill_null(-1))
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from error
    share = mix["share"]
    if not (share.is_finite() & (share >= 0)).all() or share.sum() <= 0:
        raise ValueError(
            f"{path}: each share is a number that is not negative, and one is above 0."
        )
    if mix.select(kinds).is_duplicated().any():
        raise ValueError(f"{path}: a kind of VM comes twice. Add up its shares.")
    have = results.select(kinds).unique().collect()
    lacking = mix.join(have, on=kinds, how="anti").select(kinds)
    if lacking.height:
        raise ValueError(f"{path}: the run has no rows of {lacking.row(0, named=True)}.")
    return mix


def fleet(
    results: pl.LazyFrame,
    mix: pl.DataFrame,
    minimize: str = "nr_lock_drops",
    within: Sequence[Limit] = (),
) -> pl.LazyFrame:
    """One row for each geometry and policy, best first: what a VM of the fleet costs on average.

    `mix` has a row for each kind of VM: values of parameters, and its `share` (any scale). Columns
    are those of `alternatives`, then drops and bytes for each million VMs.
    """
    kinds = [name for name in mix.columns if name != "share"]
    shares = mix.lazy().with_columns(pl.col("share") / pl.col("share").sum())
    parts = alternatives(results, minimize, within, kinds).join(shares, on=kinds)
    columns = parts.collect_schema().names()
    means = averaged(minimize, columns)
    rows = parts.group_by(choices_in(columns, but=kinds)).agg(
        *((pl.col(c) * pl.col("share")).sum() for c in means),
        pl.col("nr_points").sum(),
        (pl.col("admissible").all() & (pl.len() == mix.height)).alias("admissible"),
    )
    return ranked(rows, minimize).with_columns(
        (pl.col(c) * 10**6).alias(f"{c}_per_million_vms")
        for c in ("nr_lock_drops", "standing_bytes")
        if c in means
    )
