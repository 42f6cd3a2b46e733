"""Descriptor refills of random pages as a Markov renewal process, for all capacities in one pass.

A page that begins after x descriptors were taken since the last refill leaves limit - x to take.
Whole pages without a refill add their totals: u(s), the expected number of page starts at which s
more are taken, is the same for every limit. What the next page with a refill does is a sum of
partial sums of u, weighted with its `refill_table`; the levels that such pages end with are the
only states. If every page is weighted with turn ** (shadow pages that it makes), the same sums are
Fourier components of the number of shadow pages at a refill.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core import lattice
from core.arrays import Floats, Ints
from core.compiled import compiled
from core.workload import Workload

Complexes = NDArray[np.complex128]
Rows = NDArray[np.intp]

NOISE: Final = 1e-9
"""Chances below this are differences of equal numbers, or do not matter."""

STEPS: Final = 4
"""Pages with a refill, for each level, that are summed one by one before sums are doubled."""

ROOM: Final = 1 << 20
"""Numbers in one block of matrices."""


class Chain:
    """The pages of a workload, and c limits: descriptors that may be taken without a refill."""

    def __init__(self, workload: Workload, limits: Ints) -> None:
        self._limits, self._ratio = limits, workload.alias_ratio
        roles = workload.alias_degree, workload.distinct_role_ratio
        self._page = page = lattice.page_of(*roles, workload.kernel, workload.pte_list_ext)
        self._kinds = np.searchsorted(page.gaps, limits, "right")
        """(c,) which of the tables holds for each."""
        self._tables = {
            int(kind): self._ratio * page.refill_table(int(limits[first]))
            for kind, first in zip(*np.unique(self._kinds, return_index=True), strict=True)
        }
        self.taken = self._ratio * float(page.end_chance @ page.totals)
        """Descriptors that a page takes on average."""

    def refills(self, pages: int) -> tuple[Floats, Floats, Ints, Floats]:
        """What to expect of `pages` pages: pages * rate + what the start and the end add.

        Returns (c,) each: refills of the descriptor cache, the cold one included; those after a
        split that makes a shadow page; pages with a refill; descriptors taken since the last
        refill, when all is split.
        """
        mass = self._mass(1)
        masses = (mass, self._mass(1, mass), mass * np.arange(mass.size))
        sums = [_summed(each).real for each in masses]
        found = np.empty((4, self._limits.size))
        for rows, table in self._blocks(1):
            found[:, rows] = self._expansion(rows, table.real, sums, pages)
        count, creating, refilled, since = found
        taken = pages * self.taken
        count = 1 + np.clip(count, 0, taken / (self._limits + 1))  # one replaces more than a limit
        whole = np.rint(np.maximum(refilled, 0)).astype(np.int64)
        since = np.where(taken <= self._limits, taken, since)
        return count, np.clip(creating, 0, count - 1), whole, since

    def _expansion(self, rows: Rows, table: Floats, sums: list[Floats], pages: int) -> Floats:
        """(4, c): what `refills` returns, the cold one aside.

        Counts grow like pages * rate + bias(level): the bias solves Poisson's equation, and is 0 on
        average over the page starts of a process without beginning. Refills after the last split of
        all would come before the next one, so they are left out.
        """
        levels, x = self._page.levels, self._page.levels.size
        slack = self._limits[rows, None] - levels
        once, twice, weighted = (_at(each, slack[:, :, None] - self._page.offsets) for each in sums)
        starts, later_starts, weighted_starts = (_at(each, slack) for each in sums)
        at_once, later = once @ table, twice @ table
        moves, gain = _connected(at_once[:, :, :x]), at_once[:, :, x:]
        loose = np.eye(x) - moves
        # (c, 1, x): shares of the levels among pages with a refill
        often = np.linalg.solve(np.swapaxes(loose + 1, 1, 2), np.ones((*slack.shape, 1)))
        often = np.swapaxes(often, 1, 2)
        length = (often @ starts[:, :, None])[:, 0]
        rate = (often @ gain)[:, 0] / length
        bias = np.linalg.solve(loose + often, gain - rate[:, None] * starts[:, :, None])
        mean = often @ (later[:, :, x:] + later[:, :, :x] @ bias)
        mean -= rate[:, None] * (often @ later_starts[:, :, None])
        count = pages * rate + bias[:, 0] - mean[:, 0] / length
        taken = weighted + levels[:, None] * once
        last = gain[:, :, lattice.TAKEN] + taken @ table[:, x + lattice.FIRST_LAST]
        since = often @ (weighted_starts + levels * starts + last)[:, :, None]
        kept = count[:, [lattice.REFILLS, lattice.CREATING, lattice.FIRST]]
        kept -= rate[:, [lattice.LAST, lattice.CREATING_LAST, lattice.FIRST_LAST]]
        return np.vstack([kept.T, (since[:, 0] / length).T])

    def component(self, turn: complex, pages: Ints) -> Complexes:
        """(c,): expected sum of turn ** (shadow pages made) over the refills behind a split that
        makes one, the cold one aside; `pages` (c,) have a refill."""
        mass = _summed(self._mass(turn))
        levels, offsets, x = self._page.levels, self._page.offsets, self._page.levels.size
        total = np.zeros(self._limits.size, np.complex128)
        for rows, table in self._blocks(turn):
            moves, gain = table[:, :x].copy(), table[:, x + lattice.CREATING].copy()
            slack = self._limits[rows, None] - levels
            total[rows], at, left = _summands(mass, slack, offsets, moves, gain, pages[rows])
            rest = np.flatnonzero(left)
            if rest.size:
                once = _at(mass, slack[rest, :, None] - offsets)
                total[rows[rest]] += _doubled(once @ moves, once @ gain, at[rest], left[rest])
        return total

    def _blocks(self, turn: complex) -> Iterator[tuple[Rows, NDArray[Any]]]:
        """Rows of limits with the same table, few enough for their matrices, and a Fourier
        component of the table."""
        powers = np.power(complex(turn), np.arange(self._page.end_made.max() + 1))
        step = max(1, ROOM // (self._page.levels.size * self._page.offsets.size))
        for kind, table in self._tables.items():
            turned, rows = np.asarray(table @ powers), np.flatnonzero(self._kinds == kind)
            for first in range(0, rows.size, step):
                yield rows[first : first + step], turned

    def _mass(self, turn: complex, source: Complexes | None = None) -> Complexes:
        """Weights, by descriptors taken, of any number of pages after `source` (nothing taken)."""
        page, ratio = self._page, self._ratio
        if source is None:
            source = np.eye(1, int(self._limits.max()) + 1, dtype=np.complex128)[0]
        totals, which = np.unique(page.totals, return_inverse=True)
        weights = np.zeros(totals.size, np.complex128)
        np.add.at(weights, which, ratio * page.end_chance * np.power(complex(turn), page.end_made))
        return np.asarray(_renewals(totals, weights, 1 - (1 - ratio) * complex(turn), source))


def _connected(moves: Floats) -> Floats:
    """`moves` (c, x, x) without noise; levels that no page reaches from the first lead back to it,
    because there may be several sets of levels that are never left."""
    moves = np.where(moves < NOISE, 0, moves)
    met = np.zeros(moves.shape[:2], bool)
    more = np.eye(moves.shape[1], dtype=bool)[0] | met
    while (more != met).any():
        met = more
        more = met | ((met[:, None] * 1.0 @ moves)[:, 0] > 0)
    moves = np.where(met[:, :, None], moves, np.eye(moves.shape[1])[0])
    return np.asarray(moves / moves.sum(axis=2, keepdims=True))


@compiled
def _summands(mass, slack, offsets, moves, gain, pages):  # type: ignore[no-untyped-def]
    """Add page with a refill to page with a refill until that fades or is a geometric series.

    Returns (c,) sums, and for what is still missing (c, x) weights of the levels, (c,) pages.
    """
    total = np.zeros(pages.size, np.complex128)
    at = np.zeros(slack.shape, np.complex128)
    at[:, 0] = 1
    left = pages.copy()
    for row in range(pages.size):
        for _ in range(min(left[row], STEPS * slack.shape[1])):
            there, yielded = _next(mass, slack[row], offsets, at[row], moves, gain)
            total[row] += yielded
            left[row] -= 1
            most = np.argmax(np.abs(at[row]))
            ratio = there[most] / at[row, most]
            if np.max(np.abs(there - ratio * at[row])) < NOISE:
                even = np.abs(1 - ratio) < NOISE
                series = left[row] if even else ratio * (1 - ratio ** left[row]) / (1 - ratio)
                total[row] += yielded * series
                left[row] = 0
                break
            at[row] = there
    return total, at, left


@compiled
def _next(mass, slack, offsets, at, moves, gain):  # type: ignore[no-untyped-def]
    """One page with a refill: (weights of the levels behind it, what its refills yield)."""
    met = np.zeros(offsets.size, np.complex128)
    for x in range(slack.size):
        if at[x] != 0:
            for v in range(offsets.size):
                if slack[x] < offsets[v]:
                    break
                met[v] += at[x] * mass[slack[x] - offsets[v] + 1]
    there = np.zeros(slack.size, np.complex128)
    yielded = 0j
    for v in range(offsets.size):
        yielded += met[v] * gain[v]
        for y in range(slack.size):
            there[y] += met[v] * moves[v, y]
    return there, yielded


def _doubled(moves: Complexes, gain: Complexes, at: Complexes, terms: Ints) -> Complexes:
    """(c,): at @ (sum of moves ** j, j < terms) @ gain."""
    total, part = np.zeros_like(gain)[:, :, None], gain[:, :, None]
    while terms.any():
        total = np.where((terms & 1)[:, None, None] > 0, part + moves @ total, total)
        part, moves, terms = part + moves @ part, moves @ moves, terms >> 1
    return np.asarray((at[:, None] @ total)[:, 0, 0])


@compiled
def _renewals(totals, weights, others, source):  # type: ignore[no-untyped-def]
    """Solve others * mass(s) = source(s) + sum of weights * mass(s - totals)."""
    mass = np.empty_like(source)
    for taken in range(source.size):
        here = source[taken]
        for i in range(totals.size):
            if totals[i] > taken:
                break
            here += weights[i] * mass[taken - totals[i]]
        mass[taken] = here / others
    return mass


def _summed(mass: Complexes) -> Complexes:
    """Partial sums: number b + 1 is that up to b."""
    return np.concatenate([[0], np.cumsum(mass)])


def _at(sums: NDArray[Any], at: Ints) -> NDArray[Any]:
    """Partial sums up to `at`; below 0 there is nothing."""
    return np.asarray(sums[np.maximum(at + 1, 0)])
