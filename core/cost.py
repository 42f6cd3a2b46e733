"""What operations cost in time. Modelled: every default carries its mark in `core.parameters`."""

from dataclasses import dataclass

import numpy as np

from core.arrays import Floats
from core.demand import Demand
from core.parameters import BY_NAME


def _default(name: str) -> float:
    return float(BY_NAME[name].default)


@dataclass(frozen=True)
class Cost:
    """Nanoseconds an operation, the leaves of the config group `cost` (`core.parameters`)."""

    split_ns: float = _default("split_ns")
    split_reuse_ns: float = _default("split_reuse_ns")
    desc_use_ns: float = _default("desc_use_ns")
    desc_alloc_ns: float = _default("desc_alloc_ns")
    header_alloc_ns: float = _default("header_alloc_ns")
    page_alloc_ns: float = _default("page_alloc_ns")
    lock_drop_ns: float = _default("lock_drop_ns")
    flush_ns_per_vcpu: float = _default("flush_ns_per_vcpu")
    dirty_walk_ns: float = _default("dirty_walk_ns")
    clear_walk_ns: float = _default("clear_walk_ns")
    running_vcpus: int = int(_default("running_vcpus"))
    fault_ns: float = _default("fault_ns")
    think_ns: float = _default("think_ns")
    timeslice_ns: float = _default("timeslice_ns")
    flush: str = "f1"

    @property
    def held(self) -> Floats:
        """(4,) ns under mmu_lock: a split that fills a shadow page, what a split saves that only
        links one, a descriptor, the flush of a split that replaces non-leaf entries."""
        flush_ns = self.flush_ns_per_vcpu * self.running_vcpus
        always = flush_ns if self.flush == "f1" else 0.0
        saved = self.split_ns - self.split_reuse_ns
        return np.array([self.split_ns + always, saved, self.desc_use_ns, flush_ns - always])

    @property
    def outside(self) -> Floats:
        """(3,) ns while mmu_lock is dropped: the drop itself, allocating a descriptor, allocating a
        page header and a shadow page."""
        pair = self.header_alloc_ns + self.page_alloc_ns
        return np.array([self.lock_drop_ns, self.desc_alloc_ns, pair])

    @property
    def depends_on_time(self) -> bool:
        """Do waiting vCPUs or the end of a time slice matter? Then drops feed back into drops."""
        return self.timeslice_ns > 0 or (self.think_ns > 0 and self.running_vcpus > 0)

    def walk_ns(self, caller: str) -> float:
        """Write-protecting the 4K pages of one 2M page, which follows the splits."""
        return self.clear_walk_ns if caller == "clear" else self.dirty_walk_ns

    def lock_held_ns(self, demand: Demand) -> float:
        """mmu_lock held by all splits together; no policy changes it."""
        many = (demand.nr_splits, -demand.reuse.size, demand.desc_sum[-1], demand.nonleaf.size)
        return float(np.dot(self.held, many))
