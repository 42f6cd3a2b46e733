"""The walk over a scenario's huge pages: what each split takes, and where shadow pages run out.

kvm_shadow_mmu_try_split_huge_pages() in mmu.c, without its caches: those change when mmu_lock is
dropped, never what is split.
"""

from dataclasses import dataclass

import numpy as np

from core import constants as k
from core.arrays import NONE, Ints, running
from core.scenario import Scenario
from core.scenario.heads import SpecialPages, plain_pages, special_rows
from core.scenario.pages import COLUMNS, CREATED, DESC, HugePage, PageSplits, split_page
from core.scenario.shadow import INDEX_BITS, ShadowMmu, Sptes


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


class _Walk:
    """Walks the ranges once; what is split, and where shadow pages run out, needs no caches."""

    def __init__(self, scenario: Scenario, kernel: str) -> None:
        sptes, self.kernel, self.ext = scenario.sptes, kernel, scenario.pte_list_ext
        invalid, rows = scenario.invalid_sps, special_rows(sptes)
        special, plain = (Sptes(*(column[part] for column in sptes)) for part in (rows, ~rows))
        mmu = ShadowMmu(special, kernel, self.ext, invalid)
        self.special = SpecialPages(mmu)
        self.start = _start(sptes, plain, mmu, self.ext)
        self.room = scenario.n_max_mmu_pages - k.MIN_FREE_MMU_PAGES - self.start["n_used"]
        self.numbers: dict[HugePage, int] = {}
        self.patterns: list[PageSplits] = []
        index, pattern, pages = plain_pages(plain, invalid, kernel, self.ext)
        numbers = np.array([self.number(page) for page in pages], np.int64)
        self.heads = {
            3: self.heads_of(3, NONE, NONE),
            2: self.heads_of(2, index, numbers[pattern]),
        }
        self.counts = [np.empty((0, len(COLUMNS)), np.int64)]
        self.levels = [NONE]
        self.enospc = self.walker_checks = self.nr_heads_2m = 0

    def number(self, page: HugePage) -> int:
        if page not in self.numbers:
            self.numbers[page] = len(self.patterns)
            self.patterns.append(split_page(page, self.kernel, self.ext))
        return self.numbers[page]

    def heads_of(self, level: int, index: Ints, pattern: Ints) -> tuple[Ints, Ints, Ints]:
        """The huge pages of one level: index ascending, pattern, and SPTEs split so far.

        Patterns are given of plain pages, and -1 of special ones until they are met.
        """
        special = self.special.indices(level)
        index = np.concatenate((index, special))
        pattern = np.concatenate((pattern, np.full_like(special, -1)))
        order = np.argsort(index)
        return index[order], pattern[order], np.zeros_like(index)

    def run(self, level: int, start: int, end: int) -> None:
        """One level of one range of gfns: slot_handle_level_range() in mmu.c."""
        first, last = (gfn >> INDEX_BITS * (level - 1) for gfn in (start, end - 1))
        part = slice(*np.searchsorted(self.heads[level][0], (first, last + 1)))
        index, pattern, done = (column[part] for column in self.heads[level])
        for at in np.flatnonzero(pattern < 0):
            pattern[at] = self.number(self.special.page(level, int(index[at])))
        left = np.array([len(each.roles) for each in self.patterns], np.int64)[pattern] - done
        stuck = np.array([each.stuck for each in self.patterns], np.int64)[pattern]
        occupied = index[left + stuck > 0]
        self.walker_checks += occupied.size + (first not in occupied[:1])
        active = np.flatnonzero(left)
        self.nr_heads_2m += active.size * (level == 2)
        split = self.split(level, pattern[active])
        self.enospc += int((split < left[active]).sum())
        done[active] += split
        if level == 3:
            for at, number in zip(active[split > 0], split[split > 0], strict=True):
                self.special.split_1g(int(index[at]), self.patterns[pattern[at]].roles[:number])

    def split(self, level: int, pattern: Ints) -> Ints:
        """Split heads of these patterns until room runs out. Returns how many SPTEs of each."""
        if self.room <= 0 or not pattern.size:
            return np.zeros_like(pattern)
        tables = [each.counts for each in self.patterns]
        starts = running(np.array([len(table) for table in tables]))
        lengths = np.diff(starts)[pattern]
        begin = running(lengths)[:-1]
        rows = np.arange(lengths.sum()) + np.repeat(starts[pattern] - begin, lengths)
        counts = np.concatenate(tables)[rows]
        number = int(np.searchsorted(running(counts[:, CREATED])[:-1], self.room))
        self.room -= int(counts[:number, CREATED].sum())
        self.counts.append(counts[:number])
        self.levels.append(np.full(number, level))
        done: Ints = np.clip(number - begin, 0, lengths)
        return done


def splits_of(scenario: Scenario, kernel: str) -> Splits:
    """What each split of the scenario takes, in order, for `v6_1` or `v6_12`."""
    walk = _Walk(scenario, kernel)
    for start, end in scenario.ranges:
        for level in range(3, scenario.target_level, -1):
            walk.run(level, start, end)
    counts, levels = np.concatenate(walk.counts), np.concatenate(walk.levels)
    return Splits(counts, levels, walk.enospc, walk.walker_checks, walk.nr_heads_2m, walk.start)


def _start(sptes: Sptes, plain: Sptes, mmu: ShadowMmu, ext: int) -> dict[str, int]:
    """What exists before the first split."""
    top = sptes.level + sptes.direct
    key = np.stack((sptes.sp, sptes.rb, top, sptes.gfn >> 9 * top))
    _, lengths = np.unique(plain.gfn, return_counts=True)
    descs = -(-lengths[lengths > 1] // ext)
    return {
        "n_used": np.unique(key, axis=1).shape[1] + len(mmu.direct),
        "desc_live": int(descs.sum()) + mmu.desc_live,
        "longest": max(int(lengths.max(initial=1)) - 1, mmu.max_mmu_rmap_size),
        "pages_4k": mmu.pages[1],
        "pages_2m": len(plain.gfn) + mmu.pages[2],
        "pages_1g": mmu.pages[3],
    }
