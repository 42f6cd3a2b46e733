"""How far a run is: a bar on a terminal, plain lines elsewhere, and facts for `status`."""

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self

from sweep.shard_file import Manifest
from sweep.terminal import tell

if TYPE_CHECKING:
    from rich.progress import Progress

_LINE_S: Final = 10.0
"""Pause between two lines where there is no terminal."""

_RECENT: Final = 64
"""Shards from whose arrival the time left is told."""


class Reporter:
    """Counts finished points and failures, and shows them while the `with` block runs."""

    def __init__(self, points: int, done: int, failures: int, shards_left: int = 0) -> None:
        self.points = points
        self.done = done
        self.failures = failures
        self._shards_left = shards_left
        self._arrivals = deque([time.monotonic()], maxlen=_RECENT + 1)
        self._longest_s = 0.0
        self._before = done
        self._start = time.monotonic()
        self._last_line = self._start
        self._bar = _bar() if sys.stderr.isatty() else None
        if self._bar:
            self._task = self._bar.add_task(self.line(), total=points, completed=done)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar:
            self._bar.stop()

    def add(self, manifest: Manifest) -> None:
        """Count one shard that is on disk."""
        self.done += manifest.last - manifest.first
        self.failures += manifest.failures
        now = time.monotonic()
        self._shards_left -= 1
        self._arrivals.append(now)
        self._longest_s = max(manifest.seconds, 0.9 * self._longest_s)
        if self._bar:
            self._bar.update(self._task, completed=self.done, description=self.line())
        elif now - self._last_line > _LINE_S:
            self._last_line = now
            tell(self.line())

    @property
    def rate(self) -> float:
        """Points a second since this driver began."""
        return (self.done - self._before) / max(time.monotonic() - self._start, 1e-9)

    @property
    def eta_s(self) -> float | None:
        """Seconds left, if shards keep arriving as the last ones did.

        Shards are cut to take equally long where points do not. The last ones still take as long as
        one shard, however many workers there are.
        """
        if len(self._arrivals) < 2:
            return None
        if not self._shards_left:
            return 0.0
        now = time.monotonic()
        each = (now - self._arrivals[0]) / (len(self._arrivals) - 1)
        return max(self._shards_left * each, self._longest_s - (now - self._arrivals[-1]))

    def facts(self) -> dict[str, Any]:
        """The same for machines."""
        eta = None if self.eta_s is None else round(self.eta_s, 1)
        return {
            "points": self.points, "points_done": self.done, "failures": self.failures,
            "points_per_s": round(self.rate, 1), "eta_s": eta,
        }  # fmt: skip

    def line(self) -> str:
        """One line for people."""
        eta = self.facts()["eta_s"]
        left = f"{eta:,.0f} s left" if eta is not None else "no rate yet"
        return (
            f"{self.done:,} of {self.points:,} points, {self.rate:,.0f} points/s, {left}, "
            f"{self.failures:,} failed"
        )


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=Console(stderr=True), transient=True)
