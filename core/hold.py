"""How long mmu_lock is held without a break."""

import numpy as np

from core.arrays import first_from
from core.compiled import compiled


@compiled
def hold_times(stream, drops, breaks, held):  # type: ignore[no-untyped-def]
    """Lengths of the holds between lock drops, in ns and in order.

    Parameters
    ----------
    stream : core.demand.Stream
    drops, breaks : ascending int64
        Splits before which the lock is dropped, and before which the caller itself lets go of it.
    held : (4,) float64
        `core.cost.Cost.held`.

    Returns
    -------
    float64, one a hold in which something is split. Their sum is the time the lock is held.
    """
    holds = np.empty(drops.size + breaks.size + 1)
    count = i = j = event = reused = flushed = 0
    before = 0.0
    while True:
        cut = stream.nr_splits
        if i < drops.size:
            cut = drops[i]
        if j < breaks.size and breaks[j] < cut:
            cut = breaks[j]
        event = first_from(stream.desc_at, event, cut)
        reused = first_from(stream.reuse, reused, cut)
        flushed = first_from(stream.nonleaf, flushed, cut)
        now = (
            held[0] * cut - held[1] * reused + held[2] * stream.desc_sum[event] + held[3] * flushed
        )
        if now > before:
            holds[count] = now - before
            count += 1
            before = now
        if cut >= stream.nr_splits:
            break
        i += i < drops.size and drops[i] == cut
        j += j < breaks.size and breaks[j] == cut
    return holds[:count]


@compiled
def hold_quantiles(holds):  # type: ignore[no-untyped-def]
    """(3,) float64: median, 99th percentile (nearest rank), maximum; zeros without a hold."""
    found = np.zeros(3)
    n = holds.size
    if n:
        median, high = (n + 1) // 2 - 1, (99 * n + 99) // 100 - 1
        ranked = np.partition(holds, high)
        found[1] = ranked[high]
        found[0] = np.partition(ranked[: high + 1], median)[median]
        found[2] = ranked[high:].max()
    return found
