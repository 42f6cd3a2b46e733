"""The same function as an ordinary Hydra app with our configs: a job a point, as users write it."""

import json
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig

from sweep.config import CONF, register

register()


@hydra.main(version_base=None, config_path=str(CONF), config_name="config")
def main(config: Any) -> None:
    """Compute one point and leave its row in the job's folder."""
    from bench.points import one

    row = one(config.workload.seed, config.caches.desc_capacity)
    (Path(HydraConfig.get().runtime.output_dir) / "row.json").write_text(json.dumps(row))


if __name__ == "__main__":
    main()
