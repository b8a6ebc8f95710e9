"""The widget's arguments, and the values of its traits."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
import pytest
import traitlets
from unpacking import unpack

from iua_widget import IUA, FileError, IUAWidget, ProducerError

RNG = np.random.default_rng(5)
DATA = {name: np.maximum(RNG.normal(size=(96, 4)), 0).astype("f4") for name in ("a", "b")}


def counted(**options: Any) -> IUAWidget:
    return IUAWidget(DATA, background=False, engine="reference", **options)


def batches() -> Iterator[Mapping[str, np.ndarray]]:
    for start in range(0, 96, 32):
        yield {name: values[start : start + 32] for name, values in DATA.items()}


def broken_off() -> Iterator[Mapping[str, np.ndarray]]:
    stream = batches()
    yield next(stream)
    yield next(stream)
    message = "the machine went down"
    raise OSError(message)


def test_it_takes_what_introspect_takes_but_what_only_a_cell_needs() -> None:
    widget, function = (inspect.signature(made).parameters for made in (IUAWidget, IUA.introspect))
    assert list(function)[:3] == list(widget)[:3]
    assert set(function) - set(widget) == {"keep_inactive", "progress"}
    assert [name for name in widget if name in function] == [n for n in function if n in widget]


def test_stops_are_those_given_and_atol() -> None:
    widget = counted(stops=[0, 0.5], atol=0.1)
    assert widget.iua.stops == (0, 0.1, 0.5)
    assert unpack(widget._table)[0]["stops"] == [0, 0.1, 0.5]
    with pytest.raises(ProducerError, match="takes no `stops`"):
        IUAWidget(widget.iua, stops=[0.5])


def test_the_view_opens_as_it_is_told() -> None:
    sort = {"column": "dead units", "ascending": False}
    widget = counted(color="dead", sort=sort, filter="b", layer="b")
    assert (widget.color, widget.sort, widget.filter, widget.layer) == ("dead", sort, "b", "b")
    assert widget.table()["response"].tolist() == ["b"]
    assert unpack(widget._units)[0]["layer"] == "b"
    shown = IUAWidget(widget.iua, layer="b", filter="a")
    assert (shown.layer, shown.filter) == ("b", "a")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"color": "daed"}, "Did you mean 'dead'"),
        ({"sort": {"column": "ded units", "ascending": True}}, "a column of 'dead units'"),
        ({"sort": "dead units"}, "sort is 'dead units', and must be .*: False}"),
        ({"filter": "dead>0"}, "Figures are dead-units"),
        ({"layer": "c"}, "'c'"),
    ],
    ids=str,
)
def test_the_view_is_checked_at_the_start(option: dict[str, Any], message: str) -> None:
    with pytest.raises(traitlets.TraitError, match=message):
        counted(**option)


def test_a_layer_that_is_not_known_yet_is_told_of_later() -> None:
    widget = IUAWidget(batches, layer="c", engine="reference")
    with pytest.warns(UserWarning, match="'a' was selected instead"):
        assert widget.wait(30)
    assert widget.layer == "a"


def test_a_run_that_broke_off_goes_on_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "run.iua"
    first = IUAWidget(broken_off(), resume=path, save_every=1, engine="reference")
    with pytest.warns(UserWarning, match="machine went down"):
        assert first.wait(30)
    gate = threading.Event()

    def rest() -> Iterator[Mapping[str, np.ndarray]]:
        stream = batches()
        yield next(stream)
        yield next(stream)
        gate.wait(30)
        yield next(stream)

    again = IUAWidget(rest(), resume=path, engine="reference", filter="response=a")
    # The page has what the file holds while the stream is passed over.
    assert (again._run["probes"], again.layer) == (64, "a")
    assert unpack(again._table)[0]["probes"] == 64
    assert again.table()["probes"].tolist() == [64]
    gate.set()
    assert again.wait(30)
    whole = IUA.introspect(DATA, engine="reference")
    assert again.table()["units"].tolist() == [4]
    pd.testing.assert_frame_equal(again.iua.units("b", rtol=0), whole.units("b", rtol=0))
    assert IUA.load(path).probes == again._run["probes"] == 96


def test_a_run_of_introspect_goes_on_in_the_widget_and_one_of_the_widget_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.iua"
    with pytest.raises(ProducerError, match="machine went down"):
        IUA.introspect(broken_off(), resume=path, engine="reference")
    widget = IUAWidget(batches(), resume=path, engine="reference", background=False)
    assert widget.iua.probes == 96
    assert IUA.introspect(batches(), resume=path, engine="reference").probes == 96


def test_a_run_that_is_stopped_or_begun_anew_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "run.iua"
    gate = threading.Semaphore(2)

    def gated(_batch_size: int) -> Iterator[Mapping[str, np.ndarray]]:
        for batch in batches():
            gate.acquire()
            yield batch

    widget = IUAWidget(gated, resume=path, engine="reference")
    while widget.iua.probes < 64:
        threading.Event().wait(0.005)
    gate.release()
    widget.stop()
    assert IUA.load(path).probes == widget.iua.probes >= 64
    gate.release(9)
    widget.atol = 0.3  # which is no stop of the file, and does not become one
    widget.restart()
    assert widget.wait(30)
    assert IUA.load(path).probes == 96
    assert IUAWidget(gated, resume=path, engine="reference").iua.probes == 96


def test_what_cannot_go_on_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run.iua"
    counted(resume=path)
    with pytest.raises(FileError, match="units was 'auto' and is 'channel' now"):
        counted(resume=path, units="channel")
    with pytest.raises(ProducerError, match="name the file"):
        counted(save_every=3)
    with pytest.raises(ProducerError, match="takes no `resume`"):
        IUAWidget(counted().iua, resume=path)


def test_a_misspelled_argument_is_refused_with_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"unexpected argument 'colour'\. Did you mean 'color'\?"):
        IUAWidget(DATA, colour="dead")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"to_html\(\) got .*'titel'\. Did you mean 'title'\?"):
        counted().to_html("x.html", titel="One")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"IUA\.at\(\) takes its options by name: atol=0\.001\."):
        counted().iua.at(1e-3)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "meant"), [("colour", "color"), ("layers", "layer"), ("dead_share", "dead_at")]
)
def test_a_misspelled_attribute_is_refused_with_the_nearest(given: str, meant: str) -> None:
    widget = counted()
    with pytest.raises(AttributeError, match=rf"no attribute {given!r}.*Did you mean {meant!r}\?"):
        setattr(widget, given, "dead")
    widget.layout.height = "10px"
    widget.layout = {"width": "10px"}
    widget.tooltip, widget.tabbable = "a widget", True
    widget._mine = 1  # type: ignore[attr-defined]
    widget.add_traits(more=traitlets.Int(0))
    widget.more = 3


def test_a_subclass_may_have_attributes_of_its_own() -> None:
    class Mine(IUAWidget):
        title = "none"

        def __init__(self, *args: Any, **options: Any) -> None:
            self.history: list[str] = []
            super().__init__(*args, **options)
            self.title = "mine"

        @property
        def both(self) -> str:
            return self.title

        @both.setter
        def both(self, value: str) -> None:
            self.title = value

    widget = Mine(DATA, engine="reference", background=False)
    widget.both = "ours"
    widget.history.append(widget.both)
    assert (widget.title, widget.history) == ("ours", ["ours"])
    with pytest.raises(AttributeError, match="Did you mean 'color'"):
        widget.colour = "dead"


@pytest.mark.parametrize(
    ("name", "hint"), [("selection", "'selected'"), ("stop", ""), ("table", "")]
)
def test_methods_are_not_written_over(name: str, hint: str) -> None:
    widget = IUAWidget(DATA, background=False)
    with pytest.raises(AttributeError, match=f"{name} is a method of IUAWidget.*{hint}"):
        setattr(widget, name, [3])


def test_a_refused_layer_leaves_no_widget_behind() -> None:
    before = set(ipywidgets.widgets.widget._instances)
    with pytest.raises(traitlets.TraitError, match="nope"):
        IUAWidget(DATA, layer="nope")
    assert set(ipywidgets.widgets.widget._instances) == before


def test_a_result_is_no_producer() -> None:
    iua = IUA.introspect(DATA)
    for ask in (lambda: IUA.introspect(iua), lambda: iua.recount(iua)):
        with pytest.raises(ProducerError, match=r"got an IUA.*IUAWidget\(iua\)"):
            ask()
