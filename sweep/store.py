"""One run's folder: the names of its files, its plan, and which of its shards are there."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from sweep.errors import RefusedError
from sweep.folder import MAX_JSON_BYTES, STAGED, Folder
from sweep.plan import Plan, Shard

PLAN: Final = "plan.json"
DONE: Final = "done.json"
LEASE: Final = "lease.json"
COMPACTED: Final = "compacted.json"
TABLE: Final = "table-"
"""How files of a compacted run begin, which `compacted.json` lists."""
_TABLE_NAME: Final = re.compile(rf"{TABLE}\d{{6,12}}\.parquet")


def shard_name(shard: tuple[int, int], points: int) -> str:
    """`shard-<first>-<last>.parquet`, padded so that names sort in point order."""
    width = len(str(points))
    return f"shard-{shard[0]:0{width}d}-{shard[1]:0{width}d}.parquet"


@dataclass(frozen=True)
class Store(Folder):
    """One run's folder. Its shards are read and written by `sweep.shard_file`."""

    @classmethod
    def open(cls, results_dir: str, run_name: str) -> Self:
        """The folder `run_name` inside `results_dir`; RefusedError if that is no place at all."""
        _refuse_no_place(results_dir)
        parts = urlsplit(results_dir)
        if "://" not in results_dir:
            return cls(str(Path(results_dir).expanduser().resolve() / run_name))
        secret = {"access_key", "secret_key", "session_token", "account_key", "sas_token"}
        if "@" in parts.netloc or secret & {key for key, _ in parse_qsl(parts.query)}:
            raise RefusedError(
                "results_dir holds credentials. They would end up in plan.json and logs; give them "
                "in the environment, e.g. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            )
        query = f"?{parts.query}" if parts.query else ""
        path = f"{parts.path.rstrip('/')}/{run_name}{query}"
        return cls(f"{parts.scheme}://{parts.netloc}{path}")

    def plan(self) -> Plan | None:
        """The run's plan, or None if it has none; RefusedError if that was damaged or changed."""
        text = self.get(PLAN, MAX_JSON_BYTES)
        where = f"{self.uri}/{PLAN}"
        return None if text is None else Plan.from_json(text.decode(errors="replace"), where)

    def shards(self, plan: Plan) -> tuple[dict[str, Shard], list[str]]:
        """The shards of the plan that have a file, by its name and in point order, and the Parquet
        files that are none of them, nor of a compacted run."""
        files = self.files()
        found = {n: s for s in plan.shards() if (n := shard_name(s, plan.points)) in files}
        parquet = (n for n in files if n.endswith(".parquet") and not n.startswith((STAGED, TABLE)))
        return found, sorted(set(parquet) - found.keys())

    def compacted(self) -> dict[str, Any] | None:
        """`by` and `files` (name to checksum) of a compacted run, or None.

        RefusedError if a name is not that of a table, which could lie outside of the run.
        """
        if (found := self.get_json(COMPACTED)) is None:
            return None
        files = found.get("files")
        if not isinstance(files, dict) or not all(map(_TABLE_NAME.fullmatch, files)):
            raise RefusedError(f"{self.uri}/{COMPACTED} does not list tables of this run.")
        return found


def read_plan(store: Store) -> Plan:
    """The plan of a run; RefusedError if its folder has none."""
    if (plan := store.plan()) is None:
        raise RefusedError(f"{store.uri} is no run: it has no {PLAN} that can be read.")
    return plan


def _refuse_no_place(results_dir: str) -> None:
    """RefusedError if `results_dir` is no folder or URI, before pyarrow takes it for another."""
    if not results_dir.strip() or "\0" in results_dir:
        rule = "must be a folder or a URI; results_dir=. is the current folder."
    elif re.match(r"(s3|gs|gcs|abfss?)://(/|\?|$)", results_dir):
        rule = "names no bucket, as in s3://bucket/prefix."
    elif re.match(r"(s3|gs|gcs|abfss?|hdfs|file):(?!//)", results_dir):
        rule = f"a URI has ://, as in s3://bucket/prefix; a folder of that name is ./{results_dir}."
    else:
        return
    raise RefusedError(f"results_dir={results_dir}: {rule}")
