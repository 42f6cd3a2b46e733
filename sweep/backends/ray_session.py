"""Starting Ray on this machine, or joining a cluster. Loopback only, token-authenticated."""

import json
import os
import re
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import core
import sweep
from sweep import jit_cache
from sweep.backends import BackendConfig
from sweep.errors import RefusedError
from sweep.folder import StorageError

HEALTH_CHECKS: Final = {
    "health_check_initial_delay_ms": 2000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 700,
    "health_check_failure_threshold": 3,
}
"""Notice a lost node within about 3 s: a killed one in 1 s, a silent one in 3 x 0.7 + 2 x 0.5 s.
Ray's own defaults take 12 s and a minute. The files in conf/cluster set the same as RAY_<name> for
clusters that were started elsewhere."""

_OBJECT_STORE_BYTES: Final = 128 << 20
"""Only the plan and manifest rows pass through it."""

_HEAD_MISSES: Final = 6
"""Looks at the head node in a row, half a second apart, that must fail."""

_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"}
"""Environment of workers: shards run side by side, so that each takes one core."""

_PRIVATE: Final = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # What workers import while the driver still connects.
    "RAY_preload_python_modules": "sweep.backends.ray_worker,core.engine,numba",
    "RAY_raylet_start_wait_time_s": "120",  # 30 s are not enough on a busy machine
}
"""Environment of a Ray of our own."""


class Session:
    """A connection to Ray that notices when its head is gone."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self._head = str(ray.get_runtime_context().gcs_address)

    def nodes(self) -> dict[str, int]:
        """CPUs of each node that is alive now, by its id."""
        alive = (node for node in self.ray.nodes() if node["Alive"])
        return {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in alive}

    @staticmethod
    def on_node(remote: Any, node: str) -> Any:
        """A remote function that runs on one node and no other; anywhere if `node` is empty."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if not node:
            return remote
        place = NodeAffinitySchedulingStrategy(node, soft=False)
        return remote.options(scheduling_strategy=place)

    @contextmanager
    def watched(self, resume: str) -> Iterator[None]:
        """The block, with an eye on the head node.

        Without its head, Ray blocks every call for a minute and then aborts the process. So this
        process ends itself, within about 3 s and after saying how to go on.
        """
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over, resume), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _watch(self, over: threading.Event, resume: str) -> None:
        misses = 0
        while misses < _HEAD_MISSES:
            if over.wait(0.5):
                return
            try:
                _reach(self._head, 1.0)
                misses = 0
            except OSError:
                misses += 1
        os.write(2, f"stopped: the head node at {self._head} is gone. {resume}\n".encode())
        os._exit(1)

    def on_every_node(self, action: Callable[..., None], *arguments: Any) -> None:
        """Run `action` once on each node that computes; the first exception is raised here."""
        remote = self.ray.remote(max_retries=0, num_cpus=0)(action)
        nodes = [node for node, cpus in self.nodes().items() if cpus]
        running = [self.on_node(remote, node).remote(*arguments) for node in nodes]
        try:
            self.ray.get(running)
        except self.ray.exceptions.RayTaskError as error:
            raise_cause(error)
        except self.ray.exceptions.RuntimeEnvSetupError as error:
            raise RefusedError(f"a node cannot set up this code: {error}") from error


def raise_cause(error: Any) -> NoReturn:
    """What a worker raised, without Ray's wrapping if it is one of our own."""
    if isinstance(error.cause, RefusedError | StorageError):
        raise error.cause from None
    raise error


@contextmanager
def session(config: BackendConfig, versions: Mapping[str, str]) -> Iterator[Session]:
    """Ray, connected; on leaving, whatever was started here is ended."""
    join = _joined if config.kind == "ray_cluster" else _started
    handler = signal.getsignal(signal.SIGTERM)
    with ExitStack() as at_end:
        ray = join(config, jit_cache.settings(versions) | _ONE_THREAD, at_end)
        signal.signal(signal.SIGTERM, handler)  # Ray has put its own there, which aborts
        yield Session(ray)


