"""IUAWidget from Python's side; the page's side is tested in a real browser."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import traitlets
from torch import nn
from unpacking import unpack
from waiting import until

from iua_widget import (
    IUA,
    IUAError,
    IUAWarning,
    IUAWidget,
    LayerSelectionError,
    NoProbesError,
    ProducerError,
    ToleranceError,
)
from iua_widget.run.loop import count
from iua_widget.sources.producers import as_source
from iua_widget.tolerances import Tolerances

RNG = np.random.default_rng(2)
DATA = {
    "dense": np.maximum(RNG.normal(size=(96, 12)), 0).astype(np.float32),
    "maps": np.maximum(RNG.normal(size=(96, 3, 4, 4)), 0).astype(np.float32),
}


class GatedProducer:
    """Gives a batch each time it is let to."""

    def __init__(self, batches: int = 100) -> None:
        self.batches = batches
        self.gate = threading.Semaphore(0)
        self.closed = threading.Event()

    def __call__(self, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        try:
            for _ in range(self.batches):
                self.gate.acquire()
                yield {layer: response[:batch_size] for layer, response in DATA.items()}
        finally:
            self.closed.set()

    def let(self, number: int) -> None:
        self.gate.release(number)


@pytest.fixture
def gated() -> Iterator[tuple[GatedProducer, IUAWidget]]:
    producer = GatedProducer()
    widget = IUAWidget(producer)
    yield producer, widget
    widget.close()
    producer.let(1000)


def done_widget(**settings: Any) -> IUAWidget:
    widget = IUAWidget(DATA, **settings)
    assert widget.wait(30)
    assert widget.status == "done"
    return widget


def test_the_widget_counts_what_introspect_counts() -> None:
    widget = done_widget()
    expected = IUA.introspect(DATA, keep_inactive=False)
    for stop in widget.iua.stops:
        for layer, result in expected.at(atol=stop).results.items():
            np.testing.assert_array_equal(
                widget.iua.at(atol=stop).results[layer].unit_inactive_count,
                result.unit_inactive_count,
            )


def test_at_its_defaults_the_widget_shows_dnikits_numbers() -> None:
    widget = done_widget()
    assert (widget.rtol, widget.atol, widget.scale) == (0.0, 1e-8, "layer_mean")
    for layer, result in IUA.introspect(DATA).results.items():
        ours = widget.iua.at(rtol=widget.rtol, atol=widget.atol, scale=widget.scale)
        np.testing.assert_array_equal(
            ours.results[layer].unit_inactive_count, result.unit_inactive_count
        )
        assert ours.exact


def test_the_constructor_returns_while_counting_goes_on(
    gated: tuple[GatedProducer, IUAWidget],
) -> None:
    producer, widget = gated
    assert widget.status == "running"
    assert widget.iua.probes == 0
    producer.let(2)
    until(lambda: widget.iua.probes == 64)
    until(lambda: widget._run["probes"] == 64)
    assert widget.status == "running"
    assert widget.layer == "dense"
    meta, _ = unpack(widget._table)
    assert meta["probes"] == 64


def test_pause_resume_stop_and_restart(gated: tuple[GatedProducer, IUAWidget]) -> None:
    producer, widget = gated
    producer.let(3)
    until(lambda: widget.iua.probes == 96)
    threading.Timer(0.05, producer.let, (1,)).start()
    widget.pause()
    assert widget.status == "paused"
    held = widget.iua.probes
    producer.let(2)
    time.sleep(0.05)
    assert widget.iua.probes == held
    widget.start()
    until(lambda: widget.iua.probes == held + 64)
    threading.Timer(0.05, producer.let, (1,)).start()
    widget.stop()
    assert widget.status == "stopped"
    kept = widget.iua
    assert kept.probes in (held + 64, held + 96)
    assert unpack(widget._table)[0]["probes"] == kept.probes
    widget.restart()
    assert widget.status == "running"
    assert widget.iua is not kept
    producer.let(100)
    assert widget.wait(30)
    assert (widget.status, widget.iua.probes) == ("done", 3200)


def test_the_buttons_of_the_page_do_the_same(gated: tuple[GatedProducer, IUAWidget]) -> None:
    producer, widget = gated

    def press(command: str) -> None:
        widget._handle_custom_msg({"type": "command", "command": command}, [])

    press("pause")
    producer.let(2)
    until(lambda: widget.status == "paused")
    press("resume")
    until(lambda: widget.status == "running")
    press("stop")
    producer.let(1)
    until(lambda: widget.status == "stopped")
    press("restart")
    until(lambda: widget.status == "running")
    press("close")  # not a command
    widget._handle_custom_msg("nonsense", [])
    assert widget.status == "running"


@pytest.mark.parametrize("command", ["start", "pause", "resume", "stop", "restart", "recount"])
def test_every_command_is_answered_even_where_there_is_nothing_to_do(command: str) -> None:
    widget = IUAWidget(iter([{"relu": np.zeros((4, 8))}]))
    assert widget.wait(30)
    heard: list[Any] = []
    widget.observe(lambda change: heard.append(change["new"]), "_run")
    with contextlib.suppress(ProducerError):
        widget._handle_custom_msg({"type": "command", "command": command}, [])
    assert heard, "the page cannot tell it from a kernel that is gone"
    assert heard[-1]["probes"] == 4


def test_a_restart_while_running_starts_from_nothing(
    gated: tuple[GatedProducer, IUAWidget],
) -> None:
    producer, widget = gated
    producer.let(3)
    until(lambda: widget.iua.probes == 96)
    widget.restart()
    producer.let(6)
    until(lambda: widget.iua.probes >= 5 * 32)  # the first run may have taken the sixth
    assert widget.iua.probes <= 6 * 32, "probes of the first run were counted into the second"


def test_frames_are_few_however_many_batches_come() -> None:
    messages: list[str] = []
    batch = {"a": np.zeros((4, 8), np.float32)}
    gate = threading.Event()

    def producer(_: int) -> Iterator[dict[str, np.ndarray]]:
        gate.wait()
        yield from [batch] * 2000

    widget = IUAWidget(producer)
    widget.observe(lambda change: messages.append(change["name"]), "_run")
    begun = time.monotonic()
    gate.set()
    widget.wait(60)
    seconds = time.monotonic() - begun
    assert len(messages) <= 3 + seconds / 0.2
    assert widget._run["probes"] == 8000


def test_an_error_of_the_producer_shows_with_the_partial_result_kept(tmp_path: Path) -> None:
    def producer(_: int) -> Iterator[dict[str, np.ndarray]]:
        yield {"a": np.zeros((5, 2))}
        raise OSError("the disk is gone")

    widget = IUAWidget(producer)
    with pytest.warns(IUAWarning, match="broke off: producer raised OSError in batch 1: the disk"):
        assert widget.wait(20)
    assert widget.status == "failed"
    assert "the disk is gone" in widget._run["error"]["message"]
    assert widget._run["notes"] == [], "the page shows the error by itself"
    (note,) = widget.iua.notes
    assert note.startswith("The run broke off after 5 inputs, and the figures are of these: ")
    assert "the disk is gone" in note
    assert (
        "the disk is gone" in IUA.merge(widget.iua, IUA.introspect({"a": np.ones((1, 2))})).notes[0]
    )
    for read in (widget.table, widget.selection, lambda: widget.to_html(tmp_path / "part.html")):
        with pytest.warns(IUAWarning, match="the disk is gone"):
            read()
    assert pickle.loads(pickle.dumps(widget.iua)).notes == [note]
    loaded = IUA.load(widget.iua.save(tmp_path / "part.iua"))
    assert loaded.notes == widget.iua.notes
    assert isinstance(widget.error, ProducerError)
    assert widget.iua.results["a"].unit_inactive_count.tolist() == [5, 5]
    assert unpack(widget._table)[0]["probes"] == 5


def test_the_layer_first_selected_is_one_with_figures() -> None:
    data = {"padding": np.zeros((4, 3, 2)), "dense": np.zeros((4, 3))}
    none = {"padding": np.zeros((4, 3), bool)}
    widget = IUAWidget(data, units={"padding": "token"}, mask=lambda _: none, background=False)
    assert list(widget.iua.layers) == ["padding", "dense"]
    assert widget.layer == "dense"


def test_what_reads_a_run_that_counted_nothing_leads_to_what_ended_it(tmp_path: Path) -> None:
    widget = IUAWidget(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), [torch.randn(3, 5)])
    with pytest.warns(IUAWarning, match="The run broke off: .*mat1 and mat2"):
        assert widget.wait(20)
    iua = widget.iua
    for read in (
        widget.table,
        widget.selection,
        lambda: widget.to_html(tmp_path / "none.html"),
        lambda: IUA.show(iua),
        lambda: iua.results,
        lambda: iua.at(atol=0.1),
        lambda: iua.units("1"),
        lambda: iua.channels("1"),
        iua.to_pandas,
        widget.recount,
    ):
        with pytest.raises(IUAError) as caught:
            read()
        assert "mat1 and mat2" in str(caught.value)
        assert caught.value.__cause__ is widget.error
    assert "mat1 and mat2" in widget._repr_mimebundle_()[0]["text/html"]


def test_the_result_of_a_widget_is_read_at_the_tolerances_on_show() -> None:
    given = IUA.introspect(DATA, rtol=0.2, atol=1e-6, scale="unit_max")
    before = IUA.show(given)
    first, second = IUAWidget(given), IUAWidget(given)
    assert first.iua == second.iua == given
    first.rtol, first.scale, first.atol, first.tau, first.dead_at = (
        0.3,
        "unit_rms",
        0.1,
        1.0,
        0.5,
    )
    for widget in (first, second):
        pd.testing.assert_frame_equal(IUA.show(widget.iua), widget.table())
        assert widget.iua.tolerances == widget.tolerances
        assert widget.iua.at(atol=0.2).tolerances == widget.tolerances.but(atol=0.2)
    pd.testing.assert_frame_equal(IUA.show(given), before)
    assert (first.iua.results["dense"].dead, given.results["dense"].dead) == (
        first.table()["dead units"][0],
        before["dead units"][0],
    )
    for copied in (copy.deepcopy(first.iua), pickle.loads(pickle.dumps(first.iua))):
        assert copied.to_pandas().equals(IUA.show(first.iua))
        assert copied != given
    assert copy.copy(first.iua) == given
    with pytest.raises(AttributeError):
        first.iua.tolerances = Tolerances()  # type: ignore[misc]  (it follows the widget)
    with pytest.raises(AttributeError):
        first.iua.tolerances.atol = 0.5  # type: ignore[attr-defined]
    assert IUAWidget(first.iua).iua == given


def test_what_is_done_with_the_result_of_a_widget_is_done_to_what_was_counted(
    tmp_path: Path,
) -> None:
    widget = IUAWidget(DATA, atol=0.1, background=False)
    widget.atol = 0.123
    exact = widget.iua.recount(DATA)
    assert exact.tolerances.atol == 0.123
    assert exact.exact
    assert widget.table()["mean inactive"].tolist() == exact.to_pandas()["mean inactive"].tolist()
    loaded = IUA.load(widget.iua.save(tmp_path / "run.iua"))
    assert (loaded.tolerances.atol, loaded.stops) == (0.1, widget.iua.stops)
    assert IUA.merge(widget.iua, loaded).probes == 2 * widget.iua.probes
    for _ in count(widget.iua._run, as_source(DATA)):
        pass
    assert widget.iua.probes == 192


def test_a_layer_that_there_is_not_is_never_replaced_in_silence() -> None:
    gate = threading.Event()

    def producer(_: int) -> Iterator[dict[str, np.ndarray]]:
        gate.wait(30)
        yield {"dense": np.zeros((4, 3)), "other": np.zeros((4, 3))}

    widget = IUAWidget(producer)
    widget.layer = "dens"
    gate.set()
    words = r"no layer is named 'dens'\. Try one of: 'dense'.* 'dense' was selected instead"
    with pytest.warns(IUAWarning, match=words):
        assert widget.wait(30)
    assert widget.layer == "dense"
    assert "'dens'" in widget._run["notes"][0]
    widget.layer = "other"
    assert widget.wait(30)
    widget.restart()
    with pytest.raises(traitlets.TraitError, match="no layer is named 'nope'"):
        widget.layer = "nope"
    assert widget.wait(30)
    assert widget.layer == "other"
    assert widget._run["notes"] == []
    with pytest.raises(traitlets.TraitError, match="no layer is named 'nope'"):
        IUAWidget(DATA).layer = "nope"


@pytest.mark.parametrize(
    ("arguments", "settings", "error"),
    [
        ((nn.Sequential(nn.Linear(2, 2), nn.ReLU()),), {}, ProducerError),
        ((nn.Sequential(nn.Linear(2, 2)), torch.zeros(2, 2)), {}, LayerSelectionError),
        ((DATA, DATA), {}, ProducerError),
        ((3,), {}, ProducerError),
        ((DATA,), {"atol": -1}, ToleranceError),
        ((DATA,), {"rtol": float("inf")}, ToleranceError),
        ((DATA,), {"scale": "unit"}, ToleranceError),
        ((DATA,), {"batch_size": 0}, ProducerError),
        ((IUA.introspect(DATA),), {"layers": "a"}, ProducerError),
    ],
)
def test_what_can_be_told_at_once_is_told_at_once(
    arguments: tuple[Any, ...], settings: dict[str, Any], error: type[Exception]
) -> None:
    threads = set(threading.enumerate())
    with pytest.raises(error):
        IUAWidget(*arguments, **settings)
    begun = {thread.name for thread in set(threading.enumerate()) - threads}
    assert begun <= {"iua_widget count_0"}, "only what counts for all, and may have begun just now"


def test_tolerances_set_from_either_side_are_checked_and_kept_when_refused() -> None:
    widget = done_widget()
    for bad in (-1, float("nan"), float("inf"), "much"):
        with pytest.raises(traitlets.TraitError):
            widget.atol = bad
        with pytest.raises(traitlets.TraitError):
            widget.set_state({"rtol": bad})
    with pytest.raises(traitlets.TraitError, match=r"'zero', 'layer_mean'"):
        widget.scale = "unit median"
    with pytest.raises(
        traitlets.TraitError, match=r"no layer is named 'desne'. Try one of: 'dense'"
    ):
        widget.layer = "desne"
    assert (widget.rtol, widget.atol, widget.scale, widget.layer) == (
        0.0,
        1e-8,
        "layer_mean",
        "dense",
    )


def test_python_sees_what_the_page_does() -> None:
    widget = done_widget()
    seen: list[float] = []
    widget.observe(lambda change: seen.append(change["new"]), "atol")
    widget.set_state({"atol": 0.001, "layer": "maps"})
    assert seen == [0.001]
    assert widget.layer == "maps"
    until(lambda: unpack(widget._units)[0]["layer"] == "maps")


def test_the_units_sent_are_those_of_the_selected_layer() -> None:
    widget = done_widget()
    for layer in ("maps", "dense"):
        widget.layer = layer
        until(lambda layer=layer: unpack(widget._units)[0]["layer"] == layer)  # type: ignore[misc]
        meta, arrays = unpack(widget._units)
        for column, stop in enumerate(meta["stops"]):
            np.testing.assert_array_equal(
                arrays["counts"][column],
                widget.iua.at(atol=stop).results[layer].unit_inactive_count.ravel(),
            )


@pytest.mark.parametrize("method", ["stop", "pause", "wait", "restart", "close"])
def test_observers_may_call_anything_without_locking_up(method: str) -> None:
    producer = GatedProducer()
    widget = IUAWidget(producer)
    called = threading.Event()

    def react(_change: Any) -> None:
        if not called.is_set():
            called.set()
            getattr(widget, method)()

    widget.observe(react, ["_run", "status"])
    producer.let(1000)
    assert called.wait(20)
    widget.stop()
    assert widget.wait(20)


def test_an_observer_that_raises_does_not_end_the_run() -> None:
    widget = IUAWidget(lambda _: iter([DATA] * 5), background=True)

    def boom(_change: Any) -> None:
        raise RuntimeError("boom")

    widget.observe(boom, ["status", "_run", "layer"])
    assert widget.wait(20)
    widget.stop()
    assert widget.iua.probes == 5 * 96
    assert widget.error is None
    widget.unobserve_all()


def test_a_storm_of_restarts_ends_in_one_whole_count() -> None:
    widget = IUAWidget(lambda _: iter([DATA] * 3))
    for layer in ("maps", "dense") * 20:
        widget.restart()
        widget.set_state({"layer": layer})
    assert widget.wait(30)
    assert (widget.status, widget.iua.probes) == ("done", 3 * 96)


def test_resume_returns_when_counting_goes_on(gated: tuple[GatedProducer, IUAWidget]) -> None:
    producer, widget = gated
    threading.Timer(0.05, producer.let, (1,)).start()
    widget.pause()
    widget.resume()
    assert widget.status == "running"


def test_a_closed_widget_tells_how_its_run_ended() -> None:
    producer = GatedProducer()
    widget = IUAWidget(producer)
    widget.close()
    producer.let(1)
    assert widget.wait(20)
    assert widget.status == "stopped"


@pytest.mark.slow
def test_a_script_that_ends_while_counting_ends_cleanly() -> None:
    script = """
