"""Contract: the files under conf/cluster/ are what Ray, KubeRay and Slurm read."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml
from ray._private.runtime_env.packaging import create_package

from sweep.backends.ray_local import HEALTH_CHECKS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "conf" / "cluster"

OBJECT = {"type": "object"}
CONTAINERS = {
    "type": "array", "minItems": 1,
    "items": {"type": "object", "required": ["name", "image", "resources", "env"]},
}  # fmt: skip
POD = {
    "type": "object", "required": ["template", "rayStartParams"],
    "properties": {
        "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
        "template": {"type": "object", "required": ["spec"], "properties": {
            "spec": {"type": "object", "required": ["containers"],
                     "properties": {"containers": CONTAINERS}}}},
    },
}  # fmt: skip
RAY_JOB = {
    "type": "object", "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"}, "kind": {"const": "RayJob"},
        "spec": {
            "type": "object", "required": ["entrypoint", "rayClusterSpec"],
            "properties": {
                "entrypoint": {"type": "string"},
                "rayClusterSpec": {
                    "type": "object", "required": ["rayVersion", "headGroupSpec"],
                    "properties": {
                        "headGroupSpec": POD,
                        "workerGroupSpecs": {"type": "array", "items": {
                            "allOf": [POD, {"required": ["groupName", "replicas"]}]}},
                    },
                },
            },
        },
    },
}  # fmt: skip


def load(name):
    return yaml.safe_load((FOLDER / name).read_text())


def test_the_ray_up_file_satisfies_rays_own_schema():
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(load("ray_up.yaml"), json.loads(schema.read_text()))
    types = load("ray_up.yaml")["available_node_types"]
    assert load("ray_up.yaml")["head_node_type"] in types


def test_the_kuberay_file_is_a_ray_job_for_the_ray_that_was_tested():
    job = load("kuberay_rayjob.yaml")
    jsonschema.validate(job, RAY_JOB)
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == ray.__version__
    for group in [job["spec"]["rayClusterSpec"]["headGroupSpec"],
                  *job["spec"]["rayClusterSpec"]["workerGroupSpecs"]]:  # fmt: skip
        names = {v["name"]: v["value"] for v in group["template"]["spec"]["containers"][0]["env"]}
        assert names.items() >= {f"RAY_{k}": str(v) for k, v in HEALTH_CHECKS.items()}.items()


def test_the_slurm_script_is_valid_bash_and_its_directives_are_slurms():
    script = FOLDER / "slurm.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    directives = re.findall(r"^#SBATCH --([a-z-]+)=\S+", script.read_text(), re.MULTILINE)
    assert directives == ["job-name", "nodes", "ntasks-per-node", "cpus-per-task", "mem", "time",
                          "signal"]  # fmt: skip
    assert all(f"RAY_{k}={v}" in script.read_text() for k, v in HEALTH_CHECKS.items())


@pytest.mark.parametrize("name", ["ray_up.yaml", "slurm.sh"])
def test_lost_nodes_are_noticed_as_fast_as_where_the_product_starts_ray(name):
    text = (FOLDER / name).read_text()
    assert all(f"RAY_{key}={value}" in text for key, value in HEALTH_CHECKS.items())


@pytest.mark.parametrize("name", ["ray_up.yaml", "kuberay_rayjob.yaml", "slurm.sh"])
def test_clusters_ask_for_a_token(name):
    text = (FOLDER / name).read_text()
    assert "RAY_AUTH_MODE=token" in text or "mode: token" in text


def test_a_job_ships_kilobytes(tmp_path):
    environment = load("runtime_env.yaml")
    package = tmp_path / "package.zip"
    create_package(
        str(ROOT), package, include_gitignore=True, include_parent_dir=False,
        excludes=environment["excludes"],
    )  # fmt: skip
    names = subprocess.run(
        ["python3", "-m", "zipfile", "-l", str(package)], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1:]
    shipped = {shlex.split(line)[0].split("/")[0] for line in names}
    small = {"hydra_plugins", "pyproject.toml", ".gitignore"}
    assert shipped - small == {"core", "sweep", "conf"}
    assert not any("__pycache__" in line for line in names)
    assert package.stat().st_size < 1 << 20
