"""Where splitting ends early: too few shadow pages."""

from typing import Final

import polars as pl

from sweep.results.answers.comparisons import WORKLOAD
from sweep.results.answers.question import Question


def where_enospc_starts(results: pl.LazyFrame) -> pl.LazyFrame:
    """The fewest mappings of an aliased page at which a split ends with ENOSPC.

    `first_degree` is null if none of those swept does; `worst_unsplit_ratio` is the largest share
    of huge SPTEs left.
    """
    degree = pl.col("alias_degree")
    return (
        results.group_by("memslot_gib", *WORKLOAD)
        .agg(
            degree.filter(pl.col("nr_enospc") > 0).min().alias("first_degree"),
            degree.max().alias("largest_degree"),
            (pl.col("nr_unsplit") / pl.col("nr_huge_sptes")).max().alias("worst_unsplit_ratio"),
        )
        .sort("memslot_gib", *WORKLOAD)
    )


def _enospc_sentences(rows: pl.DataFrame) -> list[str]:
    said = []
    for part in reversed(rows.partition_by("distinct_role_ratio", maintain_order=True)):
        role, hit = part["distinct_role_ratio"][0], part.drop_nulls("first_degree")
        if hit.is_empty():
            most = part.select(pl.max("largest_degree")).item()
            said.append(f"With distinct_role_ratio {role:g}, none up to {most} mappings a page.")
            continue
        first = hit.sort("first_degree", -pl.col("alias_ratio")).row(0, named=True)
        said.append(
            f"With distinct_role_ratio {role:g}, ENOSPC from {first['first_degree']} mappings a "
            f"page on (alias_ratio {first['alias_ratio']:g}, {first['memslot_gib']:g} GiB)."
        )
    return said


WHERE_ENOSPC_STARTS: Final = Question(where_enospc_starts, _enospc_sentences)