import time
import torch
from iua_widget import IUAWidget
model = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3), torch.nn.ReLU())
def batches():
    while True:
        yield torch.randn(16, 3, 32, 32)
w = IUAWidget(model, batches())
while not w.iua.probes:
    time.sleep(0.001)
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, text=True, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_a_slider_makes_the_kernel_send_nothing() -> None:
    widget = done_widget()
    sent: list[Any] = []
    widget.observe(lambda change: sent.append(change["name"]), ["_table", "_units", "_run"])
    for stop in widget.iua.stops:
        widget.set_state({"atol": stop})
    widget.set_state({"rtol": 0.5, "scale": "zero"})
    time.sleep(0.5)
    assert sent == []


def test_a_layer_too_large_for_a_frame_is_sent_again_around_the_tolerance_in_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("iua_widget.widget.frames.LARGEST_FRAME", 12 * 6)
    widget = done_widget()
    stops = widget.iua.stops
    for atol in (0.05, 3.0):
        widget.set_state({"atol": atol})
        until(lambda a=atol: stops.index(a) in unpack(widget._units)[0]["columns"])  # type: ignore[misc]
        meta, arrays = unpack(widget._units)
        assert len(meta["columns"]) == 6
        row = meta["columns"].index(stops.index(atol))
        np.testing.assert_array_equal(
            arrays["counts"][row],
            widget.iua.at(atol=atol).results["dense"].unit_inactive_count,
        )


