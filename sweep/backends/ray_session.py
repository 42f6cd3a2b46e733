"""A connection to Ray: a Ray of our own, or a cluster that runs already."""

import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NoReturn

import core
import sweep
from sweep import jit_cache
from sweep.backends import BackendConfig
from sweep.backends.ray_local import started
from sweep.errors import RefusedError
from sweep.folder import StorageError

_HEAD_MISSES: Final = 6
"""Looks at the head node in a row, half a second apart, that must fail."""

_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"}
"""Environment of workers: shards run side by side, so that each takes one core."""


@contextmanager
def session(config: BackendConfig, versions: Mapping[str, str], resume: str) -> Iterator[Any]:
    """Ray, connected; on leaving, whatever was started here is ended.

    Without its head, Ray blocks every call for a minute and then aborts the process. So this
    process ends itself, within about 3 s and after saying `resume`.
    """
    settings = jit_cache.settings(versions) | _ONE_THREAD
    handler = signal.getsignal(signal.SIGTERM)
    with ExitStack() as at_end:
        if config.kind == "ray_cluster":
            ray = _joined(config, settings, at_end)
        else:
            ray = started(config.num_cpus, settings, at_end)
        signal.signal(signal.SIGTERM, handler)  # Ray has put its own there, which aborts
        over = threading.Event()
        head = ray.get_runtime_context().gcs_address
        watcher = threading.Thread(target=_watch, args=(head, over, resume), daemon=True)
        watcher.start()
        at_end.callback(watcher.join)
        at_end.callback(over.set)
        yield ray


def _watch(head: str, over: threading.Event, resume: str) -> None:
    misses = 0
    while misses < _HEAD_MISSES:
        if over.wait(0.5):
            return
        try:
            _reach(head, 1.0)
            misses = 0
        except OSError:
            misses += 1
    os.write(2, f"stopped: the head node at {head} is gone. {resume}\n".encode())
    os._exit(1)


def _joined(config: BackendConfig, settings: dict[str, str], at_end: ExitStack) -> Any:
    address = reached(config)
    import ray
    from ray._private import ray_constants

    # Or Ray takes the machine's outer address for a loopback one.
    is_loopback = address.startswith(("127.", "localhost", "[::1]"))
    ray_constants.ENABLE_RAY_CLUSTER = not is_loopback
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="error",
            runtime_env=_shipped(settings),
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().split("\n")[0]
        raise RefusedError(f"cannot join the Ray cluster at {address}: {reason}") from error
    at_end.callback(ray.shutdown)
    return ray


def _reach(address: str, timeout_s: float) -> None:
    """OSError unless something listens at `address`, ValueError if that is no host:port."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout_s).close()


def reached(config: BackendConfig) -> str:
    """The address of the cluster to join; RefusedError if it is none, or nothing listens there.

    Ray itself would try for minutes.
    """
    address = config.address or os.environ.get("RAY_ADDRESS") or ""
    if address == "auto":
        return address
    found = re.fullmatch(r"[^/]+:(\d{1,5})", address)
    if not found or not 0 < int(found[1]) < 1 << 16:
        raise RefusedError(
            f"backend=ray_cluster: {address or 'no address'} is no cluster to join. Give "
            "backend.address=host:port or set RAY_ADDRESS to what 'ray start --head' printed; "
            "from outside of the cluster, use 'ray job submit'."
        )
    try:
        _reach(address, 5.0)
    except OSError as error:
        raise RefusedError(f"no Ray cluster answers at {address}: {error}") from error
    return address


def _shipped(settings: Mapping[str, str]) -> dict[str, Any]:
    """A runtime environment with `settings`, and our code unless this is a job that was submitted
    with it. What a job's own runtime environment sets, Ray refuses to set twice."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "null"))
    taken = (job or {}).get("runtime_env", {}).get("env_vars", {})
    environment = {"env_vars": {n: value for n, value in settings.items() if n not in taken}}
    if job:
        return environment
    packages = [package.__path__[0] for package in (core, sweep)]
    return environment | {"py_modules": packages, "excludes": ["__pycache__"]}


def nodes(ray: Any) -> dict[str, int]:
    """CPUs of each node that is alive now, by its id."""
    alive = (node for node in ray.nodes() if node["Alive"])
    return {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in alive}


def on_node(remote: Any, node: str) -> Any:
    """A remote function that runs on one node and no other; anywhere if `node` is empty."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if not node:
        return remote
    place = NodeAffinitySchedulingStrategy(node, soft=False)
    return remote.options(scheduling_strategy=place)


def on_every_node(ray: Any, action: Callable[..., None], *arguments: Any) -> None:
    """Run `action` once on each node that computes; the first exception is raised here."""
    remote = ray.remote(max_retries=0, num_cpus=0)(action)
    running = [on_node(remote, n).remote(*arguments) for n, cpus in nodes(ray).items() if cpus]
    try:
        ray.get(running)
    except ray.exceptions.RayTaskError as error:
        raise_cause(error)
    except ray.exceptions.RuntimeEnvSetupError as error:
        raise RefusedError(f"a node cannot set up this code: {error}") from error


def raise_cause(error: Any) -> NoReturn:
    """What a worker raised, without Ray's wrapping if it is one of our own."""
    if isinstance(error.cause, RefusedError | StorageError):
        raise error.cause from None
    raise error
