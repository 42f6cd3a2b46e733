"""Derived: recordings written by hand, in every format; invariant: no input crashes the parser."""

import gzip
import random
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.recording import shadow_recording
from core.recording.predict import predict
from core.recording.trace import parse_trace
from core.recording.workload import scenario_of
from core.scenario import ScenarioError

DATA = Path(__file__).parents[1] / "data" / "traces"
FTRACE = "{comm:>16}-{pid:<7} [000] {flags} {time:12.6f}: {event}"


def parse(lines, name="t"):
    return parse_trace(enumerate(lines, 1), name)


def split(gfn, errno=0, level=2, spte="152a00ee7"):
    return f"kvm_mmu_split_huge_page: gfn {gfn:x} spte {spte} level {level} errno {errno}"


def page(gfn, new=True, role="wux nxe ad", level=1):
    made = "new" if new else "existing"
    rest = f"8-byte q0 direct {role} root 0 sync {made}"
    return f"kvm_mmu_get_page: sp gen 0 gfn {gfn:x} l{level} {rest}"


def recorded(*events, comm="vmm", pid=7, flags="...1.", form=FTRACE, start=100.0):
    return [
        form.format(comm=comm, pid=pid, flags=flags, time=start + i / 1000, event=event)
        for i, event in enumerate(events)
    ]


def splits(gfn, *new, role="wux nxe ad"):
    return [e for n in new for e in (page(gfn, n, role), split(gfn))]


def predicted(lines, kernel="v6_12", tasks=()):
    recording = shadow_recording(parse(lines), tasks)
    scenario, _ = scenario_of(recording, kernel)
    return recording, scenario, predict(recording, scenario, kernel)


def remarks(recording):
    return scenario_of(recording, "v6_12")[1]


def fits(prediction):
    return prediction.first_difference is None


def described(lines, tasks=()):
    """What the rebuilt workload maps: {gfn: [role, ...]}."""
    sptes = predicted(lines, tasks=tasks)[1].sptes
    found = {}
    for gfn, access, bits in zip(sptes.gfn, sptes.access, sptes.rb, strict=True):
        found.setdefault(int(gfn), []).append((int(access), int(bits)))
    return found


COLD = [split(0, -11)]


@pytest.mark.parametrize(
    "form",
    [
        FTRACE,
        "{comm:>16}-{pid:<7} [001] {time:12.6f}: {event}",
        "{comm:>16}-{pid:<7} ( 4242) [001] {flags} {time:12.6f}: {event}",
        "       {comm}-{pid} [001] {flags}  {time:.6f}: {event}",
        "{comm} {pid} [001]  {time:.6f}: kvmmmu:{event}",
        "{comm} 4242/{pid} [001]  {time:.9f}: kvmmmu:{event}",
        "{comm:>16} {pid} {time:.6f}: kvmmmu:{event}",
    ],
)
@pytest.mark.parametrize(
    "comm", ["vmm", "CPU 0/KVM", "a-b 7 [c", "kworker/u4:1", "<...>", "vm 123"]
)
def test_every_usual_format_and_comm_gives_the_same_attempts(form, comm):
    events = [*COLD, *splits(0, True, False), split(512, -28)]
    attempts = parse(recorded(*events, comm=comm, pid=16105, form=form)).attempts
    seen = [(a.gfn, a.level, a.errno, a.page and a.page.new) for a in attempts]
    assert seen == [(0, 2, -11, None), (0, 2, 0, True), (0, 2, 0, False), (512, 2, -28, None)]
    assert {a.task for a in attempts} <= {f"{comm}-16105", "4242"}


def test_the_real_recordings_read_the_same_in_all_three_formats():
    text = gzip.decompress((DATA / "6.12-e.trace.gz").read_bytes()).decode().splitlines()
    plain = parse(text).attempts
    columns = re.compile(r"\s*(.*)-(\d+)\s+(\[\d+\]) (\S+) +([\d.]+): (.*)")
    rows = [found.groups() for line in text if (found := columns.match(line))]
    perf = [f"{c} {p} {cpu} {t}: kvmmmu:{e}" for c, p, cpu, _, t, e in rows]
    report = ["cpus=1", *(f"{c}-{p} {cpu} {t}: {e}" for c, p, cpu, _, t, e in rows)]
    for other in (parse(perf).attempts, parse(report).attempts):
        assert [a._replace(line=0) for a in other] == [a._replace(line=0) for a in plain]


