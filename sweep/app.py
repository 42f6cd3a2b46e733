"""`sweep`: an ordinary Hydra app whose job is a grid, and whose multirun is one job."""

import gc
import os
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from hydra import __version__ as hydra_version
from hydra import main as hydra_main
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from sweep.config import CONF, check_key, notes, options, register
from sweep.errors import RefusedError, suggestion
from sweep.terminal import ends_with_its_reader

_BASE: Final[dict[str, Any]] = {"version_base": None} if hydra_version.startswith("1.3.") else {}
"""Today's defaults of Hydra; 1.4 has no others and warns if it is asked for them."""


@ends_with_its_reader
def main() -> None:
    """The `sweep` command. Ends with exit code 0, 1 (some points failed) or 2 (refused)."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no matrix is multiplied here
    gc.disable()  # while configurations are composed, of which nothing is garbage
    register()
    shows_all = "HYDRA_FULL_ERROR" in os.environ
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what it cannot compose, and we tell it
    try:
        _check_words(sys.argv[1:])
        hydra_main(config_path=str(CONF), config_name="config", **_BASE)(_job)()
    except RefusedError as error:
        _refuse(str(error))
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        if shows_all:
            raise
        _refuse(_uncomposed(error))
    except ValueError as error:
        if shows_all or not _is_hydras(error):
            raise
        _refuse(str(error))  # flags that exclude each other
    except KeyboardInterrupt:  # while configurations are composed; a run has its own words for it
        sys.stderr.write("interrupted before anything ran.\n")
        sys.exit(128 + signal.SIGINT)


class OneRun(Callback):  # type: ignore[misc]
    """Refuses multiruns that are not one run, before Hydra writes a file for each of its jobs."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Ends the process with exit code 2 if anything but ours would sweep or launch."""
        sweeper, launcher = config.hydra.sweeper._target_, config.hydra.launcher._target_
        if not sweeper.endswith(".GridSweeper"):
            _refuse(
                f"hydra/sweeper is {sweeper}: it would run a point at a time, each with a table of "
                "its own. Leave hydra/sweeper at splitsweep, which makes one run of all points."
            )
        if not launcher.endswith(".BasicLauncher"):
            _refuse(
                f"hydra/launcher is {launcher}: nothing is launched a point, so it would have no "
                "effect. Leave hydra/launcher at basic, and choose where points are computed with "
                f"backend={', '.join(options('backend'))}."
            )


def _job(config: DictConfig) -> NoReturn:
    """What Hydra runs without -m: the grid in the config, or one point."""
    base = HydraConfig.instance().cfg
    assert base is not None
    with open_dict(base):
        base.merge_with(config)
    execute(GlobalHydra.instance().config_loader(), base, list(base.hydra.overrides.task))


def execute(loader: ConfigLoader, base: DictConfig, arguments: Sequence[str]) -> NoReturn:
    """Run the grid of `arguments` on the config `base`, and end the process with its exit code."""
    from sweep.sweeper import Sweep

    try:
        sweep = Sweep(loader, base, arguments)
    except RefusedError as error:
        _refuse(str(error))
    gc.freeze()
    gc.enable()
    from sweep.launch import Job, launch

    config = sweep.blocks[0]
    plain = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    choices = _choices(sweep.blocks)
    asked = "+".join(option for group, option in choices if group == "experiment")
    said = {f"{g}={option}": notes(g, option, sweep.folders) for g, option in choices}
    job = Job(
        name=(asked[:100] or "sweep") if config.name is None else config.name,
        results_dir=config.results_dir,
        backend=OmegaConf.to_object(config.backend),
        engine=config.engine.name,
        dry_run=config.dry_run,
        config=OmegaConf.to_container(plain, resolve=True, enum_to_str=True) | {"notes": said},
        overrides=tuple(arguments),
        resume=shlex.join(["sweep", *sys.argv[1:]]),
    )
    try:
        code = launch(sweep.grid, job)
    except Exception:  # a defect of ours; Hydra would report it as if nothing had run
        traceback.print_exc()
        code = 1
    gc.freeze()  # what is left goes with the process; nothing needs to look for garbage in it
    sys.exit(code)


def _choices(blocks: Sequence[DictConfig]) -> list[tuple[str, str]]:
    """Group and option of everything that the blocks were composed of, each once."""
    pairs = (pair for block in blocks for pair in block.hydra.runtime.choices.items())
    return list(dict.fromkeys((str(g), str(o)) for g, o in pairs if o and "/" not in str(g)))


def _check_words(words: Sequence[str]) -> None:
    """Raise RefusedError if an override names a key that does not exist, before Hydra composes."""
    if {"--shell-completion", "-sc"} & set(words):
        return
    for word in words:
        if found := re.match(r"(?:\+\+|\+|~)?([a-zA-Z_][\w./-]*)(?:@[\w.:]*)?=(.*)", word):
            key, text = found.groups()
            check_key(key)
            _check_value(word, key, text)


def _check_value(word: str, key: str, text: str) -> None:
    """Raise RefusedError for a bare = in `text`, and for what Hydra reads as no option of a group.

    Hydra itself says what else it cannot read.
    """
    exist = options(key)
    if not exist and "=" not in text:
        return
    try:
        value = OverridesParser.create().parse_override(word).value()
    except HydraException as error:
        if "=" in text:
            raise RefusedError(
                f"{word}: Hydra reads this = only in quotes, which the shell must leave alone, "
                "as in \"results_dir='s3://bucket/sweeps?region=REGION'\"."
            ) from error
        return
    if exist and (value is None or isinstance(value, int | float)):
        why = "null is no option, and a group that shall not be set is left out"
        if value is not None:
            why = f"{value!r} is no option, because options are names"
        raise RefusedError(f"{word}: {why}. {key} has {', '.join(exist)}.")


def _uncomposed(error: Exception) -> str:
    """Why Hydra could not compose the config: the file and line, or else what Hydra says."""
    from sweep.written import folders_in, problems

    causes = [error, error.__cause__]
    said = [str(e) for e in causes if e is error or isinstance(e, OmegaConfBaseException)]
    inside = re.match(r"In '(\w+)/(.+?)'", said[0])
    found = problems(folders_in(sys.argv[1:]), inside[1], inside[2]) if inside else []
    return "\n".join(found or [*said, _hints(sys.argv[1:])]).strip()


def _is_hydras(error: Exception) -> bool:
    """Whether Hydra's own code raised it: what another raises is a defect, not a refusal."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).startswith("hydra.")


def _hints(words: Sequence[str]) -> str:
    """The nearest options of misspelt ones, below Hydra's own message."""
    pairs = (word.lstrip("+").split("=", 1) for word in words if "=" in word)
    known = ((rest[0], options(group)) for group, *rest in pairs)
    return "".join(suggestion(word, exist) for word, exist in known if word not in exist).strip()


def _refuse(message: str) -> NoReturn:
    if message:
        sys.stderr.write(f"{message}\n")
    sys.exit(2)
