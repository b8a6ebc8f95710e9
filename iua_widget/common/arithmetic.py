"""Arithmetic as IEEE 754 has it, whatever mode the thread and NumPy are in.

A thread may flush numbers that are too small for full precision to zero (by
`torch.set_flush_denormal`, or libraries compiled with ``-ffast-math``), or round another way; NumPy
may raise where something overflows. What is counted, and what zero is, must not depend on it.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np

_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")

_SMALLEST: Final = sys.float_info.min
_HALF, _ONE, _LITTLE = 0.5, 1.0, 1e-17
_thread = threading.local()
_ROOM: Final = 32
"""Numbers of eight bytes in which the state of a processor fits, as C keeps it."""

FLUSHED: Final = (
    "Numbers too small for full precision are flushed to zero in this thread "
    "(torch.set_flush_denormal(True), or a library compiled with -ffast-math): a response that a "
    "model computes below 1.2e-38 in float32, or 2.2e-308 in float64, is zero when it comes. What "
    "comes is counted as it is, 1e-40 as no zero, where `numpy.isclose` in this mode says zero."
)


def flushes() -> bool:
    """Whether this thread takes the smallest numbers for zero, or makes zeros of them.

    Examples
    --------
    >>> flushes()
    False
    """
    return _SMALLEST * _HALF == 0.0


def as_ieee(function: Callable[_Given, _Returned]) -> Callable[_Given, _Returned]:
    """Have a function compute as IEEE 754 has it, and NumPy raise nor warn of nothing within.

    The thread's mode is put back afterwards.

    Examples
    --------
    >>> @as_ieee
    ... def half(value):
    ...     return value / 2
    >>> with np.errstate(all="raise"):
    ...     half(np.array([5e-324]))
    array([0.])
    """

    @functools.wraps(function)
    def computed(*args: _Given.args, **kwargs: _Given.kwargs) -> _Returned:
        if getattr(_thread, "as_ieee", False):
            return function(*args, **kwargs)
        _thread.as_ieee = True
        try:
            with np.errstate(all="ignore"):
                if not (flushes() or _ONE + _LITTLE != _ONE or _ONE - _LITTLE != _ONE):
                    return function(*args, **kwargs)
                with _default_mode():
                    return function(*args, **kwargs)
        finally:
            _thread.as_ieee = False

    return computed


@contextmanager
def _default_mode() -> Iterator[None]:
    library = _library()
    if library is None:
        yield
        return
    before = (ctypes.c_uint64 * _ROOM)()
    library.fegetenv(before)
    library.fesetenv(_default(library))
    try:
        yield
    finally:
        library.fesetenv(before)


@functools.cache
def _library() -> Any:
    """C's own, where it has what it takes."""
    if sys.platform == "win32":
        return None
    process = ctypes.PyDLL(None)
    try:
        process.fesetenv.argtypes = process.fegetenv.argtypes = [ctypes.c_void_p]
    except AttributeError:
        return None
    return process


def _default(library: Any) -> Any:
    """What C calls ``FE_DFL_ENV``."""
    if sys.platform == "darwin":
        return ctypes.addressof(ctypes.c_char.in_dll(library, "_FE_DFL_ENV"))
    return ctypes.c_void_p(-1)
