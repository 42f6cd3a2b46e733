"""Functions that numba compiles, or that run as the plain Python they are while there is little to
do: loading a compiler takes longer than a small run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial, update_wrapper
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

    To numba it is the compiled function, so kernels call each other. The code is kept on disk.
    """

    def __init__(self, function: Callable[..., Any], how: str = "njit", **options: Any) -> None:
        self._function, self._how, self._options = function, how, options
        update_wrapper(self, function)
        _KERNELS.append(self)

    def __call__(self, *arguments: Any) -> Any:
        return (self._function if _State.interpreting else self._compiled)(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)

    @cached_property
    def _compiled(self) -> Any:
        import numba
        from numba.extending import typeof_impl

        typeof_impl.register(Kernel)(lambda kernel, context: typeof_impl(kernel._compiled, context))
        return getattr(numba, self._how)(cache=True, **self._options)(self._function)


compiled: Final = Kernel
"""Compile a function of anything that numba knows."""

inlined: Final = partial(Kernel, inline="always")
"""The same, compiled into its callers."""

elementwise: Final = partial(Kernel, how="vectorize")
"""Compile a function of numbers into one of arrays; numpy interprets it without loops."""


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
