"""How a run is doing, from its folder alone: from another terminal, or another machine."""

import time
from typing import Any, Final

from sweep.lease import STALE_S, is_dead
from sweep.ledger import Ledger
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
    state = "finished" if done else _state(lease)
    facts: dict[str, Any] = {
        "run": plan.run_name, "state": state, "points": plan.points, "points_done": 0,
        "shards": plan.nr_shards, "shards_done": 0, "failures": None, "points_per_s": None,
        "eta_s": None, "writer": None, "beat_s_ago": None, "resume": plan.resume,
    }  # fmt: skip
    if done:
        rate = round(plan.points / done["seconds"], 1) if done.get("seconds") else None
        facts |= {"points_done": done.get("rows"), "shards_done": done.get("shards")}
        return facts | {"failures": done.get("failures"), "points_per_s": rate}
    if lease:
        fate = {"stopped": ", which is gone", "silent": ", which is silent"}.get(state, "")
        facts["writer"] = f"{lease.get('host')}, process {lease.get('pid')}{fate}"
        facts["beat_s_ago"] = round(_age(lease), 1)
    if state == "running":  # the names of the files will do, which is quick
        found, _ = store.shards(plan)
        facts |= {"points_done": sum(s.points for s in found.values()), "shards_done": len(found)}
        return facts | {fact: lease[fact] for fact in _BEATS if fact in lease}
    ledger = Ledger(plan, store)  # as a driver would find it: torn files do not count
    facts |= {"points_done": ledger.points, "shards_done": ledger.shards}
    return facts | {"failures": ledger.failures}


def _state(lease: dict[str, Any]) -> str:
    """How the driver is that has not finished."""
    if not lease or is_dead(lease):
        return "stopped"
    return "running" if _age(lease) < STALE_S else "silent"


def _age(lease: dict[str, Any]) -> float:
    """Seconds since the last beat, on this clock."""
    at = lease.get("at")
    return time.time() - (at if isinstance(at, int | float) else 0.0)
