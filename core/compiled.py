"""Functions that numba compiles, or that run as the plain Python they are while there is little to
do: loading a compiler takes longer than a small run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, update_wrapper
from typing import Any, Final

import numpy as np

PATIENCE: Final = 20_000
"""Loop steps that one process interprets in all: they take as long as numba takes to import."""


class _State:
    interpreting = False
    steps_left: float = PATIENCE


_KERNELS: "list[Kernel]" = []


class Kernel:
    """A function that is compiled at its first call, unless it is called inside `interpreted`.

    To numba it is the compiled function, so kernels call each other.
    """

    def __init__(
        self, function: Callable[..., Any], is_elementwise: bool = False, **options: Any
    ) -> None:
        self._function, self._options = function, options
        self._is_elementwise = is_elementwise
        update_wrapper(self, function)
        _KERNELS.append(self)

    def __call__(self, *arguments: Any) -> Any:
        return (self._function if _State.interpreting else self._compiled)(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)

    @cached_property
    def _compiled(self) -> Any:
        from numba import njit, vectorize
        from numba.extending import typeof_impl

        typeof_impl.register(Kernel)(lambda kernel, context: typeof_impl(kernel._compiled, context))
        how = vectorize if self._is_elementwise else njit
        return how(cache=True, **self._options)(self._function)


def compiled(function: Callable[..., Any]) -> Kernel:
    """Compile `function`, and keep the code on disk."""
    return Kernel(function)


def inlined(function: Callable[..., Any]) -> Kernel:
    """The same, compiled into its callers."""
    return Kernel(function, inline="always")


def elementwise(function: Callable[..., Any]) -> Kernel:
    """Compile a function of numbers into one of arrays; numpy interprets it without loops."""
    return Kernel(function, is_elementwise=True)


@contextmanager
def interpreted(steps: float) -> Iterator[None]:
    """Interpret kernels in this block, unless its `steps` of loops are more than patience is left.

    Both ways give the same numbers, since it is the same code.
    """
    _State.steps_left -= steps
    _State.interpreting = _State.steps_left >= 0
    try:
        # Hashes wrap around uint64 on purpose; only interpreted code warns of it.
        with np.errstate(over="ignore" if _State.interpreting else None):
            yield
    finally:
        _State.interpreting = False


def compile_all() -> None:
    """Interpret nothing from now on: there is much to do."""
    _State.steps_left = -1


def nr_compiled() -> int:
    """Functions that were compiled or loaded so far: a call that adds to them tells no time."""
    used = (vars(kernel).get("_compiled") for kernel in _KERNELS)
    return sum(len(getattr(f, "signatures", getattr(f, "types", ()))) for f in used)
