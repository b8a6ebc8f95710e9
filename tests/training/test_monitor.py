"""A monitor's looks are runs of their own, and leave training bit for bit as it was."""

from __future__ import annotations

import contextlib
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from by_hand import assert_untouched, everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from iua_widget import IUA, IUAError, IUAMonitor, IUAWarning, LayerSelectionError, ProducerError
from iua_widget.run.run import Run
from iua_widget.run.whole_copy import whole_copy
from iua_widget.training import looks

PROBES = torch.randn(40, 6, generator=torch.Generator().manual_seed(7))
DATA = torch.randn(48, 6, generator=torch.Generator().manual_seed(8))


class Net(nn.Module):
    """Has what a look must not move."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(6, 16), nn.BatchNorm1d(16)
        self.relu, self.drop = nn.ReLU(), nn.Dropout(0.3)
        self.second, self.last = nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.drop(self.relu(self.norm(self.first(x))))
        return self.last(torch.relu(self.second(x)))


def monitor_of(model: nn.Module, probes: Any = PROBES, **options: Any) -> IUAMonitor:
    return IUAMonitor(model, probes, engine="reference", **options)


def trained(
    look: Callable[[nn.Module], IUAMonitor] | None,
    *,
    autocast: bool = False,
    accumulate: int = 1,
    compiled: bool = False,
) -> tuple[dict[str, torch.Tensor], list[float], IUAMonitor | None]:
    """Weights, buffers and losses after some steps of training, and the monitor."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (the generator that others draw from)
    net: Any = Net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.02)
    model = torch.compile(net, backend="eager") if compiled else net
    loader = DataLoader(TensorDataset(DATA), batch_size=8, shuffle=True)  # the global generator
    monitor, losses, micro = None, [], 0
    if look is not None:
        monitor = look(model)
        monitor.look()
    for _ in range(3):
        for (batch,) in loader:
            with torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext():
                noisy = batch + 0.1 * torch.rand_like(batch) * random.random() * np.random.rand()  # noqa: NPY002
                loss = model(noisy).float().square().mean()
            loss.backward()
            micro += 1
            if monitor is not None and accumulate > 1:
                monitor.look(micro)  # half way through what is accumulated
            if micro % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad()
                if monitor is not None and accumulate == 1:
                    monitor.step()
            losses.append(loss.item())
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    return state, losses, monitor


@pytest.mark.parametrize(
    "training",
    [{}, {"autocast": True}, {"accumulate": 3}, {"compiled": True}],
    ids=["plain", "autocast", "accumulated", "compiled"],
)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_training_gives_the_same_weights_with_and_without(
    training: dict[str, Any], mode: Any
) -> None:
    shuffled = DataLoader(TensorDataset(PROBES), batch_size=16, shuffle=True)
    weights, losses, _ = trained(None, **training)
    watched, told, monitor = trained(
        lambda model: monitor_of(model, shuffled, every=2, mode=mode), **training
    )
    assert told == losses
    assert watched.keys() == weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, watched[name]), name
    assert monitor is not None
    assert len(monitor.steps) >= 9
    assert not monitor.notes or "failed" not in "".join(monitor.notes)


def test_a_look_leaves_all_of_the_model_and_the_process_as_it_was() -> None:
    model = Net().train()
    model.relu.eval()
    model(PROBES).sum().backward()
    model.first.weight.requires_grad_(requires_grad=False)
    model.first.register_forward_hook(lambda *_: None)
    monitor = monitor_of(model, DataLoader(TensorDataset(PROBES), batch_size=8, shuffle=True))
    for step in range(3):
        before = everything(model)
        monitor.look(step)
        assert_untouched(before, everything(model))
    monitor.close()
    assert_untouched(before, everything(model))


