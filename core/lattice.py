"""Every way in which one aliased page can be split, weighted by its chance.

After i splits of a page, m of them were of the shared role and i - m of roles of their own. What
the page has made and taken by then depends on (i, m) alone, so the 2 ** (degree - 1) draws of roles
are paths on a lattice of degree * degree / 2 points. Only steps that take descriptors can be
followed by a refill: the *events*. From one event to the next, a path is a binomial draw.
"""

from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from core.arrays import Bools, Floats, Ints
from core.constants import SPTES_PER_PAGE
from core.patterns import removal_order, takes_descriptor


class Row(IntEnum):
    """What a `refill_table` counts, in rows behind its levels."""

    REFILLS = 0
    CREATING = 1
    """Refills after a split that makes a shadow page."""
    LAST = 2
    """Refills after the page's last split."""
    CREATING_LAST = 3
    TAKEN = 4
    """Descriptors taken before refills after the last split; before a first one, by the page."""
    FIRST_LAST = 5
    """First refills of the page, after its last split."""
    FIRST = 6


class Page(NamedTuple):
    """An aliased page: e events in the order of splits, t possible ends."""

    before: Ints
    """(e,) descriptors that the page has taken before each event."""
    after: Ints
    """(e,) those and the event's own."""
    made: Ints
    """(e,) shadow pages that the page has made by then."""
    creates: Bools
    """(e,) whether the event itself makes one."""
    last: Bools
    """(e,) whether it is the last split of the page."""
    chance: Floats
    """(e,) that a page passes it."""
    follow: Floats
    """(e, e) chance to pass an event (column) after another (row)."""
    ends: Floats
    """(e, t) chance of an end after an event."""
    end_chance: Floats
    """(t,)"""
    end_made: Ints
    """(t,) shadow pages that the whole page makes."""
    totals: Ints
    """(t,) descriptors that it takes."""
    levels: Ints
    """(x,) ascending from 0: what a page may take after its last refill."""
    offsets: Ints
    """(v,) ascending from 0: what a page may have taken before or after an event."""
    gaps: Ints
    """Ascending: all limits between two of them have the same `refill_table`."""


class _Lattice:
    """Points (i, m) of a page with `degree` mappings, arrays of any equal shapes."""

    def __init__(self, degree: int, own: float, kernel: str, ext: int) -> None:
        self.first = removal_order(degree, kernel, ext).index(0)
        """The split of alias 0, which never draws a role of its own."""
        self.took = np.cumsum([0, *(takes_descriptor(n, ext) for n in range(degree))])
        self.draws = np.zeros((degree + 1, degree + 1))
        """(n, k): chance that k of n draws are not of their own role."""
        self.draws[0, 0] = 1
        for n in range(degree):
            self.draws[n + 1] = self.draws[n] * own
            self.draws[n + 1, 1:] += self.draws[n, :-1] * (1 - own)

    def taken(self, i: Ints | int, m: Ints) -> Ints:
        """Descriptors of the children's rmaps and of parent_ptes."""
        return np.asarray(SPTES_PER_PAGE * self.took[made(i, m)] + self.took[m])

    def reached(self, i: Ints | int, m: Ints) -> Floats:
        """Chance to come to a point."""
        return self.path(0, 0, i, m)

    def path(self, i: Ints | int, m: Ints | int, to_i: Ints | int, to_m: Ints) -> Floats:
        """Chance to come from one point to another."""
        sure = (i <= self.first) & (self.first < to_i)
        n, k = to_i - i - sure, to_m - m - sure
        return np.where((k < 0) | (k > n), 0.0, self.draws[np.maximum(n, 0), np.maximum(k, 0)])


def made(i: Ints | int, m: Ints) -> Ints:
    """Shadow pages at a point: the shared one, and those of other roles."""
    return i - m + (m > 0)


def nr_offsets(degree: int, own: float, kernel: str, ext: int) -> int:
    """At least the number of `Page.offsets`, without working out the page."""
    lattice = _Lattice(degree, own, kernel, ext)
    i, m = np.tril_indices(degree + 1)
    passed = lattice.reached(i, m) > 0
    return np.unique(lattice.taken(i, m)[passed]).size


