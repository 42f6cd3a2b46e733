"""What a point of a sweep yields: every outcome column, declared once."""

from dataclasses import dataclass
from typing import Final

MODEL_VERSION: Final = 3
"""Raised whenever a number in an existing table would change."""

ENGINES: Final = ("auto", "reference", "expected")
"""What may compute outcomes: the fastest that is exact, the machine step by step, or no draw."""


_NS: Final = "ns (modelled)"


@dataclass(frozen=True)
class Outcome:
    """One result column: a count, or a time."""

    name: str
    unit: str
    text: str

    @property
    def kind(self) -> type:
        """int (int64) or float (float64)."""
        return float if self.unit == _NS else int


OUTCOMES: Final[tuple[Outcome, ...]] = (
    Outcome("nr_huge_sptes", "SPTEs", "1G and 2M SPTEs in the memslots before the first split"),
    Outcome("nr_splits_1g", "splits", "1G SPTEs split"),
    Outcome("nr_splits_2m", "splits", "2M SPTEs split, those made by 1G splits included"),
    Outcome("nr_unsplit", "SPTEs", "huge SPTEs left at the end"),
    Outcome("nr_lock_drops", "drops", "times mmu_lock was dropped inside a split attempt"),
    Outcome("nr_drops_desc", "drops", "of these, because only descriptors were short"),
    Outcome(
        "nr_drops_page", "drops", "of these, because only page headers or shadow pages were short"
    ),
    Outcome("nr_drops_both", "drops", "of these, because both were short"),
    Outcome(
        "nr_drops_resched", "drops", "of these, with nothing short: need_resched or a waiting vCPU"
    ),
    Outcome("nr_desc_allocated", "descriptors", "allocated by top-ups"),
    Outcome("nr_desc_used", "descriptors", "taken from the cache by splits"),
    Outcome("nr_desc_left", "descriptors", "still cached at the end"),
    Outcome("nr_headers_allocated", "page headers", "allocated by top-ups"),
    Outcome("nr_headers_left", "page headers", "still cached at the end"),
    Outcome("nr_pages_allocated", "shadow pages", "allocated by top-ups"),
    Outcome("nr_pages_left", "shadow pages", "still cached at the end"),
    Outcome("nr_sp_created", "shadow pages", "splits that made a shadow page"),
    Outcome("nr_sp_reused", "shadow pages", "splits that found one"),
    Outcome("nr_tlb_flushes", "flushes", "remote TLB flushes under mmu_lock"),
    Outcome(
        "nr_enospc", "attempts", "attempts that ended for want of shadow pages (n_max_mmu_pages)"
    ),
    Outcome("nr_enomem", "attempts", "attempts that ended because a top-up failed"),
    Outcome(
        "standing_bytes", "bytes", "allocated until the VM is destroyed: arrays and cached objects"
    ),
    Outcome("full_bytes", "bytes", "the three caches when full: what a VM pays at most"),
    Outcome("lock_held_ns", _NS, "mmu_lock held for writing by the splitter, all holds together"),
    Outcome(
        "hold_ns_p50",
        _NS,
        "median of the times mmu_lock was held without a break; null, as the next two, in a row of "
        "engine=expected",
    ),
    Outcome("hold_ns_p99", _NS, "99th percentile of these, nearest rank"),
    Outcome("hold_ns_max", _NS, "longest of these"),
    Outcome("total_ns", _NS, "first lock to last unlock, top-ups and waiting included"),
)
