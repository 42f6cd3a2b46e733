"""Runs the commands of conf/tutorial.md and writes what they print below them."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "conf" / "tutorial.md"


def commands(block):
    """The commands of one console block: a line after `$ `, and its further lines after `> `."""
    lines = [line for line in block.splitlines() if line.startswith(("$ ", "> "))]
    return re.split(r"^\$ ", "\n".join(lines), flags=re.MULTILINE)[1:]


def played(text, folder):
    """`text` with each console block run in `folder`, and its output as it is now."""
    (folder / "tests").symlink_to(ROOT / "tests")
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": scripts, "PYTHONWARNINGS": "default", "COLUMNS": "100"}
    environment.pop("SWEEP_RESULTS_DIR", None)

    def play(block):
        shown = []
        for command in commands(block[1]):
            script = command.rstrip("\n").replace("\n> ", "\n")
            done = subprocess.run(
                ["bash", "-ec", script], cwd=folder, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, (script, done.stderr)
            lines = [line.rstrip() for line in done.stdout.splitlines()]
            shown += [f"$ {command.rstrip()}", *lines]
        return "\n".join(["```console", *shown, "```"])

    return re.sub(r"```console\n(.*?)```", play, text, flags=re.DOTALL)


def main():
    with tempfile.TemporaryDirectory(prefix="ss-") as folder:
        PAGE.write_text(played(PAGE.read_text(), Path(folder)))


if __name__ == "__main__":
    main()
