"""Contract: `command | head` ends as other tools do: no word, and the exit code of SIGPIPE."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
TRACE = Path(__file__).parents[1] / "data" / "traces" / "6.12-r1.trace.gz"


def into_closed_pipe(words, folder, **streams):
    """Run a command in `folder` with a pipe that nobody reads as its standard output."""
    reader, writer = os.pipe()
    os.close(reader)
    pipes = {"stdout": writer, "stderr": subprocess.PIPE} | dict.fromkeys(streams, writer)
    done = subprocess.run([BIN / words[0], *words[1:]], cwd=folder, text=True, **pipes)
    os.close(writer)
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one finished run of two points."""
    made = tmp_path_factory.mktemp("runs")
    words = [BIN / "sweep", "-m", "workload.memslot_gib=1,2", "backend=inline"]
    subprocess.run(words, cwd=made, check=True, capture_output=True)
    return made


@pytest.mark.parametrize(
    "command",
    [
        "sweep-results show sweep",
        "sweep-results show sweep --format csv",
        "sweep-results --help",
        f"sweep-check trace {TRACE}",
        "sweep --cfg job",
    ],
)
def test_a_command_whose_reader_has_gone_ends_without_a_word(folder, command):
    assert into_closed_pipe(command.split(), folder) == (141, "")


@pytest.mark.parametrize("command", ["sweep dry_run=true", "sweep a.b=1", "sweep-results show no"])
def test_messages_that_nobody_reads_end_a_command_too(folder, command):
    assert into_closed_pipe(command.split(), folder, stderr=True) == (141, None)


def test_a_run_whose_reader_has_gone_leaves_no_lease_and_resumes(tmp_path):
    words = ["sweep", "-m", "workload.seed=range(0,50)", "backend=inline"]
    assert into_closed_pipe(words, tmp_path, stderr=True) == (141, None)
    (run,) = (tmp_path / "results").iterdir()
    assert not (run / "lease.json").exists()
    done = subprocess.run([BIN / words[0], *words[1:]], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0
    assert (run / "done.json").exists()


def test_a_reader_that_takes_all_changes_no_exit_code(folder):
    done = subprocess.run([BIN / "sweep-results", "show", "no"], cwd=folder, capture_output=True)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"no run in results has that name" in done.stderr
