"""Running one command: how long it takes and how much memory it needs, workers included."""

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

INTERVAL_S = 0.2


@dataclass(frozen=True)
class Watched:
    """Wall time, and the largest sum of memory that no other process shares."""

    seconds: float
    peak_mib: float


def watch(command: Sequence[str]) -> Watched:
    """Run `command` to its end; CalledProcessError with its last words if that is not 0."""
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    root = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, _unshared(root))
        try:
            process.communicate(timeout=INTERVAL_S)
        except subprocess.TimeoutExpired:
            continue
    seconds = time.perf_counter() - start
    if process.returncode:
        words = process.communicate()[1] or ""
        raise subprocess.CalledProcessError(process.returncode, list(command), stderr=words)
    return Watched(seconds, peak / 2**20)


def _unshared(root: psutil.Process) -> int:
    total = 0
    for each in (root, *root.children(recursive=True)):
        try:
            total += each.memory_full_info().uss
        except psutil.Error:
            continue
    return total


def own_peak_mib() -> float:
    """Peak memory of this process since it was started, in MiB. getrusage() would count what the
    process that started it had in use."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024
