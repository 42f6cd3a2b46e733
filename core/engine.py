"""The one door into the model for a batch: columns of parameters in, columns of outcomes out."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

MODEL_VERSION = 1
"""Raised whenever a number in an existing table would change."""

Columns = Mapping[str, NDArray[Any]]


def outcomes(points: Columns, engine: str = "auto") -> dict[str, NDArray[Any]]:
    """Outcome columns of `points`.

    Parameters
    ----------
    points
        One array of shape (n,) a parameter (`core.parameters.PARAMETERS`, all of them): int64,
        float64, bool or unicode strings.
    engine
        `auto` (exact, the fastest that is), `reference` (event by event) or `expected` (no draw).

    Returns
    -------
    One array of shape (n,) an outcome (`core.outcome.OUTCOMES`, int64 or float64), and `engine`, a
    string array that names what computed each point.

    Raises
    ------
    ValueError
        If a point has no outcome; the message says which rule it breaks.
    """
    raise NotImplementedError
