"""The walk over a scenario's huge pages: what each split takes, and where shadow pages run out.

kvm_shadow_mmu_try_split_huge_pages() in mmu.c, without its caches: those change when mmu_lock is
dropped, never what is split.
"""

from dataclasses import dataclass

import numpy as np

from core import constants as k
from core.arrays import Ints, running
from core.scenario import Scenario
from core.scenario.heads import Heads
from core.scenario.pages import COLUMNS, CREATED, DESC
from core.scenario.shadow import INDEX_BITS


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
        self.heads = Heads(scenario, kernel)
        self.start = self.heads.start()
        self.room = scenario.n_max_mmu_pages - k.MIN_FREE_MMU_PAGES - self.start["n_used"]
        self.levels = {level: self.heads.of_level(level) for level in (3, 2)}
        self.blocks = [(2, np.empty((0, len(COLUMNS)), np.int64))]  # (level, counts)
        self.enospc = self.walker_checks = self.nr_heads_2m = 0

    def run(self, level: int, start: int, end: int) -> None:
        """One level of one range of gfns: slot_handle_level_range() in mmu.c."""
        first, last = (gfn >> INDEX_BITS * (level - 1) for gfn in (start, end - 1))
        part = slice(*np.searchsorted(self.levels[level][0], (first, last + 1)))
        index, pattern, done = (column[part] for column in self.levels[level])
        for at in np.flatnonzero(pattern < 0):
            pattern[at] = self.heads.pattern(level, int(index[at]))
        patterns = self.heads.patterns
        left = np.array([len(each.roles) for each in patterns], np.int64)[pattern] - done
        stuck = np.array([each.stuck for each in patterns], np.int64)[pattern]
        occupied = index[left + stuck > 0]
        self.walker_checks += occupied.size + (first not in occupied[:1])
        active = np.flatnonzero(left)
        self.nr_heads_2m += active.size * (level == 2)
        split = self.split(level, pattern[active])
        self.enospc += int((split < left[active]).sum())
        done[active] += split
        if level == 3:
            for at, number in zip(active[split > 0], split[split > 0], strict=True):
                self.heads.split_1g(int(index[at]), patterns[pattern[at]].roles[:number])

    def split(self, level: int, pattern: Ints) -> Ints:
        """Split heads of these patterns until room runs out. Returns how many SPTEs of each."""
        if self.room <= 0 or not pattern.size:
            return np.zeros_like(pattern)
        tables = [each.counts for each in self.heads.patterns]
        starts = running(np.array([len(table) for table in tables]))
        lengths = np.diff(starts)[pattern]
        begin = running(lengths)[:-1]
        rows = np.arange(lengths.sum()) + np.repeat(starts[pattern] - begin, lengths)
        counts = np.concatenate(tables)[rows]
        number = int(np.searchsorted(running(counts[:, CREATED])[:-1], self.room))
        self.room -= int(counts[:number, CREATED].sum())
        self.blocks.append((level, counts[:number]))
        done: Ints = np.clip(number - begin, 0, lengths)
        return done


def splits_of(scenario: Scenario, kernel: str) -> Splits:
    """What each split of the scenario takes, in order, for `v6_1` or `v6_12`."""
    walk = _Walk(scenario, kernel)
    for start, end in scenario.ranges:
        for level in range(3, scenario.target_level, -1):
            walk.run(level, start, end)
    levels, blocks = zip(*walk.blocks, strict=True)
    each_level = np.repeat(levels, [len(counts) for counts in blocks])
    met = (walk.enospc, walk.walker_checks, walk.nr_heads_2m)
    return Splits(np.concatenate(blocks), each_level, *met, walk.start)