def test_roles_and_order_are_recovered_from_the_order_of_splits():
    # Split order of four aliases is 0, 3, 2, 1, so the list was RWX, RX, RW, RWX.
    first = [page(0), split(0), page(0, False), split(0)]
    rest = [page(0, True, "wu- nxe ad"), split(0), page(0, True, "-ux nxe ad"), split(0)]
    assert described(recorded(*COLD, *first, *rest)) == {0: [(7, 0), (5, 2), (6, 1), (7, 0)]}


def test_two_new_pages_of_one_printed_role_are_two_roles():
    found = described(recorded(*COLD, *splits(0, True, True)))
    assert found == {0: [(7, 0), (7, 1)]}


def test_without_get_page_events_roles_come_from_permission_bits():
    lines = recorded(*COLD, split(0), split(0, spte="8000000152a00ee5"))
    recording, scenario, _ = predicted(lines)
    assert scenario.sptes.access.tolist() == [7, 4]
    assert any("no kvm_mmu_get_page events" in note for note in remarks(recording))


def test_a_1g_page_and_the_2m_pages_it_left_are_one_mapping():
    below = [e for i in range(3) for e in splits(512 * i, True)]
    lines = recorded(split(0, -11, 3), page(0, level=2), split(0, level=3), *below)
    _, scenario, prediction = predicted(lines)
    assert scenario.sptes.level.tolist() == [3]
    assert fits(prediction)
    assert prediction.notes == ["ends 509 splits before the walk does"]


def test_a_drop_without_a_short_cache_is_extra_and_a_missing_one_is_an_error():
    fine = [*COLD, *splits(0, True), split(512, -11), *splits(512, True)]
    prediction = predicted(recorded(*fine))[2]
    assert (fits(prediction), prediction.explained, prediction.extra) == (True, 1, [4])
    # 512 descriptors leave 41 < 513: a drop must follow.
    lacking = [*COLD, *splits(0, True), *splits(0, True, role="-ux nxe ad"), *splits(512, True)]
    prediction = predicted(recorded(*lacking))[2]
    assert (fits(prediction), prediction.missed) == (False, [7])
    assert prediction.first_difference["what"] == "no lock drop was recorded"


def test_a_drop_whose_kprobes_saw_a_full_cache_is_extra_and_a_short_one_is_an_error():
    def topup(nobjs):
        return f"topup: (x+0x4/0x1 [kvm]) mc=0x1 capacity=553 min=513 nobjs={nobjs} mc_capacity=0"

    for nobjs, agrees in ((553, True), (512, False)):
        drop = [topup(nobjs), split(512, -11), *splits(512, True)]
        prediction = predicted(recorded(topup(0), *COLD, *splits(0, True), *drop))[2]
        assert (fits(prediction), len(prediction.extra)) == (agrees, 1)


def test_the_tdp_mmus_own_splits_are_told_apart():
    # After the shadow MMU's walk the TDP MMU splits the whole memslot, never with EAGAIN.
    shadow = [*COLD, *(e for i in range(40) for e in splits(512 * i, True))]
    tdp = [e for i in range(60) for e in splits(512 * i, True)]
    recording, scenario, prediction = predicted(recorded(*shadow, *tdp))
    assert (recording.tdp, len(scenario.sptes.gfn), fits(prediction)) == (60, 40, True)
    refused = [*COLD, *splits(0, True), split(512, -28)]  # no room: the TDP MMU splits it alone
    recording, _, prediction = predicted(recorded(*refused, *splits(0, True), *splits(512, True)))
    assert (recording.tdp, len(recording.rounds), fits(prediction)) == (2, 1, True)
    only = parse(recorded(*splits(0, True), split(512, -16), *splits(512, True)))
    with pytest.raises(InputError, match="all splits are the TDP MMU's"):
        shadow_recording(only)


