"""Contract: a cost file that cannot be is refused with file, line and rule before anything runs."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.config import CONF, options
from sweep.written import folders_in, problems

BIN = Path(sys.executable).parent
TRACE = Path(__file__).parents[1] / "data" / "traces" / "6.12-r1.trace.gz"
RANGE = "must be between 0 and 1e+15 ns. Time is added up, so a cost can be zero but not negative."


def written(folder, *lines):
    """A cost file `mine` below a config folder, behind a comment and the default costs."""
    (folder / "cost").mkdir(parents=True, exist_ok=True)
    path = folder / "cost" / "mine.yaml"
    path.write_text("\n".join(["# mine", "defaults:", "  - default", *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("split_ns: -5", f"cost.split_ns=-5.0: {RANGE}"),
        ("split_ns: .nan", f"cost.split_ns=nan: {RANGE}"),
        ("running_vcpus: 2.5", "cost.running_vcpus=2.5: cost.running_vcpus takes a whole number"),
        ("split_ns: 9.65 us", "cost.split_ns='9.65 us': cost.split_ns takes a number (ns)."),
        ("split_ns:", "cost.split_ns has no value. Give it one, or take the line out."),
        ("split_ns: ???", "cost.split_ns has no value. Give it one, or take the line out."),
        ("split_ns: ...", "cost.split_ns='...': cost.split_ns takes a number (ns)."),
        ("split_ns: !!float abc", "cost.split_ns='abc': cost.split_ns takes a number (ns)."),
        ("split_ns: !!bool foo", "cost.split_ns='foo': cost.split_ns takes a number (ns)."),
        ("split_ns: !mine x", "cost.split_ns='x': cost.split_ns takes a number (ns)."),
        ("split_ns: [1, 2]", "cost.split_ns: takes one value. Sweep it with cost.split_ns=A,B"),
        ("split_nanos: 5", "cost.split_nanos: no such parameter or setting. Did you mean cost.spl"),
    ],
)
def test_a_wrong_line_is_named_with_its_file_and_rule(tmp_path, line, rule):
    path = written(tmp_path, "think_ns: 5", line, "fault_ns: 1e3  # ns")
    (problem,) = problems([CONF, tmp_path], "cost", "mine")
    assert problem.startswith(f"{path}:5: {rule}")


def test_every_wrong_line_is_named_at_once(tmp_path):
    written(tmp_path, "split_ns: -1", "fault_ns: 0", "think_ns: no")
    lines = [problem.split(":")[1] for problem in problems([tmp_path], "cost", "mine")]
    assert lines == ["4", "6"]


@pytest.mark.parametrize(
    ("lines", "at"),
    [
        (["# @package cost", "split_ns: -5"], 2),
        (["# @package _group_", "think_ns: 5", "split_ns: -5"], 3),
        (["# @package _global_", "name: mine", "cost:", "  split_ns: -5"], 4),
        (["#@package _global_", "grid: {cost.split_ns: [-1, 2]}", "cost: {split_ns: -5}"], 3),
    ],
)
def test_a_wrong_line_is_found_wherever_its_file_places_itself(tmp_path, lines, at):
    path = tmp_path / "cost" / "mine.yaml"
    path.parent.mkdir()
    path.write_text("\n".join(lines))
    assert problems([CONF, tmp_path], "cost", "mine") == [
        f"{path}:{at}: cost.split_ns=-5.0: {RANGE}"
    ]


def test_a_group_that_is_given_one_value_is_refused(tmp_path):
    path = tmp_path / "cost" / "mine.yaml"
    path.parent.mkdir()
    path.write_text("# @package _global_\ncost: 5\n")
    assert problems([CONF, tmp_path], "cost", "mine") == [
        f"{path}:2: cost: takes no value, only one for each of its parameters."
    ]


def test_a_wrong_line_is_named_in_the_file_that_has_it(tmp_path):
    path = written(tmp_path, "split_ns: -5")
    heir = path.with_name("heir.yaml")
    heir.write_text("defaults: [mine, heir]\nthink_ns: -1\n")
    found = [problem.split(": ")[0] for problem in problems([CONF, tmp_path], "cost", "heir")]
    assert found == [f"{heir}:2", f"{path}:4"]
    said = refused(tmp_path, "--config-dir", str(tmp_path), "cost=mine")
    assert said.startswith(f"{path}:4: cost.split_ns=-5.0: {RANGE}")


def test_what_another_value_gives_is_no_wrong_line(tmp_path):
    written(tmp_path, "fault_ns: ${cost.split_ns}", "running_vcpus: 0x10", "think_ns: '7'")
    assert problems([tmp_path], "cost", "mine") == []


@pytest.mark.parametrize("group", ["workload", "caches", "kernel", "policy", "caller", "cost"])
def test_no_option_that_is_shipped_is_wrong(group):
    assert options(group)
    assert [problem for o in options(group) for problem in problems([CONF], group, o)] == []


def test_folders_of_a_command_line_are_found_however_they_are_given():
    words = ["-cd", "a", "--config-dir=b", "hydra.searchpath=[file:///c d, 'e']", "cost=mine"]
    assert folders_in(words) == [CONF, *map(Path, ["a", "b", "/c d", "e"])]


def refused(folder, *words):
    """What a refused `sweep` says, with nothing written."""
    done = subprocess.run([BIN / "sweep", *words], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert not (folder / "results").exists()
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize("words", [["--config-dir", "own"], ["hydra.searchpath=[file://own]"]])
@pytest.mark.parametrize("line", ["split_ns: -5", "split_ns: abc"])
def test_a_file_of_an_own_config_folder_is_refused_by_line(tmp_path, words, line):
    path = written(tmp_path / "own", line)
    own = [word.replace("own", str(tmp_path / "own")) for word in words]
    assert refused(tmp_path, *own, "cost=mine").startswith(f"{path}:4: cost.split_ns=")


@pytest.mark.parametrize("folder", ["--config-dir={}", "hydra.searchpath=[file://{}]"])
def test_a_wrong_file_on_an_axis_is_refused_by_line(tmp_path, folder):
    path = written(tmp_path / "own", "split_nanos: 5")
    said = refused(tmp_path, "-m", folder.format(tmp_path / "own"), "cost=default,mine")
    assert said.startswith(f"{path}:4: cost.split_nanos: no such parameter")


def test_a_file_that_is_no_yaml_is_refused_by_line(tmp_path):
    path = written(tmp_path / "own", "split_ns: {a: 5")
    said = refused(tmp_path, "--config-dir", str(tmp_path / "own"), "cost=mine")
    assert f'in "{path}", line 4' in said


def test_a_calibrated_file_sweeps_until_it_is_edited_badly(tmp_path):
    (tmp_path / "mine.txt").write_bytes(gzip.decompress(TRACE.read_bytes()))
    path = written(tmp_path / "own")
    words = ["calibrate", "mine.txt", "-o", str(path)]
    subprocess.run([BIN / "sweep-check", *words], cwd=tmp_path, check=True, capture_output=True)
    calibrated = path.read_text().splitlines()
    sweep = [BIN / "sweep", "--config-dir", "own", "cost=mine", "dry_run=true"]
    assert subprocess.run(sweep, cwd=tmp_path, capture_output=True).returncode == 0
    number = next(i for i, text in enumerate(calibrated) if text.startswith("split_ns: "))
    calibrated[number] = calibrated[number].replace("split_ns: ", "split_ns: -")
    path.write_text("\n".join(calibrated) + "\n")
    said = refused(tmp_path, "--config-dir", "own", "cost=mine")
    assert said.startswith(f"{path}:{number + 1}: cost.split_ns=-")
