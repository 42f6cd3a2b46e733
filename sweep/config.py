"""The configuration: schemas made from `core.parameters`, where `conf/` is, and what files say."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import field, fields, make_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from core.outcome import ENGINES
from core.parameters import BY_KEY, GROUPS, PARAMETERS
from sweep.backends import BackendConfig
from sweep.errors import RefusedError, suggestion

_PACKAGE: Final = Path(__file__).resolve().parent
CONF: Final = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"
"""The config folder: inside the package in a wheel, beside it in a checkout."""

SETTINGS: Final = {
    "grid": "axes of the sweep: a key each, and its values as a list or in Hydra's grammar",
    "engine": "what computes the outcomes: auto, reference (event by event), expected (no draw)",
    "backend": "where shards run; a config group",
    "results_dir": "folder or URI below which runs are written",
    "dry_run": "print the plan and run nothing",
    "name": "first part of the run's folder; null: the experiment's name, or sweep",
    "experiment": "a question with its grid; a config group",
}
"""Keys that are no parameters, and so no columns and no axes."""


_LEAVES: Final = {group: [p.name for p in PARAMETERS if p.group == group] for group in GROUPS} | {
    "backend": [each.name for each in fields(BackendConfig)]
}
"""What is set in each group of the config."""


def register() -> None:
    """Store the schema of the whole config as `schema`, first of the defaults of config.yaml."""
    from hydra.core.config_store import ConfigStore

    engine = Enum("Engine", [(name, name) for name in ENGINES])  # type: ignore[misc]
    leaves = {g: [(p.name, p.kind, p.default) for p in PARAMETERS if p.group == g] for g in GROUPS}
    groups = [(g, make_dataclass(f"{g.capitalize()}Config", leaves[g])) for g in GROUPS]
    keys: list[tuple[str, Any, Any]] = [
        *((group, schema, field(default_factory=schema)) for group, schema in groups),
        ("grid", dict[str, Any], field(default_factory=dict)),
        ("engine", engine, engine["auto"]),
        ("backend", BackendConfig, field(default_factory=BackendConfig)),
        ("results_dir", str, "results"),
        ("dry_run", bool, False),
        ("name", str | None, None),
    ]
    ConfigStore.instance().store("schema", node=make_dataclass("Config", keys))


def check_key(key: str) -> None:
    """Raise RefusedError, with the nearest name, if `key` is nothing that a config has."""
    root, leaf = key.split(".")[0].split("/")[0], key.partition(".")[2]
    leaves = _LEAVES.get(root, [])
    is_setting = root in (*SETTINGS, "hydra") and not (leaves and leaf)
    if key in GROUPS or is_setting or leaf in leaves:
        return
    if leaves:
        near = suggestion(leaf, leaves).replace("mean ", f"mean {root}.")
        exists = f"{root} has {', '.join(leaves)}."
    else:
        short = {p.name: p.key for p in PARAMETERS}
        near = suggestion(short.get(key, key), [*BY_KEY, *GROUPS, *SETTINGS])
        exists = f"Groups: {', '.join(GROUPS)}; settings: {', '.join(SETTINGS)}."
    raise RefusedError(f"{key}: no such parameter or setting.{near} {exists}")


def options(group: str, folders: Iterable[Path] = (CONF,)) -> list[str]:
    """The options of a config group that any of `folders` has; none if it is no group."""
    return sorted({path.stem for folder in folders for path in folder.glob(f"{group}/*.yaml")})


def file_of(folders: Sequence[Path], group: str, option: str) -> Path | None:
    """The file of a group option in the first of the config folders that has it, or None."""
    paths = (folder / group / f"{option}.yaml" for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def notes(group: str, option: str, folders: Sequence[Path] = (CONF,)) -> dict[str, str]:
    """What the file of a group option says in its comments.

    `""` has the header, every other key is a leaf with the comment beside its value: units, source
    and mark ([verified], [derived], [assumption]). Empty if the option is no file of `folders`.
    """
    path = file_of(folders, group, option)
    text = path.read_text(errors="replace") if path else ""
    header = [line.lstrip("# ") for line in text.splitlines() if re.match(r"#(?! @)", line)]
    beside = re.findall(r"^[ \t]*([\w.]+):.*?[ \t]# (.+)", text, re.MULTILINE)
    return {"": " ".join(header), **dict(beside)} if text else {}
