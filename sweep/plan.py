"""What was decided once about a run, and what it takes to be the same run again. Pure: no I/O."""

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final, NamedTuple, Self

from core.outcome import MODEL_VERSION
from sweep.errors import RefusedError

SCHEMA_VERSION: Final = 1
"""Raised whenever a column is added, renamed or changes its type."""

MAX_PLAN_BYTES: Final = 1 << 20
_KINDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("name", "engine", "resume", "created", "digest"), str),
    **dict.fromkeys(("grid", "inputs", "config", "code"), dict),
    **dict.fromkeys(("points", "shards", "model_version", "schema_version"), int),
    **dict.fromkeys(("segments", "overrides"), list),
    "seconds": (int, float),
}
"""What each field of `plan.json` is."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")


class Shard(NamedTuple):
    """Points `first` to `last` - 1: one file, one unit of work."""

    first: int
    last: int

    @property
    def points(self) -> int:
        return self.last - self.first


class Segment(NamedTuple):
    """A stretch of points cut into shards of `size`; its last shard may be shorter."""

    first: int
    last: int
    size: int

    @property
    def shards(self) -> int:
        return -(-(self.last - self.first) // self.size)


@dataclass(frozen=True)
class Plan:
    """One run: its points, where its shards begin, and everything needed to compute them again.

    `grid` is `Grid.to_json()`, `inputs` the sha256 of every recorded workload by its path,
    `seconds` what one core would take. The fields of `IDENTITY` make the run what it is; the
    others are provenance.
    """

    name: str
    points: int
    grid: Mapping[str, Any]
    segments: Sequence[Segment]
    engine: str = "auto"
    inputs: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    resume: str = "sweep"
    code: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    seconds: float = 0.0
    model_version: int = MODEL_VERSION
    schema_version: int = SCHEMA_VERSION

    IDENTITY: ClassVar = ("points", "grid", "engine", "inputs", "model_version", "schema_version")

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise RefusedError(
                f"run name {self.name!r}: use letters, digits and . _ + - only, and begin with a "
                "letter or digit, because the name becomes a folder inside results_dir."
            )

    @property
    def digest(self) -> str:
        """64 hex digits: equal for equal identities, whatever the shards, backend or machine."""
        identity = {name: getattr(self, name) for name in self.IDENTITY}
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def run_name(self) -> str:
        """The run's folder: `<name>-<first 12 digits of the digest>`."""
        return f"{self.name}-{self.digest[:12]}"

    @property
    def nr_shards(self) -> int:
        return sum(segment.shards for segment in self.segments)

    def shards(self) -> Iterator[Shard]:
        """Every shard in point order, made one by one."""
        for first, last, size in self.segments:
            for start in range(first, last, size):
                yield Shard(start, min(start + size, last))

    def ordinal(self, shard: Shard) -> int:
        """The number of a shard of the run, counted from 0 in point order."""
        at = bisect_right([segment.first for segment in self.segments], shard.first) - 1
        before = sum(segment.shards for segment in self.segments[:at])
        return before + (shard.first - self.segments[at].first) // self.segments[at].size

    def to_json(self) -> str:
        """The text of `plan.json`; RefusedError if it would exceed `MAX_PLAN_BYTES`."""
        data = asdict(self) | {"digest": self.digest, "shards": self.nr_shards}
        text = json.dumps(data, indent=1, sort_keys=True)
        if len(text) > MAX_PLAN_BYTES:
            raise RefusedError(
                f"the plan takes {len(text):,} bytes; the limit is {MAX_PLAN_BYTES:,}, because "
                "every worker reads it. Write long axes as range(start,stop,step)."
            )
        return text + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Self:
        """The plan in `text`; RefusedError naming `where` if it is none, or was changed."""
        try:
            data = dict(json.loads(text))
            if wrong := [n for n in data if not isinstance(data[n], _KINDS.get(n, object))]:
                raise TypeError(f"not of their kind: {', '.join(wrong)}")
            digest = data.pop("digest")
            data.pop("shards")
            data["segments"] = tuple(Segment(*segment) for segment in data["segments"])
            plan = cls(**data)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise RefusedError(
                f"{where} is not a plan of this version of sweep ({type(error).__name__}: {error})."
                " Choose another results_dir, or move the folder away."
            ) from error
        if plan.digest != digest:
            raise RefusedError(
                f"{where} was changed after it was written: it says digest {digest[:12]} but its "
                f"content has {plan.digest[:12]}. Move the folder away to start again."
            )
        if not _tiled(plan.segments, plan.points):
            raise RefusedError(
                f"{where} was changed after it was written: its segments, {_short(plan.segments)}, "
                f"do not cut points 0 to {plan.points - 1} into shards that have each point once. "
                "Move the folder away to start again."
            )
        return plan


def _tiled(segments: Sequence[Segment], points: int) -> bool:
    """Whether every point is in one segment, in order, and every segment is cut into shards."""
    if any(type(number) is not int for segment in segments for number in segment):
        return False
    begins, ends = [segment.first for segment in segments], [segment.last for segment in segments]
    is_joined = [*begins, points] == [0, *ends]
    return is_joined and all(first < last and size > 0 for first, last, size in segments)


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 120 else f"{text[:117]}..."


def refuse_mismatch(wanted: Plan, found: Plan, where: str) -> None:
    """RefusedError with the differences unless both are the same run."""
    lines = [
        f"{name}: {_short(getattr(found, name))} there, {_short(getattr(wanted, name))} here"
        for name in Plan.IDENTITY
        if getattr(wanted, name) != getattr(found, name)
    ]
    if lines:
        raise RefusedError(
            f"{where} holds another plan; its rows would not belong to this grid:\n  "
            + "\n  ".join(lines)
            + "\nChoose another results_dir, or move that folder away."
        )
