"""A widget of a history shows any look of it, compared with another, and follows the newest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import traitlets
from histories import alarm, history_of, responses
from unpacking import unpack
from waiting import until

from iua_widget import IUA, IUAError, IUAMonitor, IUAWidget, ProducerError, ToleranceError
from iua_widget.history.history import History
from iua_widget.history.look import Look
from iua_widget.iua import run_of

STEPS = [0, 100, 300, 400, 800]


def shown(widget: IUAWidget, step: int) -> dict[str, np.ndarray]:
    """The table on the page, once it is that of a step."""
    until(lambda: widget._run.get("look") == step)
    return unpack(widget._table)[1]


def dead_units(widget: IUAWidget) -> list[int]:
    return [int(units) for units in widget.table()["dead units"]]


def test_a_monitor_is_no_producer_and_has_a_widget_of_its_own() -> None:
    monitor = IUAMonitor(torch.nn.ReLU(), torch.zeros(4, 3), engine="reference")
    for given in ([monitor], [monitor, monitor]):
        with pytest.raises(ProducerError, match=r"widget of its own: monitor\.widget"):
            IUAWidget(*given)


def test_the_newest_look_is_shown_and_followed() -> None:
    history = history_of(STEPS[:2])
    widget = IUAWidget(history)
    assert (widget.look, widget._run["look"], widget.layer) == (None, 100, "head.relu")
    other = history_of(STEPS)
    history.add(other.looks[-1], other.whole[800])
    shown(widget, 800)
    until(lambda: unpack(widget._history)[0]["steps"] == [0, 100, 800])
    assert dead_units(widget) == other.figures(800).columns["dead units"].tolist()
    widget.close()


@pytest.mark.parametrize("whole", [None, [800]], ids=["whole", "partly"])
def test_a_chosen_look_is_shown(whole: list[int] | None) -> None:
    history = history_of(STEPS, whole=whole)
    widget = IUAWidget(history)
    widget.look = 300
    arrays = shown(widget, 300)
    at = widget.tolerances
    figures = history.figures(300, at).columns
    column = history.stops.values.index(at.atol)
    assert arrays["dead"][:, column].tolist() == figures["dead units"].tolist()
    assert dead_units(widget) == figures["dead units"].tolist()
    np.testing.assert_allclose(widget.table()["mean inactive"], figures["mean inactive"])
    widget.look = None
    shown(widget, 800)
    widget.close()


def test_a_step_between_looks_is_the_nearest_look() -> None:
    widget = IUAWidget(history_of(STEPS))
    widget.look, widget.against = 260, 10_000
    assert (widget.look, widget.against) == (300, 800)
    for value in ("later", -1, 0.5, True):
        with pytest.raises(traitlets.TraitError, match="must be a step of training, or None"):
            widget.look = value
    widget.close()


def test_without_a_history_there_is_no_look() -> None:
    widget = IUAWidget(responses(0), background=False)
    with pytest.raises(traitlets.TraitError, match="no history is shown"):
        widget.look = 100
    widget.look = widget.against = None
    assert widget._history == widget._life == b""
    assert widget._run["look"] is None


@pytest.mark.parametrize("whole", [None, [800], []], ids=["whole", "one whole", "partly"])
def test_two_looks_are_compared(whole: list[int] | None) -> None:
    history = history_of(STEPS, whole=whole)
    widget = IUAWidget(history)
    widget.look, widget.against = 800, 100
    until(lambda: (widget._run.get("compared") or {}).get("with") == "step 100")
    figures = history.figures(800, widget.tolerances, since=100).columns
    table = widget.table()
    for name in ("newly dead", "revived"):
        assert table[name].tolist() == figures[name].tolist()
    _, arrays = unpack(widget._table)
    assert arrays["pair_units"].sum() == 24
    assert "before_dead_from" in unpack(widget._units)[1]
    widget.against = None
    until(lambda: widget._run["compared"] is None)
    assert "newly dead" not in widget.table()
    assert "comparison" not in unpack(widget._table)[0]
    widget.close()


def test_with_thresholds_of_units_what_changed_is_bounded(tmp_path: Path) -> None:
    widget = IUAWidget(history_of(STEPS, whole=[800]))
    widget.look, widget.against = 800, 100
    widget.scale, widget.rtol = "unit_rms", 0.1
    until(lambda: unpack(widget._table)[0]["unit_scales"] == ["unit_rms"])
    changes = unpack(widget._table)[1]["scale_changes"]
    assert not changes[0, :, 0].any()
    assert "newly dead" not in widget.table()
    assert (changes[0, :, 1] == 12).all()
    widget.to_html(tmp_path / "page.html")
    widget.close()


def test_at_another_share_of_probes_a_look_is_not_compared() -> None:
    widget = IUAWidget(history_of(STEPS, whole=[]))
    widget.look, widget.against = 800, 100
    widget.dead_at = 0.5
    with pytest.raises(ToleranceError, match="dead_at=1 only"):
        widget.table()
    until(lambda: "kept for 100 %" in (widget._run.get("compared") or {}).get("refused", ""))
    assert "comparison" not in unpack(widget._table)[0]
    widget.close()


def test_of_a_look_that_is_not_whole_is_said_what_there_is() -> None:
    history = history_of(STEPS, whole=[0, 800])
    widget = IUAWidget(history)
    assert widget.iua.results["head.relu"].dead == history.figures(800).columns["dead units"][0]
    widget.look = 300
    with pytest.raises(IUAError, match=r"look at step 300 not all counts are kept .*steps 0, 800"):
        _ = widget.iua
    with pytest.raises(IUAError, match="not all counts are kept"):
        widget.worst()
    shown(widget, 300)
    meta, arrays = unpack(widget._units)
    assert (meta["columns"], "counts" in arrays) == ([], False)
    until(lambda: widget._worst != b"" and np.isnan(unpack(widget._worst)[1]["rms"]).all())
    widget.scale, widget.rtol = "unit_rms", 0.1
    with pytest.raises(ToleranceError, match="threshold of its own"):
        widget.table()
    widget.close()


def test_what_a_notebook_keeps_is_of_a_look_that_is_whole() -> None:
    widget = IUAWidget(history_of(STEPS, whole=[400]), name="net")
    assert "Inactive units of net at step 400" in widget._static_table()["text/plain"]
    widget.look = 400
    assert "at step 400" in widget._static_table()["text/html"]
    widget.close()


def test_looks_that_were_dropped_are_told() -> None:
    history = history_of(STEPS, keep=2**13)
    widget = IUAWidget(history)
    assert history.dropped
    assert history.dropped_note in widget._run["notes"]
    widget.close()


def test_rows_of_a_look_are_filtered_and_sorted() -> None:
    widget = IUAWidget(history_of(STEPS, whole=[]))
    widget.sort = {"column": "response", "ascending": True}
    assert widget.table()["response"].tolist() == ["conv", "head.relu"]
    widget.filter = "head"
    assert widget.table()["response"].tolist() == ["head.relu"]
    widget.close()


def test_a_selected_unit_has_a_life() -> None:
    widget = IUAWidget(history_of(STEPS))
    widget.layer = "conv"
    until(lambda: unpack(widget._life)[0]["layer"] == "conv")
    widget.selected = [11]
    assert unpack(widget._life)[0]["steps"] == STEPS
    with pytest.raises(traitlets.TraitError, match="no unit of layer 'conv'"):
        widget.selected = [12]
    widget.close()


def test_tolerances_begin_at_those_of_the_history() -> None:
    history = history_of([0])
    history.tolerances = history.tolerances.but(atol=0.05, tau=0.1)
    widget = IUAWidget(history)
    assert (widget.atol, widget.tau) == (0.05, 0.1)
    widget.close()


def test_other_tolerances_are_sent_once_they_rest() -> None:
    widget = IUAWidget(history_of(STEPS))
    widget.tau = 0.3
    until(lambda: 0.3 in unpack(widget._history)[0]["taus"])
    widget.close()


def test_an_empty_history_waits_for_its_first_look() -> None:
    history = history_of([])
    widget = IUAWidget(history)
    assert widget._run["look"] is None
    with pytest.raises(IUAError, match="no look has been made yet"):
        _ = widget.iua
    run = run_of(IUA.introspect(responses(0), atol=1e-8, engine="reference"))
    history.add(Look.of(0, run.tallies, history.stops, history.tolerances), run)
    shown(widget, 0)
    assert widget.layer == "head.relu"
    widget.close()
    widget.close()
    assert history.on_change == []


def test_a_monitor_is_shown_and_saved_as_a_page(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU())
    monitor = IUAMonitor(model, torch.randn(8, 4), every=1, engine="reference", name="net")
    for _ in range(3):
        monitor.step()
    assert monitor.widget is monitor.widget
    assert monitor.to_html(tmp_path / "net.html").stat().st_size > 0
    bundle: Any = monitor._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data
    monitor.widget.close()


def payload_of(history: History, path: Path, **traits: object) -> dict[str, Any]:
    widget = IUAWidget(history)
    for name, value in traits.items():
        setattr(widget, name, value)
    page = widget.to_html(path / "page.html", limit=2**20).read_text()
    widget.close()
    found = re.search(r'id="payload">(.*?)</script>', page)
    assert found is not None
    payload: dict[str, Any] = json.loads(found[1])
    return payload


@pytest.mark.parametrize("whole", [None, []], ids=["whole", "partly"])
def test_a_file_has_all_looks(tmp_path: Path, whole: list[int] | None) -> None:
    history = history_of(STEPS, whole=whole)
    history.events = [alarm(300)]
    payload = payload_of(history, tmp_path, look=400, against=100)
    assert (payload["state"]["look"], payload["state"]["against"]) == (400, 100)
    over_time = payload["over_time"]
    assert [look["step"] for look in over_time["looks"]] == STEPS
    assert list(over_time["lives"]) == ["head.relu", "conv"]
    ends = over_time["looks"][0]["ends"]
    assert list(ends) == ["table", "worst", "units 0", "units 1", "dead"]


def test_of_many_looks_a_small_file_has_some(tmp_path: Path) -> None:
    history = history_of(list(range(0, 4000, 100)), whole=[])
    widget = IUAWidget(history)
    widget.look = 1300
    page = widget.to_html(tmp_path / "page.html", limit=2**18).read_text()
    widget.close()
    found = re.search(r'id="payload">(.*?)</script>', page)
    assert found is not None
    steps = [look["step"] for look in json.loads(found[1])["over_time"]["looks"]]
    assert {0, 1300, 3900} <= set(steps)
    assert len(steps) < 40
