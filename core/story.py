"""One point told attempt by attempt: the cache levels, and why the lock was dropped."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.constants import EAGAIN
from core.demand import Demand
from core.engine import demand_at
from core.replay import RULES


@dataclass(frozen=True)
class Attempt:
    """One pass of shadow_mmu_try_split_huge_page(). Levels are objects in the caches afterwards."""

    number: int
    split: int
    """Number of the split that it tries, in walk order."""
    level: int
    """2 or 3: a 2M or a 1G SPTE."""
    result: int
    """0, or EAGAIN (-11) when the lock was dropped."""
    cause: str
    """desc, page, both or policy, if the lock was dropped; empty if not."""
    takes_desc: int
    takes_page: int
    desc: int
    page: int


def story(
    point: Mapping[str, Any], recordings: Mapping[str, str] | None = None
) -> Iterator[Attempt]:
    """Every attempt of one point, in order.

    `point` has a value for each parameter, `recordings` the text of the file that its `path` names.
    Time does not enter: raises ValueError where drops depend on it (waiting vCPUs, time slices).
    """
    if point["timeslice_ns"] > 0 or (point["think_ns"] > 0 and point["preempt_on_contention"]):
        raise ValueError(
            "cost.think_ns and cost.timeslice_ns make lock drops depend on time, and a story has "
            "no clock: set both to 0 to be told what the caches alone do."
        )
    sizes = (point["desc_min"], point["desc_capacity"], point["object_capacity"])
    return attempts(demand_at(point, recordings or {}), point["policy"], *sizes)


def attempts(
    demand: Demand, policy: str, desc_min: int, desc_capacity: int, object_capacity: int
) -> Iterator[Attempt]:
    """The attempts of a demand stream: split by split, as plainly as can be."""
    rule = RULES[policy]
    causes = ("policy" if rule.always else "", "desc", "page", "both")
    taken = dict(zip(demand.desc_at.tolist(), np.diff(demand.desc_sum).tolist(), strict=True))
    reuse, giant = set(demand.reuse.tolist()), set(demand.giant.tolist())
    desc = page = number = 0
    for split in range(demand.nr_splits):
        level = 3 if split in giant else 2
        takes_desc = taken.get(split, 0)
        takes_page = int(split < demand.nr_paged and split not in reuse)
        desc_short = desc < (min(takes_desc, desc_capacity) if rule.exact else desc_min)
        page_short = page < (takes_page if rule.exact else 1)
        if cause := causes[desc_short + 2 * page_short]:
            if desc_short or rule.together:
                desc = desc_capacity
            if page_short or rule.together:
                page = object_capacity
            yield Attempt(number, split, level, EAGAIN, cause, 0, 0, desc, page)
            number += 1
        desc, page = max(desc - takes_desc, 0), page - takes_page
        yield Attempt(number, split, level, 0, "", takes_desc, takes_page, desc, page)
        number += 1
