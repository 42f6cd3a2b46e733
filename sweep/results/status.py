"""How a run is doing, from its folder alone: from another terminal, or another machine."""

import time
from typing import Any, Final

from sweep.lease import STALE_S, is_dead
from sweep.ledger import Ledger
from sweep.plan import Plan
from sweep.store import DONE, LEASE, Store, read_plan

_BEATS: Final = ("failures", "points_per_s", "eta_s")
"""What only a driver that is alive knows of its run."""


def status(store: Store) -> dict[str, Any]:
    """State, progress, rate, ETA, failures and writer of a run, as one flat record.

    `state` is `finished`, `running`, `silent` (its driver stopped beating, on this clock) or
    `stopped`. What is done is counted from the files. RefusedError if the folder holds no run.
    """
    plan = read_plan(store)
    done = store.get_json(DONE)
    lease = store.get_json(LEASE) or {}
    state = _state(done, lease)
    facts: dict[str, Any] = {
        "run": plan.run_name, "state": state, "points": plan.points, "points_done": 0,
        "shards": plan.nr_shards, "shards_done": 0, "failures": None, "points_per_s": None,
        "eta_s": None, "writer": None, "beat_s_ago": None, "resume": plan.resume,
    }  # fmt: skip
    if done:
        facts |= {"points_done": done.get("rows"), "shards_done": done.get("shards")}
        return facts | {"failures": done.get("failures"), "points_per_s": _rate(plan, done)}
    if lease:
        facts |= {"writer": _writer(state, lease), "beat_s_ago": round(_age(lease), 1)}
    if state == "running":
        return facts | _listed(store, plan) | {k: lease[k] for k in _BEATS if k in lease}
    return facts | _counted(store, plan)


def _listed(store: Store, plan: Plan) -> dict[str, Any]:
    """Progress by the names of the files, which is quick."""
    found, _ = store.shards(plan)
    return {"points_done": sum(s.points for s in found.values()), "shards_done": len(found)}


def _counted(store: Store, plan: Plan) -> dict[str, Any]:
    """Progress as a driver would find it: torn files do not count."""
    found = Ledger(plan, store)
    counts = {"points_done": found.points, "shards_done": found.shards}
    return counts | {"failures": found.failures}


def _rate(plan: Plan, done: dict[str, Any]) -> float | None:
    return round(plan.points / done["seconds"], 1) if done.get("seconds") else None


def _age(lease: dict[str, Any]) -> float:
    """Seconds since the last beat, on this clock."""
    at = lease.get("at")
    return time.time() - (at if isinstance(at, int | float) else 0.0)


def _writer(state: str, lease: dict[str, Any]) -> str:
    who = f"{lease.get('host')}, process {lease.get('pid')}"
    return who + {"stopped": ", which is gone", "silent": ", which is silent"}.get(state, "")


def _state(done: dict[str, Any] | None, lease: dict[str, Any]) -> str:
    if done:
        return "finished"
    if not lease or is_dead(lease):
        return "stopped"
    return "running" if _age(lease) < STALE_S else "silent"
