"""A Ray cluster of real `ray start` processes on loopback, whose nodes can be killed."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil

from sweep.backends.ray_local import HEALTH_CHECKS

HERE = Path(__file__).parent

WATCH = """
import sys, time
import ray, ray._private.ray_constants as constants
constants.ENABLE_RAY_CLUSTER = False
ray.init(sys.argv[1], logging_level="error", log_to_driver=False)
seen = 0
while True:
    alive = sum(node["Alive"] for node in ray.nodes())
    if alive != seen:
        print("alive", alive, time.time(), flush=True)
    seen = alive
    time.sleep(0.05)
"""


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
        self.mark = mark
        self.environment = os.environ | {
            "MARK": str(mark),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": "120",
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
        return self.ready(self.launch(*options, wrap=wrap, environment=environment))

    def launch(self, *options, wrap=(), environment=None):
        """Start one node and return its number at once."""
        if not options:
            options = (f"--address={self.address}",)
        command = [*wrap, sys.executable, str(HERE / "ray_start.py"), "start", *options]
        command += ["--node-ip-address=127.0.0.1", "--num-cpus=1", "--block"]
        command += ["--object-store-memory=80000000"]
        with self.log(len(self.nodes)).open("w") as out:
            node = subprocess.Popen(
                command, stdout=out, stderr=out, start_new_session=True,
                env=self.environment | (environment or {}),
            )  # fmt: skip
        self.nodes.append(psutil.Process(node.pid))
        self._popen = [*getattr(self, "_popen", []), node]
        return len(self.nodes) - 1

    def log(self, number):
        return self.folder / f"node-{number}.log"

    def ready(self, number):
        """`number`, once that node is up."""
        log = self.log(number)
        end = time.monotonic() + 120
        while "Ray runtime started" not in log.read_text():
            assert self._popen[number].poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        return number

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

    def silence(self, number):
        """Stop one node where it stands, as a machine that hangs; `kill` ends it later."""
        for process in self.nodes[number].children(recursive=True):
            process.suspend()

    @contextmanager
    def watched(self):
        """The block with a function that waits until so many nodes are alive: when that was."""
        watcher = subprocess.Popen(
            [sys.executable, "-c", WATCH, self.address], env=self.environment, text=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip

        def since(nodes):
            for line in watcher.stdout:  # among what Ray itself prints there
                if line.startswith(f"alive {nodes} "):
                    return float(line.split()[2])
            raise AssertionError("the watcher has ended")

        try:
            yield since
        finally:
            watcher.kill()
            watcher.communicate()

    def close(self):
        for number in reversed(range(len(self.nodes))):
            self.kill(number)
        shutil.rmtree(self.folder, ignore_errors=True)
