"""Contract: the README's commands run as written, in the order in which they stand there."""

import gzip
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
ELSEWHERE = ("make", "source", "export", "trace-cmd", "ray", "duckdb", "sbatch", "kubectl")
"""What stands in the README but is not ours to run in a test, or is run by CI itself."""
THEIRS = ("HEAD:6379", "s3://bucket")
"""Places that only a reader's own cluster has."""


def commands() -> list[list[str]]:
    blocks = re.findall(r"```console\n(.*?)```", TEXT, re.S)
    whole = (block.replace("\\\n", " ") for block in blocks)
    lines = [line for block in whole for line in block.splitlines() if line.strip()]
    words = [shlex.split(line, comments=True) for line in lines]
    ours = [w for w in words if w and w[0] not in ELSEWHERE]
    return [w for w in ours if not any(place in " ".join(w) for place in THEIRS)]


@pytest.mark.slow
def test_every_command_of_the_readme_runs(tmp_path: Path) -> None:
    recording = ROOT / "tests" / "data" / "traces" / "6.12-r1.trace.gz"
    (tmp_path / "mine.txt").write_bytes(gzip.decompress(recording.read_bytes()))
    (tmp_path / "conf" / "cost").mkdir(parents=True)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    # The run that the queries ask, with as many points as the real one on smaller memslots.
    small = ["sweep", "-m", "experiment=seed_question", "workload.memslot_gib=0.25,0.5,1,2,4,8"]
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    for words in [small, *commands()]:
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"


def test_the_two_commands_come_first() -> None:
    assert re.findall(r"^make (\w+)", TEXT, re.M)[:2] == ["sweep", "test"]


def test_python_examples_run(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    words = ["sweep", "-m", "experiment=seed_question", "workload.memslot_gib=1"]
    made = subprocess.run(
        [BIN / words[0], *words[1:]], cwd=tmp_path, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    (run,) = (tmp_path / "results").iterdir()
    example = re.sub(r"results/seed_question-\w+", str(run), example)
    exec(compile(example, "README.md", "exec"), {})
