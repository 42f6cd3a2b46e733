"""`ray start` that keeps to loopback: Ray itself would take the machine's outer address."""

import sys

import ray._private.services as services
from ray.scripts.scripts import main

services.resolve_ip_for_localhost = lambda host: host
sys.argv[0] = "ray"
main()