def test_a_layer_may_be_chosen_before_it_is_known(
    gated: tuple[GatedProducer, IUAWidget],
) -> None:
    producer, widget = gated
    widget.layer = "maps"
    producer.let(1)
    until(lambda: len(widget._units) > 0)
    assert widget.layer == "maps"


def test_a_layer_chosen_beforehand_that_never_comes_gives_way_to_the_first(
    gated: tuple[GatedProducer, IUAWidget],
) -> None:
    producer, widget = gated
    widget.layer = "mops"
    producer.let(1)
    until(lambda: len(widget._units) > 0)
    assert widget.layer == "dense"


def test_a_finished_result_is_shown_without_a_run() -> None:
    iua = IUA.introspect(DATA)
    widget = IUAWidget(iua)
    assert (widget.status, widget.iua, widget.layer) == ("done", iua, "dense")
    assert widget.wait(0)
    assert unpack(widget._table)[0]["probes"] == 96
    with pytest.raises(ProducerError, match=r"a finished IUA, which cannot be run again"):
        widget.restart()


def test_a_one_shot_iterator_runs_once() -> None:
    widget = IUAWidget(iter([DATA]))
    assert widget.wait(20)
    assert not widget._run["restartable"]
    with pytest.raises(ProducerError, match=r"a one-shot iterator, which cannot be run again"):
        widget.restart()


