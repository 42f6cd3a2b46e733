"""Contract: what `sweep-check` prints and how it exits; captured: goldens and recordings."""

import gzip
import json
import random
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.reference import run_reference
from core.scenario import parse_scenario
from sweep.check.goldens import read_goldens
from tests.core.test_rebuild import written
from tests.random_scenarios import GIB

DATA = Path(__file__).parents[1] / "data"
GOLDENS = DATA / "golden" / "public.jsonl.gz"
TRACES = DATA / "traces"
SHORT = [
    line for line in gzip.decompress(GOLDENS.read_bytes()).splitlines(True) if len(line) < 2000
]


def check(*words, code=0):
    """Run the command; returns its standard output and error."""
    run = subprocess.run(
        [sys.executable, "-m", "sweep.check", *map(str, words)], capture_output=True, text=True
    )
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout, run.stderr


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """The smallest goldens of each family, as a plain file."""
    lines = gzip.decompress(GOLDENS.read_bytes()).decode().splitlines()
    path = tmp_path_factory.mktemp("golden") / "few.jsonl"
    path.write_text("\n".join(sorted(lines, key=len)[:60]) + "\n")
    return path


def altered(few, tmp_path, number, change):
    lines = few.read_text().splitlines()
    row = json.loads(lines[number])
    change(row)
    lines[number] = json.dumps(row)
    path = tmp_path / "altered.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_goldens_that_agree_are_counted_by_family_and_engine(few):
    found = json.loads(check("golden", few, "--json")[0])
    assert (found["scenarios"], found["agrees"], found["first_difference"]) == (60, True, None)
    engines = [engine for each in found["families"].values() for engine in each]
    assert {"fast", "reference", "fast path: reference ran"} == set(engines)
    agreed = sum(each["reference"]["agreed"] for each in found["families"].values())
    assert agreed == 60
    assert "reference: 60 of 60 agree" in check("golden", few)[0]


def test_a_wrong_event_is_shown_with_its_neighbours(few, tmp_path):
    def wrong(row):
        row["expected"]["events"][2][4] += 1

    rows = [json.loads(line)["expected"] for line in few.read_text().splitlines()]
    number = next(i for i, row in enumerate(rows) if len(row["events"] or ()) == 4)
    path = altered(few, tmp_path, number, wrong)
    found = json.loads(check("golden", path, "--json", code=1)[0])["first_difference"]
    assert (found["where"], found["event"], found["engine"]) == (
        f"{path}:{number + 1}",
        2,
        "reference",
    )
    assert found["expected"][2][4] == found["got"][2][4] + 1
    assert len(found["got"]) == 4
    assert "first difference" in check("golden", path, code=1)[0]


def test_a_wrong_total_is_charged_to_both_engines(few, tmp_path):
    def wrong(row):
        row["expected"]["totals"]["desc_used"] += 1

    report = json.loads(check("golden", altered(few, tmp_path, 0, wrong), "--json", code=1)[0])
    assert report["first_difference"]["total"] == "desc_used"
    differed = [e["differed"] for each in report["families"].values() for e in each.values()]
    assert sum(differed) == 2


def test_names_with_brackets_are_shown_as_they_are(few, tmp_path):
    def wrong(row):
        row["scenario"]["id"] = "[/b]:smile:"
        row["expected"]["totals"]["desc_used"] += 1

    assert '"[/b]:smile:"' in check("golden", altered(few, tmp_path, 0, wrong), code=1)[0]
    (recording := tmp_path / "[b].trace.gz").write_bytes((TRACES / "6.12-hs.trace.gz").read_bytes())
    assert "[b].trace.gz" in check("trace", recording)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row["scenario"].update(colour=1), "colour = 1: unknown field"),
        (lambda row: row.update(kernel="5.4"), "kernel '5.4': choose 6.1, 6.12"),
        (lambda row: row.update(kernel=[6]), "kernel [6]: choose 6.1, 6.12"),
        (lambda row: row.update(more=1), "need an object of scenario, kernel and expected"),
        (lambda row: row["expected"].pop("totals"), "expected needs events"),
        (lambda row: row["expected"].update(events=[[1, 2]]), "must be lists of 11 numbers"),
    ],
)
def test_a_golden_that_breaks_a_rule_is_refused_before_anything_runs(
    few, tmp_path, change, message
):
    path = altered(few, tmp_path, 20, change)
    out, error = check("golden", few, path, code=2)
    assert (out, error.startswith(f"sweep-check: {path}:21: ")) == ("", True)
    assert message in error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"scenario": \n', ":1: no JSON at column"),
        (b"[" * 100_000 + b"\n", ":1: no JSON that can be read"),
        (b"\xff\xfe\n", ":1: byte 0 is not UTF-8"),
        (b'{"scenario": {"id": "a"', ":1: no JSON at column"),
        (gzip.compress(b"\n" * 100_000)[:-9], "broken gzip"),
        (b"9" * 5000 + b"\n", ":1: no JSON that can be read"),
    ],
)
def test_a_damaged_golden_file_is_refused_with_file_and_line(tmp_path, content, message):
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(content)
    assert message in check("golden", path, code=2)[1]


