"""The SPTEs of a scenario: three ways to list them, one array of operations. Parsing only."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from core import constants as k
from core.arrays import Ints, changes

MAX_SPTES: Final = 1 << 23
MAX_GFN: Final = 1 << 40
MAX_SP: Final = (1 << 31) - 1
MAX_INDEX: Final = 1 << 62
ROLE_BITS: Final = 31
MAX_RMAP: Final = k.RMAP_RECYCLE_THRESHOLD + 1 - 7 * (ROLE_BITS + 1)
"""SPTEs of one gfn and level. A split adds one a role at most (7 accesses, 32 role bits), so a rmap
never gets beyond the length at which KVM zaps it, which is not modelled."""


class ScenarioError(ValueError):
    """A scenario that breaks a rule. The message is complete but for file and line."""


class Reader:
    """Checks the fields of one scenario; `name` is its id for messages."""

    def __init__(self, name: str) -> None:
        self.name = name

    def refuse(self, field: str, value: object, rule: str) -> ScenarioError:
        return ScenarioError(f"scenario {self.name}: {field} = {shown(value)}: {rule}.")

    def integer(self, field: str, value: object, low: int, high: int) -> int:
        if type(value) is not int or not low <= value <= high:
            raise self.refuse(field, value, f"must be a whole number from {low} to {high}")
        return value

    def integers(self, field: str, value: object, low: int = 0, high: int = MAX_INDEX) -> list[int]:
        if type(value) is not list:
            raise self.refuse(field, value, "must be a list of whole numbers")
        return [self.integer(field, each, low, high) for each in value]

    def mapping(self, field: str, value: object, known: Iterable[str]) -> dict[str, Any]:
        if type(value) is not dict:
            raise self.refuse(field, value, "must be an object")
        unknown = [key for key in value if key not in set(known)]
        if unknown:
            rule = f"unknown field; known are {', '.join(known)}"
            raise self.refuse(f"{field}.{unknown[0]}".lstrip("."), value[unknown[0]], rule)
        return value

    def sequence(self, field: str, value: object, shortest: int, longest: int) -> list[Any]:
        if type(value) is not list or not shortest <= len(value) <= longest:
            raise self.refuse(field, value, f"must be a list of {shortest} to {longest} elements")
        return value


def shown(value: object) -> str:
    """`value` as JSON, at most about 80 characters of it."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= 80 else f"{text[:77]}..."


class Sptes(NamedTuple):
    """Operations that build the SPTEs, in order. All int64, shape (n,).

    `level` is that of the leaf, `access` 0 zaps the leaf that was mapped before, `sp` is the group
    of the indirect parent, `rb` its other role bits, `direct` the direct shadow pages between.
    """

    gfn: Ints
    level: Ints
    access: Ints
    sp: Ints
    rb: Ints
    direct: Ints


class Expander:
    """Turns `mappings`, `runs` and `lists` into one array of operations."""

    def __init__(self, read: Reader, base: int, npages: int) -> None:
        self.read, self.base, self.end = read, base, base + npages
        self.blocks: list[Ints] = []
        self.rows = 0

    def expand(self, given: Mapping[str, Any]) -> Sptes:
        """The operations of a scenario, in that order. Raises ScenarioError."""
        one = {"mappings": self.mappings, "runs": self.runs, "lists": self.lists}
        for field, add in one.items():
            for element in self.read.sequence(field, given.get(field, []), 0, MAX_SPTES):
                add(field, element)
        rows = np.concatenate(self.blocks) if self.blocks else np.empty((0, 6), np.int64)
        sptes = Sptes(*np.ascontiguousarray(rows.T))
        _check_slots(self.read, sptes)
        return sptes

    def mappings(self, field: str, raw: object) -> None:
        for other, add in (("run", self.runs), ("list", self.lists)):
            if isinstance(raw, dict) and other in raw:
                add(field, self.read.mapping(field, raw, (other,))[other])
                return
        known = ("gfn", "level", "access", "sp", "rb", "direct", "zap")
        one = self.read.mapping(field, raw, known)
        zap = "zap" in one
        if zap and (one["zap"] != 1 or type(one["zap"]) is not int or "access" in one):
            raise self.read.refuse(f"{field}.zap", one["zap"], "must be 1, without an access")
        gfn = self.read.integer(f"{field}.gfn", one.get("gfn"), 0, MAX_GFN)
        access = 0 if zap else one.get("access")
        alias = [access, one.get("sp"), one.get("rb", 0), one.get("direct", 0)]
        level = self.level(field, one.get("level"))
        self.add(field, np.array([gfn]), level, [self.alias(field, alias, level, int(not zap))])

    def runs(self, field: str, raw: object) -> None:
        first, count, level, aliases, *stride = self.read.sequence(field, raw, 4, 5)
        first = self.read.integer(f"{field} first_gfn", first, 0, MAX_GFN)
        level = self.level(field, level)
        count = self.read.integer(f"{field} count", count, 1, MAX_SPTES)
        step = self.read.integer(f"{field} stride", stride[0], 1, MAX_GFN) if stride else 1
        if first + (count - 1) * step * k.PAGES_PER_LEVEL[level] >= self.end:
            raise self.read.refuse(field, raw, self.outside())
        pages = first + np.arange(count) * step * k.PAGES_PER_LEVEL[level]
        self.add(field, pages, level, self.aliases(field, aliases, level))

    def lists(self, field: str, raw: object) -> None:
        base, level, aliases, indices = self.read.sequence(field, raw, 4, 4)
        base = self.read.integer(f"{field} base_gfn", base, 0, MAX_GFN)
        level = self.level(field, level)
        chosen = self.read.integers(f"{field} index", indices, 0, MAX_GFN)
        pages = base + np.array(chosen, np.int64) * k.PAGES_PER_LEVEL[level]
        self.add(field, pages, level, self.aliases(field, aliases, level))

    def level(self, field: str, value: object) -> int:
        return self.read.integer(f"{field} level", value, 1, 3)

    def aliases(self, field: str, raw: object, level: int) -> list[list[int]]:
        given = self.read.sequence(f"{field} aliases", raw, 1, MAX_SPTES)
        full = [each if type(each) is list else [each, i] for i, each in enumerate(given)]
        return [self.alias(field, each, level) for each in full]

    def alias(self, field: str, raw: object, level: int, lowest_access: int = 1) -> list[int]:
        access, sp, *rest = self.read.sequence(f"{field} alias", raw, 2, 4)
        rb, direct = (*rest, 0, 0)[:2]
        return [
            self.read.integer(f"{field} access", access, lowest_access, 7),
            self.read.integer(f"{field} sp", sp, 0, MAX_SP),
            self.read.integer(f"{field} rb", rb, 0, ROLE_BITS),
            self.read.integer(f"{field} direct", direct, 0, 3 - level),
        ]

    def outside(self) -> str:
        return f"a page lies outside the memslot [{self.base}, {self.end})"

    def add(self, field: str, pages: Ints, level: int, aliases: list[list[int]]) -> None:
        size = k.PAGES_PER_LEVEL[level]
        if (wrong := pages[(pages < self.base) | (pages > self.end - size)]).size:
            raise self.read.refuse(f"{field} gfn", int(wrong[0]), self.outside())
        if (wrong := pages[pages % size != 0]).size:
            rule = f"a level {level} SPTE maps {size} pages, so its gfn is a multiple of {size}"
            raise self.read.refuse(f"{field} gfn", int(wrong[0]), rule)
        self.rows += len(pages) * len(aliases)
        if self.rows > MAX_SPTES:
            raise self.read.refuse(field, self.rows, f"at most {MAX_SPTES} SPTEs a scenario")
        table = np.tile(np.array(aliases, np.int64), (len(pages), 1))
        gfn = np.repeat(pages, len(aliases))
        left = np.column_stack((gfn, np.full_like(gfn, level), table))
        self.blocks.append(left)


