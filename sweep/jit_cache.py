"""Where compiled kernels are kept, so that a machine compiles them once for every version.

Code that Ray ships lies in a new folder for every session, and numba keeps compiled code beside
its source. This locator keeps it in the user's cache folder instead, named by the code's digest.
"""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Self

FOLDER: Final = "SPLITSWEEP_KERNELS"
"""Environment variable: the folder of compiled kernels."""

_PATIENCE_S: Final = 60.0
_warm: set[str] = set()
"""What this process has done; it may not be able to leave a file behind that says so."""


def settings(versions: Mapping[str, str]) -> dict[str, str]:
    """Environment of a process that shares compiled kernels; set it before numba is imported.

    What the environment says already stays as it is.
    """
    defaults = {
        FOLDER: f"~/.cache/splitsweep/kernels-{_key(versions)}",
        "NUMBA_CACHE_LOCATOR_CLASSES": f"{__name__}.SharedLocator,InTreeCacheLocator",
    }
    return {name: os.environ.get(name, default) for name, default in defaults.items()}


def _key(versions: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(versions.items())).encode()).hexdigest()[:16]


class SharedLocator:
    """What numba asks for the place of a function's compiled code, and when that is stale."""

    def __init__(self, function: Any, source: str) -> None:
        self._source = Path(source)
        self._line = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function: Any, source: str) -> Self | None:
        """A locator, or None if the folder cannot be written; numba then looks elsewhere."""
        locator = cls(function, source)
        try:
            locator.ensure_cache_path()
        except OSError:
            return None
        return locator

    def ensure_cache_path(self) -> None:
        Path(self.get_cache_path()).mkdir(parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        return str(Path(os.environ[FOLDER]).expanduser())

    def get_source_stamp(self) -> str:
        return hashlib.sha256(self._source.read_bytes()).hexdigest()

    def get_disambiguator(self) -> str:
        return f"{self._source.stem}-{self._line}"


def warm_up(versions: Mapping[str, str], engine: str, action: Callable[[], bool]) -> None:
    """Do `action`, which compiles what `engine` takes for a point and returns whether that went
    well, unless it went well before on this machine; not while another process of it does so.

    None waits for ever for one that hangs. What other points need is compiled where it is met.
    """
    key = _key({**versions, "engine": engine})
    done = Path(settings(versions)[FOLDER]).expanduser() / f"warm-{os.uname().nodename}-{key}"
    if key in _warm or done.exists():
        return
    lock = Path(tempfile.gettempdir()) / f"splitsweep-{os.getuid()}-{key}.lock"
    with lock.open("a") as held:
        end = time.monotonic() + _PATIENCE_S
        while not _locked(held) and time.monotonic() < end:
            time.sleep(0.05)
        if not done.exists() and action():
            with suppress(OSError):
                done.touch()
    _warm.add(key)


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
