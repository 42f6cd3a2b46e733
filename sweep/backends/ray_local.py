"""A Ray of our own on this machine: on loopback alone, asked for a token, gone with the run."""

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

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

_PRIVATE: Final = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # What workers import while the driver still connects.
    "RAY_preload_python_modules": "sweep.backends.ray_worker,core.engine,numba",
    "RAY_raylet_start_wait_time_s": "120",  # 30 s are not enough on a busy machine
}
"""Environment of a Ray of our own."""


def started(num_cpus: int | None, settings: dict[str, str], at_end: ExitStack) -> Any:
    """Ray, started with `settings` as its environment, all CPUs if `num_cpus` is None; `at_end`
    ends it."""
    place = tempfile.TemporaryDirectory(prefix="ss-", ignore_cleanup_errors=True)
    folder = Path(at_end.enter_context(place))
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    settings = settings | _PRIVATE | {"RAY_AUTH_TOKEN_PATH": str(token)}
    at_end.enter_context(_changed(os.environ, settings))
    import ray
    from ray._private import ray_constants
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    ray_constants.ENABLE_RAY_CLUSTER = False  # or Ray takes the machine's outer address on Linux
    # Ray reads its environment once, at its import, which may have been earlier.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    at_end.callback(ray.shutdown)
    with _lean():
        ray.init(
            address="local",
            num_cpus=num_cpus,
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
    """Start Ray without dashboard, autoscaler and copier of logs: four processes instead of seven,
    in half the time. Each is in a group of its own: a signal to ours would end the raylet, and that
    would end this process before it has released its lease and said how to go on.

    These names are Ray's own (2.52 to 2.60); a Ray that lacks one starts what it stands for.
    """
    from ray._private import parameter, services, utils

    quiet = {"no_monitor": True, "include_log_monitor": False}
    stand_ins: list[tuple[Any, str, Callable[[Any], Any]]] = [
        (utils, "get_dashboard_dependency_error", lambda _: lambda: ImportError("not wanted")),
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
