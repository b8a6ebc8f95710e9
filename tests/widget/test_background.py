"""A run can be held, ended, waited for and can fail, without losing count."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator

import pytest
from waiting import until

from iua_widget.widget.background import BackgroundRun, Progress
from iua_widget.widget.pacing import FrameCost, FrameOrder, FramePacer


class Steps:
    """Steps that wait to be let through one by one, and tell when they are closed."""

    def __init__(self, count: int = 1000) -> None:
        self.count = count
        self.gate = threading.Semaphore(0)
        self.taken = 0
        self.closed = threading.Event()

    def open(self) -> Generator[int]:
        try:
            for _ in range(self.count):
                self.gate.acquire()
                self.taken += 1
                yield 10
        finally:
            self.closed.set()

    def let(self, number: int) -> None:
        self.gate.release(number)


def test_a_run_goes_through_to_its_end() -> None:
    seen: list[str] = []
    steps = Steps(3)
    run = BackgroundRun(steps.open, total=lambda: 30, on_status=lambda: seen.append(run.status))
    assert run.status == "idle"
    run.start()
    assert run.status == "running"
    assert not run.wait(0.01)
    steps.let(3)
    assert run.wait(20)
    assert (run.status, run.progress.probes, run.error) == ("done", 30, None)
    assert seen == ["running", "done"]
    assert steps.closed.is_set()


def test_pause_returns_when_the_run_is_held_and_nothing_is_counted_until_resume() -> None:
    steps = Steps(6)
    run = BackgroundRun(steps.open)
    run.start()
    steps.let(2)
    until(lambda: steps.taken == 2)
    run.pause(wait=False)
    steps.let(2)
    until(lambda: run.status == "paused")
    held = run.progress
    assert held.probes in (20, 30)
    time.sleep(0.05)
    assert run.progress == held, "time or probes went on during the pause"
    run.resume()
    steps.let(2)
    assert run.wait(20)
    assert run.progress.probes == 60


def test_stop_ends_the_run_closes_the_stream_and_keeps_the_count() -> None:
    steps = Steps()
    run = BackgroundRun(steps.open)
    run.start()
    steps.let(3)
    until(lambda: steps.taken == 3)
    run.stop(wait=False)
    steps.let(1)
    assert run.wait(20)
    assert run.status == "stopped"
    assert run.progress.probes in (30, 40)
    assert steps.closed.is_set()


def test_stop_ends_a_paused_run() -> None:
    steps = Steps()
    run = BackgroundRun(steps.open)
    run.start()
    run.pause(wait=False)
    steps.let(2)
    until(lambda: run.status == "paused")
    run.stop()
    assert (run.status, steps.closed.is_set()) == ("stopped", True)


def test_a_run_that_fails_keeps_its_error_and_count() -> None:
    def failing() -> Generator[int]:
        yield 10
        raise OSError("gone")

    run = BackgroundRun(failing)
    run.start()
    assert run.wait(20)
    assert run.status == "failed"
    assert isinstance(run.error, OSError)
    assert run.progress.probes == 10


def test_a_producer_may_end_its_own_run() -> None:
    def steps() -> Generator[int]:
        yield 10
        run.stop()
        yield 10
        raise AssertionError("went on")

    run = BackgroundRun(steps)
    run.start()
    assert run.wait(20)
    assert (run.status, run.progress.probes) == ("stopped", 20)


def test_in_the_foreground_start_returns_at_the_end() -> None:
    run = BackgroundRun(lambda: (probes for probes in [1, 2]))
    run.start(background=False)
    assert (run.status, run.progress.probes, run.wait(0)) == ("done", 3, True)


def test_an_interrupt_in_the_foreground_stops_and_goes_on_up() -> None:
    def steps() -> Generator[int]:
        yield 5
        raise KeyboardInterrupt

    run = BackgroundRun(steps)
    with pytest.raises(KeyboardInterrupt):
        run.start(background=False)
    assert (run.status, run.progress.probes) == ("stopped", 5)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
def test_what_would_end_a_program_fails_a_run_in_the_background(kind: type[BaseException]) -> None:
    def steps() -> Generator[int]:
        yield 5
        raise kind("of its own")

    run = BackgroundRun(steps)
    run.start()
    assert run.wait(60)
    assert (run.status, run.progress.probes) == ("failed", 5)
    assert f"{kind.__name__} ended the run: of its own." in str(run.error)


def test_a_run_waits_for_the_one_it_follows() -> None:
    first_steps, second_steps = Steps(1), Steps(1)
    second_steps.let(1)
    first, second = BackgroundRun(first_steps.open), BackgroundRun(second_steps.open)
    first.start()
    second.start(after=first)
    time.sleep(0.02)
    assert second_steps.taken == 0
    first_steps.let(1)
    assert second.wait(20)
    assert second_steps.taken == 1


def test_the_status_is_announced_before_those_who_wait_go_on() -> None:
    announced: list[str] = []

    def announce() -> None:
        time.sleep(0.02)
        announced.append(run.status)

    steps = Steps()
    run = BackgroundRun(steps.open, on_status=announce)
    run.start()
    steps.let(100)
    run.pause()
    assert announced[-1] == "paused"
    run.stop()
    assert announced[-1] == "stopped"


def test_progress_knows_rate_and_time_left_only_where_it_can() -> None:
    progress = Progress(50, 200, 2.0)
    assert (progress.rate, progress.remaining) == (25, 6)
    assert Progress(0, 200, 0.0).rate is None
    assert Progress(50, None, 2.0).remaining is None
    assert Progress(300, 200, 2.0).remaining == 0


def test_frames_are_coalesced_and_the_last_request_is_always_served() -> None:
    state, sent = [0], list[int]()

    def send(_order: FrameOrder) -> FrameCost:
        sent.append(state[0])
        return FrameCost(1000)

    pacer = FramePacer(send)
    for value in range(1, 2001):
        state[0] = value
        pacer.request()
    until(lambda: bool(sent) and sent[-1] == 2000)
    assert len(sent) < 10
    pacer.close()


def test_an_urgent_request_does_not_wait_for_the_pace() -> None:
    sent = threading.Event()
    costs = [1.0]

    def send(_order: FrameOrder) -> FrameCost:
        sent.set()
        return FrameCost(1000, locked=costs.pop() if costs else 0.0)

    pacer = FramePacer(send)
    pacer.flush()  # held up the count for 1 s: the next paced frame is half a minute away
    sent.clear()
    pacer.request()
    assert not sent.wait(0.3)
    pacer.request(urgent=True)
    assert sent.wait(10)
    pacer.close()


def test_a_closed_pacer_sends_nothing() -> None:
    sent: list[int] = []

    def send(order: FrameOrder) -> FrameCost:
        sent.append(order.number)
        return FrameCost(1000)

    pacer = FramePacer(send)
    pacer.close()
    pacer.request(urgent=True)
    pacer.flush()
    time.sleep(0.05)
    assert sent == []


def test_frames_are_never_built_twice_at_once() -> None:
    inside = threading.Semaphore(1)
    overlaps: list[int] = []

    def send(order: FrameOrder) -> FrameCost:
        if not inside.acquire(blocking=False):
            overlaps.append(order.number)
            return FrameCost(0)
        time.sleep(0.01)
        inside.release()
        return FrameCost(1000)

    pacer = FramePacer(send)
    threads = [threading.Thread(target=pacer.flush) for _ in range(8)]
    for thread in threads:
        thread.start()
        pacer.request(urgent=True)
    for thread in threads:
        thread.join()
    pacer.close()
    assert overlaps == []


def test_a_run_that_was_about_to_end_is_at_an_end_in_a_forked_process() -> None:
    about_to_end, go_on = threading.Event(), threading.Event()

    def on_status() -> None:
        if run.status == "done":
            about_to_end.set()
            go_on.wait(20)

    run = BackgroundRun(lambda: (probes for probes in [1]), on_status=on_status)
    run.start()
    assert about_to_end.wait(20)
    assert not run.wait(0)
    run.leave_to_parent()
    assert run.wait(0)
    assert run.status == "done"
    go_on.set()
