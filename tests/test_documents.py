"""Contract: what the documents say about the code is so."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import core
import sweep

ROOT = Path(__file__).parents[1]
PACKAGES = (core, sweep)
TEXTS = {".py", ".md", ".toml", ".yaml", ".txt", ".cff", ".sh", ".sbatch"}


def modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def public_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for module in modules():
        for name, member in vars(module).items():
            function = getattr(member, "py_func", member)  # what numba compiled
            own = inspect.isfunction(function) and function.__module__ == module.__name__
            if own and not name.startswith("_"):
                yield f"{module.__name__}.{name}", function


def resolve(name: str) -> object:
    """The object of a dotted name: the longest module path, then attributes."""
    parts = name.split(".")
    paths = (ROOT.joinpath(*parts[:end]) for end in range(len(parts), 0, -1))
    module = next(p for p in paths if p.is_dir() or p.with_suffix(".py").exists())
    length = len(module.relative_to(ROOT).parts)
    found: object = importlib.import_module(".".join(parts[:length]))
    for attribute in parts[length:]:
        found = getattr(found, attribute)
    return found


@pytest.mark.parametrize("document", ["DESIGN.md", "README.md", "DECISIONS.md"])
def test_every_symbol_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    for name in set(re.findall(r"`((?:core|sweep)(?:\.\w+)+)`", text)):
        resolve(name)


@pytest.mark.parametrize("document", ["DESIGN.md", "README.md", "DECISIONS.md"])
def test_every_file_and_test_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    named = re.findall(r"`((?:core|sweep|conf|tests|bench|docs)/[\w./-]+)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in re.findall(r"`(test_\w+)`", text) if f"def {name}(" not in tests] == []


def test_the_path_of_one_point_is_read_in_an_evening() -> None:
    section = (ROOT / "DESIGN.md").read_text().split("## An evening's reading")[1].split("\n## ")[0]
    names = re.findall(r"`((?:core|sweep)\.[a-z_.]+)`", section)
    assert len(names) == len(set(names)) > 30
    files = [Path(str(importlib.import_module(name).__file__)) for name in names]
    assert sum(len(file.read_text().splitlines()) for file in files) < 5000


def test_every_public_function_of_core_says_what_it_does() -> None:
    silent = [n for n, f in public_functions() if n.startswith("core.") and not f.__doc__]
    assert silent == []


def test_documented_parameters_are_those_of_the_signature() -> None:
    for name, function in public_functions():
        documented = _documented(inspect.getdoc(function) or "")
        assert documented <= set(inspect.signature(function).parameters), name


def _documented(doc: str) -> set[str]:
    section = re.search(r"Parameters\n-+\n(.*?)(?:\n\n\w+\n-+\n|\Z)", doc, re.S)
    names = re.findall(r"^(\w[\w, ]*?)(?: :.*)?$", section[1], re.M) if section else []
    return {name.strip() for line in names for name in line.split(",")}


def test_the_changelog_names_the_version_of_the_project() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    assert re.search(rf"^## \[?({re.escape(version[1])}|Unreleased)",
                     (ROOT / "CHANGELOG.md").read_text(), re.M)  # fmt: skip


def test_no_file_names_a_machine_path_or_a_registry() -> None:
    banned = re.compile(r"/work/|/root/|pypi\.org|files\.pythonhosted|registry\.npmjs")
    kept = ("core", "sweep", "conf", "tests", "bench", "docs", ".ci")
    paths = [p for folder in kept for p in (ROOT / folder).rglob("*") if p.is_file()]
    texts = [p for p in (*paths, *ROOT.glob("*")) if p.suffix in TEXTS and p.is_file()]
    assert [p for p in texts if p != Path(__file__) and banned.search(p.read_text())] == []


def test_modules_parse_as_one_language_version() -> None:
    for package in PACKAGES:
        for path in Path(package.__path__[0]).rglob("*.py"):
            ast.parse(path.read_text(), feature_version=(3, 11))
