"""Looks in TensorBoard and in Weights & Biases: real packages, offline, and their files read."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from iua_widget import IUA, IUAError, LayerSelectionError
from iua_widget.training.monitor import IUAMonitor
from iua_widget.training.tensorboard import log_to_tensorboard
from iua_widget.training.tracked_look import MOST_HISTOGRAMS, TrackedLook
from iua_widget.training.wandb import log_to_wandb

STOPS = [0.25, 0.5, 1.0]
LIMITS = [0.0, 1e-8, *STOPS, 10.0]
PROBES = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
SCALARS = {
    "iua/dead_share",
    "iua/dead_units",
    "iua/inactive_share",
    "iua/worst_layer_dead_share",
    "iua/newly_dead",
    "iua/revived",
}


@pytest.fixture(scope="module")
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 5), nn.Tanh())


@pytest.fixture(scope="module")
def watched(model: nn.Sequential) -> IUAMonitor:
    """Looks at steps 0 and 30: meanwhile two units have died, and one has revived."""
    monitor = IUAMonitor(model, PROBES, stops=STOPS, engine="reference")
    bias = model[0].bias
    with torch.no_grad():
        bias[0] = -100
        monitor.look(0)
        bias[0], bias[1], bias[2] = 0, -100, -100
        monitor.look(30)
    return monitor


def magnitudes(model: nn.Sequential, layer: str) -> np.ndarray:
    with torch.no_grad():
        return model[: int(layer) + 1](PROBES).abs().numpy()


def counted(model: nn.Sequential, layer: str) -> list[int]:
    """Responses by NumPy's own histogram: exact zeros apart, and bins closed above."""
    values, edges = magnitudes(model, layer), [-1.0, *LIMITS[:-1], np.inf]
    return [int(((values > low) & (values <= high)).sum()) for low, high in pairwise(edges)]


def test_scalars_are_of_the_whole_network(watched: IUAMonitor) -> None:
    first, last = (TrackedLook.of(watched, step).scalars() for step in (0, None))
    assert first["dead_units"] == 1
    assert "newly_dead" not in first
    assert last["dead_units"] == 2
    assert (last["newly_dead"], last["revived"]) == (2, 1)
    assert last["dead_share"] == 2 / 14
    assert last["worst_layer_dead_share"] == 2 / 9
    table = watched.history().query("step == 30")
    share = table["mean inactive"].sum() / table["units"].sum()
    assert last["inactive_share"] == pytest.approx(share, rel=1e-15)


def test_tensorboard_has_the_counts_as_they_are(
    watched: IUAMonitor, model: nn.Sequential, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        log_to_tensorboard(writer, watched, 0)
        log_to_tensorboard(writer, watched)
    read = EventAccumulator(str(tmp_path), size_guidance={"histograms": 0}).Reload()
    assert set(read.Tags()["scalars"]) == SCALARS
    assert [(one.step, one.value) for one in read.Scalars("iua/dead_units")] == [(0, 1), (30, 2)]
    assert read.Tags()["histograms"] == ["iua/|x|/1", "iua/|x|/3"]
    for layer in ("1", "3"):
        first, last = read.Histograms(f"iua/|x|/{layer}")
        assert (first.step, last.step) == (0, 30)
        expected = counted(model, layer)
        limits = LIMITS[: len(last.histogram_value.bucket)]
        assert last.histogram_value.bucket == expected[: len(limits)]
        assert not any(expected[len(limits) :])
        assert last.histogram_value.bucket_limit == limits
        assert last.histogram_value.num == sum(expected)
        values = magnitudes(model, layer)
        assert last.histogram_value.sum == pytest.approx(values.sum(), rel=1e-6)
        assert last.histogram_value.min <= values.min()
        assert last.histogram_value.max >= values.max()


def test_wandb_has_the_counts_as_they_are(
    watched: IUAMonitor,
    model: nn.Sequential,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import wandb

    monkeypatch.setenv("WANDB_SILENT", "true")
    logged = []
    with wandb.init(mode="offline", dir=str(tmp_path), project="none") as run:
        log = run.log
        monkeypatch.setattr(run, "log", lambda given: (logged.append(given), log(given)))
        log_to_wandb(run, watched)
        kept = dict(run.summary)
    (given,) = logged
    histograms = {"iua/|x|/1", "iua/|x|/3"}
    assert set(given) == SCALARS | histograms | {"iua/step"}
    assert kept["iua/step"] == 30
    for layer in ("1", "3"):
        histogram = given[f"iua/|x|/{layer}"]
        expected = counted(model, layer)
        assert histogram.histogram == expected[: len(histogram.histogram)]
        assert not any(expected[len(histogram.histogram) :])
        assert np.all(np.diff(histogram.bins) > 0)
        assert histogram.bins[0] == 0
        assert histogram.bins[2:] == LIMITS[1 : len(histogram.histogram)]
        assert json.dumps(histogram.to_json(run))


class Seen:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add_scalar(self, name: str, *_: Any) -> None:
        self.names.append(name)

    def add_histogram_raw(self, name: str, **_: Any) -> None:
        self.names.append(name)


def test_a_result_is_logged_at_a_step_of_choice() -> None:
    relu = np.maximum(np.random.default_rng(0).normal(size=(20, 4, 3, 3)), 0)
    iua = IUA.introspect({"relu": relu}, engine="reference")
    look = TrackedLook.of(iua, 7)
    assert look.step == 7
    assert look.scalars()["inactive_share"] == pytest.approx((relu == 0).mean())
    ((_, histogram),) = look.histograms()
    assert histogram.counts[0] == (relu == 0).sum()
    assert histogram.counts.sum() == relu.size


def test_what_is_logged_is_bounded_and_chosen() -> None:
    many = {f"layer{number}": np.ones((3, 2)) for number in range(MOST_HISTOGRAMS + 10)}
    iua = IUA.introspect(many, engine="reference")
    writer = Seen()
    log_to_tensorboard(writer, iua)
    assert len(writer.names) == MOST_HISTOGRAMS + 4
    writer = Seen()
    log_to_tensorboard(writer, iua, layers="layer5*", prefix="probe")
    assert {name for name in writer.names if "|x|" in name} == {
        f"probe/|x|/layer5{ending}" for ending in ("", *range(10))
    }
    with pytest.raises(LayerSelectionError, match="relu"):
        log_to_tensorboard(Seen(), iua, layers="relu")


def test_what_cannot_be_logged_is_refused(model: nn.Sequential, watched: IUAMonitor) -> None:
    with pytest.raises(IUAError, match="has not looked yet"):
        log_to_tensorboard(Seen(), IUAMonitor(model, PROBES, engine="reference"))
    with pytest.raises(IUAError, match="no look at step 7"):
        log_to_tensorboard(Seen(), watched, 7)
    with pytest.raises(TypeError, match=r"must be an IUAMonitor, .* got Sequential"):
        log_to_tensorboard(Seen(), model)
