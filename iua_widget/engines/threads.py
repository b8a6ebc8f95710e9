"""Runs loops that release the GIL in parallel, over all cores."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, TypeVar

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.forks import in_child
from iua_widget.common.interrupts import interrupts_held

_SMALL: Final = 2**16
"""Responses below which another thread costs more than it saves."""

_WORTH_A_THREAD: Final = 2**19
"""Responses that take several times as long as to call a thread. Threads are called one after the
other: on 16 cores, 8 have done 4 million responses sooner than 16."""

RANGE: Final = 2**19
"""Responses that take so long that to fetch the next range costs nothing beside it, and whose bins
and sums still are in the cache when they are looked at again."""

UNIT_ALIGNMENT: Final = 64
"""Units of which no two threads share a line of the cache, if each has a byte at least."""

_LARGE_JOBS_PER_CORE: Final = 2
"""With all jobs smaller than that, one core is at most so much later than the others."""

_Task = TypeVar("_Task")

_thread = threading.local()


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_parallel(work: Callable[[int, int], object], units: int, size: int, alignment: int) -> None:
    """Call ``work(start, stop)`` for ranges that together are all units, on all cores.

    Every core takes the next range as soon as it is done with one: another program, or the threads
    of the model's own library, may hold one of them up.

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
    ranges = max(most, size // RANGE)
    step = max(-(-units // (ranges * alignment)) * alignment, alignment)
    if most == 1:
        for start in range(0, units, step):
            work(start, min(start + step, units))
        return
    last = max(units - most * step, 0) // step * step
    small_step = max(step // (4 * alignment) * alignment, alignment)
    starts = [*range(0, last, step), *range(last, units, small_step)]
    _on_all_cores(
        lambda each: work(*each), list(zip(starts, [*starts[1:], units], strict=True)), most
    )


def in_turns(work: Callable[[np.ndarray], object], size: int) -> None:
    """Call ``work(taken)`` on all cores, which share the units of a layer by themselves.

    Unlike those of `in_parallel`, their loops need not come back for each range: they take it from
    `taken` in compiled code.

    Parameters
    ----------
    work : callable
        Given the units taken so far (uint64, shape (1,)): see `avx512.take`. Lets go of the
        interpreter's lock, and writes nothing that belongs to units it has not taken.
    size : int
        Responses in all, which decides whether threads are worth it.

    Examples
    --------
    >>> in_turns(lambda taken: print(taken), 10)
    [0]
    """
    taken = np.zeros(1, np.uint64)
    most = _cores_for(size)
    if most == 1:
        work(taken)
    else:
        _on_all_cores(lambda _: work(taken), range(most), most)


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
    if size < _SMALL or getattr(_thread, "is_taken", False):
        return 1
    return min(cores(), max(2, size // _WORTH_A_THREAD))


def _on_all_cores(work: Callable[[_Task], object], tasks: Sequence[_Task], most: int) -> None:
    """Call `work` with each task, on at most so many threads."""
    left, at_hand = deque(tasks), [work]
    errors: list[BaseException] = []

    @as_ieee
    def take_tasks() -> None:
        try:
            while True:
                try:
                    task = left.popleft()
                except IndexError:
                    return
                at_hand[0](task)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    alone = sys.is_finalizing()  # other threads no longer get the interpreter's lock
    # Nothing is returned, nor raised, while another thread still writes.
    with interrupts_held():
        _on_threads(take_tasks, 1 if alone else min(most, len(tasks)))
        # A thread that has other work, or no core, lets go of what it was given only later.
        at_hand.clear()
        left.clear()
    if errors:
        raise errors[0]


def _on_threads(work: Callable[[], None], threads: int) -> None:
    """Call `work` on so many threads, this one among them; it must not raise.

    Threads that another run has taken are not waited for.
    """
    begun: list[Future[None]] = []
    with contextlib.suppress(RuntimeError):  # the interpreter is about to end
        begun.extend(_pool().submit(work) for _ in range(threads - 1))
    work()
    wait([other for other in begun if not other.cancel()])


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(cores() - 1, 1), "iua_widget count")


in_child(_pool.cache_clear)  # a forked process has none of its parent's threads