def test_several_vms_are_refused_with_a_list_unless_one_is_chosen():
    lines = recorded(*COLD, *splits(0, True), comm="CPU 0/KVM", pid=1)
    lines += recorded(*COLD, *splits(512, True), *splits(1024, True), comm="CPU 0/KVM", pid=2)
    with pytest.raises(InputError, match=r"2 tasks: choose .* CPU 0/KVM-2 \(3\), CPU 0/KVM-1"):
        shadow_recording(parse(lines))
    assert described(lines, ["CPU 0/KVM-1"]) == {0: [(7, 0)]}
    with pytest.raises(InputError, match="2 tasks: choose those of one VM"):
        shadow_recording(parse(lines), ["nobody"])


def test_two_threads_of_one_vm_are_one_recording_if_both_are_named():
    lines = recorded(*COLD, *splits(0, True), pid=1)
    lines += recorded(*splits(512, True), split(1024, -28), pid=2, start=200)
    assert described(lines, ["vmm-1", "vmm-2"]) == {0: [(7, 0)], 512: [(7, 0)], 1024: [(4, 31)]}


def test_calls_that_clear_the_dirty_log_bit_by_bit_are_one_walk():
    # Each call splits the 1G page that it meets and then its own part of the 2M pages.
    def call(first, count, gib=False):
        top = [page(first, level=2), split(first, level=3)] if gib else []
        return top + [e for i in range(count) for e in splits(first + 512 * i, True)]

    calls = [*call(0, 20, True), *call(20 * 512, 19), split(39 * 512, -11), *call(39 * 512, 10)]
    calls += call(1 << 18, 5, True)
    recording, scenario, prediction = predicted(recorded(split(0, -11, 3), *calls))
    assert scenario.sptes.level.tolist() == [3, 3]
    assert len(scenario.ranges) == 2
    assert (fits(prediction), recording.tdp, len(recording.rounds)) == (True, 0, 1)


def test_a_2m_page_that_lacks_what_its_1g_page_left_is_said():
    lines = [split(0, -11, 3), page(0, level=2), split(0, level=3)]
    lines += splits(0, True, role="-ux nxe ad") + splits(512, True)
    recording = predicted(recorded(*lines))[0]
    assert any("1 2M pages, the first at gfn 0, do not end with" in n for n in remarks(recording))


def test_more_roles_than_role_bits_are_refused():
    roles = [splits(0, True, role=f"wux r{i}") for i in range(33)]
    with pytest.raises(InputError, match="over 32 roles"):
        predicted(recorded(*COLD, *(e for each in roles for e in each)))


def test_a_second_vm_whose_splits_are_only_the_tdp_mmus_does_not_count():
    lines = recorded(*COLD, *splits(0, True), pid=1) + recorded(*splits(0, True), pid=2)
    assert described(lines) == {0: [(7, 0)]}


def test_two_rounds_are_said_and_the_first_is_the_workload():
    again = [*COLD, *splits(0, True)]
    recording, scenario, prediction = predicted(recorded(*again, split(512, -11), *again))
    assert len(recording.rounds) == 2
    assert len(scenario.sptes.gfn) == 1
    assert any("2 rounds" in note for note in remarks(recording))
    assert fits(prediction)


def test_a_start_in_mid_walk_is_said_and_its_caches_are_guessed():
    # Ten pages until the drop: ten objects were left. 41 splits and then the next drop.
    start = [e for i in range(10) for e in splits(512 * i, True)]
    rest = [e for i in range(10, 50) for e in splits(512 * i, True)]
    lines = recorded(*start, split(512 * 10, -11), *rest, split(512 * 50, -11))
    recording, _, prediction = predicted(lines)
    assert any("starts mid-walk" in note for note in remarks(recording))
    assert (fits(prediction), prediction.levels[1], prediction.extra) == (True, 10, [])


def test_a_start_in_mid_walk_at_a_lock_drop_is_said_where_it_shows():
    # 20 of 40 pages are left at the first drop, so they are filled after 20 splits, and not after
    # 40 as if they had been empty.
    pages = [[e for i in at for e in splits(512 * i, True)] for at in (range(20), range(20, 50))]
    *_, prediction = predicted(recorded(split(0, -11), *pages[0], split(512 * 20, -11), *pages[1]))
    assert (len(prediction.extra), len(prediction.missed)) == (1, 1)
    assert any("if it starts mid-walk" in note for note in prediction.notes)
    *_, cold = predicted(recorded(split(0, -11), *pages[0]))
    assert (cold.missed, cold.notes) == ([], [])


