"""What to expect of random aliasing, without drawing it: all capacities in one pass.

Pages are independent: unaliased, with one same-role alias (1 descriptor) or one distinct-role alias
(512). Descriptor refills are then a renewal process over pages, and page refills happen every
`object_capacity` shadow pages, so where the two meet is a walk on the residues modulo
`object_capacity`: one Fourier component for each residue makes the coincidences exact too.

Rates are exact. The number of refills in a finite memslot is its renewal expansion, which leaves
out terms that vanish geometrically with the number of refills (at most half a drop).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.compiled import compiled
from core.constants import SPTES_PER_PAGE
from core.cost import Cost
from core.replay import Replay
from core.workload import Workload

Floats = NDArray[np.float64]

LONGEST: Final = 1 << 24
"""Largest descriptor capacity that is worked out: time is proportional to it."""


RESIDUES: Final = 4096
"""Largest object capacity: each residue modulo it is a Fourier component."""


def refusal(workload: Workload, policy: str, object_capacity: int) -> str | None:
    """Why there is no expectation here, or None."""
    rules = {
        "workload.alias_degree must be 2": workload.alias_degree == 2,
        "workload.placement must be uniform": workload.placement == "uniform",
        "workload.ratio_1g must be 0": workload.ratio_1g == 0,
        "caller.rounds must be 1": workload.rounds == 1,
        "policy must be kernel": policy == "kernel",
        f"caches.object_capacity must be at most {RESIDUES}": object_capacity <= RESIDUES,
    }
    broken = [rule for rule, holds in rules.items() if not holds]
    return "; ".join(broken) or None


def expected(
    workload: Workload,
    desc_min: int,
    capacities: NDArray[np.int64],
    object_capacity: int,
    cost: Cost,
) -> Replay:
    """The replay to expect under the kernel's policy, rounded to whole objects and drops.

    Parameters
    ----------
    workload
        One that `refusal` has no objection to.
    capacities
        (c,) int64 ascending, at least `desc_min`, which is at least 512.

    Returns
    -------
    `holds` is nan: how long single holds are is not worked out.
    """
    pages = workload.nr_huge_pages * workload.nr_memslots
    one, many = _shares(workload)
    mean, since = expected_drops(pages, one, many, capacities - desc_min, object_capacity)
    created, used = np.rint(pages * (1 + many)), np.rint(pages * (one + SPTES_PER_PAGE * many))
    splits = np.rint(pages * (1 + one + many))
    desc_left = np.rint(np.clip(capacities - since, 0, capacities))
    objects = np.ceil(created / object_capacity) * object_capacity
    held = float(cost.held @ (splits, created - splits, used, 0))
    same = np.ones(capacities.size, np.int64)
    drops = np.rint(np.column_stack([*mean, np.zeros(capacities.size)])).astype(np.int64)
    away = (drops.sum(axis=1) + workload.nr_memslots - 1, desc_left + used, objects * same)
    return Replay(
        drops=drops,
        desc_allocated=(desc_left + used).astype(np.int64),
        desc_used=same * int(used),
        desc_left=desc_left.astype(np.int64),
        objects_allocated=same * int(objects),
        objects_left=same * int(objects - created),
        nr_splits=same * int(splits),
        held_ns=np.full(capacities.size, held),
        elapsed_ns=held + np.column_stack(away) @ cost.outside,
        holds=np.full((capacities.size, 3), np.nan),
    )


def _shares(workload: Workload) -> tuple[float, float]:
    """Shares of pages with a same-role and with a distinct-role alias."""
    many = workload.alias_ratio * workload.distinct_role_ratio
    return workload.alias_ratio - many, many


def expected_drops(
    pages: int, one: float, many: float, limits: NDArray[np.int64], object_capacity: int
) -> tuple[tuple[Floats, Floats, Floats], Floats]:
    """Expected drops for descriptors, pages and both, and descriptors taken since the last refill.

    `one` and `many` are the shares of pages with a same-role and a distinct-role alias; `limits`
    (c,) are capacities less desc_min, ascending.
    """
    limits = np.minimum(limits, LONGEST)
    turn = np.exp(2j * np.pi * np.arange(object_capacity) / object_capacity)
    page_refills = _page_refills(pages, one, many, turn)
    nothing = np.zeros(limits.size)
    if one + many == 0:
        return (nothing, nothing + page_refills - 1, nothing + 1), nothing
    mass, short, second, weighted = _renewals(one, many, turn, limits)
    mean = mass[0].real
    square = 2 * second - mean
    refills = np.maximum(1.0, (pages - 1) / mean + (square + mean) / (2 * mean**2))
    step = turn * ((1 - one - many) + one + many * turn)
    both = 1 + _meetings(mass, short, step, many * turn**2, refills - 1)
    per_page = one + SPTES_PER_PAGE * many  # the last page's descriptors come after the last check
    since = np.where(pages * per_page <= limits, pages * per_page, weighted / mean + per_page)
    return (refills - both, page_refills - both, both), since


def _page_refills(pages: int, one: float, many: float, turn: NDArray[Any]) -> float:
    """Expected times the page caches run dry: exact for every number of pages."""
    capacity = turn.size
    step = turn * (1 - many + many * turn)
    residue = np.fft.fft(step**pages).real / capacity  # chance of each residue of shadow pages
    made = pages * (1 + many)
    missing = float(residue @ ((-np.arange(capacity)) % capacity))
    last_reuses = one * float(np.mean(step ** (pages - 1) * turn).real)
    return (made + missing) / capacity + last_reuses


@compiled
def _renewals(one, many, turn, limits):  # type: ignore[no-untyped-def]
    """Renewal masses of the descriptors taken, u(s) = sum over k of E[turn ** made; S_k = s].

    Returns, for each Fourier component and limit B, complex (k, c): the sum of u(s) over s <= B
    and over s <= B - 512. And (c,) for component 0: the sum over pages t of (t + 1) P(S_t <= B),
    and the sum of s u(s).
    """
    total = np.zeros((turn.size, limits.size), np.complex128)
    short = np.zeros((turn.size, limits.size), np.complex128)
    second, weighted = np.zeros(limits.size), np.zeros(limits.size)
    for k in range(turn.size):
        u = np.zeros(SPTES_PER_PAGE, np.complex128)
        sums = np.zeros(SPTES_PER_PAGE, np.complex128)
        v = np.zeros(SPTES_PER_PAGE, np.complex128)
        none = 1 - (1 - one - many) * turn[k]
        now = last = so_far = twice = 0j
        mean = 0.0
        row = 0
        for s in range(limits[-1] + 1):
            slot = s % SPTES_PER_PAGE
            before = sums[slot]
            arrived = one * turn[k] * now + many * turn[k] ** 2 * u[slot] + (s == 0)
            doubled = one * turn[k] * last + many * turn[k] ** 2 * v[slot]
            now = arrived / none
            last = (doubled + now) / none
            u[slot], v[slot] = now, last
            so_far += now
            sums[slot] = so_far
            twice += last
            mean += s * now.real
            while row < limits.size and limits[row] == s:
                total[k, row], short[k, row] = so_far, before
                if k == 0:
                    second[row], weighted[row] = twice.real, mean
                row += 1
    return total, short, second, weighted


def _meetings(
    mass: NDArray[Any], short: NDArray[Any], step: NDArray[Any], ends: NDArray[Any], refills: Floats
) -> Floats:
    """Expected refills after the first that come just as the page caches run dry.

    Only a distinct-role split can end a cycle so: one that links a shadow page is itself preceded
    by the page refill. Over a cycle, E[turn ** made] = 1 + (step - 1) * mass (Wald's identity).
    """
    cycle = 1 + (step[:, None] - 1) * mass
    final = ends[:, None] * (mass - short)
    still = np.isclose(cycle, 1)
    rest = np.where(still, 0.5, cycle)
    series = np.where(still, refills, (1 - rest**refills) / (1 - rest))
    return np.asarray((final * series).mean(axis=0).real)
