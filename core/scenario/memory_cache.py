"""The caches of the reference machine (virt/kvm/kvm_main.c) and the allocations that fill them."""

from dataclasses import dataclass

from core.constants import ENOMEM


@dataclass
class Allocator:
    """Object allocations, numbered from 0; those from `fail_at` on, `fail_len` of them, fail."""

    fail_at: int | None
    fail_len: int | None
    number: int = 0
    failed: int = 0

    def allocate(self, wanted: int) -> int:
        """How many of `wanted` allocations succeed; none is tried after one that failed."""
        good = wanted
        if self.fail_at is not None and self.fail_len != 0:
            end = float("inf") if self.fail_len is None else self.fail_at + self.fail_len
            if self.number < end:
                good = min(wanted, max(0, self.fail_at - self.number))
        self.failed += good < wanted
        self.number += good + (good < wanted)
        return good


@dataclass
class MemoryCache:
    """struct kvm_mmu_memory_cache."""

    capacity: int
    min: int
    nobjs: int = 0
    peak: int = 0
    topups: int = 0
    allocs: int = 0

    def need_topup(self) -> bool:
        """kvm_mmu_memory_cache_nr_free_objects() < min."""
        return self.nobjs < self.min

    def topup(self, allocator: Allocator) -> int:
        """__kvm_mmu_topup_memory_cache(): 0 or -ENOMEM."""
        if not self.need_topup():
            return 0
        got = allocator.allocate(self.capacity - self.nobjs)
        self.nobjs += got
        self.allocs += got
        self.topups += got > 0
        self.peak = max(self.peak, self.nobjs)
        return ENOMEM if self.need_topup() else 0
