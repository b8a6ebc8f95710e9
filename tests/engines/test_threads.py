"""Work on all cores, on threads of our own."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import pytest

from iua_widget.engines import threads
from iua_widget.engines.cpu import avx512
from iua_widget.engines.threads import all_in_parallel, in_parallel, in_turns

pytestmark = pytest.mark.slow


SIZE = 2**22

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 2)


def results_of(work: Callable[[int, int], Any], size: int = SIZE) -> list[Any]:
    """What the calls for a thousand units returned, in the order of the ranges."""
    results: dict[int, Any] = {}

    def keep(start: int, stop: int) -> None:
        results[start] = work(start, stop)

    in_parallel(keep, 1000, size, 64)
    return [results[start] for start in sorted(results)]


def slow_native_id(*_: int) -> int:
    time.sleep(0.01)
    return threading.get_native_id()


def test_ranges_are_all_units_in_order_on_two_threads() -> None:
    ranges = results_of(lambda start, stop: (start, stop))
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 1000
    assert all(before[1] == after[0] for before, after in pairwise(ranges))
    used = set(results_of(slow_native_id))
    assert threading.get_native_id() in used
    assert len(used) == 2


def test_an_error_is_raised_once_the_other_threads_are_done() -> None:
    begun, ended = [], []

    def work(start: int, _: int) -> None:
        begun.append(start)
        if not start:
            message = "the first range"
            raise IndexError(message)
        time.sleep(0.01)
        ended.append(start)

    with pytest.raises(IndexError, match="the first range"):
        in_parallel(work, 1000, SIZE, 64)
    assert sorted(begun) == [0, *sorted(ended)]


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_waits_for_the_other_threads_and_is_not_lost() -> None:
    ended = []

    def work(start: int, stop: int) -> None:
        if not start:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        ended.append((start, stop))

    with pytest.raises(KeyboardInterrupt):
        in_parallel(work, 1000, SIZE, 64)
    assert sum(stop - start for start, stop in ended) == 1000
    assert results_of(lambda start, stop: stop - start, 1) == [1000]


FORKED = """
import os, sys
import numpy as np, torch
torch.set_num_threads(2)
from iua_widget import IUA
values = np.random.default_rng(0).standard_normal((64, 10_000), np.float32)
def counted():
    iua = IUA.introspect({"layer": values}, batch_size=64)
    return iua.results["layer"].unit_inactive_count.sum()
expected = counted()
torch.relu(torch.from_numpy(values) * 1.0)
child = os.fork()
if not child:
    os._exit(0 if counted() == expected else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_counts_on_threads_of_its_own() -> None:
    """Those of its parent are not there, and to wait for them would be to wait for ever."""
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=120)


BUILDING = """
import multiprocessing, os, sys
import numpy as np, torch
torch.set_num_threads(2)
from iua_widget import IUA, IUAWidget
values = np.random.default_rng(0).standard_normal((64, 40_000), np.float32)
IUA.introspect({"layer": values}, batch_size=64, engine="cpu")
w = IUAWidget({"layer": values}, batch_size=1)  # which counts on, on a thread of its own
def child(_=0):
    layer = torch.nn.Linear(1000, 1000)
    iua = IUA.introspect(torch.nn.Sequential(layer, torch.nn.ReLU()), [torch.randn(300, 1000)])
    again = IUA.introspect({"layer": values}, batch_size=64, engine="cpu")
    assert w.wait(30)
    return int(again.results["layer"].dead), iua.probes
for _ in range(4):
    pid = os.fork()
    if not pid:
        os._exit(child() != (0, 300))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
w.stop()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(child, range(3)) == [(0, 300)] * 3
w.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_builds_layers_and_counts_while_its_parent_does() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", BUILDING], check=True, timeout=120)


LOCKED = """
import os, threading
from iua_widget.common.forks import free_in_child
for make in (threading.Lock, threading.RLock, threading.Condition):
    lock = free_in_child(make())
    other = threading.Thread(target=lock.acquire)
    other.start()
    other.join()
    child = os.fork()
    if not child:
        os._exit(not lock.acquire(blocking=False))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, make