def test_json_whose_last_line_has_no_end_is_whole_if_it_reads(few, tmp_path):
    (golden := tmp_path / "joined.jsonl").write_text(few.read_text().rstrip("\n"))
    assert json.loads(check("golden", golden, "--json")[0])["scenarios"] == 60
    recording = tmp_path / "6.12-hs.trace.gz"
    recording.write_bytes((TRACES / recording.name).read_bytes())
    described = (TRACES / "6.12-hs.json").read_text()
    (tmp_path / "6.12-hs.json").write_text(described.rstrip("\n"))
    assert "1 of 1 recordings agree" in check("trace", recording)[0]


def test_a_missing_file_is_refused(tmp_path):
    assert "No such file" in check("golden", tmp_path / "none", code=2)[1]
    assert "No such file" in check("trace", tmp_path / "none", code=2)[1]


def test_all_recordings_are_predicted_from_their_workload_and_from_themselves():
    found = json.loads(check("trace", TRACES, "--json")[0])
    assert (found["recordings"], found["agreed"]) == (34, 34)
    extra = {
        Path(e["file"]).name: e["alone"]["extra"] for e in found["each"] if e["alone"]["extra"]
    }
    # The CPU hog made need_resched() true once; the .json marks it as needing no top-up.
    assert {name: len(lines) for name, lines in extra.items()} == {"6.1-e_hog.trace.gz": 1}
    assert all(e["workload"]["extra"] == e["alone"]["extra"] for e in found["each"])
    assert sum(e["recorded"]["eagain"] for e in found["each"]) == sum(
        e["alone"]["explained"] + len(e["alone"]["extra"]) for e in found["each"]
    )


def test_a_recording_that_contradicts_its_workload_exits_1(tmp_path):
    described = json.loads((TRACES / "6.12-dro.json").read_text())
    described["maps"][0][4] = "RX"  # both aliases of the first page are read-only now
    (tmp_path / "6.12-dro.json").write_text(json.dumps(described) + "\n")
    (tmp_path / "6.12-dro.trace.gz").write_bytes((TRACES / "6.12-dro.trace.gz").read_bytes())
    out, _ = check("trace", tmp_path, code=1)
    assert "NO" in out
    assert "new or existing shadow page" in out


def test_of_several_rounds_the_first_is_compared_with_the_workload(tmp_path):
    # Logging off and on again: the shadow pages exist, and the caches are still full enough.
    first = gzip.decompress((TRACES / "6.12-hs.trace.gz").read_bytes()).decode().splitlines()
    splits = [line for line in first if "kvm_mmu_" in line and "errno -11" not in line]
    again = [re.sub(r" +(\d+)(\.\d+): ", r" 9\1\2: ", line) for line in splits]
    again = [line.replace("sync new", "sync existing") for line in again]
    (tmp_path / "6.12-hs.trace").write_text("\n".join([*first, *again]) + "\n")
    described = json.loads((TRACES / "6.12-hs.json").read_text())
    described["recorded"]["ok"] *= 2
    (tmp_path / "6.12-hs.json").write_text(json.dumps(described))
    out, _ = check("trace", tmp_path)
    assert "2 rounds: the first is the workload" in out
    assert "1 of 1 recordings agree" in out


