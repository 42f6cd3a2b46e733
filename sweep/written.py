"""The files of group options: where each lies, and what is wrong with it, line by line."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import yaml
from omegaconf import DictConfig

from core.parameters import BY_KEY, GROUPS
from sweep.axes import listed
from sweep.config import CONF, check_key, file_of
from sweep.errors import RefusedError

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PACKAGE: Final = re.compile(r"^# *@package +(\S+)", re.MULTILINE)
"""Where a file says that it places itself in the config, if not at its group."""


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
    folders, choices = folders_of(config), config.hydra.runtime.choices
    for group in GROUPS:
        if found := problems(folders, group, str(choices.get(group))):
            raise RefusedError("\n".join(found))


def problems(folders: Sequence[Path], group: str, option: str) -> list[str]:
    """`FILE:LINE: what, rule` for each wrong line of an option and of those in its `defaults`.

    Empty for a file that is no YAML.
    """
    found = []
    options = [option] if group in GROUPS else []
    for each in options:  # grows while it is read
        path = file_of(folders, group, each)
        text = path.read_text(errors="replace") if path else ""
        with suppress(yaml.YAMLError):
            root = yaml.compose(text, Loader=_LOADER)
            options += [name for name in _defaults(root) if name not in options]
            for line, key, node in _set(root, _place(text, group)):
                if problem := _problem(key, node):
                    found.append(f"{path}:{line}: {problem}")
    return found


def _place(text: str, group: str) -> str:
    """Where in the config a file of `group` places what it sets; empty for the root."""
    named = _PACKAGE.search(text)
    package = named[1] if named else "_group_"
    return {"_group_": group, "_global_": ""}.get(package, package)


def _entries(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _defaults(root: yaml.Node | None) -> list[str]:
    """Other options of the same group that a file begins with."""
    lists = [node.value for key, node in _entries(root) if key.value == "defaults"]
    return [str(each.value) for nodes in lists for each in nodes if isinstance(each.value, str)]


def _set(root: yaml.Node | None, place: str) -> Iterator[tuple[int, str, yaml.Node]]:
    """Line from 1, full key and value of what a YAML mapping at `place` sets in `GROUPS`."""
    for key, value in _entries(root):
        name = f"{place}.{key.value}" if place else str(key.value)
        if not place and isinstance(value, yaml.MappingNode):
            yield from _set(value, name)
        elif name.partition(".")[0] in GROUPS and key.value != "defaults":
            yield key.start_mark.line + 1, name, value


def _problem(key: str, node: yaml.Node) -> str | None:
    try:
        check_key(key)
        if not isinstance(node, yaml.ScalarNode):
            raise RefusedError(f"{key}: takes one value. Sweep it with {key}=A,B or in `grid`.")
        if key not in BY_KEY:
            raise RefusedError(f"{key}: takes no value, only one for each of its parameters.")
        value = _value(node)
        if value is None or value == "???":
            raise RefusedError(f"{key} has no value. Give it one, or take the line out.")
        if isinstance(value, str) and "${" in value:
            return None
        return BY_KEY[key].problem(listed(BY_KEY[key], [value])[0])
    except RefusedError as error:
        return str(error)


def _value(node: yaml.ScalarNode) -> Any:
    """What a scalar stands for; its text if it has a tag that does not fit."""
    try:
        return node.value if node.style else _LOADER("").construct_document(node)
    except (ValueError, KeyError, AttributeError, yaml.YAMLError):
        return node.value
