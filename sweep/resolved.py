"""What a block reads once from its composed config: parameters and settings, never out of date."""

from collections.abc import Sequence
from typing import Any, Final

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

from core.parameters import BY_KEY, PARAMETERS, Value
from sweep.errors import RefusedError

_SETTLED: Final = (*BY_KEY, "name", "results_dir", "engine", "dry_run")
"""Keys whose values are read once for all points of a block, unless they are swept."""


def value_of(config: DictConfig, key: str) -> Value:
    """The value of a parameter; RefusedError if it has none, or cannot be interpolated."""
    group, name = key.split(".")
    try:
        value: Value = config[group][name]
    except MissingMandatoryValue as error:
        raise RefusedError(f"{key} has no value yet: add {key}=... to the command line.") from error
    except (InterpolationResolutionError, KeyError) as error:
        raise RefusedError(f"{key}: {str(error).splitlines()[0]}") from error
    return value


def refuse_stale(config: DictConfig, names: Sequence[str]) -> None:
    """Raise RefusedError if a value is interpolated from one that is swept.

    The swept values are taken out and everything is resolved again: what follows from them then
    fails or changes.
    """
    swept_keys = {p.key for p in PARAMETERS if p.name in names}
    if not swept_keys:
        return
    keys = [*_SETTLED, *(f"backend.{key}" for key in config.backend)]
    interpolated = [key for key in keys if _is_interpolation(config, key)]
    without = config.copy()
    for key in swept_keys:
        OmegaConf.update(without, key, "???")
    for key in interpolated:
        if key not in swept_keys and _resolved(config, key) != _resolved(without, key):
            raise RefusedError(
                f"{key}={OmegaConf.to_container(_parent(config, key))[key.split('.')[-1]]}: is "
                f"interpolated from an axis ({', '.join(sorted(swept_keys))}), but a grid is "
                f"composed once and not once a point. Make {key} an axis, or give it a value."
            )


def _parent(config: DictConfig, key: str) -> DictConfig:
    return config[key.split(".")[0]] if "." in key else config


def _is_interpolation(config: DictConfig, key: str) -> bool:
    return bool(OmegaConf.is_interpolation(_parent(config, key), key.split(".")[-1]))


def _resolved(config: DictConfig, key: str) -> Any:
    try:
        return OmegaConf.select(config, key, throw_on_missing=True)
    except (MissingMandatoryValue, InterpolationResolutionError):
        return MissingMandatoryValue


def refuse_other_settings(blocks: Sequence[DictConfig]) -> None:
    """Raise RefusedError if the blocks of one run disagree on a setting of the run."""
    for key in ("name", "engine", "results_dir", "backend"):
        first, *others = (block[key] for block in blocks)
        for other in others:
            if other != first:
                raise RefusedError(
                    f"{key} is {first} in one block and {other} in another, but all blocks are one "
                    f"run. Set it on the command line: {key}=..."
                )