def test_a_description_without_its_fields_is_refused(tmp_path):
    (tmp_path / "a.trace.gz").write_bytes((TRACES / "6.12-a.trace.gz").read_bytes())
    (tmp_path / "a.json").write_text("{}\n")
    assert "a.json: need kernel, memslot" in check("trace", tmp_path, code=2)[1]
    (tmp_path / "a.json").write_text('{"kernel":\n1,}\n')
    assert "a.json:2: no JSON at column" in check("trace", tmp_path, code=2)[1]
    (tmp_path / "a.json").write_text("[" * 200_000)
    assert "a.json:1: no JSON that can be read" in check("trace", tmp_path, code=2)[1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"recorded": {}}, "KeyError: 'eagain_no_topup_needed'"),
        ({"recorded": {"eagain_no_topup_needed": 0}}, "KeyError: 'ok'"),
        ({"recorded": 7}, "TypeError: 'int' object is not subscriptable"),
        ({"maps": [[]]}, "IndexError: list index out of range"),
    ],
)
def test_a_description_that_lacks_what_is_compared_is_refused(tmp_path, change, reason):
    (tmp_path / "a.trace.gz").write_bytes((TRACES / "6.12-a.trace.gz").read_bytes())
    described = json.loads((TRACES / "6.12-a.json").read_text()) | change
    (tmp_path / "a.json").write_text(json.dumps(described) + "\n")
    error = check("trace", tmp_path, code=2)[1]
    rule = "need kernel, memslot, constants, options, maps and recorded"
    assert error == f"sweep-check: {tmp_path / 'a.json'}: {rule}; {reason}\n"


def test_a_kernel_that_contradicts_the_description_is_refused():
    recorded = TRACES / "6.1-a.trace.gz"
    error = check("trace", recorded, "--kernel", "v6_12", code=2)[1]
    assert "is v6_1, not v6_12: leave --kernel out" in error
    assert "choose v6_1 or v6_12" in check("trace", recorded, "--kernel", "6.1", code=2)[1]


def test_calibration_writes_a_cost_group_file(tmp_path):
    path = tmp_path / "mine.yaml"
    out, _ = check("calibrate", TRACES / "6.12-e.trace.gz", "-o", path)
    assert path.read_text() == out
    assert "defaults:\n  - default\nsplit_ns: " in out
    assert "[measured]" in out


def test_calibration_reads_a_recording_as_the_kernel_that_its_description_names(tmp_path):
    recorded = TRACES / "6.1-e.trace.gz"
    _, error = check("calibrate", recorded, "--kernel", "v6_12", "-o", tmp_path / "x", code=2)
    assert "is v6_1, not v6_12" in error
    told, _ = check("calibrate", recorded, "--kernel", "v6_1", "-o", tmp_path / "told.yaml")
    assert check("calibrate", recorded, "-o", tmp_path / "mine.yaml")[0] == told


def test_a_recording_too_short_to_calibrate_is_refused_with_the_reason(tmp_path):
    path = tmp_path / "mine.yaml"
    _, error = check("calibrate", TRACES / "6.12-hs.trace.gz", "-o", path, code=2)
    assert "16 such splits that took time: need at least 20" in error
    assert not path.exists()


def test_help_loads_neither_ray_nor_numba():
    probe = "import sys; from sweep.check.cli import main; sys.argv=['sweep-check','--help']\n"
    probe += "try: main()\nexcept SystemExit: print({'ray','numba'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("set()\n")
    for word in ("golden", "trace", "calibrate"):
        assert word in run.stdout


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_golden_with_bytes_changed_is_read_or_refused_but_never_crashes(seed):
    chance = random.Random(seed)
    text = bytearray(chance.choice(SHORT))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) - 1)
        text[at : at + chance.randint(0, 3)] = chance.choice((b"", b"9", b"-", b'"', b"[", b"null"))
    with NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        with suppress(InputError):
            assert all(golden.totals for golden in read_goldens(Path(file.name)))


def test_a_recording_that_only_the_lists_of_6_1_explain_is_read_as_that(tmp_path):
    # Two 1G views bring two SPTEs to a page that 13 2M views fill up to 15: its lists then differ.
    slots = {"memslot": {"base_gfn": 0, "npages": GIB}, "desc_capacity": 553}
    views = [
        [0, 1, 3, [[7, 0], [5, 1]]],
        [3 * 512, 1, 2, [[(7, 5)[i % 2], 20 + i] for i in range(13)]],
    ]
    scenario = parse_scenario({"id": "x", "n_max_mmu_pages": 1 << 30, "runs": views} | slots)
    events = run_reference(scenario, "v6_1", 1 << 30).events
    file = tmp_path / "mine.trace"
    file.write_text("".join(f"{line}\n" for line in written(scenario, events)))
    (found,) = json.loads(check("trace", file, "--json")[0])["each"]
    assert found["kernel"] == "v6_1"
    assert any("only v6_1 explains it" in note for note in found["notes"])
    check("trace", file, "--kernel", "v6_12", code=1)
