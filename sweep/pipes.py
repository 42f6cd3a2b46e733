"""How a command ends when whoever reads its output has gone, as in `sweep-results ls | head`."""

import io
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TextIO, cast

CLOSED_PIPE: Final = 141
"""The exit code that shells show for a process ended by SIGPIPE: 128 + 13."""


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


def _watched(stream: TextIO) -> TextIO:
    raw = cast(Any, _Watched(stream.fileno(), "wb", closefd=False))
    text = cast(io.TextIOWrapper, stream)
    by_line = text.line_buffering or stream is sys.__stderr__
    return io.TextIOWrapper(
        io.BufferedWriter(raw), text.encoding, text.errors, line_buffering=by_line
    )


class _Watched(io.FileIO):
    """A file that raises SystemExit once if it is a pipe that nobody reads, then swallows all.

    Not BrokenPipeError, which rich and click turn into exit code 1.
    """

    _is_gone = False

    def write(self, data: Any, /) -> int:
        if self._is_gone:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            self._is_gone = True
            raise SystemExit(CLOSED_PIPE) from None
