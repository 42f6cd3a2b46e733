"""Settings for all tests."""

import numpy as np
from hypothesis import settings
from numba import config

# The first call of a kernel compiles it, so no example has a deadline. Without the JIT (make cov)
# examples are slow and few.
settings.register_profile(
    "splitsweep", deadline=None, max_examples=15 if config.DISABLE_JIT else 100
)
settings.load_profile("splitsweep")

if config.DISABLE_JIT:
    # Hashes wrap around uint64 on purpose; only interpreted code warns of it.
    np.seterr(over="ignore")
