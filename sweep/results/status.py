"""How a run is doing, from its folder alone: from another terminal, or another machine."""

import time
from typing import Any

from sweep.lease import STALE_S
from sweep.plan import Plan
from sweep.store import DONE, LEASE, PLAN, SHARD, Store, read_plan


def status(store: Store) -> dict[str, Any]:
    """State, progress, rate, ETA, failures and writer of a run, as one flat record.

    `state` is `finished`, `running`, `silent` (its driver stopped beating, on this clock) or
    `stopped`. RefusedError if the folder holds no run.
    """
    plan = read_plan(store, PLAN)
    files = store.files()
    shards = sum(1 for name in files if name.startswith(SHARD))
    done = store.get_json(DONE)
    lease = store.get_json(LEASE) or {}
    facts: dict[str, Any] = {
        "run": plan.run_name, "state": _state(done, lease), "points": plan.points,
        "points_done": min(shards * plan.points // plan.nr_shards, plan.points),
        "shards": plan.nr_shards, "shards_done": shards, "failures": None, "points_per_s": None,
        "eta_s": None, "writer": None, "beat_s_ago": None, "resume": plan.resume,
    }  # fmt: skip
    if done:
        facts |= {"points_done": done["rows"], "shards_done": done["shards"]}
        return facts | {"failures": done["failures"], "points_per_s": _rate(plan, done)}
    live: dict[str, Any] = {
        k: lease[k] for k in ("points_done", "failures", "points_per_s", "eta_s") if k in lease
    }
    if lease:
        live["writer"] = f"{lease.get('host')}, process {lease.get('pid')}"
        live["beat_s_ago"] = round(time.time() - float(lease.get("at", 0)), 1)
    return facts | live


def _rate(plan: Plan, done: dict[str, Any]) -> float | None:
    return round(plan.points / done["seconds"], 1) if done.get("seconds") else None


def _state(done: dict[str, Any] | None, lease: dict[str, Any]) -> str:
    if done:
        return "finished"
    if not lease:
        return "stopped"
    return "running" if time.time() - float(lease.get("at", 0)) < STALE_S else "silent"
