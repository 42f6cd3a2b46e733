"""Who may write a run. A dead driver cannot hold it for ever: its lease stops beating."""

import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from sweep.errors import RefusedError
from sweep.folder import StorageError
from sweep.store import LEASE, Store

BEAT_S: Final = 3.0
STALE_S: Final = 15.0
"""A lease of another machine that did not beat for this long is taken over."""

_SETTLE_S: Final = {True: 0.05, False: 1.0}
"""By whether the folder is local: how long after writing a lease a rival's would show."""


def _machine() -> str:
    """One boot of one machine and one process namespace, so that a pid means something."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{os.uname().nodename}/{boot}/{Path('/proc/self/ns/pid').readlink()}"


def _started(pid: object) -> str:
    """When a process of this machine started, in clock ticks since boot; empty if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rsplit(")", 1)[1].split()
    return "" if state in "ZX" else fields[18]


class Lease:
    """The right to write one run, held while the `with` block runs and once it is settled.

    `lost` becomes true when another driver has taken over, which happens only to a driver that
    did not beat for `STALE_S`. Both then write equal rows under equal names, so nothing tears.
    Each beat also tells what `facts()` says of the run, nothing until that is set.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.facts: Callable[[], dict[str, Any]] = dict
        self._nr_beats = 0
        self._settled_at = 0.0
        self._over = threading.Event()
        self.owner = uuid.uuid4().hex
        self._me = {
            "owner": self.owner,
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "machine": _machine(),
            "started": _started(os.getpid()),
        }
        self.lost = False
        self._thread = threading.Thread(target=self._keep_beating, daemon=True)

    def __enter__(self) -> Self:
        # One that is made where none was is nobody else's.
        if not self._store.put_new_json(LEASE, self._beat()):
            self._wait_for_the_dead()
            self._store.put_json(LEASE, self._beat())
            self._settled_at = time.monotonic() + _SETTLE_S[self._store.is_local]
        self._thread.start()
        return self

    def settle(self) -> None:
        """Wait until the lease is nobody else's; RefusedError if it is. Nothing may be written
        before, but there is time to plan."""
        time.sleep(max(self._settled_at - time.monotonic(), 0))
        found = self._store.get_json(LEASE)
        if not self._is_mine(found):
            raise RefusedError(_busy(self._store, found))

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if not self.lost and self._is_mine(self._store.get_json(LEASE)):
            self._store.delete(LEASE)

    def _wait_for_the_dead(self) -> None:
        """Return once nobody alive holds the lease; RefusedError if somebody does."""
        seen = self._store.get_json(LEASE)
        if not seen or is_dead(seen):
            return
        if seen.get("machine") == self._me["machine"] or self._beats(seen):
            raise RefusedError(_busy(self._store, seen))

    def _beats(self, seen: dict[str, Any]) -> bool:
        """Whether the lease changes from what was `seen` before it is stale; not if it is freed."""
        end = time.monotonic() + STALE_S
        while time.monotonic() < end:
            time.sleep(1.0)
            if (now := self._store.get_json(LEASE)) != seen:
                return bool(now)
        return False

    def _is_mine(self, found: dict[str, Any] | None) -> bool:
        return found is not None and found.get("owner") == self.owner

    def _beat(self) -> dict[str, Any]:
        """The lease as it is written next."""
        self._nr_beats += 1
        return self._me | {"beat": self._nr_beats, "at": time.time()} | self.facts()

    def _keep_beating(self) -> None:
        while not self._over.wait(BEAT_S):
            try:
                if not self._is_mine(self._store.get_json(LEASE)):
                    self.lost = True
                    return
                self._store.put_json(LEASE, self._beat())
            except StorageError:
                continue


def is_dead(lease: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that is gone."""
    if lease.get("machine") != _machine():
        return False
    return _started(lease.get("pid")) != str(lease.get("started"))


def _busy(store: Store, lease: dict[str, Any] | None) -> str:
    who = f"{lease.get('host')}, process {lease.get('pid')}" if lease else "another driver"
    return (
        f"{store.uri} is being written by {who}. Wait for it, or stop it and run this again. "
        f"Watch it with: sweep-results status {store.uri}"
    )