def _started(config: BackendConfig, settings: dict[str, str], at_end: ExitStack) -> Any:
    """A Ray of our own, with a token of its own that nobody else can read."""
    place = tempfile.TemporaryDirectory(prefix="ss-", ignore_cleanup_errors=True)
    folder = Path(at_end.enter_context(place))
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    settings = settings | _PRIVATE | {"RAY_AUTH_TOKEN_PATH": str(token)}
    at_end.enter_context(_changed(os.environ, settings))
    import ray
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    _keep_loopback("127.0.0.1")
    # Ray reads its environment once, at its import, which may have been earlier.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    at_end.callback(ray.shutdown)
    with _lean():
        ray.init(
            address="local",
            num_cpus=config.num_cpus,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level="error",
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
            _system_config=dict(HEALTH_CHECKS),  # Ray adds its own
        )
    return ray


@contextmanager
def _lean() -> Iterator[None]:
    """Start Ray as one that was installed without its dashboard, and without the autoscaler and the
    copier of logs: four processes instead of seven, in half the time. They are no part of this
    process's group: a signal to all of it would end the raylet, and that would end this process
    before it has released its lease and said how to go on.

    These names are Ray's own (2.52 to 2.60); a Ray that lacks one starts what it stands for.
    """
    from ray._private import parameter, services, utils

    quiet = {"no_monitor": True, "include_log_monitor": False}
    stand_ins: list[tuple[Any, str, Callable[[Any], Any]]] = [
        (utils, "get_dashboard_dependency_error", lambda _: _not_wanted),
        (services, "start_api_server", lambda _: lambda *_, **__: (None, None)),
        (services, "ConsolePopen", lambda popen: partial(popen, process_group=0)),
        (services, "get_node", lambda get_node: partial(_registered, get_node)),
        (parameter, "RayParams", lambda params: partial(params, **quiet)),
    ]
    with ExitStack() as at_end:
        for module, name, made_of in stand_ins:
            if name in vars(module):
                stand_in = {name: made_of(getattr(module, name))}
                at_end.enter_context(_changed(vars(module), stand_in))
        yield


@contextmanager
def _changed(values: MutableMapping[str, Any], to: Mapping[str, Any]) -> Iterator[None]:
    """The block, with some other `values`; those of before are put back."""
    before = {name: values[name] for name in to.keys() & values.keys()}
    values.update(to)
    try:
        yield
    finally:
        values.update(before)
        for name in to.keys() - before.keys():
            values.pop(name, None)


def _not_wanted() -> ImportError:
    return ImportError("not wanted")


def _registered(get_node: Callable[..., Any], gcs_address: str, node_id: str) -> Any:
    """What Ray says of its node, as soon as it is there: `get_node` looks once a second."""
    with suppress(ImportError, AttributeError):
        from ray._private.services import _get_gcs_client_options
        from ray._private.state import GlobalState

        state = GlobalState()
        state._initialize_global_state(_get_gcs_client_options(gcs_address))
        end = time.monotonic() + 1.5
        while not state.node_table() and time.monotonic() < end:
            time.sleep(0.02)
    return get_node(gcs_address, node_id)


def _joined(config: BackendConfig, settings: dict[str, str], at_end: ExitStack) -> Any:
    address = reached(config)
    import ray

    _keep_loopback(address)
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


def _keep_loopback(address: str) -> None:
    """Let a loopback address be one: on Linux, Ray would take the machine's outer address."""
    from ray._private import ray_constants

    is_local = address.startswith(("127.", "localhost", "[::1]"))
    ray_constants.ENABLE_RAY_CLUSTER = not is_local


def _shipped(settings: Mapping[str, str]) -> dict[str, Any]:
    """A runtime environment with our code, some 100 KB, and the settings of a worker.

    A job that was submitted has the code already; what its own runtime environment sets, Ray
    refuses to set twice.
    """
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "null"))
    taken = (job or {}).get("runtime_env", {}).get("env_vars", {})
    environment = {"env_vars": {n: value for n, value in settings.items() if n not in taken}}
    if job:
        return environment
    packages = [package.__path__[0] for package in (core, sweep)]
    return environment | {"py_modules": packages, "excludes": ["__pycache__"]}
