"""The files of group options: where each lies, and what is wrong with it, line by line."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import yaml
from omegaconf import DictConfig

from core.parameters import BY_KEY, GROUPS
from sweep.axes import listed
from sweep.config import CONF, check_key, file_of
from sweep.errors import RefusedError

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OTHER_PACKAGE: Final = "# @package"


def folders_of(config: DictConfig) -> list[Path]:
    """The folders that Hydra composed `config` from, in the order in which it looked."""
    sources = config.hydra.runtime.config_sources
    return [Path(source.path) for source in sources if source.schema == "file"]


def folders_in(words: Sequence[str]) -> list[Path]:
    """The config folders that a command line names, for when Hydra has not come to a loader."""
    line = " ".join(words)
    named = re.findall(r"(?:--config-dir|-cd)[ =](\S+)", line)
    for listed_ in re.findall(r"hydra\.searchpath=\[(.*?)\]", line):
        named += [path.strip(" '\"").removeprefix("file://") for path in listed_.split(",")]
    return [CONF, *map(Path, named)]


def refuse_wrong_files(config: DictConfig) -> None:
    """Raise RefusedError if a file that `config` was composed of sets what no parameter can be.

    A value that is left blank, or is `???`, would otherwise be the default without a word.
    """
    for group in GROUPS:
        option = str(config.hydra.runtime.choices.get(group))
        found = problems(folders_of(config), group, option)
        if found:
            raise RefusedError("\n".join(found))


def problems(folders: Sequence[Path], group: str, option: str) -> list[str]:
    """`FILE:LINE: what, rule` for each line of an option's file that is wrong.

    Empty for a file that places itself elsewhere in the config, and for one that is no YAML.
    """
    path = file_of(folders, group, option)
    text = path.read_text(errors="replace") if path and group in GROUPS else ""
    if _OTHER_PACKAGE in text:
        return []
    found = ((line, _problem(f"{group}.{name}", node)) for line, name, node in _lines(text))
    return [f"{path}:{line}: {problem}" for line, problem in found if problem]


def _lines(text: str) -> Iterator[tuple[int, str, yaml.Node]]:
    """Line from 1, key and value of each entry of a YAML mapping."""
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError:
        return
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value != "defaults":
            yield key.start_mark.line + 1, str(key.value), value


def _problem(key: str, node: yaml.Node) -> str | None:
    try:
        check_key(key)
        if not isinstance(node, yaml.ScalarNode):
            raise RefusedError(f"{key}: takes one value. Sweep it with {key}=A,B or in `grid`.")
        value = node.value if node.style else yaml.load(node.value, _LOADER)
        if value is None or value == "???":
            raise RefusedError(f"{key} has no value. Give it one, or take the line out.")
        if isinstance(value, str) and "${" in value:
            return None
        return BY_KEY[key].problem(listed(BY_KEY[key], [value])[0])
    except RefusedError as error:
        return str(error)
