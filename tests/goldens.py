"""The recorded behaviour of both kernels' own functions, read from tests/data/golden."""

import gzip
import json
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"


@cache
def goldens():
    """[(scenario, kernel, expected), ...] as decoded JSON."""
    with gzip.open(DATA / "golden" / "public.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return [(r["scenario"], "v" + r["kernel"].replace(".", "_"), r["expected"]) for r in rows]


def is_large(scenario):
    """Whether the reference machine takes a good part of a second."""
    return scenario["memslot"]["npages"] > 1 << 24 and "runs" in scenario
