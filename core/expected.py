"""What to expect of random aliasing, without drawing it: all capacities in one pass.

Pages are independent, so refills of the descriptor cache are a renewal process (`core.renewal`).
The page caches are refilled every `object_capacity` shadow pages; a Fourier component for each
residue of their number tells how often the two meet.

Rates are exact. The counts of a finite memslot leave out what vanishes geometrically with the
number of refills, and what goes to and fro where roles or pages are not random: about half a drop
at most.
"""

from math import ceil, sqrt
from typing import Final, NamedTuple

import numpy as np

from core.arrays import Floats, Ints
from core.constants import HUGE_PAGES_PER_GIB, MIN_FREE_MMU_PAGES, SPTES_PER_PAGE, max_mmu_pages
from core.cost import Cost
from core.lattice import page_of
from core.renewal import Chain, Complexes
from core.replay import RULES, Replay
from core.workload import Workload

LONGEST: Final = 1 << 20
"""Most descriptors between two refills: time is proportional to them."""

RESIDUES: Final = 4096
"""Largest object capacity: each residue modulo it is a Fourier component."""

DEGREE: Final = 100
"""Most mappings of a page: tables hold its shadow pages one by one."""

LEVELS: Final = 80
"""Most amounts of descriptors that a page may have taken: time is proportional to their square."""


class Expectation(NamedTuple):
    """Of c descriptor capacities."""

    drops: Floats
    """(c, 3): descriptors short, pages short, both."""
    since: Floats
    """(c,) descriptors taken since the last refill, when all is split."""
    used: float
    """Descriptors that all splits take."""
    page_refills: float


def refusal(
    workload: Workload, policy: str, desc_min: int, desc_capacity: int, object_capacity: int
) -> str | None:
    """Why there is no expectation here, or None; `desc_capacity` is the largest asked for."""
    rule, degree = RULES[policy], workload.alias_degree
    reach = min(desc_capacity - desc_min, SPTES_PER_PAGE * degree * workload.all_huge_pages)
    rules = {
        "workload.placement must be uniform, so that pages are independent": (
            workload.placement == "uniform"
        ),
        "workload.ratio_1g must be 0, as the 2M pages of a 1G page share its aliases": (
            workload.ratio_1g == 0
        ),
        "caller.rounds must be 1, as later rounds begin with the caches of the first": (
            workload.rounds == 1
        ),
        "policy must be kernel or split_per_drop, as the others look ahead or fill all caches at "
        "once": not (rule.exact or rule.together),
        f"workload.alias_degree must be at most {DEGREE}": degree <= DEGREE,
        f"caches.object_capacity must be at most {RESIDUES}": object_capacity <= RESIDUES,
        f"caches.desc_min must be at least {SPTES_PER_PAGE}, which a split may take": (
            desc_min >= SPTES_PER_PAGE
        ),
        f"caches.desc_capacity must be at most {LONGEST} above caches.desc_min": reach <= LONGEST,
    }
    return "; ".join(text for text, holds in rules.items() if not holds) or _too_deep(workload)


def _too_deep(workload: Workload) -> str | None:
    """Why a page with that many mappings is out of reach, or None."""
    degree, own, ext = workload.alias_degree, workload.distinct_role_ratio, workload.pte_list_ext
    levels = page_of(degree, own, workload.kernel, ext).offsets.size
    if levels > LEVELS:
        return (
            f"workload.alias_degree={degree} with caches.pte_list_ext={ext} and roles that mix: a "
            f"page may have taken {levels} different numbers of descriptors, more than {LEVELS}"
        )
    pages, aliased, further = workload.all_huge_pages, workload.alias_ratio, degree - 1
    gibs = workload.nr_memslots * ceil(workload.nr_huge_pages / HUGE_PAGES_PER_GIB)
    budget = max_mmu_pages(pages * SPTES_PER_PAGE) - MIN_FREE_MMU_PAGES - gibs * degree
    mean = aliased * further * own
    spread = sqrt(aliased * (further * own * (1 - own) + (further * own) ** 2) - mean**2)
    if min(pages * (1 + mean) + 8 * spread * sqrt(pages), pages * degree) >= budget:
        return (
            "shadow pages may run out (ENOSPC), and how far the walk comes then is not worked out"
        )
    return None