"""


IMPORTING = """
import os, pathlib, sys, tempfile, threading
from iua_widget.common.forks import no_fork_within
begun = threading.Event()
with tempfile.TemporaryDirectory() as folder:
    slow = "import __main__, time; __main__.begun.set(); time.sleep(0.2)"
    pathlib.Path(folder, "slow.py").write_text(slow)
    sys.path.append(folder)
    def work():
        with no_fork_within():
            import slow
    threading.Thread(target=work).start()
    begun.wait()
    child = os.fork()
    if not child:
        import slow
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_finds_nothing_half_imported() -> None:
    """A module that a thread of its parent was importing would be locked for ever."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", IMPORTING], check=True, timeout=60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_finds_locks_free() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", LOCKED], check=True, timeout=60)


def test_counting_while_a_model_runs_on_another_thread() -> None:
    from iua_widget import IUA

    values = np.random.default_rng(0).standard_normal((64, 20_000), np.float32)
    alone = IUA.introspect({"layer": values}, batch_size=64)
    stop = threading.Event()

    def model() -> None:
        weights = torch.randn(300, 300)
        while not stop.is_set():
            torch.relu(weights @ weights)

    other = threading.Thread(target=model)
    other.start()
    try:
        for _ in range(5):
            beside = IUA.introspect({"layer": values}, batch_size=64)
            assert np.array_equal(
                beside.results["layer"].unit_inactive_count,
                alone.results["layer"].unit_inactive_count,
            )
    finally:
        stop.set()
        other.join()


def test_jobs_are_done_once_each_and_small_ones_on_a_thread_each() -> None:
    done: dict[int, list[int]] = {number: [] for number in range(20)}

    def job(number: int) -> Callable[[], None]:
        def work(*_: int) -> None:
            done[number].append(slow_native_id())

        return lambda: in_parallel(work, 1000, SIZE, 64)

    all_in_parallel([(SIZE, job(number)) for number in done])
    assert all(len(set(used)) == 1 for used in done.values())
    assert len({used[0] for used in done.values()}) == 2


def test_a_large_job_is_done_by_all_threads() -> None:
    found: dict[str, list[Any]] = {}

    def large() -> None:
        found["large"] = results_of(slow_native_id)

    def small() -> None:
        found["small"] = results_of(slow_native_id)

    all_in_parallel([(SIZE // 100, small), (SIZE, large)])
    assert len(set(found["large"])) == 2
    assert len(set(found["small"])) == 1


def test_an_error_in_a_job_is_raised_and_the_threads_serve_on() -> None:
    done = []

    def job(number: int) -> Callable[[], None]:
        def work() -> None:
            if number == 3:
                message = f"job {number}"
                raise ValueError(message)
            done.append(number)

        return work

    with pytest.raises(ValueError, match="job 3"):
        all_in_parallel([(SIZE, job(number)) for number in range(8)])
    assert 3 not in done
    assert len(set(results_of(slow_native_id))) == 2


def test_threads_share_the_units_by_themselves() -> None:
    taken_by: dict[int, list[int]] = {}

    def work(taken: np.ndarray) -> None:
        mine = taken_by.setdefault(threading.get_native_id(), [])
        while (start := int(take(taken, 10))) < 1000:
            time.sleep(0.001)
            mine.append(start)

    in_turns(work, SIZE)
    assert len(taken_by) == 2
    starts = [start for mine in taken_by.values() for start in mine]
    assert sorted(starts) == list(range(0, 1000, 10))


@numba.njit(nogil=True)
def take(taken: np.ndarray, more: int) -> int:
    return int(avx512.take(taken, more))


def test_runs_on_several_threads_do_not_wait_for_each_other() -> None:
    """Who finds our threads taken does its work alone."""
    found: list[list[Any]] = []
    runs = [
        threading.Thread(target=lambda: found.append(results_of(lambda start, stop: (start, stop))))
        for _ in range(8)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert len(found) == 8
    assert all(ranges[0][0] == 0 and ranges[-1][1] == 1000 for ranges in found)


def test_a_thread_that_is_not_free_holds_on_to_nothing_it_was_given() -> None:
    taken, free = threading.Event(), threading.Event()

    def hold() -> None:
        taken.set()
        assert free.wait(60)

    held = threads._pool().submit(hold)
    for _ in range(threads.cores() - 2):
        threads._pool().submit(free.wait, 60)
    assert taken.wait(60)
    bins = np.zeros(8)
    kept = weakref.ref(bins)
    in_parallel(functools.partial(lambda bins, *_: bins[0], bins), 1000, SIZE, 64)
    del bins
    assert kept() is None
    free.set()
    held.result(60)


def test_our_threads_sleep_and_wake_however_long_the_pause() -> None:
    for pause in (0, 1e-5, 1e-4, 5e-4, 1e-3, 1e-2) * 5:
        time.sleep(pause)
        assert results_of(lambda start, _: start)[0] == 0


@pytest.mark.parametrize("modules", ["", "import torch"])
def test_a_process_ends_though_a_run_was_left_half_way(modules: str) -> None:
    """What is left of it is put in order when other threads can do nothing any more."""
    script = f"""
{modules}
import numpy as np
from iua_widget import IUA
from iua_widget.engines import threads
from iua_widget.run.loop import count
from iua_widget.run.open import open_source

threads.cores = lambda: 2
one = np.ones((96, 30_000), np.float32)
iua = IUA(engine="cpu")
steps = count(iua._run, open_source({{letter: one for letter in "abcdef"}}))
next(steps), next(steps)
assert iua._run.tally("a").waiting == 64
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr
