"""Runs functions on the threads of PyTorch's OpenMP team, which would otherwise hold the cores."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Any, Final

from iua_widget.common.forks import in_child

_REGION: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

_forked = _used = False


def team() -> Callable[[Callable[[], None]], None] | None:
    """What runs a function on every thread of PyTorch's OpenMP team.

    Between two operations of a model these threads do not sleep: for some milliseconds they wait
    for the next in a loop that keeps their cores busy, so that other threads get only a part of
    them. Counting, which comes between two operations, therefore runs on them.

    Returns
    -------
    callable or None
        Calls a function once on each thread of the team, and returns when all are done. What the
        function raises would be lost: it must not raise, nor be interrupted. None where there is
        no such team: without PyTorch, on systems where it does not use the interface of GNU's
        OpenMP (which Intel's and LLVM's have, too, on Linux), with one thread, and in a process
        that was forked, where the threads are gone.

    Examples
    --------
    >>> import torch
    >>> run = team()
    >>> done = []
    >>> if run is not None:
    ...     run(lambda: done.append(True))
    """
    runtime = None if _forked or "torch" not in sys.modules else _runtime()
    if runtime is None or runtime.omp_in_parallel() or runtime.omp_get_max_threads() == 1:
        return None
    parallel = runtime.GOMP_parallel

    def run(work: Callable[[], None]) -> None:
        global _used  # noqa: PLW0603
        _used = True
        parallel(_REGION(lambda _: work()), None, 0, 0)

    return run


@functools.cache
def _runtime() -> Any:
    """The OpenMP library whose names PyTorch has made known to the whole process."""
    if not sys.platform.startswith("linux"):
        return None
    process = ctypes.CDLL(None)
    try:
        process.GOMP_parallel.argtypes = [_REGION, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        process.GOMP_parallel.restype = None
        process.omp_get_max_threads.restype = process.omp_in_parallel.restype = ctypes.c_int
    except AttributeError:
        return None
    return process


def _after_fork() -> None:
    """Have a forked process not wait for threads that it has not got.

    GNU's OpenMP hands the next piece of work to the team that its parent had, and waits for ever.
    Where counting has begun that team, PyTorch is told to do without one.
    """
    global _forked  # noqa: PLW0603
    _forked = True
    if _used:
        sys.modules["torch"].set_num_threads(1)


in_child(_after_fork)