def _check_slots(read: Reader, sptes: Sptes) -> None:
    """Refuse a slot of a shadow page that would be mapped twice, and rmaps that are too long."""
    leaf = sptes.access > 0
    where, lengths = np.unique((sptes.level << 41 | sptes.gfn)[leaf], return_counts=True)
    if lengths.max(initial=0) > MAX_RMAP:
        gfn = int(where[lengths.argmax()]) % (1 << 41)
        rule = f"at most {MAX_RMAP} SPTEs may map it at one level; this has {lengths.max()}"
        raise read.refuse("gfn", gfn, rule)
    if leaf.all() and not sptes.direct.any():
        _check_distinct(read, sptes)
    else:
        _check_one_by_one(read, sptes)


def _check_distinct(read: Reader, sptes: Sptes) -> None:
    key = (sptes.gfn, sptes.level, sptes.rb, sptes.sp)
    order = np.lexsort(key)
    if (repeated := np.flatnonzero(~changes(*(column[order] for column in key)))).size:
        at = order[repeated[0]]
        value = {f: int(getattr(sptes, f)[at]) for f in ("gfn", "level", "sp", "rb")}
        raise read.refuse("alias", value, "the shadow page of this sp and rb maps this gfn already")


def _check_one_by_one(read: Reader, sptes: Sptes) -> None:
    slots: dict[tuple[int, ...], int] = {}
    viewers: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for spte in zip(*(column.tolist() for column in sptes), strict=True):
        gfn, level, access, sp, rb, direct = spte
        *links, leaf = path = _path(spte, slots)
        linked = [slots.get(link, 0) for link in links]
        value = {"gfn": gfn, "level": level, "sp": sp, "rb": rb, "direct": direct}
        if not access:
            if slots.get(leaf, 0) <= 0 or any(link >= 0 for link in linked):
                raise read.refuse("zap", value, "no leaf SPTE was mapped there before")
            slots[leaf] = 0
            viewers[leaf].clear()
            continue
        seen = viewers.setdefault(leaf, set())  # a leaf can be seen through several links
        if path[0] in seen or slots.get(leaf, 0) < 0 or not {*linked} <= {0, -access}:
            raise read.refuse("alias", value, "that slot of the shadow page is in use already")
        seen.add(path[0])
        slots |= dict.fromkeys(links, -access) | {leaf: access}


def _path(spte: tuple[int, ...], slots: Mapping[tuple[int, ...], int]) -> list[tuple[int, ...]]:
    """Slots from the indirect parent down to the leaf. A zap follows the links that are there.

    A slot holds an access if it is a leaf and minus that of the direct page below if it is a link.
    """
    gfn, level, access, sp, rb, direct = spte
    top = level + direct
    path: list[tuple[int, ...]] = [(sp, rb, top, gfn >> 9 * (top - 1))]
    linked = access or -slots.get(path[0], 0)
    path += [(-1, rb, at, gfn >> 9 * (at - 1), linked) for at in range(top - 1, level - 1, -1)]
    return path
