"""Explicit scenarios: which SPTEs, which caches, what is split, what goes wrong. Parsing only.

The format is documented in tests/data/golden/FORMAT.md. A field that is not known is refused, never
ignored. Every refusal is a ValueError that names the scenario, the field, the value and the rule.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_type_hints

import numpy as np

from core import constants as k
from core.arrays import Ints, changes
from core.scenario.shadow import ShadowMmu, Sptes

MAX_NPAGES: Final = (1 << 31) - 1  # KVM_MEM_MAX_NR_PAGES
MAX_OBJECTS: Final = 1 << 20
MAX_SPTES: Final = 1 << 23
MAX_GFN: Final = 1 << 40
MAX_SP: Final = (1 << 31) - 1
MAX_INDEX: Final = 1 << 62
ROLE_BITS: Final = 31
MAX_RMAP: Final = k.RMAP_RECYCLE_THRESHOLD + 1 - 7 * (ROLE_BITS + 1)
"""SPTEs of one gfn and level. A split adds one a role at most (7 accesses, 32 role bits), so a rmap
never gets beyond the length at which KVM zaps it, which is not modelled."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One run of kvm_shadow_mmu_try_split_huge_pages() over each of `ranges`, from cold caches.

    Annotated are the bounds of what a scenario may give.
    """

    id: str
    base_gfn: int
    npages: int
    sptes: Sptes
    ranges: tuple[tuple[int, int], ...]
    desc_capacity: Annotated[int, 1, MAX_OBJECTS] = k.SPLIT_DESC_CACHE_CAPACITY
    desc_min: Annotated[int, 0, MAX_OBJECTS] = k.SPLIT_DESC_CACHE_MIN
    object_capacity: Annotated[int, 1, MAX_OBJECTS] = k.OBJECTS_PER_MEMORY_CACHE
    pte_list_ext: Annotated[int, 2, 1024] = k.PTE_LIST_EXT
    target_level: Annotated[int, 1, 2] = 1
    nx_huge_pages: Annotated[int, 0, 1] = 0
    events_limit: Annotated[int, 0, MAX_INDEX] = 400
    n_max_mmu_pages: Annotated[int, 0, MAX_INDEX]
    alloc_fail_at: Annotated[int | None, 0, MAX_INDEX] = None
    alloc_fail_len: Annotated[int | None, 0, MAX_INDEX] = None
    resched_at: frozenset[int] = frozenset()
    walker_resched_at: frozenset[int] = frozenset()
    invalid_sps: frozenset[int] = frozenset()


_HINTS: Final = get_type_hints(Scenario, include_extras=True)
_BOUNDS: Final = {
    f: hint.__metadata__ for f, hint in _HINTS.items() if hasattr(hint, "__metadata__")
}
_SETS: Final = ("resched_at", "walker_resched_at", "invalid_sps")
_SPTES: Final = ("mappings", "runs", "lists")
_FIELDS: Final = ("id", "memslot", *_BOUNDS, *_SETS, "range", "ranges", *_SPTES)


class ScenarioError(ValueError):
    """A scenario that breaks a rule. The message is complete but for file and line."""


def parse_scenario(raw: object) -> Scenario:
    """A checked scenario from decoded JSON; a field that is null counts as absent.

    Raises ScenarioError.
    """
    return _Parser(raw).scenario()


class _Parser:
    """Reads one scenario, field by field; the SPTEs that it lists become blocks of operations."""

    def __init__(self, raw: object) -> None:
        name = raw.get("id") if isinstance(raw, dict) else None
        self.name = name if isinstance(name, str) and name else "(no id)"
        fields = self.mapping("", raw, _FIELDS)
        self.given = {f: v for f, v in fields.items() if v is not None}
        if self.name != name:
            raise self.refuse("id", name, "must be a text that is not empty")
        slot = self.mapping("memslot", self.given.get("memslot"), ("base_gfn", "npages"))
        self.npages = self.integer("memslot.npages", slot.get("npages"), 1, MAX_NPAGES)
        last = MAX_GFN - self.npages
        self.base = self.integer("memslot.base_gfn", slot.get("base_gfn"), 0, last)
        self.end = self.base + self.npages
        self.blocks = [np.empty((0, len(Sptes._fields)), np.int64)]
        self.rows = 0

    def scenario(self) -> Scenario:
        given = self.given
        values: dict[str, Any] = {"n_max_mmu_pages": k.max_mmu_pages(self.npages)}
        values |= {f: self.integer(f, given[f], *_BOUNDS[f]) for f in _BOUNDS if f in given}
        values |= {f: frozenset(self.integers(f, given[f])) for f in _SETS if f in given}
        scenario = Scenario(
            id=self.name,
            base_gfn=self.base,
            npages=self.npages,
            sptes=self.sptes(),
            ranges=tuple(self.ranges()),
            **values,
        )
        if scenario.desc_capacity < scenario.desc_min:
            rule = f"must be at least desc_min = {scenario.desc_min}, or no top-up ever suffices"
            raise self.refuse("desc_capacity", scenario.desc_capacity, rule)
        return scenario

    def ranges(self) -> Iterable[tuple[int, int]]:
        if "range" in self.given and "ranges" in self.given:
            raise self.refuse("range", self.given["range"], "give range or ranges, not both")
        one = self.given.get("range", [self.base, self.end])
        for pair in self.sequence("ranges", self.given.get("ranges", [one]), 1, 1 << 20):
            start, end = self.integers("range", self.sequence("range", pair, 2, 2))
            if not self.base <= start < end <= self.end:
                rule = f"need start < end, both inside the memslot [{self.base}, {self.end}]"
                raise self.refuse("range", pair, rule)
            yield start, end

    def sptes(self) -> Sptes:
        """All operations: mappings, then runs, then lists."""
        for field, add in zip(_SPTES, (self.mappings, self.runs, self.lists), strict=True):
            for element in self.sequence(field, self.given.get(field, []), 0, MAX_SPTES):
                add(field, element)
        sptes = Sptes(*np.ascontiguousarray(np.concatenate(self.blocks).T))
        leaf = sptes.access > 0
        where, lengths = np.unique((sptes.level << 41 | sptes.gfn)[leaf], return_counts=True)
        if lengths.max(initial=0) > MAX_RMAP:
            gfn = int(where[lengths.argmax()]) % (1 << 41)
            rule = f"at most {MAX_RMAP} SPTEs may map it at one level; this has {lengths.max()}"
            raise self.refuse("gfn", gfn, rule)
        if leaf.all() and not sptes.direct.any():
            self.check_distinct(sptes)
        elif row := ShadowMmu(sptes, "v6_12", k.PTE_LIST_EXT).misplaced:
            value = dict(zip(Sptes._fields, row, strict=True))
            if value.pop("access"):
                raise self.refuse("alias", value, "that slot of the shadow page is in use already")
            raise self.refuse("zap", value, "no leaf SPTE was mapped there before")
        return sptes

    def check_distinct(self, sptes: Sptes) -> None:
        """Where every SPTE has a slot of its own, none is named twice."""
        key = (sptes.gfn, sptes.level, sptes.rb, sptes.sp)
        order = np.lexsort(key)
        same = np.flatnonzero(~changes(*(column[order] for column in key)))
        if same.size:
            at = order[same[0]]
            value = {f: int(getattr(sptes, f)[at]) for f in ("gfn", "level", "sp", "rb")}
            rule = "the shadow page of this sp and rb maps this gfn already"
            raise self.refuse("alias", value, rule)

    def mappings(self, field: str, raw: object) -> None:
        for other, add in (("run", self.runs), ("list", self.lists)):
            if isinstance(raw, dict) and other in raw:
                add(field, self.mapping(field, raw, (other,))[other])
                return
        known = ("gfn", "level", "access", "sp", "rb", "direct", "zap")
        one = self.mapping(field, raw, known)
        zap = "zap" in one
        if zap and (one["zap"] != 1 or type(one["zap"]) is not int or "access" in one):
            raise self.refuse(f"{field}.zap", one["zap"], "must be 1, without an access")
        gfn = self.integer(f"{field}.gfn", one.get("gfn"), 0, MAX_GFN)
        level = self.integer(f"{field} level", one.get("level"), 1, 3)
        access = 0 if zap else one.get("access")
        alias = [access, one.get("sp"), one.get("rb", 0), one.get("direct", 0)]
        self.add(field, np.array([gfn]), level, [alias], int(not zap))

    def runs(self, field: str, raw: object) -> None:
        first, count, level, aliases, *stride = self.sequence(field, raw, 4, 5)
        first = self.integer(f"{field} first_gfn", first, 0, MAX_GFN)
        level = self.integer(f"{field} level", level, 1, 3)
        count = self.integer(f"{field} count", count, 1, MAX_SPTES)
        step = self.integer(f"{field} stride", stride[0], 1, MAX_GFN) if stride else 1
        if first + (count - 1) * step * k.PAGES_PER_LEVEL[level] >= self.end:
            raise self.refuse(field, raw, self.outside())
        pages = first + np.arange(count) * step * k.PAGES_PER_LEVEL[level]
        self.add(field, pages, level, aliases)

    def lists(self, field: str, raw: object) -> None:
        base, level, aliases, indices = self.sequence(field, raw, 4, 4)
        base = self.integer(f"{field} base_gfn", base, 0, MAX_GFN)
        level = self.integer(f"{field} level", level, 1, 3)
        chosen = self.integers(f"{field} index", indices, MAX_GFN)
        pages = base + np.array(chosen, np.int64) * k.PAGES_PER_LEVEL[level]
        self.add(field, pages, level, aliases)

    def add(self, field: str, pages: Ints, level: int, raw: object, lowest: int = 1) -> None:
        """Map each alias of each page in turn; an alias that is a number has its place as sp."""
        bounds = {"access": (lowest, 7), "sp": (0, MAX_SP), "rb": (0, ROLE_BITS)}
        bounds["direct"] = (0, 3 - level)
        aliases = []
        for sp, each in enumerate(self.sequence(f"{field} aliases", raw, 1, MAX_SPTES)):
            alias = each if type(each) is list else [each, sp]
            values = [*self.sequence(f"{field} alias", alias, 2, 4), 0, 0][: len(bounds)]
            named = zip(bounds.items(), values, strict=True)
            aliases.append([self.integer(f"{field} {f}", value, *b) for (f, b), value in named])
        size = k.PAGES_PER_LEVEL[level]
        if (wrong := pages[(pages < self.base) | (pages > self.end - size)]).size:
            raise self.refuse(f"{field} gfn", int(wrong[0]), self.outside())
        if (wrong := pages[pages % size != 0]).size:
            rule = f"a level {level} SPTE maps {size} pages, so its gfn is a multiple of {size}"
            raise self.refuse(f"{field} gfn", int(wrong[0]), rule)
        self.rows += len(pages) * len(aliases)
        if self.rows > MAX_SPTES:
            raise self.refuse(field, self.rows, f"at most {MAX_SPTES} SPTEs a scenario")
        table = np.tile(np.array(aliases, np.int64), (len(pages), 1))
        gfn = np.repeat(pages, len(aliases))
        self.blocks.append(np.column_stack((gfn, np.full_like(gfn, level), table)))

    def outside(self) -> str:
        return f"a page lies outside the memslot [{self.base}, {self.end})"

    def integer(self, field: str, value: object, low: int, high: int) -> int:
        if type(value) is not int or not low <= value <= high:
            raise self.refuse(field, value, f"must be a whole number from {low} to {high}")
        return value

    def integers(self, field: str, value: object, high: int = MAX_INDEX) -> list[int]:
        if type(value) is not list:
            raise self.refuse(field, value, "must be a list of whole numbers")
        return [self.integer(field, each, 0, high) for each in value]

    def mapping(self, field: str, value: object, known: Sequence[str]) -> dict[str, Any]:
        if type(value) is not dict:
            raise self.refuse(field, value, "must be an object")
        for unknown in (key for key in value if key not in known):
            rule = f"unknown field; known are {', '.join(known)}"
            raise self.refuse(f"{field}.{unknown}".lstrip("."), value[unknown], rule)
        return value

    def sequence(self, field: str, value: object, shortest: int, longest: int) -> list[Any]:
        if type(value) is not list or not shortest <= len(value) <= longest:
            raise self.refuse(field, value, f"must be a list of {shortest} to {longest} elements")
        return value

    def refuse(self, field: str, value: object, rule: str) -> ScenarioError:
        """`value` is shown as JSON, at most about 80 characters of it."""
        text = json.dumps(value, default=repr)
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        return ScenarioError(f"scenario {self.name}: {field} = {shown}: {rule}.")
