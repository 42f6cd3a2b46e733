"""The values of one axis: listed, or an arithmetic range that is never listed."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.parameters import Value


@dataclass(frozen=True)
class Range:
    """`count` values from `start`, `step` apart, never listed; decimals are counted in decimal."""

    start: Decimal
    step: Decimal
    count: int

    def __post_init__(self) -> None:
        ends = (self._first, self._step, self._first + (self.count - 1) * self._step)
        # Below 2^53, quotients by a power of ten are the float64 nearest to the decimal.
        if max(abs(n) for n in ends) >= (2**63 if self._scale == 1 else 2**53):
            raise ValueError(f"{self}: has more digits than its values can hold exactly.")

    @classmethod
    def of(cls, start: float | str, stop: float | str, step: float | str = 1) -> Self:
        """`start`, `start + step`, ... up to but without `stop`, as Hydra's `range()`.

        Raises ValueError if there is no such value, or too many.
        """
        first, end, by = (Decimal(str(n)) for n in (start, stop, step))
        if by == 0 or (end - first) / by <= 0:
            raise ValueError(f"range({start},{stop},{step}) has no values.")
        try:
            whole, rest = divmod(end - first, by)
        except InvalidOperation as error:
            raise ValueError(f"range({start},{stop},{step}) has too many values.") from error
        return cls(first, by, int(whole) + (rest != 0))

    @cached_property
    def _scale(self) -> int:
        exponents = (int(n.normalize().as_tuple().exponent) for n in (self.start, self.step))
        return int(10 ** max(0, *(-e for e in exponents)))

    @cached_property
    def _first(self) -> int:
        return int(self.start * self._scale)

    @cached_property
    def _step(self) -> int:
        return int(self.step * self._scale)

    @property
    def kind(self) -> type:
        """int, or float if the start or the step has decimals."""
        return int if self._scale == 1 else float

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> int | float:
        value = self._first + range(self.count)[i] * self._step
        return value if self._scale == 1 else value / self._scale

    def __iter__(self) -> Iterator[int | float]:
        return (self[i] for i in range(self.count))

    def take(self, index: NDArray[np.int64]) -> NDArray[Any]:
        """The values at `index`, int64 or float64."""
        values = self._first + index * self._step
        return values if self._scale == 1 else values / float(self._scale)

    def to_json(self) -> list[str | int]:
        """Start, step and count, the same for equal ranges."""
        return [f"{self.start.normalize():f}", f"{self.step.normalize():f}", self.count]

    @classmethod
    def from_json(cls, data: list[str | int]) -> Self:
        """The range that `to_json` wrote."""
        return cls(Decimal(data[0]), Decimal(data[1]), int(data[2]))

    def __str__(self) -> str:
        """As Hydra writes it."""
        return f"range({self.start},{self.start + self.count * self.step},{self.step})"


Values: TypeAlias = tuple[Value, ...] | Range
"""The values of an axis, in order."""
