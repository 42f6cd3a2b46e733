"""Recorded split attempts: ftrace's `trace` file, `trace-cmd report` and `perf script`. Text only.

The tracepoint kvm_mmu_split_huge_page says gfn, SPTE, level and errno; kvm_mmu_get_page, fired just
before, says role and whether the shadow page is new; kprobe lines `topup:` say what was cached.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from core import constants as k
from core.errors import InputError

MAX_ATTEMPTS: Final = 1 << 24
MAX_EVENT: Final = 400
"""Characters before an event's name, and after."""
EBUSY: Final = -16
ERRNOS: Final = (k.ENOSPC, EBUSY, k.ENOMEM, k.EAGAIN, 0)

_SPLIT: Final = "kvm_mmu_split_huge_page:"
_GET_PAGE: Final = "kvm_mmu_get_page:"
_TOPUP: Final = "topup:"
_PREFIX: Final = re.compile(
    r"\s*(?P<comm>\S.*?)?[-\s](?P<pid>\d{1,10})(?:/(?P<tid>\d{1,10}))?\s+"
    r"(?:\(\s*(?:(?P<tgid>\d{1,10})|-+)\)\s+)?(?:\[\d+\]\s+)?(?:(?!\d+\s)[^\s:]{1,12}\s+)?"
    r"(?P<time>\d{1,12}\.\d{1,9}):\s+(?:\S+:)?"
)
_ATTEMPT: Final = re.compile(
    r"\s+gfn (?:0x)?(?P<gfn>[0-9a-f]{1,16}) spte (?:0x)?(?P<spte>[0-9a-f]{1,16})"
    r" level (?P<level>\d) errno (?P<errno>-?\d{1,3})\s*"
)
_PAGE: Final = re.compile(
    r".*? gfn (?:0x)?(?P<gfn>[0-9a-f]{1,16}) l(?P<level>\d) (?P<role>.*?)"
    r" root \d+ (?:un)?sync\W+(?P<made>new|existing)\s*"
)
_CACHE: Final = re.compile(r"capacity=(\d{1,9}) min=(\d{1,9}) nobjs=(\d{1,9})")
_LOST: Final = re.compile(r"LOST \d{1,18} EVENTS|\d{1,18} EVENTS DROPPED|PERF_RECORD_LOST", re.I)
_OVERWRITTEN: Final = re.compile(r"entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18})")
_HEADER: Final = re.compile(r"# tracer:|cpus=\d+$|# os ?release : ")


class Page(NamedTuple):
    """A kvm_mmu_get_page event: the child shadow page of a split."""

    gfn: int
    level: int
    role: str
    new: bool


class Cached(NamedTuple):
    """One cache as a top-up found it."""

    capacity: int
    min: int
    nobjs: int


class Attempt(NamedTuple):
    """One kvm_mmu_split_huge_page event with what the same task said just before."""

    line: int
    time: float
    task: str
    gfn: int
    spte: int
    level: int
    errno: int
    page: Page | None
    topups: tuple[Cached, ...]

    @property
    def new(self) -> bool | None:
        """Whether the shadow page of a split was new; None if that is not recorded."""
        return self.page.new if self.page else None

    @property
    def found_short(self) -> bool:
        """Whether a top-up was seen to find less than a cache needs."""
        return any(cache.nobjs < cache.min for cache in self.topups)


class Trace(NamedTuple):
    """All attempts of a recording in order, and the lines that say events are missing."""

    name: str
    attempts: list[Attempt]
    lost: list[int]


