"""Starting Ray on this machine, or joining a cluster. Loopback only, token-authenticated."""

import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sweep.backends import BackendConfig
from sweep.errors import RefusedError

HEALTH_CHECKS: Final = {
    "health_check_initial_delay_ms": 2000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
"""Notice a lost node within about 3 s; Ray's own defaults take 15 s. The files in conf/cluster
set the same as RAY_<name> for clusters that were started elsewhere."""

_OBJECT_STORE_BYTES: Final = 128 << 20
"""Only the plan and manifest rows pass through it."""

_ONE_THREAD: Final = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "ARROW_NUM_THREADS")
"""Shards run side by side, so that each takes one core."""


@contextmanager
def session(config: BackendConfig) -> Iterator[Any]:
    """The module `ray`, connected; on leaving, whatever was started here is ended."""
    join = _joined if config.kind == "ray_cluster" else _started
    handler = signal.getsignal(signal.SIGTERM)
    with join(config) as ray:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has put its own there, which aborts
        yield ray


@contextmanager
def _started(config: BackendConfig) -> Iterator[Any]:
    folder = Path(tempfile.mkdtemp(prefix="ss-"))
    with _environment(_local_settings(folder)):
        import ray
        from ray._private import ray_constants
        from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

        # Ray reads these once, at its import, which may have been earlier.
        ray_constants.ENABLE_RAY_CLUSTER = False
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()
        try:
            ray.init(
                address="local",
                num_cpus=config.num_cpus,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level="error",
                _node_ip_address="127.0.0.1",
                _temp_dir=str(folder),
                _system_config=HEALTH_CHECKS,
            )
            yield ray
        finally:
            ray.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


def _local_settings(folder: Path) -> dict[str, str]:
    """Environment of a private Ray: a token file of its own, one thread a worker."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    settings = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    settings |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    settings["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # elsewhere, too, it means: loopback only
    return settings | dict.fromkeys(_ONE_THREAD, "1")


@contextmanager
def _joined(config: BackendConfig) -> Iterator[Any]:
    import ray

    address = config.address or os.environ.get("RAY_ADDRESS")
    if not address:
        raise RefusedError(
            "backend=ray_cluster: no cluster named. Give backend.address=host:port or set "
            "RAY_ADDRESS; 'ray start --head' prints it."
        )
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise RefusedError(f"cannot join the Ray cluster at {address}: {reason}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
