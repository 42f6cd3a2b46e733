"""Explicit scenarios: which SPTEs, which caches, what is split, what goes wrong. Parsing only.

The format is documented in tests/data/golden/FORMAT.md. A field that is not known is refused, never
ignored. Every refusal is a ValueError that names the scenario, the field, the value and the rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from core import constants as k
from core.scenario.sptes import MAX_GFN, MAX_INDEX, Expander, Reader, ScenarioError, Sptes

MAX_NPAGES: Final = (1 << 31) - 1  # KVM_MEM_MAX_NR_PAGES
MAX_OBJECTS: Final = 1 << 20


@dataclass(frozen=True)
class Scenario:
    """One run of kvm_shadow_mmu_try_split_huge_pages() over each of `ranges`, from cold caches."""

    id: str
    base_gfn: int
    npages: int
    sptes: Sptes
    ranges: tuple[tuple[int, int], ...]
    n_max_mmu_pages: int
    desc_capacity: int = k.SPLIT_DESC_CACHE_CAPACITY
    desc_min: int = k.SPLIT_DESC_CACHE_MIN
    object_capacity: int = k.OBJECTS_PER_MEMORY_CACHE
    pte_list_ext: int = k.PTE_LIST_EXT
    target_level: int = 1
    resched_at: frozenset[int] = frozenset()
    walker_resched_at: frozenset[int] = frozenset()
    alloc_fail_at: int | None = None
    alloc_fail_len: int | None = None
    invalid_sps: frozenset[int] = frozenset()
    nx_huge_pages: int = 0
    events_limit: int = 400


_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "desc_capacity": (1, MAX_OBJECTS),
    "desc_min": (0, MAX_OBJECTS),
    "object_capacity": (1, MAX_OBJECTS),
    "pte_list_ext": (2, 1024),
    "target_level": (1, 2),
    "nx_huge_pages": (0, 1),
    "events_limit": (0, MAX_INDEX),
    "n_max_mmu_pages": (0, MAX_INDEX),
    "alloc_fail_at": (0, MAX_INDEX),
    "alloc_fail_len": (0, MAX_INDEX),
}
_SETS: Final = ("resched_at", "walker_resched_at", "invalid_sps")
_SPTES: Final = ("mappings", "runs", "lists")
FIELDS: Final = ("id", "memslot", *_BOUNDS, *_SETS, "range", "ranges", *_SPTES)


__all__ = ["FIELDS", "Scenario", "ScenarioError", "parse_scenario"]


def parse_scenario(raw: object) -> Scenario:
    """A checked scenario from decoded JSON; a field that is null counts as absent.

    Raises ScenarioError.
    """
    name = raw.get("id") if isinstance(raw, dict) else None
    read = Reader(name if isinstance(name, str) and name else "(no id)")
    given = {f: v for f, v in read.mapping("", raw, FIELDS).items() if v is not None}
    if read.name != name:
        raise read.refuse("id", name, "must be a text that is not empty")
    slot = read.mapping("memslot", given.get("memslot"), ("base_gfn", "npages"))
    npages = read.integer("memslot.npages", slot.get("npages"), 1, MAX_NPAGES)
    base = read.integer("memslot.base_gfn", slot.get("base_gfn"), 0, MAX_GFN - npages)
    values: dict[str, Any] = {
        f: read.integer(f, given[f], *_BOUNDS[f]) for f in _BOUNDS if f in given
    }
    values |= {f: frozenset(read.integers(f, given[f])) for f in _SETS if f in given}
    values.setdefault("n_max_mmu_pages", k.max_mmu_pages(npages))
    scenario = Scenario(
        id=read.name,
        base_gfn=base,
        npages=npages,
        sptes=Expander(read, base, npages).expand(given),
        ranges=_ranges(read, given, base, npages),
        **values,
    )
    if scenario.desc_capacity < scenario.desc_min:
        rule = f"must be at least desc_min = {scenario.desc_min}, or no top-up ever suffices"
        raise read.refuse("desc_capacity", scenario.desc_capacity, rule)
    return scenario


def _ranges(
    read: Reader, given: Mapping[str, Any], base: int, npages: int
) -> tuple[tuple[int, int], ...]:
    if "range" in given and "ranges" in given:
        raise read.refuse("range", given["range"], "give range or ranges, not both")
    raw = [given["range"]] if "range" in given else given.get("ranges", [[base, base + npages]])
    found = []
    for pair in read.sequence("ranges", raw, 1, 1 << 20):
        start, end = read.integers("range", read.sequence("range", pair, 2, 2))
        if not base <= start < end <= base + npages:
            rule = f"need start < end, both inside the memslot [{base}, {base + npages}]"
            raise read.refuse("range", pair, rule)
        found.append((start, end))
    return tuple(found)