@lru_cache(maxsize=16)
def page_of(degree: int, own: float, kernel: str, ext: int) -> Page:
    """A page with `degree` mappings, each but the first of its own role with chance `own`."""
    lattice = _Lattice(degree, own, kernel, ext)
    i, m, shared = _events(lattice, degree)
    to_i, to_m = i + 1, m + shared
    before, after = lattice.taken(i, m), lattice.taken(to_i, to_m)
    step = lattice.path(i, m, to_i, to_m)
    end = np.arange(1, degree + 1)
    follow = lattice.path(to_i[:, None], to_m[:, None], i, m) * step
    ends = lattice.path(to_i[:, None], to_m[:, None], degree, end)
    totals = lattice.taken(degree, end)
    return Page(
        before=before,
        after=after,
        made=made(to_i, to_m),
        creates=(shared == 0) | (m == 0),
        last=to_i == degree,
        chance=lattice.reached(i, m) * step,
        follow=follow,
        ends=ends,
        end_chance=lattice.reached(degree, end),
        end_made=made(degree, end),
        totals=totals,
        levels=np.unique(np.append((totals - after[:, None])[ends > 0], 0)),
        offsets=np.unique(np.concatenate([before, after])),
        gaps=np.unique((after - after[:, None])[follow > 0]),
    )


def _events(lattice: _Lattice, degree: int) -> tuple[Ints, Ints, Ints]:
    """Points that are passed, and whether a split of the shared role (1) or of another (0) follows,
    where that takes descriptors and may be. In the order of splits."""
    i, m = (np.repeat(each, 2) for each in np.tril_indices(degree))
    shared = np.arange(i.size) % 2
    takes = lattice.taken(i + 1, m + shared) > lattice.taken(i, m)
    event = takes & (lattice.reached(i, m) > 0) & (lattice.path(i, m, i + 1, m + shared) > 0)
    return i[event], m[event], shared[event]


def refill_table(page: Page, limit: int) -> Floats:
    """What is to be expected of a page in which a cache is refilled.

    If `slack` descriptors are left when the page begins, its first refill follows the event with
    before <= slack < after. So an expectation is the sum of this table over offsets up to `slack`.

    Parameters
    ----------
    limit
        Descriptors that may be taken after a refill without another.

    Returns
    -------
    (v, x + 7, degree + 1): for each offset the chances of the levels at the page's end, and the
    rows above; by shadow pages made, at the page's end or at the refill.
    """
    found = _after_refill(page, limit)
    rows = page.levels.size
    found[:, rows + Row.TAKEN, 0] += page.last * page.after
    found[:, rows + Row.FIRST_LAST, 0] = page.last
    found[:, rows + Row.FIRST, 0] = 1
    found *= page.chance[:, None, None]
    table = np.zeros((page.offsets.size, *found.shape[1:]))
    np.add.at(table, np.searchsorted(page.offsets, page.before), found)
    np.subtract.at(table, np.searchsorted(page.offsets, page.after), found)
    return table


def _after_refill(page: Page, limit: int) -> Floats:
    """(e, x + 7, degree + 1): a refill after each event, and what follows in the same page."""
    events, rows = np.arange(page.made.size), page.levels.size
    found = np.zeros((events.size, rows + len(Row), page.end_made.max() + 1))
    counted: dict[int, Any] = {Row.REFILLS: True, Row.CREATING: page.creates, Row.LAST: page.last}
    for row, which in (counted | {Row.CREATING_LAST: page.creates & page.last}).items():
        found[events, rows + row, page.made] = which
    for event in events[::-1]:
        taken, left = page.after - page.after[event], page.totals - page.after[event]
        short = (page.before - page.after[event] <= limit) & (limit < taken)
        some = np.flatnonzero(short & (page.follow[event] > 0))
        chance = page.follow[event, some]
        found[event] += np.tensordot(chance, found[some], 1)
        found[event, rows + Row.TAKEN, 0] += chance @ (page.last * taken)[some]
        calm = np.flatnonzero((page.ends[event] > 0) & (left <= limit))
        level = np.searchsorted(page.levels, left[calm])
        found[event, level, page.end_made[calm]] += page.ends[event, calm]
    return found
