"""Which code and which packages: written into plans, compared between driver and workers."""

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import core

_CORE = Path(core.__file__).parent
_PACKAGES = ("numpy", "numba", "pyarrow", "polars", "ray", "hydra-core")


@cache
def versions() -> dict[str, str]:
    """Python, packages and a digest of the model's source: what the rows could depend on."""
    digest = hashlib.sha256()
    for source in sorted(_CORE.rglob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    found = {"python": platform.python_version(), "core": digest.hexdigest()[:12]}
    return found | {name: _version(name) for name in _PACKAGES}


@cache
def provenance() -> dict[str, str]:
    """`versions()`, our own version, and the git commit if this is a checkout."""
    return versions() | {"splitsweep": _version("splitsweep"), "commit": _commit(_CORE.parent)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit(root: Path) -> str:
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
