"""Traffic to the page: how much, how often, and the cost of a silent page."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

from iua_widget import IUAWidget
from iua_widget.widget import cells
from iua_widget.widget.cells import CellRun
from iua_widget.widget.connection import LARGEST_FRAME, SMALLEST_FRAME, Connection
from iua_widget.widget.pacing import FrameCost, FrameOrder, FramePacer


def frames_in(seconds: float, page: Connection, size: int, answer_after: float | None) -> list[int]:
    """The sizes of the frames that go out to a page that answers so late, or never."""
    now, number, sizes = 0.0, 0, list[int]()
    answers: list[tuple[float, int]] = []
    while now < seconds:
        while answers and answers[0][0] <= now:
            due, shown = answers.pop(0)
            page.shown(shown, due)
        number += 1
        sizes.append(min(size, page.budget) if size > SMALLEST_FRAME else size)
        page.sent(number, sizes[-1], now)
        if answer_after is not None:
            answers.append((now + answer_after, number))
        now += page.pause
    return sizes


def test_a_page_that_answers_at_once_gets_five_small_frames_a_second() -> None:
    sizes = frames_in(60, Connection(), 20_000, answer_after=0.05)
    assert 290 <= len(sizes) <= 301


def test_to_a_page_that_never_answers_frames_get_rare() -> None:
    first_minute = frames_in(60, Connection(), 20_000, answer_after=None)
    first_hour = frames_in(3600, Connection(), 20_000, answer_after=None)
    assert len(first_minute) < 20
    assert len(first_hour) < 400


@pytest.mark.parametrize("size", [200_000, 4_500_000, LARGEST_FRAME])
def test_what_a_silent_page_is_sent_stays_small_however_long_the_run(size: int) -> None:
    day = sum(frames_in(86_400, Connection(), size, answer_after=None))
    week = sum(frames_in(7 * 86_400, Connection(), size, answer_after=None))
    assert day < 100 * 2**20
    assert week - day <= 4 * size


def test_a_slow_connection_gets_smaller_frames_and_a_quick_one_large_ones_again() -> None:
    page = Connection()
    assert page.budget == LARGEST_FRAME
    page.sent(1, LARGEST_FRAME, now=0.0)
    page.shown(1, now=16.0)  # half a megabyte a second
    assert page.budget == 2**18
    page.sent(2, page.budget, now=20.0)
    assert page.pause == pytest.approx(2.0)
    page.shown(2, now=20.1)
    assert page.pause == pytest.approx(0.4)
    for number in range(3, 22):
        page.sent(number, page.budget, now=20.0 * number)
        page.shown(number, now=20.0 * number + 0.05)
    assert page.budget == LARGEST_FRAME


@given(
    st.lists(st.tuples(st.integers(0, 2**24), st.floats(0, 100), st.integers(-3, 12)), max_size=60)
)
def test_budget_and_pause_stay_in_bounds_whatever_the_page_says(
    steps: list[tuple[int, float, int]],
) -> None:
    page, now = Connection(), 0.0
    for number, (size, passed, answer) in enumerate(steps, start=1):
        now += passed
        page.sent(number, size, now)
        page.shown(number - answer, now + passed / 2)
        assert SMALLEST_FRAME <= page.budget <= LARGEST_FRAME
        assert page.pause >= 0.2


@pytest.mark.slow
def test_an_answer_after_a_silence_brings_what_was_put_off() -> None:
    sent: list[int] = []

    def send(order: FrameOrder) -> FrameCost:
        sent.append(order.number)
        return FrameCost(2**20)

    pacer = FramePacer(send)
    for _ in range(12):
        pacer.flush()
    pacer.request()
    time.sleep(0.4)
    assert sent[-1] == 12, "to a silent page the next frame is put off"
    pacer.shown(12)
    until(lambda: sent[-1] == 13)
    pacer.close()


class SilentComm:
    """A line to a page that never answers: it only notes what is sent."""

    comm_id = "silent"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def send(self, data: Any = None, buffers: Any = None, **_: Any) -> None:
        self.sizes.append(
            len(repr(data)) + sum(len(memoryview(part).cast("B")) for part in buffers or [])
        )

    def close(self, *_: Any, **__: Any) -> None:
        pass

    def on_msg(self, _callback: Any) -> None:
        pass


def counted_in(seconds: float, comm: SilentComm | None) -> IUAWidget:
    """A widget that was let count for so long, on its own line or none."""
    batch = {"a": np.zeros((4, 5000), np.float32)}
    begin, end = threading.Event(), threading.Event()

    def producer(_: int) -> Iterator[dict[str, np.ndarray]]:
        begin.wait()
        while not end.is_set():
            yield batch

    widget = IUAWidget(producer)
    if comm is not None:
        widget.comm = comm
    begin.set()
    time.sleep(seconds)
    end.set()
    assert widget.wait(30)
    return widget


@pytest.mark.slow
def test_a_silent_page_neither_slows_the_count_nor_is_flooded() -> None:
    comm = SilentComm()
    widget = counted_in(3.0, comm)
    assert widget.iua.probes > 100, "the count waited for the page"
    # Six frames or so in three seconds, and the last one; with the unit counts in each. Lists of
    # the worst units, a hundred times smaller, come beside them.
    frames = [size for size in comm.sizes if size > 100_000]
    assert 2 <= len(frames) < 12
    assert len(comm.sizes) - len(frames) < 12
    assert sum(comm.sizes) < 12 * 1.2 * (70 * 5000 * 2 + 2000)
    assert widget._run["frame"] < 12
    assert threading.active_count() < 20
    widget.close()


def test_the_page_hears_from_a_run_whose_batches_take_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("iua_widget.widget.runs._BEAT", 0.05)
    gate = threading.Event()

    def producer(_: int) -> Iterator[dict[str, np.ndarray]]:
        yield {"a": np.zeros((4, 8), np.float32)}
        gate.wait()

    widget = IUAWidget(producer)
    until(lambda: widget._run.get("probes") == 4)
    frame, elapsed = widget._run["frame"], widget._run["elapsed"]
    until(lambda: widget._run["elapsed"] > elapsed + 0.2)
    assert widget._run["frame"] - frame <= 1, "a sign of life is not a frame"
    gate.set()
    assert widget.wait(10)
    until(lambda: not any(t.name == "iua_widget beat" for t in threading.enumerate()))


def test_the_progress_line_tells_what_the_counts_hold() -> None:
    widget = IUAWidget({"a": np.zeros((4, 1000), np.float32)})
    assert widget.wait(30)
    assert widget._run["nbytes"] == widget.iua._run.nbytes == 113_000


def test_a_cell_run_again_ends_the_run_it_began_before(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    here = CellRun("cell 1", "first")
    monkeypatch.setattr("iua_widget.widget.replacing.current_cell", lambda: here)

    def producer(_: int) -> Iterator[dict[str, np.ndarray]]:
        for _step in range(1000):
            yield {"a": np.zeros((4, 8), np.float32)}
            gate.wait(0.01)

    first, second = IUAWidget(producer), IUAWidget(producer)
    here = CellRun("cell 2", "other")
    elsewhere = IUAWidget(producer)
    here = CellRun("cell 1", "again")
    again = IUAWidget(producer)
    assert first.wait(10)
    assert second.wait(10)
    assert first.status == second.status == "stopped"
    assert elsewhere.status == again.status == "running"
    for widget in (elsewhere, again):
        widget.stop()


def test_outside_a_notebook_there_is_no_cell() -> None:
    assert cells.current_cell() is None


def test_a_page_that_opens_late_gets_what_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    widget = IUAWidget({"a": np.zeros((4, 8), np.float32)}, engine="reference")
    assert widget.wait(30)
    sent: list[set[str]] = []

    def send(key: str | Iterable[str] | None = None) -> None:
        sent.append({key} if isinstance(key, str) else set(key or ()))

    monkeypatch.setattr(widget, "send_state", send)
    widget.set_state({"_shown": 1})  # its first word: it has but the first frame
    missed = {"_run", "_table", "_units", "_worst", "status", "layer"}
    assert any(missed <= keys for keys in sent)  # what the run's thread sends may come after it
    sent.clear()
    widget.set_state({"_shown": widget._run["frame"]})
    assert not any("_table" in keys for keys in sent)


def test_a_host_with_half_a_shell_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython

    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    widget = IUAWidget({"a": np.zeros((4, 8), np.float32)}, engine="reference")
    assert widget.wait(30)
    assert widget.status == "done"
