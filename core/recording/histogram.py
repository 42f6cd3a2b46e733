"""debugfs `mmu_rmaps_stat` as a workload: how many reverse-map lists have how many entries.

The kernel's buckets are misnamed: kvm_mmu_rmaps_stat_show() in arch/x86/kvm/debugfs.c files a
count under ffs(count), the number of its lowest set bit. Bucket `1` thus holds all odd counts,
`2-3` holds 2, 6, 10, ..., `4-7` holds 4, 12, 20, ... Each list is taken to have the least of them.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from core import constants as k
from core.errors import InputError
from core.scenario import Scenario, parse_scenario

MAX_PAGES: Final = 1 << 24
LEVELS: Final = {"4K": 1, "2M": 2, "1G": 3}
TITLE: Final = "Rmap_Count:"
_LINE: Final = re.compile(r"Level=(4K|2M|1G):((?:\s+\d{1,15}){1,32})\s*")

CAVEAT: Final = (
    "mmu_rmaps_stat files odd counts under 1 and even ones under their lowest set bit: "
    "lists are at least as long as taken here"
)


def parse_histogram(lines: Iterable[tuple[int, str]], name: str) -> dict[int, dict[int, int]]:
    """{level: {entries: lists}} with the least entries of each bucket. Raises InputError."""
    found: dict[int, dict[int, int]] = {}
    for number, text in lines:
        if not text.strip() or text.startswith(TITLE):
            continue
        line = _LINE.fullmatch(text)
        if line is None or LEVELS[line[1]] in found:
            rule = f"need `{TITLE} ...` and one `Level=4K: COUNT ...` line for 4K, 2M and 1G"
            raise InputError(name, number, f"{text[:60]!r}: {rule}")
        counts = [int(count) for count in line[2].split()]
        found[LEVELS[line[1]]] = {1 << b >> 1: lists for b, lists in enumerate(counts)}
    if 2 not in found:
        raise InputError(name, 0, "no `Level=2M:` line: give the text of mmu_rmaps_stat")
    return found


def histogram_scenario(
    lines: Iterable[tuple[int, str]], name: str, distinct_role_ratio: float, seed: int, ext: int
) -> Scenario:
    """2M and 1G pages with the lists of a histogram, scattered at random.

    `distinct_role_ratio` of the further aliases of a page get a role of their own, which the
    histogram cannot tell. Raises InputError, or ScenarioError for lists that no rmap holds.
    """
    found = parse_histogram(lines, name)
    large = {entries: pages for entries, pages in found.get(3, {}).items() if entries}
    nr_2m, nr_1g = sum(found[2].values()), sum(large.values())
    if not 0 < nr_2m + nr_1g <= MAX_PAGES:
        raise InputError(name, 0, f"{nr_2m} 2M pages: need 1 to {MAX_PAGES}")
    first_1g = -(-nr_2m // 512) * k.PAGES_PER_LEVEL[3]
    scattered = np.random.default_rng(seed).permutation(nr_2m)
    lists: list[Any] = []
    for base, level, lengths, places in (
        (0, 2, found[2], scattered),
        (first_1g, 3, large, np.arange(nr_1g)),
    ):
        for entries, pages in lengths.items():
            if entries and pages:
                chosen, places = np.sort(places[:pages]).tolist(), places[pages:]
                lists.append([base, level, _aliases(entries, distinct_role_ratio), chosen])
    npages = first_1g + nr_1g * k.PAGES_PER_LEVEL[3]
    raw = {"id": "histogram", "memslot": {"base_gfn": 0, "npages": npages}}
    return parse_scenario(raw | {"lists": lists, "pte_list_ext": ext, "n_max_mmu_pages": 1 << 40})


def _aliases(entries: int, distinct_role_ratio: float) -> list[list[int]]:
    """One alias an entry: the first roles are all different, the others share the first one's."""
    own = round(distinct_role_ratio * (entries - 1))
    roles = [(7 - i % 7, i // 7 % 32) if i <= own else (7, 0) for i in range(entries)]
    return [[access, sp, bits] for sp, (access, bits) in enumerate(roles)]
