"""Draws: what chance decides of a page, as a pure function of (seed, stream, page number).

Every draw hashes the page's own number, so a smaller memslot is a prefix of a larger one, a larger
ratio keeps the pages of a smaller one, and any page can be drawn again alone.
"""

from typing import Any, Final

import numpy as np

from core.arrays import NONE, Ints
from core.compiled import compiled, inlined

CLUSTER: Final = 64
"""Huge pages in one cluster of `placement=clustered`: 128 MiB are aliased together, or not."""

PLACEMENTS: Final = {"uniform": 0, "clustered": 1, "periodic": 2}

ALIASED_2M, MAPPED_1G, ALIASED_1G, ROLE, ARRIVAL = (np.uint64(i) for i in range(1, 6))
"""Streams of draws, one for each question that is asked of a page, and one for the times between
two faults of a vCPU."""


def threshold(ratio: float) -> np.uint64:
    """The uint64 below which a hash counts as drawn; all ones means always."""
    return np.uint64(2**64 - 1 if ratio >= 1 else int(ratio * 2.0**64))


@inlined
def mix(key: Any) -> Any:
    """Finaliser of a counter-based generator: a bijection of uint64 (constants of splitmix64)."""
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


@inlined
def stream_key(seed: Any, stream: Any) -> Any:
    """Start of one stream of draws; add a page number and `mix` to draw for that page."""
    return mix(mix(seed + np.uint64(0x9E3779B97F4A7C15)) + stream * np.uint64(0xD1B54A32D192ED03))


@inlined
def _is_drawn(key, page, limit, placement):  # type: ignore[no-untyped-def]
    if placement == 2:
        return (page + np.uint64(1)) * limit < limit
    if placement == 1:
        page = page // np.uint64(CLUSTER)
    return mix(key + page) < limit


@compiled
def _draw(seed, stream, first, last, limit, placement, room):  # type: ignore[no-untyped-def]
    """Numbers in [first, last) that are drawn, ascending: (int64 array, count).

    A block of draws has no step that waits for another, so they are made side by side. Then every
    number is stored and kept only if drawn: a branch would be mispredicted. Stops early,
    with a count above `room`, when the array might overflow.
    """
    found = np.empty(room + CLUSTER, np.int64)
    hit = np.empty(CLUSTER, np.int64)
    count = 0
    key = stream_key(seed, stream)
    for start in range(first, last, CLUSTER):
        if count > room:
            break
        for i in range(CLUSTER):
            hit[i] = _is_drawn(key, np.uint64(start + i), limit, placement)
        for i in range(min(CLUSTER, last - start)):
            found[count] = start + i
            count += hit[i]
    return found, count


def drawn(
    seed: int, stream: np.uint64, first: int, last: int, ratio: float, placement: str = "uniform"
) -> Ints:
    """Page numbers in [first, last) that a share `ratio` of draws picks.

    Returns a sorted int64 array. O(last - first) time, memory for the pages picked alone.
    """
    if ratio <= 0:
        return NONE
    if ratio >= 1:
        return np.arange(first, last, dtype=np.int64)
    span = last - first
    room = min(span, int(span * ratio + 8 * np.sqrt(span * ratio) + CLUSTER * 16))
    args = (np.uint64(seed), stream, first, last, threshold(ratio), PLACEMENTS[placement])
    found, count = _draw(*args, room)
    if count > room:
        found, count = _draw(*args, span)
    return np.asarray(found[:count])


def stream_start(seed: int, stream: np.uint64) -> np.uint64:
    """`stream_key` of a seed as configurations have it."""
    return np.uint64(stream_key(np.uint64(seed), stream))


@inlined
def is_own(key, page, alias, limit):  # type: ignore[no-untyped-def]
    """Does this alias draw a role of its own? Alias 0 never does, the others share its role."""
    return alias > 0 and mix(key + np.uint64(page) * np.uint64(1024) + np.uint64(alias)) < limit
