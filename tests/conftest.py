"""Settings for all tests."""

from hypothesis import settings

# The first call of a kernel compiles it, so no example has a deadline.
settings.register_profile("splitsweep", deadline=None, max_examples=100)
settings.load_profile("splitsweep")