def test_in_the_foreground_the_widget_is_made_when_all_is_counted() -> None:
    widget = IUAWidget(DATA, background=False)
    assert (widget.status, widget.iua.probes, widget._run["probes"]) == ("done", 96, 96)


def test_closing_ends_the_run_and_takes_the_hooks_off() -> None:
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU())
    gate = threading.Semaphore(0)

    def loader() -> Iterator[torch.Tensor]:
        while True:
            gate.acquire()
            yield torch.zeros(4, 12)

    widget = IUAWidget(model, loader())
    gate.release(3)
    until(lambda: widget.iua.probes == 12)
    widget.close()
    gate.release(1)
    assert widget.wait(20)
    assert not model[1]._forward_hooks
    assert widget.status in ("running", "stopped")
    assert widget._runs.current is not None
    assert widget._runs.current.status == "stopped"


def test_a_closed_widget_frees_its_memory() -> None:
    widget = done_widget()
    counts = weakref.ref(widget.iua._run.tally("maps"))
    widget.close()
    del widget
    for _ in range(50):
        gc.collect()
        if counts() is None:
            break
        time.sleep(0.02)
    assert counts() is None


def test_reading_while_counting_sees_whole_batches_only() -> None:
    batch = {f"layer {i}": np.zeros((8, 50), np.float32) for i in range(6)}
    widget = IUAWidget(lambda _: iter([batch] * 60))
    readings = 0
    while not widget.wait(0):
        if widget.iua.probes:
            probes = {result.probes for result in widget.iua.at().results.values()}
            assert len(probes) == 1
            assert probes.pop() % 8 == 0
            readings += 1
    assert readings > 0
    assert widget.status == "done"


