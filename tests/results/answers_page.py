"""Runs every experiment and writes what it answers into the README, in the README's words."""

import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

import sweep.results as r
from sweep.results.answers import ANSWERS
from sweep.results.formats import cell

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "README.md"
SWEEP = Path(sys.executable).with_name("sweep")
LONGER = ("opportunistic_top_up", "ext_2_or_14", "flush_flavours", "fleet_bytes")
SENTENCES = dict.fromkeys(LONGER, 2)
"""How many of an answer's sentences stand in the README, if more than the first."""

SHOWN = {0.0: (0.0, 0.01, 0.1), 1.0: (0.001, 0.01, 0.1)}
"""Aliasing ratios of the README's table: where aliases share a role, and where they do not."""
ROLES = {0.0: "share a role", 1.0: "roles of their own"}


def ran(folder: Path) -> dict[str, r.Answer]:
    """The answer of every experiment, run in `folder`, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(lambda name: (name, _answer(name, folder)), ANSWERS))


def _answer(name: str, folder: Path) -> r.Answer:
    words = [f"experiment={name}", "backend=inline", f"results_dir={folder}"]
    subprocess.run([SWEEP, *words], check=True, capture_output=True)
    (run,) = folder.glob(f"{name}-*")
    return r.answer(name, r.open(str(run)))


def written(text: str, answers: dict[str, r.Answer]) -> str:
    """`text` with its figures from `answers`."""
    seed = answers["seed_question"]
    rows = seed.rows.filter(memslot_gib=64.0)
    text = _replaced(text, r"\(each row's three.*? lock drops\)", _costs(rows))
    text = _replaced(text, r"(?<=\| aliases )\|.*?\n\n", "\n".join(_seed_table(rows)) + "\n\n")
    quoted = "\n".join(f"> {line}" for s in seed.sentences for line in textwrap.wrap(s, 166))
    text = _replaced(text, r"(?m)(^> .*\n)+", quoted + "\n")
    others = "\n".join(_others(answers)) + "\n\n"
    return _replaced(text, r"\| `experiment=` \|.*?\n\n", others)


def _replaced(text: str, pattern: str, new: str) -> str:
    (old,) = re.finditer(pattern, text, re.DOTALL if "(?m)" not in pattern else 0)
    return text[: old.start()] + new + text[old.end() :]


def _costs(rows: pl.DataFrame) -> str:
    kib = [f"{rows[f'standing_{c}_kib'][0]:.0f}" for c in (513, 553, 1026)]
    floor = rows.filter(alias_ratio=0.0)["floor_drops"][0]
    return (
        f"(each row's three capacities keep {kib[0]}, {kib[1]} and {kib[2]} KiB when full; the "
        f"page caches alone cost {cell(floor)} lock drops)"
    )


def _seed_table(rows: pl.DataFrame) -> Iterator[str]:
    yield (
        "| ratio | drops at 513 | at 553 | at 1026 | saved per extra KiB, 513 to 553 | "
        "553 to 1026 | enough |"
    )
    yield "|---" * 8 + "|"
    names = ["alias_ratio", "drops_513", "drops_553", "drops_1026"]
    names += ["saved_553_per_kib", "saved_1026_per_kib", "enough"]
    for roles, ratios in SHOWN.items():
        for row in rows.filter(distinct_role_ratio=roles).select(names).rows():
            if row[0] in ratios:
                cells = (
                    f"{v:.3g}" if 0 < i < 6 and v < 1000 else cell(v) for i, v in enumerate(row)
                )
                yield f"| {ROLES[roles]} | {' | '.join(cells)} |"


def _others(answers: dict[str, r.Answer]) -> Iterator[str]:
    yield "| `experiment=` | answer, from its own rows |"
    yield "|---|---|"
    for name in ANSWERS:
        if name != "seed_question":
            said = answers[name].sentences[: SENTENCES.get(name, 1)]
            yield f"| `{name}` | {' '.join(said)} |"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ss-") as folder:
        PAGE.write_text(written(PAGE.read_text(), ran(Path(folder))))


if __name__ == "__main__":
    main()
