"""From overrides and configs to one grid: a block is composed once, whatever its size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from core.parameters import BY_KEY, GROUPS, PARAMETERS
from sweep.axes import check, listed, parameter, refuse_no_axis, swept
from sweep.errors import RefusedError, suggestion
from sweep.grid import Axis, Choice, Grid, Leaf, Node, blocks
from sweep.grid.values import Values
from sweep.resolved import refuse_other_settings, refuse_stale, value_of
from sweep.written import folders_of, refuse_wrong_files

_GROUP_AXES: Final = (*GROUPS, "experiment")
_EXAMPLE: Final = "{caches.desc_capacity: [513, 553]}"


@dataclass(frozen=True)
class GroupAxis:
    """A config-group axis: the override word, with its + if it has one, and the options."""

    key: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class ValueAxis:
    """An axis of one parameter."""

    name: str
    values: Values


Dimension: TypeAlias = GroupAxis | ValueAxis


class Sweep:
    """One sweep: its grid, and the composed config of its first block.

    Parameters
    ----------
    loader
        Hydra's config loader.
    base
        What Hydra composed for the whole command line, sweeps left out.
    arguments
        The command line's overrides, in order, those of `hydra.*` left out.

    Raises
    ------
    RefusedError
        If anything on an axis, or any parameter of a block, breaks a rule.
    """

    def __init__(self, loader: ConfigLoader, base: DictConfig, arguments: Sequence[str]) -> None:
        self._loader, self._base = loader, base
        self._parser = OverridesParser.create(config_loader=loader)
        overrides = {o.get_key_element(): o for o in self._parser.parse_overrides(list(arguments))}
        self._given = {o.key_or_group for o in overrides.values()}
        self._fixed: list[str] = []
        self._composed: dict[tuple[str, ...], DictConfig] = {(): base}
        dimensions: list[Dimension] = []
        for override in overrides.values():
            _refuse_edit(override)
            if override.is_sweep_override():
                dimensions.append(self._dimension(override))
            else:
                self._fixed.append(f"{override.input_line}")
        self.blocks: list[DictConfig] = []
        """The composed config of each block, `hydra` included, in order."""
        self.grid = _grid(self._tree(dimensions))
        refuse_other_settings(self.blocks)

    def _dimension(self, override: Override) -> Dimension:
        key = override.key_or_group
        if key not in _GROUP_AXES or override.package is not None:
            return ValueAxis(parameter(key).name, swept(override))
        refuse_no_axis(override)
        options = tuple(override.sweep_string_iterator())
        return GroupAxis(override.get_key_element(), self._known(key, options, override.input_line))

    def _known(self, key: str, options: tuple[str, ...], written: str | None) -> tuple[str, ...]:
        own = (path.stem for f in folders_of(self._base) for path in (f / key).glob("*.yaml"))
        known = sorted({*self._loader.get_group_options(key), *own})
        if not options:
            raise RefusedError(f"{written}: the axis is empty. {key} has {', '.join(known)}.")
        for option in options:
            if option not in known:
                raise RefusedError(
                    f"{key}={option}: no such option.{suggestion(option, known)} "
                    f"{key} has {', '.join(known)}."
                )
            if options.count(option) > 1:
                raise RefusedError(f"{key}: {option} is on the axis twice.")
        return options

    def _tree(
        self,
        axes: Sequence[Dimension],
        chosen: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
        is_inner: bool = False,
    ) -> Node:
        """The first of `axes` outermost, then the others, then (inner) those of `grid`.

        `chosen` are the group options and `names` the parameters of the axes above.
        """
        if not axes:
            config = self._compose(chosen)
            if is_inner:
                return self._block(config, names)
            return self._tree(self._grid_of(config), chosen, names, is_inner=True)
        first, *others = axes
        if isinstance(first, ValueAxis):
            below = self._tree(others, chosen, (*names, first.name), is_inner)
            return Axis(first.name, first.values, below)
        options = ((option, (*chosen, f"{first.key}={option}")) for option in first.options)
        children = ((o, self._tree(others, above, names, is_inner)) for o, above in options)
        return Choice(first.key.lstrip("+"), tuple(children))

    def _compose(self, chosen: tuple[str, ...]) -> DictConfig:
        if chosen not in self._composed:
            overrides = [*self._fixed, *chosen]
            self._composed[chosen] = self._loader.load_sweep_config(self._base, overrides)
        return self._composed[chosen]

    def _block(self, config: DictConfig, names: tuple[str, ...]) -> Leaf:
        self.blocks.append(config)
        refuse_wrong_files(config)
        refuse_stale(config, names)
        return Leaf({p.name: value_of(config, p.key) for p in PARAMETERS if p.name not in names})

    def _grid_of(self, config: DictConfig) -> list[Dimension]:
        """The axes that a config asks for, without those that the command line sets itself."""
        axes = OmegaConf.to_container(config.grid, resolve=False)
        if not isinstance(axes, dict):
            raise RefusedError(f"grid={axes!r}: must map keys to values, as in {_EXAMPLE}.")
        return [self._own(str(k), v) for k, v in axes.items() if str(k) not in self._given]

    def _own(self, key: str, values: Any) -> Dimension:
        """An axis of `grid`: a list, one value, or text in Hydra's grammar."""
        axis = values if isinstance(values, list) else [values]
        if key in GROUPS:
            override = self._parsed(key, ",".join(map(str, axis)))
            refuse_no_axis(override)
            one = (override.get_value_element_as_str(),) if not override.is_sweep_override() else ()
            options = one or tuple(override.sweep_string_iterator())
            return GroupAxis(key, self._known(key, options, f"grid.{key}: {values}"))
        target = parameter(key)
        if isinstance(values, str):
            override = self._parsed(key, values)
            if override.is_sweep_override():
                return ValueAxis(target.name, swept(override))
            axis = [override.value()]
        return ValueAxis(target.name, listed(target, axis))

    def _parsed(self, key: str, text: str) -> Override:
        (override,) = self._parser.parse_overrides([f"{key}={text}"])
        return override


def _grid(root: Node) -> Grid:
    for axes, leaf in blocks(root):
        fixed = {name: (value,) for name, value in leaf.fixed.items()}
        check({axis.name: axis.values for axis in axes} | fixed)
    try:
        return Grid(root)
    except ValueError as error:
        raise RefusedError(str(error)) from error


def _refuse_edit(override: Override) -> None:
    key = override.key_or_group
    if override.is_delete() and key.split(".")[0] in GROUPS:
        raise RefusedError(f"~{key}: a point has every parameter, so none can be taken away.")
    if override.is_add() and key in BY_KEY:
        raise RefusedError(f"+{key}: it is there already. Write {key}=... without the +.")
