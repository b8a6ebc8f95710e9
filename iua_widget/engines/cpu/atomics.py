"""Numbers that several threads read and write at once, without the interpreter's lock.

A thread that sleeps, be it for the interpreter's lock, needs longer to go on than many a loop
takes. So threads wait awake for a while, and share a layer's units in compiled code.
"""

from __future__ import annotations

import inspect
import platform
from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

from iua_widget.engines.cpu.kernels import compiled

_LOOKS: Final = 40_000
"""Some tenths of a millisecond: longer than what is done between two batches' loops."""

_GRACE: Final = 2_000
"""So long that who has written no longer has the interpreter's lock: to wait for it is to sleep."""

AVAILABLE: Final = not numba.config.DISABLE_JIT  # type: ignore[attr-defined]
_HAS_PAUSE: Final = platform.machine().lower() in {"x86_64", "amd64"}


def _intrinsic(code: Callable[..., Any], result: Any = types.uint64) -> Any:
    """Make what `code` builds, from a pointer to a number, callable from a loop with an array."""

    def typed(_context: Any, place: Any, *others: Any) -> Any:
        def build(context: Any, builder: Any, _: Any, values: Any) -> Any:
            number = context.make_array(place)(context, builder, values[0]).data
            return code(builder, number, *values[1:])

        return result(place, *others), build

    typed.__signature__ = inspect.signature(code)  # type: ignore[attr-defined]
    return intrinsic(typed)


def _look(builder: Any, number: Any) -> Any:
    if _HAS_PAUSE:
        nothing = ir.FunctionType(ir.VoidType(), [])
        name = "llvm.x86.sse2.pause"
        builder.call(
            builder.module.globals.get(name) or ir.Function(builder.module, nothing, name), []
        )
    return builder.load_atomic(number, "acquire", 8)


def _set(builder: Any, number: Any, value: Any) -> Any:
    builder.store_atomic(value, number, "release", 8)
    return value


look = _intrinsic(_look)
put = _intrinsic(_set)
add = _intrinsic(
    lambda builder, number, more: builder.atomic_rmw("add", number, more, "acq_rel"), types.int64
)
"""What a number was before more was added, by this thread alone."""


@compiled
def changes(place: np.ndarray, seen: np.uint64) -> bool:
    """Wait a little for another thread to write.

    Parameters
    ----------
    place : numpy.ndarray of uint64, shape (1,)
    seen : numpy.uint64
        What it was.

    Returns
    -------
    bool
        Whether it is something else now.
    """
    for _ in range(_LOOKS):  # noqa: SIM110  (numba has no `any`)
        if look(place) != seen:
            return True
    return False


@compiled
def write_and_wait(
    written: np.ndarray, value: np.uint64, place: np.ndarray, seen: np.uint64
) -> bool:
    """Write a number, then do what `changes` does.

    Who waits for what is written can then have the interpreter's lock at once.

    Parameters
    ----------
    written : numpy.ndarray of uint64, shape (1,)
    value : numpy.uint64
    place, seen
        See `changes`.
    """
    put(written, value)
    if not changes(place, seen):
        return False
    for _ in range(_GRACE):
        look(place)
    return True
