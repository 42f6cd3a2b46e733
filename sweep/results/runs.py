"""Which runs there are, what each says of itself, its rows as a lazy frame, and SQL over them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

import polars as pl
from pyarrow import fs

from sweep.errors import RefusedError
from sweep.plan import Plan
from sweep.schema import schema
from sweep.store import DONE, PLAN, Store, read_plan

SCHEMA: Final = pl.DataFrame(schema().empty_table()).schema
"""The columns of a run; `scan` puts `run`, its name, before them."""

_READS: Final = re.compile(r"\s*\(*\s*(select|with|explain|show)\b", re.IGNORECASE)
_OTHER_FILES: Final = re.compile(r"\bread_\w+", re.IGNORECASE)
"""What a query must begin with, and what it must not mention: polars' SQL opens any file."""


class RunError(ValueError):
    """There is no such run, or it cannot be read; the message says what there is."""


@dataclass(frozen=True)
class Run:
    """One run's folder, local or remote. It need not be finished."""

    store: Store

    @property
    def name(self) -> str:
        """The folder's name: `<experiment>-<digest>`."""
        uri = self.store.uri
        path = urlsplit(uri).path if "://" in uri else uri
        return path.rstrip("/").rsplit("/", 1)[-1]

    @cached_property
    def plan(self) -> Plan:
        """What was decided before it ran; RunError if that is missing or cannot be read."""
        try:
            return read_plan(self.store)
        except RefusedError as error:
            raise RunError(str(error)) from error

    @cached_property
    def is_legible(self) -> bool:
        """Whether its plan can be read: it is there, whole, and of a version that is understood."""
        try:
            return self.plan is not None
        except RunError:
            return False

    @property
    def created(self) -> str:
        """When it was planned, in ISO format; empty if its plan cannot be read."""
        return self.plan.created if self.is_legible else ""

    @cached_property
    def done(self) -> dict[str, Any] | None:
        """What it came to; None until it has finished."""
        return self.store.get_json(DONE)

    @cached_property
    def compacted(self) -> dict[str, Any] | None:
        """`files`, and the column `by` that sorts them; None unless the run was compacted."""
        return self.store.compacted()

    @cached_property
    def shards(self) -> list[str]:
        """Names of its finished shards, in point order; of its larger files if it was compacted."""
        if self.compacted:
            return list(self.compacted["files"])
        return list(self.store.shards(self.plan)[0])

    def progress(self) -> str:
        """How far it is, in words."""
        if not self.is_legible:
            return f"its {PLAN} cannot be read"
        if self.done is not None:
            return "finished"
        return f"{len(self.shards)} of {self.plan.nr_shards} shards"

    def scan(self) -> pl.LazyFrame:
        """All its rows so far, with its name in the column `run`.

        Rows of a compacted run are known to be sorted, so grouping by that column hashes nothing.
        """
        paths = [self.store.file(shard)[1] for shard in self.shards]
        if not paths:
            rows = pl.LazyFrame(schema=SCHEMA)
        elif self.store.is_local:
            rows = pl.scan_parquet(paths, glob=False, hive_partitioning=False)
        else:
            from pyarrow import dataset  # which takes long to load

            where = self.store.file("")[0]
            rows = pl.scan_pyarrow_dataset(dataset.dataset(paths, filesystem=where))
        if self.compacted:
            rows = rows.set_sorted(self.compacted["by"])
        return rows.select(pl.lit(self.name).alias("run"), pl.all())


def open_run(uri: str) -> Run:
    """The run in a folder, given by a local path or a URI. RunError if there is none."""
    place, mark, query = uri.partition("?") if "://" in uri else (uri, "", "")
    folder, _, name = place.rstrip("/").rpartition("/")
    folder = folder + mark + query or ("/" if uri.startswith("/") else ".")
    run = Run(Store.open(folder, name))
    run.plan  # noqa: B018  (raises)
    return run


def scan(*uris: str) -> pl.LazyFrame:
    """The rows of one run or several, one below the other: `point`, every parameter, every outcome,
    `engine`, `error` (null, or why the point has no outcome), behind `run`, the run's name.

    A run is a local path or a URI, such as `s3://bucket/results/seed_question-0123456789ab`. It
    need not be finished. Raises RunError if a folder is no run.
    """
    return pl.concat([open_run(uri).scan() for uri in uris], how="diagonal")


def query(runs: Sequence[Run], text: str) -> pl.LazyFrame:
    """The rows that `text` selects from `results`: the rows of all `runs`, `run` naming each.

    Each run is a table of its own name too, such as `"seed_question-0123456789ab"`. Raises
    ValueError if `text` does anything but read these tables.
    """
    if _READS.match(text) is None:
        raise ValueError(
            "SQL: only SELECT (also WITH, EXPLAIN, SHOW TABLES); runs are never changed."
        )
    if found := _OTHER_FILES.search(text):
        raise ValueError(
            f"SQL: {found[0]} is refused, because a query sees only the runs it names. "
            "To read other files use the Python door, sweep.results.scan."
        )
    frames = {run.name: run.scan() for run in runs}
    frames["results"] = pl.concat([run.scan() for run in runs], how="diagonal")
    return pl.SQLContext(frames, register_globals=False).execute(text, eager=False)


def runs_in(results_dir: str) -> list[Run]:
    """Every run in a folder, the newest first; none if there is no such folder.

    Last come those whose plan cannot be read.
    """
    where, path = Store.open(results_dir, "").file("")
    found = where.get_file_info(fs.FileSelector(path, allow_not_found=True))
    names = [f.base_name for f in found if f.type == fs.FileType.Directory]
    folders = [Run(Store.open(results_dir, name)) for name in names]
    runs = [run for run in folders if run.is_legible or PLAN in run.store.files()]
    return sorted(runs, key=lambda run: (run.is_legible, run.created), reverse=True)


def find(results_dir: str, name: str) -> Run:
    """The run `name` in a folder; the start of a name will do if only one begins so.

    The folder's own name may stand before it, so that a shell can complete it, and a whole URI or
    absolute path names a run anywhere. RunError if there is none, if several begin so, or if the
    name leads out of the folder.
    """
    if "://" in name or name.startswith("/"):
        return open_run(name)
    runs = {run.name: run for run in runs_in(results_dir)}
    short = name.rstrip("/").removeprefix(f"{results_dir.rstrip('/')}/")
    if "/" in short or short in {"", ".", ".."}:
        raise RunError(
            f"{name}: a run is a folder directly in {results_dir}, so its name has no slash. "
            "For other places give --results-dir, or the whole path."
        )
    begin = [short] if short in runs else [n for n in runs if n.startswith(short)]
    if len(begin) == 1:
        return runs[begin[0]]
    raise RunError(f"{short}: {_why(short, begin, list(runs), results_dir)}")


def _why(short: str, begin: list[str], names: list[str], results_dir: str) -> str:
    if begin:
        return f"{len(begin)} runs begin so: {', '.join(begin)}. Give more of the name."
    if not names:
        return f"there are no runs in {results_dir} yet. Make one: sweep experiment=seed_question"
    stems = [name.rpartition("-")[0] for name in names]
    near = get_close_matches(short, [*names, *stems], 1, 0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"no run in {results_dir} has that name.{hint} There are: {', '.join(names[:8])}."