@pytest.mark.parametrize(
    "loss", ["CPU:0 [LOST 3 EVENTS]", "CPU:0 [3 EVENTS DROPPED]", "x 1 [0] 1.0: PERF_RECORD_LOST"]
)
def test_lost_events_are_said_and_nothing_after_them_is_compared(loss):
    whole = [*COLD, *splits(0, True), *splits(0, True, role="-ux nxe ad")]
    lines = [*recorded(*whole), loss, *recorded(*splits(512, True), start=200)]
    recording, _, prediction = predicted(lines)
    assert any("events were lost (line 6)" in note for note in remarks(recording))
    assert (fits(prediction), prediction.missed, prediction.splits) == (True, [], 2)


def test_no_memory_is_where_the_comparison_ends():
    failing = [*COLD, *splits(0, True), split(512, -12), *splits(1024, True)]
    recording, _, prediction = predicted(recorded(*failing))
    assert (fits(prediction), prediction.splits) == (True, 1)
    assert prediction.notes == ["2 attempts are not compared"]
    assert len(recording.attempts) == 4


def test_an_overwritten_buffer_is_a_loss():
    header = "# entries-in-buffer/entries-written: 100/205   #P:1"
    assert parse([header, *recorded(*COLD)]).lost == [1]
    assert parse([header.replace("205", "100"), *recorded(*COLD)]).lost == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("vmm-7 [000] ..... 1.5: kvm_mmu_split_huge_page: gfn 40000 spte 15", "damaged or cut"),
        ("vmm-7 [000] ..... 1.5: " + split(0, level=4), "level 2 or 3"),
        ("vmm-7 [000] ..... 1.5: " + split(1), "multiple of its size"),
        ("vmm-7 [000] ..... 1.5: " + split(0, -5), "errno -5: a split ends with one of"),
        (split(0), "cannot tell task and time"),
        ("vmm-7 [000] ..... 0.5: " + split(0), "time goes back to 0.5"),
        ("# tracer: nop", "two recordings in one file"),
    ],
)
def test_a_damaged_line_is_refused_with_file_line_and_rule(line, rule):
    good = ["# tracer: nop", "vmm-7 [000] ..... 1.0: " + split(0, -11)]
    with pytest.raises(InputError) as refusal:
        parse([*good, line], "my.trace")
    assert str(refusal.value).startswith("my.trace:3: ")
    assert rule in str(refusal.value)


def test_a_file_without_the_event_is_refused():
    with pytest.raises(InputError, match=r"t: no kvm_mmu_split_huge_page event: record kvmmmu"):
        parse(["# tracer: nop", "vmm-7 [000] ..... 1.0: sched_switch: x"])


def test_a_recording_of_nothing_but_drops_has_nothing_to_rebuild():
    with pytest.raises(InputError, match="t:1: only lock drops were recorded"):
        predicted(recorded(*COLD))


EVENTFUL = st.text(st.sampled_from("abcdef0123456789 -:[]().lgfnspterno\t"), max_size=80)


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(EVENTFUL | EVENTFUL.map(lambda t: t + " kvm_mmu_split_huge_page:" + t)))
def test_hostile_text_is_parsed_or_refused_but_never_crashes(lines):
    with suppress(InputError):
        assert parse(lines).attempts


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_real_recording_with_lines_cut_moved_or_changed_never_crashes(seed):
    chance = random.Random(seed)
    name = chance.choice(sorted(DATA.glob("*.trace.gz")))
    lines = gzip.decompress(name.read_bytes()).decode().splitlines()
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(lines))
        line = lines[at]
        cut = chance.randrange(len(line) + 1)
        lines[at] = chance.choice(
            ["", line[:cut], line[:cut] + chance.choice("0f-9 ") + line[cut + 1 :], line * 2]
        )
        if chance.random() < 0.3:
            del lines[at : at + chance.randint(1, 80)]
        if not lines:
            return
    with suppress(InputError, ScenarioError):
        assert predicted(lines)[2].attempts >= 0


def test_a_hostile_megabyte_is_refused_before_the_time_limit_of_a_test():
    evil = "x " * 150 + "kvm_mmu_get_page:" + " gfn 0 l1 " * 30
    with pytest.raises(InputError):
        parse([evil] * 2000 + ["1 " * 199 + "kvm_mmu_split_huge_page:" + " gfn" * 90] * 2000)
