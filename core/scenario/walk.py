"""The walk over a scenario's huge pages: what each split takes, and where shadow pages run out.

kvm_shadow_mmu_try_split_huge_pages() in mmu.c, without its caches: those change when mmu_lock is
dropped, never what is split.
"""

from dataclasses import dataclass, field

import numpy as np

from core import constants as k
from core.arrays import NONE, Ints
from core.scenario import Scenario
from core.scenario.heads import SpecialPages, plain_pages, special_rows
from core.scenario.pages import COLUMNS, CREATED, DESC, HugePage, PageSplits, split_page
from core.scenario.shadow import INDEX_BITS
from core.scenario.sptes import Sptes


@dataclass
class Splits:
    """The splits of a scenario in walk order, and what the walk met. No cache size matters here.

    `counts` is int64 of shape (n, 6), columns as in `pages.COLUMNS`; `level` int64 (n,).
    """

    counts: Ints
    level: Ints
    enospc: int
    walker_checks: int
    nr_heads_2m: int  # 2M pages that the walk meets with something to split
    start: dict[str, int]

    @property
    def desc(self) -> Ints:
        """Descriptors that each split takes."""
        return self.counts[:, DESC]

    @property
    def created(self) -> Ints:
        """Page headers, and shadow pages, that each split takes: 0 or 1."""
        return self.counts[:, CREATED]


@dataclass
class _Heads:
    """The huge pages of one level: index ascending, pattern, and SPTEs left of those splittable."""

    level: int
    index: Ints
    pattern: Ints  # -1 until a special page is met
    left: Ints
    stuck: Ints  # SPTEs in invalid shadow pages: never split, but the head is not empty


@dataclass
class _Walk:
    """Walks the ranges once; what is split, and where shadow pages run out, needs no caches."""

    scenario: Scenario
    kernel: str
    special: SpecialPages
    room: int  # shadow pages that can be made before ENOSPC
    pages: dict[HugePage, int] = field(default_factory=dict)
    splits: list[PageSplits] = field(default_factory=list)
    blocks: list[Ints] = field(default_factory=list)
    levels: list[Ints] = field(default_factory=list)
    enospc: int = 0
    walker_checks: int = 0
    nr_heads_2m: int = 0

    def number(self, page: HugePage) -> int:
        if page not in self.pages:
            self.pages[page] = len(self.splits)
            self.splits.append(split_page(page, self.kernel, self.scenario.pte_list_ext))
        return self.pages[page]

    def heads(self, level: int, plain: tuple[Ints, Ints, list[HugePage]]) -> _Heads:
        """Heads of one level. Patterns of special ones are filled in when they are met."""
        numbers = np.array([self.number(page) for page in plain[2]], np.int64)
        special = self.special.indices(level)
        index = np.concatenate((plain[0], special))
        pattern = np.concatenate((numbers[plain[1]], np.full(len(special), -1)))
        order = np.argsort(index)
        left, stuck = np.zeros_like(index), np.zeros_like(index)
        heads = _Heads(level, index[order], pattern[order], left, stuck)
        self.measure(heads, np.flatnonzero(heads.pattern >= 0))
        return heads

    def meet(self, heads: _Heads, part: slice) -> None:
        """Look up the patterns of the heads in `part` that have none yet."""
        unknown = np.flatnonzero(heads.pattern[part] < 0) + part.start
        for at in unknown:
            heads.pattern[at] = self.number(self.special.page(heads.level, int(heads.index[at])))
        self.measure(heads, unknown)

    def measure(self, heads: _Heads, some: Ints) -> None:
        """Count the SPTEs of `some` heads, whose patterns are known."""
        lengths = np.array([len(s.roles) for s in self.splits], np.int64)
        entries = np.array([sum(map(len, page.head)) for page in self.pages], np.int64)
        heads.left[some] = lengths[heads.pattern[some]]
        heads.stuck[some] = entries[heads.pattern[some]] - heads.left[some]

    def run(self, heads: _Heads, start: int, end: int) -> None:
        """One level of one range of gfns: slot_handle_level_range() in mmu.c."""
        first, last = (gfn >> INDEX_BITS * (heads.level - 1) for gfn in (start, end - 1))
        low, high = np.searchsorted(heads.index, (first, last + 1))
        part = slice(int(low), int(high))
        self.meet(heads, part)
        occupied = heads.left[part] + heads.stuck[part] > 0
        first_is_one = bool(low < high and heads.index[low] == first and occupied[0])
        self.walker_checks += int(occupied.sum()) + (not first_is_one)
        active = np.flatnonzero(heads.left[part] > 0) + low
        self.nr_heads_2m += active.size * (heads.level == 2)
        done = self.split(heads, active)
        self.enospc += int(np.count_nonzero(heads.left[active] > done))
        heads.left[active] -= done
        if heads.level == 3:
            for at, number in zip(active.tolist(), done.tolist(), strict=True):
                if number:
                    splits = self.splits[heads.pattern[at]]
                    self.special.split_1g(int(heads.index[at]), splits, number)

    def split(self, heads: _Heads, active: Ints) -> Ints:
        """Split the heads at positions `active` until room runs out. Returns how many of each."""
        if self.room <= 0 or not len(active):
            return np.zeros(len(active), np.int64)
        tables = [s.counts for s in self.splits]
        starts = np.cumsum([0, *map(len, tables)])
        lengths = heads.left[active]
        begin = np.cumsum(lengths) - lengths
        offset = np.repeat(starts[heads.pattern[active]] - begin, lengths)
        counts = np.concatenate(tables)[np.arange(lengths.sum()) + offset]
        made = np.cumsum(counts[:, CREATED]) - counts[:, CREATED]
        number = int(np.searchsorted(made, self.room))
        self.room -= int(counts[:number, CREATED].sum())
        self.blocks.append(counts[:number])
        self.levels.append(np.full(number, heads.level))
        done: Ints = np.clip(number - begin, 0, lengths)
        return done


