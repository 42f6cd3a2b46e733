"""How far a run is: a bar on a terminal, plain lines elsewhere, and facts for `status`."""

import sys
import time
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from sweep.ledger import Ledger
from sweep.shard_file import Manifest
from sweep.terminal import tell

if TYPE_CHECKING:
    from rich.progress import Progress

_LINE_S: Final = 10.0
"""Pause between two lines where there is no terminal."""

_RECENT: Final = 64
"""Shards from whose arrival the time left is told."""


class Reporter:
    """Shows what a ledger counts."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._before = ledger.points
        self._start = self._last_line = time.monotonic()
        self._arrivals = deque([self._start], maxlen=_RECENT + 1)
        self._longest_s = 0.0
        self._bar = _bar() if sys.stderr.isatty() else None
        if self._bar:
            total = ledger.plan.points
            self._task = self._bar.add_task(self.line(), total=total, completed=ledger.points)

    def shown(self) -> AbstractContextManager[Any]:
        """A block during which the bar is there, if there is a terminal."""
        return self._bar or nullcontext()

    def add(self, manifest: Manifest) -> None:
        """Show that a shard has arrived, which the ledger has counted."""
        now = time.monotonic()
        self._arrivals.append(now)
        self._longest_s = max(manifest.seconds, 0.9 * self._longest_s)
        if self._bar:
            done = self._ledger.points
            self._bar.update(self._task, completed=done, description=self.line())
        elif now - self._last_line > _LINE_S:
            self._last_line = now
            tell(self.line())

    @property
    def eta_s(self) -> float | None:
        """Seconds left, if shards keep arriving as the last ones did.

        Shards are cut to take equally long where points do not. The last ones still take as long as
        one shard, however many workers there are.
        """
        if len(self._arrivals) < 2:
            return None
        left = self._ledger.plan.nr_shards - self._ledger.shards
        if not left:
            return 0.0
        now = time.monotonic()
        each = (now - self._arrivals[0]) / (len(self._arrivals) - 1)
        return max(left * each, self._longest_s - (now - self._arrivals[-1]))

    def facts(self) -> dict[str, Any]:
        """How far the run is, for machines; the rate is this driver's."""
        ledger, eta = self._ledger, self.eta_s
        rate = (ledger.points - self._before) / max(time.monotonic() - self._start, 1e-9)
        return {
            "points": ledger.plan.points, "points_done": ledger.points,
            "failures": ledger.failures, "points_per_s": round(rate, 1),
            "eta_s": None if eta is None else round(eta, 1),
        }  # fmt: skip

    def line(self) -> str:
        """The same for people."""
        now = self.facts()
        left = "no rate yet" if now["eta_s"] is None else f"{now['eta_s']:,.0f} s left"
        return (
            f"{now['points_done']:,} of {now['points']:,} points, "
            f"{now['points_per_s']:,.0f} points/s, {left}, {now['failures']:,} failed"
        )


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=Console(stderr=True), transient=True)
