"""What commands write for people, and how they end once nobody reads it: `sweep-results ls | head`.

Lines for people go to standard error, where they never mix with data.
"""

import io
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TextIO

CLOSED_PIPE: Final = 141
"""The exit code that shells show for a process ended by SIGPIPE: 128 + 13."""


def clean(text: str) -> str:
    """`text` with everything that a terminal could take for a command made visible."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def tell(text: str) -> None:
    """Write the lines of `text`; configs and traces in them cannot steer the terminal."""
    sys.stderr.write("".join(f"{clean(line)}\n" for line in text.split("\n")))


def ends_with_its_reader(main: Callable[[], None]) -> Callable[[], None]:
    """`main`, but a closed pipe ends it without a word and with exit code `CLOSED_PIPE`.

    SIGPIPE itself stays ignored, because a connection that breaks raises it too, and because leases
    are to be released. Streams that something else has put in place are left alone.
    """

    @wraps(main)
    def run() -> None:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and stream is getattr(sys, f"__{name}__"):
                setattr(sys, name, _watched(stream))
        try:
            main()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()

    return run


def _watched(stream: Any) -> TextIO:
    raw: Any = _Watched(stream.fileno(), "wb", closefd=False)
    by_line = stream.line_buffering or stream is sys.__stderr__
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, stream.encoding, stream.errors, line_buffering=by_line)


class _Watched(io.FileIO):
    """A file that raises SystemExit once if it is a pipe that nobody reads, then swallows all; not
    BrokenPipeError, which rich and click turn into exit code 1."""

    _is_gone = False

    def write(self, data: Any, /) -> int:
        if self._is_gone:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            self._is_gone = True
            raise SystemExit(CLOSED_PIPE) from None
