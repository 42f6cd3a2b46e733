"""Every way in which one aliased page can be split, weighted by its chance.

After i splits of a page, m of them were of the shared role and i - m of roles of their own. What
the page has made and taken by then depends on (i, m) alone, so the 2 ** (degree - 1) draws of roles
are paths on a lattice of degree * degree / 2 points. Only steps that take descriptors can be
followed by a refill: the *events*. From one event to the next, a path is a binomial draw.
"""

from functools import cached_property, lru_cache
from typing import Final

import numpy as np

from core.arrays import Floats, Ints
from core.constants import SPTES_PER_PAGE
from core.patterns import removal_order, takes_descriptor

REFILLS, CREATING, LAST, CREATING_LAST, TAKEN, FIRST_LAST, FIRST = ROWS = range(7)
"""Rows of a `Page.refill_table`, behind its levels: refills, those after a split that makes a
shadow page, after the page's last split, and both; descriptors taken before refills after the last
split (before a first one, by the page); first refills of the page after its last split, and all."""


class Page:
    """An aliased page: e events in the order of splits, t possible ends.

    A page has `degree` mappings, each but the first of its own role with chance `own`.
    """

    def __init__(self, degree: int, own: float, kernel: str, ext: int) -> None:
        self._first = removal_order(degree, kernel, ext).index(0)
        """The split of alias 0, which never draws a role of its own."""
        self._took = np.cumsum([0, *(takes_descriptor(n, ext) for n in range(degree))])
        self._draws = np.zeros((degree + 1, degree + 1))
        """(n, k): chance that k of n draws are not of their own role."""
        self._draws[0, 0] = 1
        for n in range(degree):
            self._draws[n + 1] = self._draws[n] * own
            self._draws[n + 1, 1:] += self._draws[n, :-1] * (1 - own)
        i, m = (np.repeat(each, 2) for each in np.tril_indices(degree))
        shared = np.arange(i.size) % 2
        takes = self._taken(i + 1, m + shared) > self._taken(i, m)
        chance = self._path(0, 0, i, m) * self._path(i, m, i + 1, m + shared)
        some = takes & (chance > 0)
        i, m, shared = i[some], m[some], shared[some]
        self._at, self._to = (i, m), (i + 1, m + shared)
        self.before, self.after = self._taken(*self._at), self._taken(*self._to)
        """(e,) descriptors that the page has taken before each event, and with it."""
        self.made = _made(*self._to)
        """(e,) shadow pages that the page has made by then."""
        self.creates, self.last = (shared == 0) | (m == 0), i + 1 == degree
        """(e,) whether the event itself makes one, and whether it is the page's last split."""
        self.chance = chance[some]
        """(e,) that a page passes it."""
        self._end = degree, np.arange(1, degree + 1)
        self.end_chance, self.end_made = self._path(0, 0, *self._end), _made(*self._end)
        """(t,) shadow pages that the whole page makes, and their chance."""
        self.totals = self._taken(*self._end)
        """(t,) descriptors that it takes."""
        self.offsets = np.unique(np.concatenate([self.before, self.after]))
        """(v,) ascending from 0: what a page may have taken before or after an event."""

    def _taken(self, i: Ints | int, m: Ints) -> Ints:
        """Descriptors of the children's rmaps and of parent_ptes at a point."""
        return np.asarray(SPTES_PER_PAGE * self._took[_made(i, m)] + self._took[m])

    def _path(self, i: Ints | int, m: Ints | int, to_i: Ints | int, to_m: Ints) -> Floats:
        """Chance to come from one point to another."""
        sure = (i <= self._first) & (self._first < to_i)
        n, k = to_i - i - sure, to_m - m - sure
        return np.where((k < 0) | (k > n), 0.0, self._draws[np.maximum(n, 0), np.maximum(k, 0)])

    @cached_property
    def follow(self) -> Floats:
        """(e, e) chance to pass an event (column) after another (row)."""
        i, m = self._to
        return self._path(i[:, None], m[:, None], *self._at) * self._path(*self._at, *self._to)

    @cached_property
    def ends(self) -> Floats:
        """(e, t) chance of an end after an event."""
        i, m = self._to
        return self._path(i[:, None], m[:, None], *self._end)

    @cached_property
    def levels(self) -> Ints:
        """(x,) ascending from 0: what a page may take after its last refill."""
        return np.unique(np.append((self.totals - self.after[:, None])[self.ends > 0], 0))

    @cached_property
    def gaps(self) -> Ints:
        """Ascending: all limits between two of them have the same `refill_table`."""
        return np.unique((self.after - self.after[:, None])[self.follow > 0])

    def refill_table(self, limit: int) -> Floats:
        """What is to be expected of a page in which a cache is refilled.

        If `slack` descriptors are left when the page begins, its first refill follows the event
        with before <= slack < after. So an expectation is the sum of this table over offsets up to
        `slack`. `limit` descriptors may be taken after a refill without another.

        Returns (v, x + 7, degree + 1): for each offset the chances of the levels at the page's end,
        and the rows above; by shadow pages made, at the page's end or at the refill.
        """
        found = self._after_refill(limit)
        rows = self.levels.size
        found[:, rows + TAKEN, 0] += self.last * self.after
        found[:, rows + FIRST_LAST, 0] = self.last
        found[:, rows + FIRST, 0] = 1
        found *= self.chance[:, None, None]
        table = np.zeros((self.offsets.size, *found.shape[1:]))
        np.add.at(table, np.searchsorted(self.offsets, self.before), found)
        np.subtract.at(table, np.searchsorted(self.offsets, self.after), found)
        return table

    def _after_refill(self, limit: int) -> Floats:
        """(e, x + 7, degree + 1): a refill after each event, and what follows in the same page."""
        events, rows = np.arange(self.made.size), self.levels.size
        found = np.zeros((events.size, rows + len(ROWS), self.end_made.max() + 1))
        found[events, rows + REFILLS, self.made] = 1
        found[events, rows + CREATING, self.made] = self.creates
        found[events, rows + LAST, self.made] = self.last
        found[events, rows + CREATING_LAST, self.made] = self.creates & self.last
        for event in events[::-1]:
            taken, left = self.after - self.after[event], self.totals - self.after[event]
            short = (self.before - self.after[event] <= limit) & (limit < taken)
            some = np.flatnonzero(short & (self.follow[event] > 0))
            chance = self.follow[event, some]
            found[event] += np.tensordot(chance, found[some], 1)
            found[event, rows + TAKEN, 0] += chance @ (self.last * taken)[some]
            calm = np.flatnonzero((self.ends[event] > 0) & (left <= limit))
            level = np.searchsorted(self.levels, left[calm])
            found[event, level, self.end_made[calm]] += self.ends[event, calm]
        return found


def _made(i: Ints | int, m: Ints) -> Ints:
    """Shadow pages at a point: the shared one, and those of other roles."""
    return i - m + (m > 0)


page_of: Final = lru_cache(maxsize=16)(Page)
