"""The tolerance at which a widget opens, chosen to show something of a net without exact zeros."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from iua_widget import IUA, IUAWarning, IUAWidget
from iua_widget.tolerances import Tolerances

OPENINGS = (0.05, 0.1, 0.2, 0.5)
EXACT = (0.0, 1e-8, "layer_mean")
INPUTS = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))


def net(*activations: nn.Module) -> nn.Sequential:
    torch.manual_seed(1)
    blocks = [(nn.Linear(8 if at == 0 else 16, 16), act) for at, act in enumerate(activations)]
    return nn.Sequential(*(module for block in blocks for module in block))


def opened(*activations: nn.Module, **settings: Any) -> IUAWidget:
    settings = {"batch_size": len(INPUTS), "background": False, "engine": "reference", **settings}
    return IUAWidget(net(*activations), INPUTS, **settings)


def tolerances(widget: IUAWidget) -> tuple[float, float, str]:
    return (widget.rtol, widget.atol, widget.scale)


def shown_at(iua: IUA, rtol: float) -> float:
    results = iua.at(rtol=rtol, atol=0.0, scale="layer_mean").results.values()
    return float(np.mean([result.mean_inactive / result.units for result in results]))


def relative(widget: IUAWidget) -> tuple[float, float, str]:
    """The first opening at which a tenth of the responses is inactive, by counts of its own."""
    rtol = next((rtol for rtol in OPENINGS if shown_at(widget.iua, rtol) >= 0.1), OPENINGS[-1])
    return (rtol, 0.0, "layer_mean")


def told(widget: IUAWidget) -> list[str]:
    notes = [note for note in widget._run["notes"] if "the page opened at" in note]
    assert widget._run["opened"] == "".join(notes)
    return notes


@pytest.mark.parametrize("activation", [nn.GELU(), nn.SiLU(), nn.Tanh()], ids=repr)
def test_a_net_without_exact_zeros_opens_at_a_relative_tolerance(activation: nn.Module) -> None:
    widget = opened(activation, activation)
    assert tolerances(widget) == relative(widget)
    assert widget.tolerances == replace(widget.tolerances, rtol=widget.rtol, atol=0.0)
    assert (widget.table()["mean inactive"] > 0).all()
    assert len(told(widget)) == 1
    assert told(widget)[0].endswith(f"opened at |x| ≤ {widget.rtol:g} × layer mean |x|.")
    with pytest.warns(IUAWarning, match="Hardly any exact zero"):
        by_hand = IUA.introspect(net(activation, activation), INPUTS, engine="reference")
    assert by_hand.tolerances == Tolerances(1e-5, 1e-8, "zero")
    assert widget.table().equals(
        by_hand.at(rtol=widget.rtol, atol=0, scale="layer_mean").to_pandas()
    )


@pytest.mark.parametrize(
    ("small", "rtol"), [(0.02, 0.05), (0.1, 0.1), (0.2, 0.2), (0.5, 0.5), (0.9, 0.5)]
)
def test_it_opens_where_a_tenth_is_inactive(small: float, rtol: float) -> None:
    """A fifth of the responses is as small as the case says, the others between 1 and 2."""
    values = torch.linspace(1.0, 2.0, 64).repeat(16, 1)
    values[:, ::5] = small
    net = nn.Sequential(nn.Identity(), nn.Softplus(beta=1e4))
    widget = IUAWidget(net, values, layers=[nn.Softplus], background=False, engine="reference")
    assert widget.rtol == rtol == relative(widget)[0]


@pytest.mark.parametrize(
    "activations", [(nn.ReLU(),), (nn.GELU(), nn.ReLU()), (nn.ReLU(), nn.Tanh(), nn.Tanh())],
    ids=["relu", "gelu-relu", "relu-tanh"],
)  # fmt: skip
def test_a_net_with_zeros_somewhere_opens_as_ever(activations: tuple[nn.Module, ...]) -> None:
    widget = opened(*activations)
    assert tolerances(widget) == EXACT
    assert told(widget) == []


@pytest.mark.parametrize("asked", [{"rtol": 0.0}, {"atol": 1e-8}, {"scale": "layer_mean"}])
def test_what_the_code_says_stays(asked: dict[str, Any]) -> None:
    assert tolerances(opened(nn.GELU(), **asked)) == EXACT


def test_other_settings_leave_the_opening_free() -> None:
    widget = opened(nn.GELU(), dead_at=0.9, tau=0.1)
    assert (*tolerances(widget), widget.dead_at, widget.tau) == (*relative(widget), 0.9, 0.1)


class Held:
    """Inputs that come when they are let to."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __iter__(self) -> Iterator[torch.Tensor]:
        assert self.go.wait(60)
        yield from INPUTS.split(32)


@pytest.mark.parametrize("change", [{"rtol": 0.0}, {"atol": 1e-8}, {"scale": "layer_mean"}])
def test_what_python_sets_before_the_first_batch_stays(change: dict[str, Any]) -> None:
    inputs = Held()
    widget = IUAWidget(net(nn.GELU()), inputs, engine="reference")
    for name, value in change.items():
        setattr(widget, name, value)
    inputs.go.set()
    assert widget.wait(60)
    assert tolerances(widget) == EXACT


def test_what_the_page_sets_before_the_first_batch_stays() -> None:
    inputs = Held()
    widget = IUAWidget(net(nn.GELU()), inputs, engine="reference")
    widget.set_state({"atol": 0.5})
    inputs.go.set()
    assert widget.wait(60)
    assert tolerances(widget) == (0.0, 0.5, "layer_mean")


def test_a_run_in_the_background_opens_so_too() -> None:
    inputs = Held()
    widget = IUAWidget(net(nn.GELU()), inputs, engine="reference")
    assert tolerances(widget) == EXACT
    inputs.go.set()
    assert widget.wait(60)
    assert tolerances(widget) == relative(widget)


def test_it_is_done_once_and_can_be_undone() -> None:
    widget = opened(nn.GELU())
    widget.preset("DNIKit")
    assert tolerances(widget) == EXACT
    widget.restart()
    assert widget.wait(60)
    assert tolerances(widget) == EXACT
    assert told(widget) == []


def test_too_few_figures_say_nothing() -> None:
    few = IUAWidget(net(nn.GELU()), INPUTS[:4], background=False, engine="reference")
    assert tolerances(few) == EXACT


def test_a_finished_run_and_one_from_a_file_open_so_too(tmp_path: Path) -> None:
    with pytest.warns(IUAWarning, match="Hardly any exact zero"):
        iua = IUA.introspect(net(nn.GELU()), INPUTS, engine="reference")
    iua.save(tmp_path / "run.iua")
    for given in (iua, IUA.load(tmp_path / "run.iua")):
        widget = IUAWidget(given)
        assert tolerances(widget) == relative(widget)
        assert len(told(widget)) == 1
        assert given.tolerances == Tolerances(1e-5, 1e-8, "zero")
        assert tolerances(IUAWidget(given, atol=1e-8)) == EXACT


def test_responses_of_unknown_origin_open_as_in_dnikit() -> None:
    widget = IUAWidget({"x": np.random.default_rng(0).normal(size=(64, 16))}, background=False)
    assert tolerances(widget) == EXACT
