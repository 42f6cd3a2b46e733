"""`ray start` that keeps to loopback: Ray itself would take the machine's outer address."""

import os
import sys

import ray._private.services as services
from ray._private.ray_constants import ENABLE_RAY_CLUSTERS_ENV_VAR
from ray.scripts.scripts import main

services.resolve_ip_for_localhost = lambda host: host
# For what this process starts, whose own jobs would look for the cluster at the outer address.
os.environ[ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
sys.argv[0] = "ray"
main()
