"""A drawn workload written out as an explicit scenario, for the reference."""

from typing import Any

import numpy as np

from core.constants import HUGE_PAGES_PER_GIB
from core.draws import ROLE, mix, stream_key, threshold
from core.workload import Workload, memslot_of


def roles(workload: Workload, page: int) -> list[int]:
    """Role number of each alias of one aliased huge page."""
    key = int(stream_key(np.uint64(workload.seed), ROLE))
    limit = threshold(workload.distinct_role_ratio)
    numbers, own = [0], 0
    for alias in range(1, workload.alias_degree):
        drawn = mix(np.uint64((key + page * 1024 + alias) % 2**64)) < limit
        own += bool(drawn)
        numbers.append(own if drawn else 0)
    return numbers


def scenario(workload: Workload, **geometry: Any) -> dict[str, Any]:
    """Golden-format scenario of a workload with one memslot and one round."""
    slot = memslot_of(workload, 0)
    blocks = set((slot.block // HUGE_PAGES_PER_GIB).tolist())
    pages = [p for p in range(slot.size) if p // HUGE_PAGES_PER_GIB not in blocks]
    aliased = set(slot.aliased.tolist())
    lists = [_element(2, page, workload, page in aliased) for page in pages]
    twice = dict(zip(slot.block.tolist(), (slot.block_lengths > 1).tolist(), strict=True))
    lists += [_element(3, page, workload, twice[page]) for page in slot.block.tolist()]
    npages = workload.nr_huge_pages * 512
    step = 512 if workload.clear_chunk else npages
    return {
        "id": "drawn",
        "memslot": {"base_gfn": 0, "npages": npages},
        "ranges": [[start, start + step] for start in range(0, npages, step)],
        "pte_list_ext": workload.pte_list_ext,
        "lists": lists,
        **geometry,
    }


def _element(level: int, page: int, workload: Workload, is_aliased: bool) -> list[Any]:
    numbers = roles(workload, page) if is_aliased else [0]
    aliases = [[7 - role % 7, sp, role // 7] for sp, role in enumerate(numbers)]
    return [page * 512, level, aliases, [0]]