def expected(
    workload: Workload, policy: str, desc_min: int, capacities: Ints, objects: int, cost: Cost
) -> Replay:
    """The replay to expect, rounded to whole objects and drops.

    `capacities` are (c,) int64 ascending, such that `refusal` has no objection to the last;
    `objects` is the capacity of the other two caches. `holds` is nan: a quantile of single holds
    is no mean, and not worked out.
    """
    found = expected_drops(workload, capacities - desc_min, objects)
    pages, aliased = workload.all_huge_pages, workload.alias_ratio
    further = aliased * (workload.alias_degree - 1)
    splits = round(pages * (1 + further))
    created = round(pages * (1 + further * workload.distinct_role_ratio))
    used, allocated = round(found.used), round(found.page_refills * objects)
    drops = np.rint(np.column_stack([found.drops, np.zeros(capacities.size)])).astype(np.int64)
    if RULES[policy].always:
        drops[:, 3] = splits - drops.sum(axis=1)
    desc_left = np.rint(np.clip(capacities - found.since, 0, capacities)).astype(np.int64)
    chunk = workload.clear_chunk or workload.nr_huge_pages
    breaks = workload.nr_memslots * ceil(workload.nr_huge_pages / chunk) - 1
    held = float(cost.held @ (splits, created - splits, used, 0))
    same = np.ones(capacities.size, np.int64)
    away = np.column_stack((drops.sum(axis=1) + breaks, desc_left + used, allocated * same))
    return Replay(
        drops=drops,
        desc_allocated=desc_left + used,
        desc_used=same * used,
        objects_allocated=same * allocated,
        nr_splits=same * splits,
        nr_created=same * created,
        held_ns=np.full(capacities.size, held),
        elapsed_ns=held + away @ cost.outside,
        holds=np.full((capacities.size, 3), np.nan),
    )


def expected_drops(workload: Workload, limits: Ints, object_capacity: int) -> Expectation:
    """Lock drops to expect under the kernel's policy.

    `limits` (c,) are capacities less desc_min, ascending.
    """
    pages = workload.all_huge_pages
    turns = np.exp(2j * np.pi * np.arange(object_capacity) / object_capacity)
    page_refills = _page_refills(workload, turns)
    if workload.alias_ratio == 0:
        nothing = np.zeros(limits.size)
        drops = np.column_stack([nothing, nothing + page_refills - 1, nothing + 1])
        return Expectation(drops, nothing, 0.0, page_refills)
    limits = np.minimum(limits, SPTES_PER_PAGE * workload.alias_degree * pages)
    chain = Chain(workload, limits)
    refills, meetings, refilled, since = chain.refills(pages)
    for k in range(1, object_capacity // 2 + 1):
        pair = 2 - (2 * k == object_capacity)  # components k and -k are conjugate
        meetings += pair * chain.component(turns[k], refilled).real
    both = 1 + np.clip(meetings / object_capacity, 0, refills - 1)
    drops = np.column_stack([refills - both, page_refills - both, both])
    return Expectation(drops, since, pages * chain.taken, page_refills)


def _page_refills(workload: Workload, turns: Complexes) -> float:
    """Expected times the page caches run dry: exact for every number of pages."""
    pages, ratio, own = workload.all_huge_pages, workload.alias_ratio, workload.distinct_role_ratio
    capacity, further = turns.size, workload.alias_degree - 1
    draw = 1 - own + own * turns
    step = turns * (1 - ratio + ratio * draw**further)
    residue = np.fft.fft(step**pages).real / capacity  # chance of each residue of shadow pages
    missing = float(residue @ ((-np.arange(capacity)) % capacity))
    last_reuses = ratio * (1 - own) * turns * draw ** (further - 1)
    made = pages * (1 + ratio * own * further)
    return (made + missing) / capacity + float(np.mean(step ** (pages - 1) * last_reuses).real)
