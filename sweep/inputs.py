"""Reading what users hand in, line by line: plain or gzip, UTF-8, bounded.

Every refusal is an InputError that names the file, the line and the rule.
"""

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from core.errors import InputError
from core.patterns import KERNELS
from sweep.errors import RefusedError
from sweep.grid import Grid
from sweep.grid.tree import walk
from sweep.store import Store

MAX_LINE: Final = 1 << 26
MAX_RECORDED_LINE: Final = 1 << 16
MAX_TEXT: Final = 1 << 34
WHOLE_EVENT: Final = re.compile(rb" errno (0|-\d\d)$")
GZIP_MAGIC: Final = b"\x1f\x8b"


def read_lines(path: Path, recorded: bool = False) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end) of a text file, gzip or not.

    What was `recorded` has short lines, and its last one has an end or is a whole split event; JSON
    that is cut shows itself. Raises InputError if the file cannot be read, is truncated, is not
    UTF-8, has a line that is too long or more than MAX_TEXT bytes.
    """
    number, left, longest = 0, MAX_TEXT, MAX_RECORDED_LINE if recorded else MAX_LINE
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == GZIP_MAGIC
            plain.seek(0)
            source = gzip.GzipFile(fileobj=plain) if zipped else plain
            while raw := source.readline(longest + 1):
                number += 1
                left -= len(raw)
                if len(raw) > longest:
                    rule = f"over {longest} bytes: no such line is that long"
                    raise InputError(path, number, rule)
                if left < 0:
                    raise InputError(path, number, f"over {MAX_TEXT} bytes of text: split the file")
                yield number, raw.decode().rstrip("\r\n")
                if recorded and not raw.endswith(b"\n") and not WHOLE_EVENT.search(raw):
                    rule = "the last line has no end: the file is truncated"
                    raise InputError(path, number, rule)
    except UnicodeDecodeError as error:
        raise InputError(path, number, f"byte {error.start} is not UTF-8: need text") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(path, number + 1, f"broken gzip ({error}): the file is damaged") from error
    except OSError as error:
        raise InputError(path, 0, f"{error.strerror or error}: need a readable file") from error


def read_workload(path: Path) -> str:
    """The text of a recording or rmap histogram that can be swept. Raises ValueError if it cannot.

    Plain or gzip; what is wrong with it is told by file, line and rule.
    """
    from core.recording.workload import recorded_scenario

    text = "".join(f"{line}\n" for _, line in read_lines(path, recorded=True))
    recorded_scenario(text, str(path), KERNELS[-1])
    return text


def read_workloads(grid: Grid) -> dict[str, str]:
    """The text of every recorded workload of a grid by its path; RefusedError if one is damaged."""
    swept = (path for name, values in walk(grid.root) if name == "path" for path in values)
    paths = {grid.fixed.get("path", ""), *swept} - {""}
    try:
        return {path: read_workload(Path(path)) for path in sorted(map(str, paths))}
    except ValueError as error:
        raise RefusedError(f"workload.path: {error}") from error


def kept_workloads(store: Store, inputs: Mapping[str, str]) -> dict[str, str]:
    """The text of every recorded workload of a run by its path, from the copies that it keeps.

    `inputs` has the sha256 of each path. A copy that is missing is empty text.
    """
    texts = {path: store.get(f"inputs/{sha256}") or b"" for path, sha256 in inputs.items()}
    return {path: text.decode(errors="replace") for path, text in texts.items()}
