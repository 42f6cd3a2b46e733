"""A Ray cluster of real `ray start` processes on loopback, whose nodes can be killed."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from sweep.backends.ray_session import HEALTH_CHECKS

HERE = Path(__file__).parent


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Cluster:
    """The head and its nodes, one CPU each, with a token file and a folder of their own.

    With `jobs`, the head also takes jobs, at the address of the same name.
    """

    def __init__(self, mark, jobs=False):
        self.folder = Path(tempfile.mkdtemp(prefix="ss-", dir="/tmp"))
        token = self.folder / "token"
        token.write_text(secrets.token_hex(32))
        self.environment = os.environ | {
            "MARK": str(mark),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            **{f"RAY_{name}": str(value) for name, value in HEALTH_CHECKS.items()},
        }
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.nodes = []
        head = ["--head", f"--port={port}", f"--include-dashboard={jobs}"]
        if jobs:
            at, agent = free_port(), free_port()
            self.jobs = f"http://127.0.0.1:{at}"
            head += ["--dashboard-host=127.0.0.1", f"--dashboard-port={at}"]
            head += [f"--dashboard-agent-listen-port={agent}"]
        self.start(*head, f"--temp-dir={self.folder}")

    def start(self, *options, wrap=(), environment=None):
        """Start one node and return its number once it is up; the head is number 0."""
        if not options:
            options = (f"--address={self.address}",)
        command = [*wrap, sys.executable, str(HERE / "ray_start.py"), "start", *options]
        command += ["--node-ip-address=127.0.0.1", "--num-cpus=1", "--block"]
        command += ["--object-store-memory=80000000"]
        log = self.folder / f"node-{len(self.nodes)}.log"
        with log.open("w") as out:
            node = subprocess.Popen(
                command, stdout=out, stderr=out, start_new_session=True,
                env=self.environment | (environment or {}),
            )  # fmt: skip
        self.nodes.append(psutil.Process(node.pid))
        self._popen = [*getattr(self, "_popen", []), node]
        end = time.monotonic() + 40
        while "Ray runtime started" not in log.read_text():
            assert node.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        return len(self.nodes) - 1

    def kill(self, number):
        """SIGKILL one node: its raylet, its workers, and for the head the GCS too."""
        node = self.nodes[number]
        if node.is_running():
            family = [*node.children(recursive=True), node]
            for process in family:
                if process.is_running():
                    process.kill()
            psutil.wait_procs(family, timeout=10)
        self._popen[number].wait(10)

    def close(self):
        for number in reversed(range(len(self.nodes))):
            self.kill(number)
        shutil.rmtree(self.folder, ignore_errors=True)
