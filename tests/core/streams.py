"""Demand streams spelled out, (descriptors, new shadow page) a split."""

from collections.abc import Sequence

import numpy as np

from core.demand import Demand

Split = tuple[int, int]

# The workloads of the policy table: 64 GiB are 32,768 huge pages.
UNALIASED: list[Split] = [(0, 1)] * 32768
SAME_ROLE: list[Split] = [(0, 1), (1, 0)] * 32768
TWO_ROLES: list[Split] = [(0, 1), (512, 1)] * 32768
SIXTEEN_SHARE: list[Split] = [(0, 1), (1, 0), *[(0, 0)] * 12, (1, 0), (0, 0)] * 2048


def demand(splits: Sequence[Split], nr_paged: int | None = None) -> Demand:
    """The stream as `core.demand.Demand`; from `nr_paged` on nothing takes a shadow page."""
    takes = [desc for desc, _ in splits]
    return Demand(
        nr_splits=len(splits),
        nr_paged=len(splits) if nr_paged is None else nr_paged,
        reuse=np.array([i for i, (_, page) in enumerate(splits) if not page], np.int64),
        desc_at=np.flatnonzero(takes).astype(np.int64),
        desc_sum=np.cumsum([0, *(desc for desc in takes if desc)], dtype=np.int64),
        breaks=np.empty(0, np.int64),
        nr_huge_sptes=len(splits),
        giant=np.empty(0, np.int64),
        nr_walked=0,
    )
