"""What a point of a sweep yields: every outcome column, declared once."""

from dataclasses import dataclass
from typing import Final

MODEL_VERSION: Final = 3
"""Raised whenever a number in an existing table would change."""

ENGINES: Final = ("auto", "reference", "expected")
"""What may compute outcomes: the fastest that is exact, the machine step by step, or no draw."""


@dataclass(frozen=True)
class Outcome:
    """One result column. `kind` is int (int64) or float (float64)."""

    name: str
    kind: type
    unit: str
    text: str


def _count(name: str, unit: str, text: str) -> Outcome:
    return Outcome(name, int, unit, text)


def _time(name: str, text: str) -> Outcome:
    return Outcome(name, float, "ns (modelled)", text)


OUTCOMES: Final[tuple[Outcome, ...]] = (
    _count("nr_huge_sptes", "SPTEs", "1G and 2M SPTEs in the memslots before the first split"),
    _count("nr_splits_1g", "splits", "1G SPTEs split"),
    _count("nr_splits_2m", "splits", "2M SPTEs split, those made by 1G splits included"),
    _count("nr_unsplit", "SPTEs", "huge SPTEs left at the end"),
    _count("nr_lock_drops", "drops", "times mmu_lock was dropped inside a split attempt"),
    _count("nr_drops_desc", "drops", "of these, because only descriptors were short"),
    _count(
        "nr_drops_page", "drops", "of these, because only page headers or shadow pages were short"
    ),
    _count("nr_drops_both", "drops", "of these, because both were short"),
    _count(
        "nr_drops_resched", "drops", "of these, with nothing short: need_resched or a waiting vCPU"
    ),
    _count("nr_desc_allocated", "descriptors", "allocated by top-ups"),
    _count("nr_desc_used", "descriptors", "taken from the cache by splits"),
    _count("nr_desc_left", "descriptors", "still cached at the end"),
    _count("nr_headers_allocated", "page headers", "allocated by top-ups"),
    _count("nr_headers_left", "page headers", "still cached at the end"),
    _count("nr_pages_allocated", "shadow pages", "allocated by top-ups"),
    _count("nr_pages_left", "shadow pages", "still cached at the end"),
    _count("nr_sp_created", "shadow pages", "splits that made a shadow page"),
    _count("nr_sp_reused", "shadow pages", "splits that found one"),
    _count("nr_tlb_flushes", "flushes", "remote TLB flushes under mmu_lock"),
    _count(
        "nr_enospc", "attempts", "attempts that ended for want of shadow pages (n_max_mmu_pages)"
    ),
    _count("nr_enomem", "attempts", "attempts that ended because a top-up failed"),
    _count(
        "standing_bytes", "bytes", "allocated until the VM is destroyed: arrays and cached objects"
    ),
    _count("full_bytes", "bytes", "the three caches when full: what a VM pays at most"),
    _time("lock_held_ns", "mmu_lock held for writing by the splitter, all holds together"),
    _time(
        "hold_ns_p50",
        "median of the times mmu_lock was held without a break; null, as the next two, in a row of "
        "engine=expected",
    ),
    _time("hold_ns_p99", "99th percentile of these, nearest rank"),
    _time("hold_ns_max", "longest of these"),
    _time("total_ns", "first lock to last unlock, top-ups and waiting included"),
)