@pytest.mark.parametrize("engine", ["reference", "device"])
def test_a_look_is_a_run_of_that_moment(engine: Any) -> None:
    torch.manual_seed(0)
    model = Net()
    monitor = IUAMonitor(model, PROBES, engine=engine, every=2, stops=[0.0, 0.1, 1.0])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    runs = {}
    looked = []
    for step in range(1, 7):
        model(DATA[:8]).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        looked.append(monitor.step())
        runs[step] = IUA.introspect(
            model,
            PROBES,
            engine="reference",
            stops=[0.0, 0.1, 1.0],
            keep_inactive=False,
            rtol=0.0,
            scale="layer_mean",
        )
    assert looked == [False, True] * 3
    assert monitor.steps == [2, 4, 6]
    for step in monitor.steps:
        whole, run = monitor.iua(step), runs[step]
        assert whole.tolerances == run.tolerances
        np.testing.assert_equal(whole.to_pandas().to_dict("list"), run.to_pandas().to_dict("list"))
        rows = monitor.history(atol=0.1).query("step == @step")
        there = run.at(atol=0.1).to_pandas()
        for column in ("mean inactive", "std inactive", "dead units"):
            assert rows[column].tolist() == there[column].tolist()
    assert monitor.iua().to_pandas().equals(monitor.iua(6).to_pandas())
    changed = monitor.compare(2, 4).to_pandas()
    rows = monitor.history().query("step == 4")
    for column in ("newly dead", "revived", "dead in both"):
        assert rows[column].tolist() == changed[column].tolist()
    assert monitor.compare(4).to_pandas().equals(monitor.compare(4, 6).to_pandas())


def test_step_zero_replaced_looks_and_steps_of_its_own() -> None:
    monitor = monitor_of(Net(), every=10, name="net")
    first = monitor.look()
    assert first is not None
    assert (monitor.steps, first["step"].unique().tolist()) == ([0], [0])
    monitor.look()
    assert monitor.steps == [0]
    monitor.look(95)
    assert [monitor.step() for _ in range(5)] == [False] * 4 + [True]
    assert repr(monitor) == "IUAMonitor(3 looks at steps 0 to 100, 2 layers)"
    assert monitor.layers == ["relu", "Net/relu"]
    for step in (-1, 2.5, "last", True):
        with pytest.raises(ValueError, match="step must be a whole number"):
            monitor.look(step)  # type: ignore[arg-type]


def test_wrong_options_are_told_at_once() -> None:
    model = Net()
    with pytest.raises(ProducerError, match="every must be a whole number"):
        monitor_of(model, every=0)
    with pytest.raises(LayerSelectionError, match="'relu'"):
        monitor_of(model, layers="rleu")
    with pytest.raises(ProducerError, match="gives them only once"):
        monitor_of(model, (batch for batch in [PROBES]))
    with pytest.raises(ProducerError, match=r"torch\.nn\.Module"):
        IUAMonitor("model", PROBES)
    with pytest.raises(IUAError, match="keep must be an amount of memory"):
        monitor_of(model, keep="much")
    with pytest.raises(TypeError, match="Did you mean 'every'"):
        monitor_of(model, evry=3)


class Failing(Net):
    fails: str | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fails:
            raise ValueError(self.fails)
        return super().forward(x)


def test_an_error_in_a_look_is_warned_of_once_and_noted() -> None:
    model = Failing()
    monitor = monitor_of(model)
    monitor.look(0)
    table = monitor.history()
    model.fails = "no such thing"
    with pytest.warns(IUAWarning, match="look at step 1 failed, and training goes on: .*no such"):
        assert monitor.look(1) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert monitor.look(2) is None
    assert monitor.history().equals(table)
    assert any("2 looks, at steps 1 to 2, failed" in note for note in monitor.notes)
    model.fails = None
    monitor.look(3)
    assert monitor.steps == [0, 3]


def test_an_interrupt_in_a_look_leaves_the_history_as_it_was() -> None:
    class Interrupted:
        at = -1

        def __iter__(self) -> Iterator[torch.Tensor]:
            for number in range(4):
                if number == self.at:
                    raise KeyboardInterrupt
                yield PROBES[:8]

    loader, model = Interrupted(), Net()
    monitor = monitor_of(model, loader)
    monitor.look(0)
    before, table = monitor.history_data.version, monitor.history()
    for loader.at in (0, 2, 3):
        with pytest.raises(KeyboardInterrupt):
            monitor.look(5)
        assert monitor.history().equals(table)
        assert monitor.history_data.version == before
        assert monitor.iua(0).probes == 32
    loader.at = -1
    monitor.look(5)
    assert (
        monitor.history().query("step == 5")["dead units"].tolist() == table["dead units"].tolist()
    )


