"""Loops that let go of the interpreter's lock, on all cores."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final, TypeVar

from iua_widget.counting import openmp
from iua_widget.interrupts import interrupts_held

_SMALL: Final = 2**16
"""Responses below which another thread costs more than it saves."""

_RANGE: Final = 2**18
"""Responses that take so long that to fetch the next range costs nothing beside it."""

_RANGES_PER_CORE: Final = 4

_LARGE_JOBS_PER_CORE: Final = 2
"""With all jobs smaller than that, one core is at most so much later than the others."""

_Task = TypeVar("_Task")

_pool: ThreadPoolExecutor | None = None
_thread = threading.local()


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
    most = _cores_for(size)
    ranges = max(most, min(_RANGES_PER_CORE * most, size // _RANGE))
    step = max(-(-units // (ranges * alignment)) * alignment, alignment)
    starts = range(0, units, step)
    if len(starts) <= 1 or most == 1:
        work(0, units)
        return
    _on_all_cores(lambda start: work(start, min(start + step, units)), starts, most)


def all_in_parallel(jobs: Sequence[tuple[int, Callable[[], object]]]) -> None:
    """Do every one of some jobs that are independent of each other, on all cores.

    A large job is done by all cores together, if it calls `in_parallel`; of the others, each is
    done by one: several small ones in parallel cost less than one after the other.

    Parameters
    ----------
    jobs : sequence of (int, callable)
        The responses of each, and what is to be called.

    Examples
    --------
    >>> all_in_parallel([(10, lambda: print("one")), (20, lambda: print("two"))])
    one
    two
    """
    size = sum(size for size, _ in jobs)
    most = _cores_for(size)
    if most == 1:
        for _, job in jobs:
            job()
        return
    alone = size / (_LARGE_JOBS_PER_CORE * most)
    small = []
    for job_size, job in sorted(jobs, key=lambda each: each[0], reverse=True):
        if job_size > alone:
            job()
        else:
            small.append(job)

    def do(job: Callable[[], object]) -> None:
        _thread.is_taken = True
        try:
            job()
        finally:
            _thread.is_taken = False

    if small:
        _on_all_cores(do, small, most)


def _cores_for(size: int) -> int:
    """How many cores are to do so many responses: one, where all have work of their own."""
    return 1 if size < _SMALL or getattr(_thread, "is_taken", False) else cores()


def _on_all_cores(work: Callable[[_Task], object], tasks: Sequence[_Task], most: int) -> None:
    """Call `work` with each task, on as many threads as there are cores."""
    left = deque(tasks)
    errors: list[BaseException] = []

    def take_tasks() -> None:
        try:
            while True:
                try:
                    task = left.popleft()
                except IndexError:
                    return
                work(task)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    team = openmp.team()
    # Nothing is returned, nor raised, while another thread still writes.
    with interrupts_held():
        if team is not None:
            team(take_tasks)
        else:
            _run_on_pool(take_tasks, min(most, len(tasks)))
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