class _Parser:
    """What a recording has said up to a line; of each task since its last attempt."""

    def __init__(self, name: str) -> None:
        self.trace = Trace(name, [], [])
        self.line = 0
        self.pages: dict[str, Page] = {}
        self.topups: dict[str, list[Cached]] = {}
        self.clock: dict[str, float] = {}
        self.headers: set[str] = set()

    def refusal(self, text: str) -> InputError:
        return InputError(self.trace.name, self.line, text)

    def feed(self, line: int, text: str) -> None:
        self.line = line
        if (at := text.find(_SPLIT)) >= 0:
            self.attempt(text, at)
        elif (at := text.find(_GET_PAGE)) >= 0:
            self.page(text, at)
        elif (at := text.find(_TOPUP)) >= 0 and (cached := _CACHE.search(text, at)):
            task, _ = self.prefix(text, at)
            self.topups.setdefault(task, []).append(Cached(*map(int, cached.groups())))
        elif _tells_loss(text[:MAX_EVENT]):
            self.trace.lost.append(line)
        elif header := _HEADER.match(text):
            kind = header[0].rstrip("0123456789")
            if kind in self.headers:
                rule = "two recordings in one file, maybe of two kernels; give them one by one"
                raise self.refusal(f"a second header {text[:60]!r}: {rule}")
            self.headers.add(kind)

    def prefix(self, text: str, at: int) -> tuple[str, float]:
        """(task, time) of an event whose name starts at `at`. A thread group counts as one task."""
        found = _PREFIX.fullmatch(text, 0, at) if max(at, len(text) - at) <= MAX_EVENT else None
        if found is None:
            rule = "need `comm-pid [cpu] flags time: event` or `comm pid [cpu] time: event`"
            raise self.refusal(f"{text[:60]!r}: cannot tell task and time; {rule}")
        comm, pid, tid, group, time = found.groups(default="")
        task = group or (pid if tid else f"{comm.strip()}-{pid}")
        return task, float(time)

    def page(self, text: str, at: int) -> None:
        task, _ = self.prefix(text, at)
        if found := _PAGE.fullmatch(text, at + len(_GET_PAGE)):
            gfn, level, role, made = found.groups()
            self.pages[task] = Page(int(gfn, 16), int(level), role, made == "new")

    def attempt(self, text: str, at: int) -> None:
        task, time = self.prefix(text, at)
        found = _ATTEMPT.fullmatch(text, at + len(_SPLIT))
        if found is None:
            rule = "need `gfn HEX spte HEX level N errno N`; the line is damaged or cut"
            raise self.refusal(f"{text[at : at + 80]!r}: {rule}")
        gfn, spte = (int(number, 16) for number in found.group("gfn", "spte"))
        level, errno = map(int, found.group("level", "errno"))
        if level not in (2, 3) or gfn % k.PAGES_PER_LEVEL[level] or gfn >= 1 << 40:
            rule = "a huge page has level 2 or 3, and its gfn is a multiple of its size under 2^40"
            raise self.refusal(f"gfn {gfn:x} level {level}: {rule}")
        if errno not in ERRNOS:
            raise self.refusal(f"errno {errno}: a split ends with one of {list(ERRNOS)}")
        if time < self.clock.get(task, 0.0):
            raise self.refusal(f"time goes back to {time} in task {task}: two recordings")
        if len(self.trace.attempts) >= MAX_ATTEMPTS:
            raise self.refusal(f"over {MAX_ATTEMPTS} split attempts: split the file")
        self.clock[task] = time
        page = self.pages.pop(task, None)
        if page is not None and (page.gfn, page.level, errno) != (gfn, level - 1, 0):
            page = None
        topups = tuple(self.topups.pop(task, ()))
        self.trace.attempts.append(
            Attempt(self.line, time, task, gfn, spte, level, errno, page, topups)
        )


def _tells_loss(text: str) -> bool:
    written = _OVERWRITTEN.search(text)
    return bool(_LOST.search(text) or (written and int(written[1]) < int(written[2])))


def parse_trace(lines: Iterable[tuple[int, str]], name: str) -> Trace:
    """Split attempts in the text of a recording; `lines` are (number from 1, text without end).

    Raises InputError (file, line, rule) for a damaged event, a second header, time going back, or
    if there is no split attempt at all.
    """
    parser = _Parser(name)
    for number, text in lines:
        parser.feed(number, text)
    if not parser.trace.attempts:
        raise InputError(name, 0, f"no {_SPLIT[:-1]} event: record kvmmmu:{_SPLIT[:-1]}")
    return parser.trace
