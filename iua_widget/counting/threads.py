"""Loops that let go of the interpreter's lock, on all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final

from iua_widget.counting import openmp
from iua_widget.interrupts import interrupts_held

_SMALL: Final = 2**16
"""Responses below which another thread costs more than it saves."""

_RANGE: Final = 2**18
"""Responses that take so long that to fetch the next range costs nothing beside it."""

_RANGES_PER_CORE: Final = 4

_pool: ThreadPoolExecutor | None = None


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_parallel(work: Callable[[int, int], object], units: int, size: int, alignment: int) -> None:
    """Call ``work(start, stop)`` for ranges that together are all units, on all cores.

    Every core takes the next range as soon as it is done with one: another program, or the threads
    of the model's own library, may hold one of them up. Where that library has a team of threads,
    it is these that do the work: see `openmp.team`.

    Parameters
    ----------
    work : callable
        Lets go of the interpreter's lock, and writes nothing another range writes.
    units : int
    size : int
        Responses in all, which decides whether threads are worth it.
    alignment : int
        Ranges begin at its multiples, so that no two share a line of the cache.

    Examples
    --------
    >>> in_parallel(lambda start, stop: print(start, stop), 100, 10, 64)
    0 100
    """
    most = cores() if size >= _SMALL else 1
    ranges = max(most, min(_RANGES_PER_CORE * most, size // _RANGE))
    step = max(-(-units // (ranges * alignment)) * alignment, alignment)
    starts = list(range(0, units, step))
    if len(starts) <= 1 or most == 1:
        work(0, units)
        return
    left = deque(starts)
    errors: list[BaseException] = []

    def take_ranges() -> None:
        try:
            while True:
                try:
                    start = left.popleft()
                except IndexError:
                    return
                work(start, min(start + step, units))
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    team = openmp.team()
    # Nothing is returned, nor raised, while another thread still writes.
    with interrupts_held():
        if team is not None:
            team(take_ranges)
        else:
            _run_on_pool(take_ranges, min(most, len(starts)))
    if errors:
        raise errors[0]


def _run_on_pool(work: Callable[[], None], threads: int) -> None:
    others = [_threads().submit(work) for _ in range(threads - 1)]
    work()
    wait(others)


def _threads() -> ThreadPoolExecutor:
    global _pool  # noqa: PLW0603
    if _pool is None:
        _pool = ThreadPoolExecutor(max(cores() - 1, 1), thread_name_prefix="iua_widget count")
    return _pool


def _forget() -> None:
    """A forked process has none of its parent's threads."""
    global _pool  # noqa: PLW0603
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
