"""Contract: what is released installs into an empty environment and runs from any folder."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


def run(*words: object, cwd: Path) -> str:
    done = subprocess.run([str(w) for w in words], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_wheel_and_sdist_contain_the_configuration(released: Path) -> None:
    (wheel,) = released.glob("*.whl")
    (sdist,) = released.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        assert "sweep/conf/experiment/seed_question.yaml" in archive.namelist()
        assert not any(name.startswith(("tests", "results")) for name in archive.namelist())
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"conf/config.yaml", "LICENSE", "CHANGELOG.md", "tests/plain.py"} <= names


def test_an_installed_wheel_answers_the_question_from_another_folder(
    released: Path, tmp_path: Path
) -> None:
    # An environment with nothing but pip; dependencies are lent to it by path, without our project.
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    (wheel,) = released.glob("*.whl")
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    site = run(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=tmp_path)
    Path(site.strip(), "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    sweep = [python.with_name("sweep"), "-m", "experiment=seed_question"]
    few = ["workload.memslot_gib=1,4", "workload.alias_ratio=0,0.1,0.5", "backend=inline"]
    said = run(*sweep, *few, cwd=elsewhere)
    assert "0 failed" in said
    (found,) = (elsewhere / "results").iterdir()
    query = "SELECT COUNT(*) AS n FROM results"
    results = python.with_name("sweep-results")
    assert "372" in run(results, "sql", found, query, cwd=elsewhere)  # 2 * 3 * 2 * 31 points
    where = run(python, "-c", "import sweep; print(sweep.__file__)", cwd=elsewhere)
    assert str(tmp_path / "env") in where
