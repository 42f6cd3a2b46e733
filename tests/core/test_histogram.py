"""Derived: small histograms by hand; captured: debugfs files that were read beside recordings."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from core.errors import InputError
from core.recording.histogram import CAVEAT, parse_histogram
from core.recording.workload import recorded_scenario
from core.scenario.fastpath import fast_totals
from core.scenario.walk import splits_of

DATA = Path(__file__).parents[1] / "data" / "traces"
TEXT = "Rmap_Count:\t0\t1\t2-3\nLevel=4K:\t9\t0\t0\t\nLevel=2M:\t2\t3\t4\t\nLevel=1G:\t1\t0\t0\t\n"


def lines(text):
    return enumerate(text.splitlines(), 1)


def test_counts_go_by_their_lowest_set_bit_as_the_kernel_files_them():
    described = [json.loads(path.read_text()) for path in sorted(DATA.glob("*.json"))]
    assert len(described) == 34
    for one in described:
        level = 3 if one["maps"][0][3] == 3 and len(one["maps"]) == 1 else 2
        pages = Counter(m[2] for m in one["maps"] if m[3] == level)
        filed = Counter(n & -n for n in pages.values())
        stat = parse_histogram(lines(one["mmu_rmaps_stat_after_populate"]), one["name"])
        assert {n: c for n, c in stat[level].items() if n and c} == filed, one["name"]


def test_a_histogram_is_that_many_pages_of_each_length():
    scenario, notes = recorded_scenario(TEXT, "stat", "v6_12")
    assert notes == [CAVEAT]
    assert scenario.npages == 512 * 512  # nine 2M pages, rounded up to 1 GiB
    assert sorted(Counter(scenario.sptes.gfn.tolist()).values()) == [1, 1, 1, 2, 2, 2, 2]
    # Four pages with a second parent of the same role: one descriptor each.
    assert splits_of(scenario, "v6_12").desc.sum() == 4


def test_roles_that_the_histogram_cannot_tell_are_drawn_as_asked():
    scenario, _ = recorded_scenario(TEXT, "stat", "v6_12", distinct_role_ratio=1)
    assert splits_of(scenario, "v6_12").desc.sum() == 4 * 512


def test_the_places_follow_the_seed():
    gfns = [
        recorded_scenario(TEXT, "stat", "v6_12", seed=seed)[0].sptes.gfn.tolist()
        for seed in (1, 1, 2)
    ]
    assert gfns[0] == gfns[1] != gfns[2]


def test_1g_pages_lie_behind_the_2m_pages():
    scenario, _ = recorded_scenario(TEXT.replace("1\t0\t0\t\n", "0\t2\t0\t\n"), "stat", "v6_12")
    assert scenario.sptes.gfn[scenario.sptes.level == 3].tolist() == [1 << 18, 2 << 18]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Rmap_Count:\t0\nLevel=4K:\t1\n", "stat: no `Level=2M:` line"),
        ("Rmap_Count:\t0\nLevel=2M: x\n", "stat:2: 'Level=2M: x': need `Rmap_Count:"),
        ("Level=2M: 1\nLevel=2M: 1\n", "stat:2: "),
        ("Level=2M: 0 0\n", "0 2M pages: need 1 to"),
        ("Level=2M: 0 99999999999\n", "99999999999 2M pages: need 1 to"),
    ],
)
def test_what_is_no_histogram_is_refused(text, message):
    with pytest.raises(InputError) as refusal:
        recorded_scenario(text, "stat", "v6_12")
    assert message in str(refusal.value)


def test_a_recorded_trace_is_a_workload_for_other_caches():
    text = gzip.decompress((DATA / "6.12-c64.trace.gz").read_bytes()).decode()
    scenario, notes = recorded_scenario(text, "c64", "v6_12")
    totals, _ = fast_totals(scenario, "v6_12")
    # 64 pages, two of one role: ceil(64 / 40) page top-ups and floor(63 / 41) more for descriptors.
    assert (totals["lock_drops"], totals["splits_2m"], notes) == (3, 128, [])
