"""The least Hydra app: composes the same configs and does nothing. `--alone`: no config at all."""

import sys

import hydra


def main() -> None:
    """Compose and end."""
    if "--alone" in sys.argv:
        sys.argv.remove("--alone")
        hydra.main(version_base=None, config_path=None)(_nothing)()
    else:
        from sweep.config import CONF, register

        register()
        hydra.main(version_base=None, config_path=str(CONF), config_name="config")(_nothing)()


def _nothing(_: object) -> None:
    pass


if __name__ == "__main__":
    main()
