"""What a point of a sweep is: every parameter, declared once.

The config groups, the checks before a run, the Parquet columns and the reference tables are all
made from `PARAMETERS`. A leaf name is unique over all groups and is also the name of its column.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Any, Final

from core import constants as k
from core.patterns import KERNELS

Value = str | int | float | bool


@dataclass(frozen=True)
class Parameter:
    """One leaf of the configuration.

    `low` and `high` are inclusive bounds, `step` a size that a value must be a multiple of (all in
    `unit`). `mark` says how well a default is known: verified, derived or assumption.
    """

    name: str
    group: str
    default: Value
    unit: str
    text: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    reason: str = ""
    mark: str = ""

    @property
    def key(self) -> str:
        """The override word: `group.leaf`."""
        return f"{self.group}.{self.name}"

    @property
    def kind(self) -> type:
        """str, int, float or bool."""
        return type(self.default)

    def problem(self, value: Any) -> str | None:
        """Why `value` is refused (value, rule, reason, what exists), or None if it is fine."""
        if self.choices and value not in self.choices:
            return f"{self.key}={value!r}: choose one of {', '.join(self.choices)}"
        if self.low is None or self.high is None:
            return None
        if not self.low <= value <= self.high:  # also refuses nan
            unit = "" if self.unit == "ratio" else self.unit
            rule = f"must be between {self.low:.10g} and {self.high:.10g} {unit}".rstrip()
        elif self.step is not None and not float(value / self.step).is_integer():
            rule = f"must be a multiple of {self.step:.10g} {self.unit}"
        else:
            return None
        return f"{self.key}={value!r}: {rule}. {self.reason}".rstrip(". ") + "."


def _ratio(name: str, default: float, text: str) -> Parameter:
    return Parameter(
        name, "workload", default, "ratio", text, low=0, high=1, reason="It is a share"
    )


def _cost(name: str, default: float, text: str, mark: str) -> Parameter:
    reason = "Time is added up, so a cost can be zero but not negative"
    return Parameter(name, "cost", default, "ns", text, low=0, mark=mark, reason=reason, high=1e15)


# fmt: off
PARAMETERS: Final[tuple[Parameter, ...]] = (
    Parameter("workload", "workload", "uniform", "", "name of the workload preset"),
    Parameter("memslot_gib", "workload", 64.0, "GiB", "size of one memslot", low=1 / 512,
        high=1 << 20, step=1 / 512,
        reason="A memslot is swept in whole 2 MiB huge pages (1/512 GiB)"),
    _ratio("alias_ratio", 0.0, "share of huge pages with more than one mapping"),
    Parameter("alias_degree", "workload", 2, "mappings", "mappings of an aliased huge page", low=2,
        high=k.RMAP_RECYCLE_THRESHOLD,
        reason="KVM zaps a rmap of over 1000 entries (RMAP_RECYCLE_THRESHOLD), so none holds more"),
    _ratio("distinct_role_ratio", 0.0,
        "chance that a further alias has its own role: 0 shares one shadow page, 1 never does"),
    _ratio("ratio_1g", 0.0, "share of memory mapped by 1 GiB SPTEs"),
    Parameter("placement", "workload", "uniform", "", "where aliased huge pages lie",
        choices=("uniform", "clustered", "periodic")),
    Parameter("seed", "workload", 0, "", "seed of every draw", low=0, high=2**63 - 1),
    Parameter("path", "workload", "", "",
        "file that a recorded workload is read from; empty if none"),
    Parameter("desc_min", "caches", k.SPLIT_DESC_CACHE_MIN, "objects",
        "descriptors that must be cached before a split", low=1, high=1 << 30,
        reason="A split starts only with that many cached"),
    Parameter("desc_capacity", "caches", k.SPLIT_DESC_CACHE_CAPACITY, "objects",
        "capacity of the descriptor cache", low=1, high=1 << 30,
        reason="A top-up fills the cache to its capacity"),
    Parameter("object_capacity", "caches", k.OBJECTS_PER_MEMORY_CACHE, "objects",
        "capacity of the page-header and shadow-page caches, each", low=1, high=1 << 30,
        reason="A split may take one page header and one shadow page"),
    Parameter("pte_list_ext", "caches", k.PTE_LIST_EXT, "SPTEs", "SPTE pointers in one descriptor",
        low=2, high=1024, reason="A list turns into descriptors at its second entry"),
    Parameter("kernel", "kernel", "v6_12", "", "which kernel's descriptor lists",
        choices=KERNELS),
    Parameter("flush", "kernel", "f1", "",
        "when a split flushes remote TLBs under mmu_lock: f1 always, f0 and f2 only if it reuses a "
        "shadow page with a non-leaf entry",
        choices=("f0", "f1", "f2")),
    Parameter("preempt_on_contention", "kernel", False, "",
        "drop mmu_lock before a split when a vCPU waits for it"),
    Parameter("policy", "policy", "kernel", "", "when and how far caches are topped up",
        choices=("kernel", "exact_demand", "opportunistic", "exact_opportunistic",
                 "split_per_drop")),
    Parameter("caller", "caller", "enable", "",
        "who asks for the split: enabling dirty logging, or clearing it",
        choices=("enable", "clear")),
    Parameter("clear_chunk_gib", "caller", 1.0, "GiB", "memory that one KVM_CLEAR_DIRTY_LOG covers",
        low=1 / 512, high=1 << 20, step=1 / 512,
        reason="A chunk is a whole number of 2 MiB huge pages"),
    Parameter("rounds", "caller", 1, "rounds",
        "how often dirty logging is switched on, off in between", low=1, high=1000,
        reason="Logging is switched on at least once"),
    Parameter("nr_memslots", "caller", 1, "memslots",
        "memslots split one after the other, caches carried over", low=1, high=(1 << 15) - 1,
        reason="KVM has 32767 user memslots at most"),
    _cost("split_ns", 9650.0, "one 2M split with a new shadow page, lock held", "derived"),
    _cost("split_reuse_ns", 750.0, "one split that reuses a shadow page, lock held", "verified"),
    _cost("desc_use_ns", 10.0, "linking one descriptor into a list, lock held", "assumption"),
    _cost("desc_alloc_ns", 75.0, "allocating one descriptor, lock dropped", "assumption"),
    _cost("header_alloc_ns", 75.0, "allocating one page header, lock dropped", "assumption"),
    _cost("page_alloc_ns", 275.0, "allocating one 4 KiB shadow page, lock dropped", "assumption"),
    _cost("lock_drop_ns", 125.0, "unlock, cond_resched and lock again, nobody waiting",
        "assumption"),
    _cost("flush_ns_per_vcpu", 1100.0, "remote TLB flush, for each running vCPU", "derived"),
    _cost("dirty_walk_ns", 7250.0,
        "write-protecting the 512 pages of one 2M page when logging is enabled", "derived"),
    _cost("clear_walk_ns", 9700.0,
        "write-protecting the 512 pages of one 2M page when its log is cleared", "derived"),
    Parameter("running_vcpus", "cost", 8, "vCPUs", "vCPUs that run while the memslot is split",
        low=0, high=1 << 16, mark="assumption", reason="Each of them takes part in a flush"),
    _cost("fault_ns", 800.0, "one write fault, mmu_lock held for writing", "derived"),
    _cost("think_ns", 0.0, "mean time between two faults of a vCPU; 0: no vCPU ever waits",
        "assumption"),
    _cost("timeslice_ns", 0.0, "time after which need_resched() is set; 0: never", "assumption"),
)
# fmt: on

BY_NAME: Final[Mapping[str, Parameter]] = {p.name: p for p in PARAMETERS}
BY_KEY: Final[Mapping[str, Parameter]] = {p.key: p for p in PARAMETERS}
GROUPS: Final[tuple[str, ...]] = tuple(dict.fromkeys(p.group for p in PARAMETERS))


RECORDED: Final = ("trace", "rmap_histogram")
"""Workloads that are read from a file."""


def problems(values: Mapping[str, Iterable[Any]]) -> list[str]:
    """Every reason to refuse a grid in which each named parameter takes the given values.

    Single values are checked one by one; combinations over every pair of values of the parameters
    they are about, which is exact because a grid is a full product. Of these the first is told.
    """
    refused = (BY_NAME[name].problem(value) for name, axis in values.items() for value in axis)
    return [text for text in refused if text] or list(islice(_combined(values), 1))


def _combined(values: Mapping[str, Iterable[Any]]) -> Iterator[str]:
    for capacity, least in product(values.get("desc_capacity", ()), values.get("desc_min", ())):
        if capacity < least:
            yield (
                f"desc_capacity={capacity!r}, desc_min={least!r}: caches.desc_capacity must be at "
                "least caches.desc_min, because a top-up fills to the capacity and must leave the "
                "minimum. Mainline has 553 and 513."
            )
    for workload, path in product(values.get("workload", ()), values.get("path", ())):
        if workload in RECORDED and not path:
            yield (
                f"workload={workload!r}, path={path!r}: workload.path must name the file that this "
                "workload is read from."
            )
