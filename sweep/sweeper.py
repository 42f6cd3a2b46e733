"""From overrides and configs to one grid: a block is composed once, whatever its size."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

from core.parameters import BY_KEY, GROUPS, PARAMETERS, Value
from sweep.axes import Dimension, check, of_grid, swept
from sweep.errors import RefusedError
from sweep.grid import Axis, Choice, Grid, Leaf, Node, blocks
from sweep.written import folders_of, refuse_wrong_files


class Sweep:
    """One sweep: its `grid`, and in `blocks` the composed config of each block, `hydra` included.

    `base` is what Hydra's `loader` composed for the whole command line, sweeps left out, and
    `arguments` are its overrides in order, those of `hydra.*` left out. Raises RefusedError if
    anything on an axis, or any parameter of a block, breaks a rule.
    """

    def __init__(self, loader: ConfigLoader, base: DictConfig, arguments: Sequence[str]) -> None:
        self._loader, self._base = loader, base
        self.folders = folders_of(base)
        self._parser = OverridesParser.create(config_loader=loader)
        self._composed = cache(self._compose)
        overrides = {o.get_key_element(): o for o in self._parser.parse_overrides(list(arguments))}
        self._given = {o.key_or_group for o in overrides.values()}
        self._fixed: list[str] = []
        dimensions: list[Dimension] = []
        for override in overrides.values():
            _refuse_edit(override)
            if override.is_sweep_override():
                dimensions.append(swept(override, self.folders))
            else:
                self._fixed.append(str(override.input_line))
        self.blocks: list[DictConfig] = []
        self.grid = _grid(self._tree(dimensions))
        _refuse_other_settings(self.blocks)

    def _tree(
        self,
        axes: Sequence[Dimension],
        chosen: tuple[str, ...] = (),
        keys: tuple[str, ...] = (),
        is_inner: bool = False,
    ) -> Node:
        """The first of `axes` outermost, then the others, then (inner) those of `grid`.

        `chosen` are the group options and `keys` the parameters of the axes above.
        """
        if not axes:
            config = self._composed(chosen)
            if is_inner:
                return self._block(config, keys)
            return self._tree(self._own_axes(config), chosen, keys, is_inner=True)
        (key, values), *others = axes
        if key in BY_KEY:
            below = self._tree(others, chosen, (*keys, key), is_inner)
            return Axis(BY_KEY[key].name, values, below)
        options = ((str(option), (*chosen, f"{key}={option}")) for option in values)
        children = ((o, self._tree(others, above, keys, is_inner)) for o, above in options)
        return Choice(key.lstrip("+"), tuple(children))

    def _compose(self, chosen: tuple[str, ...]) -> DictConfig:
        if not chosen:
            return self._base
        return self._loader.load_sweep_config(self._base, [*self._fixed, *chosen])

    def _own_axes(self, config: DictConfig) -> list[Dimension]:
        """The axes that a config asks for, without those that the command line sets itself."""
        axes = OmegaConf.to_container(config.grid, resolve=False)
        if not isinstance(axes, dict):
            rule = "must map keys to values, as in {caches.desc_capacity: [513, 553]}."
            raise RefusedError(f"grid={axes!r}: {rule}")
        own = {str(k): values for k, values in axes.items() if str(k) not in self._given}
        return [of_grid(key, v, self._parser, self.folders) for key, v in own.items()]

    def _block(self, config: DictConfig, keys: tuple[str, ...]) -> Leaf:
        self.blocks.append(config)
        refuse_wrong_files(config)
        _refuse_stale(config, keys)
        return Leaf({p.name: _value(config, p.key) for p in PARAMETERS if p.key not in keys})


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


def _value(config: DictConfig, key: str) -> Value:
    """The value of a parameter; RefusedError if it has none, or cannot be interpolated."""
    group, name = key.split(".")
    try:
        value: Value = config[group][name]
    except MissingMandatoryValue as error:
        raise RefusedError(f"{key} has no value yet: add {key}=... to the command line.") from error
    except (InterpolationResolutionError, KeyError) as error:
        raise RefusedError(f"{key}: {str(error).splitlines()[0]}") from error
    return value


def _refuse_stale(config: DictConfig, swept_keys: Sequence[str]) -> None:
    """Raise RefusedError if a value is interpolated from one that is swept.

    The swept values are taken out and everything is resolved again: what follows from them then
    fails or changes.
    """
    if not swept_keys:
        return
    without = config.copy()
    for key in swept_keys:
        OmegaConf.update(without, key, "???")
    settings = (
        "name",
        "results_dir",
        "engine",
        "dry_run",
        *(f"backend.{k}" for k in config.backend),
    )
    for key in (*BY_KEY, *settings):
        group, _, name = key.rpartition(".")
        parent = config[group] if group else config
        if key in swept_keys or not OmegaConf.is_interpolation(parent, name):
            continue
        if _resolved(config, key) != _resolved(without, key):
            raise RefusedError(
                f"{key}={OmegaConf.to_container(parent)[name]}: is interpolated from an axis "
                f"({', '.join(sorted(swept_keys))}), but a grid is composed once and not once a "
                f"point. Make {key} an axis, or give it a value."
            )


def _resolved(config: DictConfig, key: str) -> Any:
    try:
        return OmegaConf.select(config, key, throw_on_missing=True)
    except (MissingMandatoryValue, InterpolationResolutionError):
        return MissingMandatoryValue


def _refuse_other_settings(blocks: Sequence[DictConfig]) -> None:
    """Raise RefusedError if the blocks of one run disagree on a setting of the run."""
    for key in ("name", "engine", "results_dir", "backend"):
        first, *others = (block[key] for block in blocks)
        for other in others:
            if other != first:
                raise RefusedError(
                    f"{key} is {first} in one block and {other} in another, but all blocks are one "
                    f"run. Set it on the command line: {key}=..."
                )