def test_what_is_not_kept_whole_is_told_with_what_is() -> None:
    torch.manual_seed(0)
    model = Net()
    probe = monitor_of(model)
    probe.look(0)
    whole = probe.iua(0)
    one = probe.history_data._whole_bytes[0]
    monitor = monitor_of(model, keep=8 * (2 * one + 10))
    for step in range(0, 50, 10):
        monitor.look(step)
    assert sorted(monitor.history_data.whole) == [0, 40]
    assert monitor.iua(40).to_pandas().equals(whole.to_pandas())
    with pytest.raises(IUAError, match=r"20 is not kept whole.*that are: 0, 40"):
        monitor.iua(20)
    with pytest.raises(IUAError, match="no look at step 7"):
        monitor.iua(7)
    none = monitor_of(model, keep=8 * one - 8)
    none.look(0)
    none.look(10)
    assert not none.history_data.whole
    kept = none.iua()
    none.look(20)
    assert kept.to_pandas().equals(whole.to_pandas())
    with pytest.raises(IUAError, match=r"10 is not kept whole.*None is"):
        none.iua(10)


def test_a_whole_result_is_of_one_look_whoever_looks_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Net()
    monitor = monitor_of(model, keep=8)
    monitor.look(0)
    expected = monitor.iua().to_pandas()
    threads = []

    def copied_late(run: Run) -> Run:
        with torch.no_grad():
            model.first.bias.fill_(-100)
        threads.append(threading.Thread(target=monitor.look, args=(1,)))
        threads[0].start()
        threads[0].join(0.2)  # it waits, or has counted into the run
        return whole_copy(run)

    with monkeypatch.context() as patch:
        patch.setattr(looks, "whole_copy", copied_late)
        assert monitor.iua(0).to_pandas().equals(expected)
        threads[0].join()
    assert not monitor.iua(1).to_pandas().equals(expected)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.vmap])
def test_a_look_within_a_transform_is_outside_of_it(transform: Any, mode: Any) -> None:
    def look(x: torch.Tensor) -> torch.Tensor:
        monitor.look(1)
        return x.square().sum()

    torch.manual_seed(0)
    model = Net()
    monitor = monitor_of(model, mode=mode)
    monitor.look(0)
    before = everything(model)
    transform(look)(torch.ones(3))
    assert_untouched(before, everything(model))
    rows = monitor.history().drop(columns=["newly dead", "revived", "dead in both"])
    first, second = (rows.query("step == @step").drop(columns="step") for step in (0, 1))
    assert first.reset_index(drop=True).equals(second.reset_index(drop=True))


def test_a_closed_monitor_can_be_read_and_looks_no_more() -> None:
    monitor = monitor_of(Net())
    monitor.look()
    monitor.close()
    assert len(monitor.history()) == 2
    with pytest.raises(IUAError, match="closed"):
        monitor.step()
    with pytest.raises(IUAError, match="closed"):
        monitor.look()


def test_a_model_with_other_modules_is_looked_at_as_it_is() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
    monitor = monitor_of(model)
    monitor.look(0)
    model.append(nn.Linear(4, 3)).append(nn.ReLU())
    monitor.look(1)
    model[0], model[2] = nn.Linear(6, 5), nn.Linear(5, 3)
    monitor.look(2)
    table = monitor.history().set_index(["step", "response"])
    assert table["units"].to_dict() == {
        (0, "1"): 4,
        (1, "1"): 4,
        (1, "3"): 3,
        (2, "1"): 5,
        (2, "3"): 3,
    }
    known = table["newly dead"].notna()
    assert known.to_dict() == {
        (0, "1"): False,
        (1, "1"): True,
        (1, "3"): False,
        (2, "1"): False,
        (2, "3"): True,
    }
    with pytest.raises(IUAError, match="differ"):
        monitor.compare(0, 2)