def test_to_html_before_anything_is_counted_is_refused(
    gated: tuple[GatedProducer, IUAWidget], tmp_path: Path
) -> None:
    _, widget = gated
    with pytest.raises(NoProbesError, match=r"nothing to write"):
        widget.to_html(tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []


def test_what_the_view_shows_can_be_set_and_is_checked() -> None:
    widget = done_widget()
    widget.sort = {"column": "dead units", "ascending": False}
    widget.filter = "maps"
    widget.color = "mean |x|"
    widget.dead_at = 0.5
    widget.selected = [5, 2, 2]
    assert widget.selected == [2, 5]
    for name, value, words in [
        ("sort", {"column": "size", "ascending": True}, "order of the network"),
        ("sort", {"column": "dead units"}, "ascending"),
        ("sort", {"column": "dead-chanels", "ascending": True}, "a column of 'dead channels'"),
        ("filter", "dead-chanels>0", "Figures are dead-channels,"),
        ("filter", "dead-units>x", "'x', which is no number"),
        ("color", "red", "mean |x|"),
        ("dead_at", 0, "above 0 and at most 1"),
        ("dead_at", 1.5, "above 0 and at most 1"),
        ("tau", -1, "tau must be a finite number, zero or more"),
        ("selected", [12], "from 0 to 11"),
        ("selected", [-1], "no unit of layer 'dense'"),
    ]:
        before = getattr(widget, name)
        with pytest.raises(traitlets.TraitError, match=re.escape(words)):
            setattr(widget, name, value)
        assert getattr(widget, name) == before
    widget.layer = "maps"
    assert widget.selected == []


def test_the_table_from_python_is_the_one_on_show() -> None:
    widget = done_widget(atol=0.3)
    whole = widget.iua.at(atol=0.3, rtol=0.0).to_pandas()
    pd.testing.assert_frame_equal(widget.table(), whole)
    widget.sort = {"column": "units", "ascending": False}
    assert widget.table()["response"].tolist() == ["maps", "dense"]
    assert widget.table().index.tolist() == [1, 0]
    widget.filter = "units<20"
    assert widget.table()["response"].tolist() == ["dense"]
    widget.filter = "nothing"
    assert widget.table().empty
    assert list(widget.table()) == list(whole)


def test_the_table_is_sorted_and_filtered_by_whatever_it_shows() -> None:
    flat, maps = np.ones((4, 6), "f4"), np.zeros((4, 3, 2, 2), "f4")
    maps[1, 0, 1, 1] = np.inf
    widget = IUAWidget({"flat": flat, "maps": maps}, background=False)
    table = widget.table()
    for column in table:
        for ascending in (True, False):
            widget.sort = {"column": column, "ascending": ascending}
            values = widget.table()[column].map(str if column == "shape" else lambda value: value)
            expected = table[column].map(str if column == "shape" else lambda value: value)
            pd.testing.assert_series_equal(
                values.reset_index(drop=True),
                expected.sort_values(ascending=ascending, ignore_index=True),
                check_dtype=False,
            )
        if pd.api.types.is_numeric_dtype(table[column]):
            first = table[column].iloc[1]
            widget.filter = f"{column} = {first}"
            matching = table["response"][(table[column] == first).fillna(False)]
            assert sorted(widget.table()["response"]) == sorted(matching)
            widget.filter = ""
    widget.sort, widget.filter = {"column": "dead channels", "ascending": True}, "unit=element"
    assert widget.table()["response"].tolist() == ["maps", "flat"]
    widget.filter = "dead-channels=3 shape=3x2x2 infinite>0"
    assert widget.table()["response"].tolist() == ["maps"]


def test_the_selection_from_python_holds_the_selected_units_at_the_tolerances_on_show() -> None:
    widget = done_widget(atol=0.3)
    assert widget.selection().empty
    widget.layer, widget.scale, widget.rtol = "maps", "unit_max", 0.1
    widget.selected = [40, 7]
    selection = widget.selection()
    assert selection.index.tolist() == [7, 40]
    expected = widget.iua.units("maps", atol=0.3, rtol=0.1, scale="unit_max")
    pd.testing.assert_frame_equal(selection, expected.set_index("unit").loc[[7, 40]])


def test_a_recount_makes_what_is_on_show_exact() -> None:
    widget = done_widget(rtol=0.123, scale="unit_rms", atol=0.0, dead_at=0.5)
    before = widget.table()
    assert "mean inactive upper" in before
    probes = widget.iua.probes
    widget.recount()
    assert widget._run["recounting"]
    assert widget.wait(30)
    assert (widget.status, widget.iua.probes) == ("done", probes)
    after = widget.table()
    assert "mean inactive upper" not in after
    assert (before["mean inactive"] <= after["mean inactive"]).all()
    assert (after["mean inactive"] <= before["mean inactive upper"]).all()
    meta, arrays = unpack(widget._table)
    assert meta["recounted"] == {"rtol": 0.123, "atol": 0.0, "scale": "unit_rms"}
    assert arrays["recount_mean"].tolist() == after["mean inactive"].tolist()
    assert arrays["recount_std"].tolist() == after["std inactive"].tolist()
    assert arrays["recount_dead"].tolist() == after["dead units"].tolist()
    _, units = unpack(widget._units)
    counted = widget.iua.at(rtol=0.123, scale="unit_rms", atol=0.0).results["dense"]
    assert units["recount"].tolist() == counted.unit_inactive_count.tolist()
    widget.rtol = 0.2
    assert "mean inactive upper" in widget.table()


def test_a_recount_needs_a_source_and_the_end_of_the_run(
    gated: tuple[GatedProducer, IUAWidget],
) -> None:
    _, widget = gated
    with pytest.raises(ProducerError, match="the run is running"):
        widget.recount()
    with pytest.raises(ProducerError, match="cannot be run again"):
        IUAWidget(IUA.introspect(DATA)).recount()


def test_frames_follow_what_the_page_cannot_know_by_itself() -> None:
    widget = done_widget()
    frames: list[bytes] = []
    widget.observe(lambda change: frames.append(change["new"]), "_table")

    def next_frame() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        until(lambda: bool(frames))
        return unpack(frames.pop())

    widget.rtol = 0.1
    widget.atol = 0.05
    widget.scale = "zero"
    time.sleep(0.1)
    assert not frames
    widget.scale = "unit_rms"
    meta, arrays = next_frame()
    assert (meta["unit_scales"], meta["unit_atol"]) == (["unit_rms"], 0.05)
    place = meta["rtol_stops"].index(0.1)
    results = widget.iua.at(atol=0.05, rtol=0.1, scale="unit_rms").results.values()
    expected = [(result.mean_inactive, result.mean_inactive_upper) for result in results]
    np.testing.assert_allclose(arrays["unit_mean"][0, :, :, place].T, expected)
    widget.tau = 0.1  # a stop
    widget.tau = 0.0123
    meta, arrays = next_frame()
    dormant = arrays["dormant"][:, meta["tau_stops"].index(0.0123)].tolist()
    assert dormant == [result.dormant for result in widget.iua.results.values()]
    widget.dead_at = 0.4
    meta, arrays = next_frame()
    assert meta["dead_at"] == 0.4
    place = meta["stops"].index(0.05)
    at = widget.iua.at(atol=0.05, rtol=0.0, dead_at=0.4)
    dead = [result.dead for result in at.results.values()]
    assert arrays["dead"][:, place].tolist() == dead


def test_a_recount_that_is_stopped_or_fails_leaves_what_was_counted() -> None:
    batches = [{"a": np.maximum(RNG.normal(size=(8, 5)), 0)} for _ in range(6)]
    gate = threading.Semaphore(6)
    shift = 0.0

    def producer(_: int) -> Iterator[dict[str, np.ndarray]]:
        for batch in batches:
            gate.acquire()
            yield {"a": batch["a"] + shift}

    widget = IUAWidget(producer, rtol=0.1, atol=0.0)
    assert widget.wait(30)
    kept = widget.table()
    gate.release(2)
    widget.recount()
    until(lambda: widget._runs.current is not None and widget._runs.current.progress.probes == 16)
    threading.Timer(0.05, gate.release, (1,)).start()
    widget.stop()
    assert widget.status == "stopped"
    pd.testing.assert_frame_equal(widget.table(), kept)
    shift = 1.0
    gate.release(6)
    widget.recount()
    with pytest.warns(IUAWarning, match="The recount broke off: .*the same data"):
        assert widget.wait(30)
    assert widget.status == "failed"
    assert isinstance(widget.error, ProducerError)
    assert widget._run["error"]["title"] == "The recount broke off"
    assert "same data" in widget._run["error"]["message"]
    with pytest.warns(IUAWarning, match="The recount broke off"):
        pd.testing.assert_frame_equal(widget.table(), kept)
    widget.close()
