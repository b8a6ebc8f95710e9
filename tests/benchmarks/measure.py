"""Measuring side by side: ours and another's in turn, pair by pair, in one process."""

from __future__ import annotations

import gc
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Spread:
    """What several measurements gave."""

    lowest: float
    median: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(min(values), statistics.median(values), max(values))


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    what, against : str
        What was measured, on what; and what it is compared with.
    spread : Spread
        Of the ratios, pair by pair, or of seconds.
    figures : str
        The absolute figures behind it.
    must, goal : float or None
        What the median is held to; None where nothing is laid down.
    better : {"lower", "higher"}
    unit : {"x", "s", "ms", "µs"}
        Whether `spread` is ratios, seconds, milliseconds or microseconds.
    """

    what: str
    against: str
    spread: Spread
    figures: str
    must: float | None = None
    goal: float | None = None
    better: Literal["lower", "higher"] = "lower"
    unit: Literal["x", "s", "ms", "µs"] = "x"

    @property
    def reached(self) -> str:
        """Which of the two the median reaches, to two decimals where less is better."""
        median = self.spread.median
        for name, limit in (("goal", self.goal), ("must", self.must)):
            if limit is not None:
                near = round(median, 2) <= limit if self.better == "lower" else median >= limit
                if near:
                    return name
        return "" if self.must is None else "missed"


@dataclass(frozen=True)
class Pairs:
    """Seconds of ours and of theirs, each pair measured one right after the other."""

    ours: list[float]
    theirs: list[float]

    @property
    def overhead(self) -> Spread:
        """Ours over theirs."""
        return Spread.of([o / t for o, t in zip(self.ours, self.theirs, strict=True)])

    @property
    def speedup(self) -> Spread:
        """Theirs over ours."""
        return Spread.of([t / o for o, t in zip(self.ours, self.theirs, strict=True)])

    @property
    def our_median(self) -> float:
        return statistics.median(self.ours)

    @property
    def their_median(self) -> float:
        return statistics.median(self.theirs)

    def in_words(self, ours: str, theirs: str) -> str:
        """Medians and, as other programs may be running, the shortest of each."""
        return (
            f"{ours} {seconds(self.our_median)} (at best {seconds(min(self.ours))}), "
            f"{theirs} {seconds(self.their_median)} (at best {seconds(min(self.theirs))}), "
            f"{len(self.ours)} pairs"
        )


def side_by_side(
    ours: Callable[[], object], theirs: Callable[[], object], *, pairs: int, warm: int = 1
) -> Pairs:
    """Time two things in turn, so that whatever else the machine does falls on both.

    Parameters
    ----------
    ours, theirs : callable
    pairs : int
        How often each is timed.
    warm : int
        Pairs before that whose times are thrown away: compiling, caches, first touches.
    """
    look_for_loops_at_once()
    loops_were_compiled()  # those of what was measured before
    for _ in range(warm):
        ours()
        theirs()
    while warm and loops_were_compiled():
        ours()
    times = Pairs([], [])
    for pair in range(pairs):
        # Now one first, now the other: neither always finds the caches the other left.
        order = [(ours, times.ours), (theirs, times.theirs)]
        for work, into in order if pair % 2 else reversed(order):
            into.append(timed(work))
    return times


def look_for_loops_at_once() -> None:
    """Have runs of this process look for compiled loops from their first batch on."""
    importlib.import_module("iua_widget.engines.cpu.kernels")


def loops_were_compiled() -> bool:
    """Wait for the loops that runs so far have asked for; whether any were missing."""
    compiler = loop_compiler()
    return compiler is not None and compiler.wait()


def loop_compiler() -> Any:
    """What has loops compiled, where a run has looked for any; otherwise None."""
    compiling = sys.modules.get("iua_widget.engines.compiling")
    return compiling.loop_compiler() if compiling else None


def timed(work: Callable[[], object]) -> float:
    """Seconds that one call takes, garbage collected before and not meanwhile."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        result = work()
        took = time.perf_counter() - start
    finally:
        if enabled:
            gc.enable()
    del result
    return took


def processor_times(turns: int, *works: Callable[[], object], times: int = 1) -> list[list[float]]:
    """Seconds of the processor that each of some takes, turn by turn."""
    found: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for turn in range(turns):
        order = [*zip(works, found, strict=True)]
        for work, into in order if turn % 2 else reversed(order):
            start = time.process_time()
            for _ in range(times):
                work()
            into.append((time.process_time() - start) / times)
    return found


@contextmanager
def one_core() -> Iterator[None]:
    """Have this process, and PyTorch in it, compute on one core."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()
    if cores:
        os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if cores:
            os.sched_setaffinity(0, cores)


def seconds(value: float) -> str:
    """A duration to read: ``1.23 s``, ``45.6 ms``, ``7.8 µs``.

    Examples
    --------
    >>> seconds(1.234), seconds(0.0456), seconds(7.8e-06)
    ('1.23 s', '45.6 ms', '7.8 µs')
    """
    if value >= 1:
        return f"{value:.3g} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def size(count: float) -> str:
    """An amount of memory to read.

    Examples
    --------
    >>> size(1_500_000_000), size(2048)
    ('1.4 GiB', '2 KiB')
    """
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return (
                f"{count / unit:.2g} {name}" if count < 10 * unit else f"{count / unit:.0f} {name}"
            )
    return f"{count:.0f} B"