def splits_of(scenario: Scenario, kernel: str) -> Splits:
    """What each split of the scenario takes, in order, for `v6_1` or `v6_12`."""
    sptes, ext = scenario.sptes, scenario.pte_list_ext
    rows = special_rows(sptes)
    special = SpecialPages(scenario, rows, kernel)
    plain_rows = Sptes(*(column[~rows] for column in sptes))
    plain = plain_pages(plain_rows, scenario.invalid_sps, kernel, ext)
    start = _start(sptes, plain_rows, special, ext)
    room = scenario.n_max_mmu_pages - k.MIN_FREE_MMU_PAGES - start["n_used"]
    walk = _Walk(scenario, kernel, special, room)
    heads = {3: walk.heads(3, (NONE, NONE, [])), 2: walk.heads(2, plain)}
    for start_gfn, end in scenario.ranges:
        for level in range(3, scenario.target_level, -1):
            walk.run(heads[level], start_gfn, end)
    counts = np.concatenate([np.empty((0, len(COLUMNS)), np.int64), *walk.blocks])
    levels = np.concatenate([NONE, *walk.levels])
    return Splits(counts, levels, walk.enospc, walk.walker_checks, walk.nr_heads_2m, start)


def _start(sptes: Sptes, plain: Sptes, special: SpecialPages, ext: int) -> dict[str, int]:
    """What exists before the first split."""
    top = sptes.level + sptes.direct
    key = np.stack((sptes.sp, sptes.rb, top, sptes.gfn >> 9 * top))
    _, lengths = np.unique(plain.gfn, return_counts=True)
    descs = -(-lengths[lengths > 1] // ext)
    mmu = special.mmu
    return {
        "n_used": np.unique(key, axis=1).shape[1] + len(mmu.direct),
        "desc_live": int(descs.sum()) + mmu.desc_live,
        "longest": max(int(lengths.max(initial=1)) - 1, mmu.max_mmu_rmap_size),
        "pages_4k": mmu.pages[1],
        "pages_2m": len(plain.gfn) + mmu.pages[2],
        "pages_1g": mmu.pages[3],
    }
