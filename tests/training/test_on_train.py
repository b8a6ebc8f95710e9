"""Watching the batches of training in passing: the same counts, and no trace on weights."""

from __future__ import annotations

import contextlib
import copy
import pickle
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from by_hand import assert_untouched, everything
from torch import nn
from torch.nn import functional as F  # noqa: N812

from iua_widget import IUA, IUAError, IUAMonitor, IUAWarning, ProducerError
from iua_widget.capture.innermost import innermost
from iua_widget.run.counting import Counting

DATA = torch.randn(64, 6, generator=torch.Generator().manual_seed(8))


class Net(nn.Module):
    """Has what depends on the mode, and activations of both sorts."""

    def __init__(self, *, dropout: float = 0.3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Linear(6, 16), nn.BatchNorm1d(16)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(dropout)
        self.second, self.last = nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.drop(self.relu(self.norm(self.first(x))))
        return self.last(F.relu(self.second(x)))


def monitor_of(model: nn.Module, **options: Any) -> IUAMonitor:
    return IUAMonitor(model, on="train", engine="reference", **options)


def trained(
    *, watch: bool, autocast: bool = False, accumulate: int = 1
) -> tuple[dict[str, torch.Tensor], list[torch.Tensor], IUAMonitor | None]:
    """Weights and buffers after some steps, all gradients on the way, and the monitor."""
    model = Net()
    monitor = monitor_of(model, every=2) if watch else None
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    gradients = []
    for number in range(12):
        with torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext():
            batch = DATA[torch.randperm(64)[:8]]
            loss = model(batch).float().square().mean()
        loss.backward()
        gradients += [parameter.grad.clone() for parameter in model.parameters()]  # type: ignore[union-attr]
        if number % accumulate == accumulate - 1:
            optimizer.step()
            optimizer.zero_grad()
            if monitor is not None:
                monitor.step()
        if number % 4 == 3:
            with torch.no_grad():
                model.eval()(DATA)
                model.train()
    return {n: t.clone() for n, t in model.state_dict().items()}, gradients, monitor


@pytest.mark.parametrize("way", [{}, {"autocast": True}, {"accumulate": 3}], ids=str)
def test_weights_and_gradients_are_the_same_with_and_without(way: dict[str, Any]) -> None:
    weights, gradients, _ = trained(watch=False, **way)
    watched, seen, monitor = trained(watch=True, **way)
    assert all(map(torch.equal, gradients, seen))
    for name, tensor in weights.items():
        assert torch.equal(tensor, watched[name]), name
    assert monitor is not None
    assert monitor.steps == list(range(2, 13 if not way.get("accumulate") else 5, 2))
    batches = 2 * way.get("accumulate", 1)
    assert monitor.history()["probes"].unique().tolist() == [8 * batches]
    assert any(note.startswith("Counted of the batches of training") for note in monitor.notes)


def test_it_counts_what_training_computes_since_the_look_before() -> None:
    model = Net()
    kept: dict[str, list[np.ndarray]] = {"relu": [], "Net/relu": []}
    model.drop.register_forward_pre_hook(
        lambda _, args: kept["relu"].append(args[0].detach().numpy().copy())
    )
    model.last.register_forward_pre_hook(
        lambda _, args: kept["Net/relu"].append(args[0].detach().numpy().copy())
    )
    monitor = monitor_of(model, every=3, layers=["relu", "Net/relu"])
    for start in (0, 8, 16, 3, 30, 11):
        model(DATA[start : start + 8]).sum().backward()
        monitor.step()
    model.eval()(DATA)
    for number, step in enumerate(monitor.steps):
        by_hand = {
            name: np.concatenate(values[3 * number : 3 * number + 3])
            for name, values in kept.items()
        }
        fresh = IUA.introspect(by_hand, engine="reference", keep_inactive=False)
        for layer in by_hand:
            np.testing.assert_array_equal(
                monitor.iua(step).at(atol=0.1).results[layer].unit_inactive_count,
                fresh.at(atol=0.1).results[layer].unit_inactive_count,
            )
            rows = monitor.history(atol=0.1, layers=layer).query("step == @step")
            assert rows["dead units"].tolist() == [fresh.at(atol=0.1).results[layer].dead]


def test_what_dropout_drops_counts_as_inactive() -> None:
    model = Net(dropout=0.5)
    monitor = monitor_of(model, layers="drop", max_probes=20)
    for _ in range(5):
        model(DATA[:8])
    table = monitor.look()
    assert table is not None
    assert table["probes"].tolist() == [24]
    assert 0.5 < table["inactive share"].item() < 0.9


def test_the_model_has_two_hooks_more_and_copies_have_none_that_watch() -> None:
    model = Net()
    before = everything(model)
    monitor = monitor_of(model)
    twin = copy.deepcopy(model)
    again = pickle.loads(pickle.dumps(model))
    for other in (twin, again):
        other.train()(DATA)
    with pytest.warns(IUAWarning, match="no batch has passed through Net in training mode"):
        assert monitor.look(1) is None
    model(DATA[:8])
    IUA.introspect(model, DATA, engine="reference")
    beside = IUAMonitor(model, DATA, engine="reference")
    beside.look()
    assert monitor.look(2) is not None
    assert monitor.history()["probes"].tolist() == [8, 8]
    monitor.close()
    assert_untouched({"hooks": before["hooks"]}, everything(model))
    model(DATA)


class Odd(Net):
    error: BaseException | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.first(x)))
        if self.error is not None:
            raise self.error
        return self.last(F.relu(self.second(x)))


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt()], ids=["error", "stop"])
def test_a_pass_that_breaks_off_is_not_counted(error: BaseException) -> None:
    model = Odd()
    monitor = monitor_of(model)
    model(DATA[:8])
    model.error = error
    with pytest.raises(type(error)):
        model(DATA[:8])
    model.error = None
    hooks = [len(module._forward_hooks) for module in model.modules()]
    model(DATA[8:20])
    monitor.look()
    assert monitor.history()["probes"].tolist() == [20, 20]
    assert [len(module._forward_hooks) for module in model.modules()] <= hooks
    assert not torch.overrides._get_current_function_mode_stack()


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["copied", "saved"]
)
def test_a_model_can_be_saved_after_ctrl_c(copied: Callable[[nn.Module], nn.Module]) -> None:
    model = Odd()
    monitor = monitor_of(model)
    model(DATA[:8])
    model.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        model(DATA[:8])
    model.error = None
    other = copied(model)
    assert torch.equal(other(DATA[:8]), model(DATA[:8]))
    monitor.look()
    assert monitor.history()["probes"].tolist() == [16, 16]


class Mode(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", [Mode(), torch.device("cpu")], ids=["mode", "device"])
def test_an_interrupted_pass_leaves_the_modes_of_others(mode: Any) -> None:
    model = Odd()
    monitor = monitor_of(model)
    for error in (KeyboardInterrupt(), ValueError()):
        model.error = error
        with pytest.raises(type(error)), Mode(), mode:
            model(DATA[:8])
    model.error = None
    with mode:
        model(DATA[:8])
    monitor.look()
    assert monitor.history()["probes"].tolist() == [8, 8]
    assert not torch.overrides._get_current_function_mode_stack()


def test_ctrl_c_while_a_response_is_recorded_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    record, came = Counting.record, []

    def interrupted(counting: Counting, *args: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        came.append(args[0])
        record(counting, *args)

    model = Net()
    monitor = monitor_of(model)
    with monkeypatch.context() as patched:
        patched.setattr(Counting, "record", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model(DATA[:8])
    assert came == ["relu"]
    assert torch.is_grad_enabled()
    model(DATA[:8]).sum().backward()
    monitor.look()
    assert monitor.history()["probes"].tolist() == [8, 8]


def test_what_cannot_be_counted_never_reaches_training() -> None:
    model = Net()
    monitor = monitor_of(model, units={"rleu": "token"}, layers=["relu"])
    for _ in range(3):
        model(DATA[:8]).sum().backward()
    with pytest.warns(IUAWarning, match="'rleu'"):
        assert monitor.look() is None
    changing = monitor_of(nn.Sequential(nn.Linear(6, 4), nn.ReLU()))
    net = changing._looks._counter._watcher.model  # type: ignore[union-attr]
    net(DATA[:8])
    net[0] = nn.Linear(6, 5)
    net(DATA[:8])
    assert changing.look() is not None
    assert any("1 batch was not counted" in note for note in changing.notes)
    net(DATA[:8])
    changing.look(1)


def test_what_cannot_be_watched_in_passing_is_refused() -> None:
    model = Net()
    with pytest.raises(ProducerError, match="is compiled"):
        monitor_of(torch.compile(model, backend="eager"))
    with pytest.raises(ProducerError, match="leave probes out"):
        IUAMonitor(model, DATA, on="train")
    with pytest.raises(ProducerError, match="leave forward out"):
        IUAMonitor(model, on="train", forward=lambda model, batch: model(batch))
    with pytest.raises(ProducerError, match="Did you mean 'train'"):
        IUAMonitor(model, on="trian")  # type: ignore[arg-type]
    with pytest.raises(ProducerError, match="probes must be given"):
        IUAMonitor(model)
    for wrong in ({"keep": "much"}, {"alarm": "dead"}, {"layers": "rleu"}, {"tau": -1}):
        with pytest.raises(IUAError):
            monitor_of(model, **wrong)
    assert not model._forward_hooks


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
def test_padding_is_left_out_and_loops_are_merged_in_passing() -> None:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.cell = nn.Embedding(9, 6), nn.Linear(6, 6)

        def forward(self, ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden = self.embed(ids) * attention_mask[..., None]
            state = hidden[:, 0]
            for _ in range(20):
                state = F.relu(self.cell(state))
            return F.relu(hidden) + state[:, None]

    torch.manual_seed(0)
    model = Text()
    ids, mask = torch.randint(0, 9, (4, 5)), torch.ones(4, 5, dtype=torch.long)
    mask[:, 3:] = 0
    monitor = monitor_of(model)
    for _ in range(3):
        model(ids=ids, attention_mask=mask).sum().backward()
    monitor.look()
    rows = monitor.history().set_index("response")["probes"]
    batch = {"ids": ids, "attention_mask": mask}
    whole = IUA.introspect(model, [batch], engine="reference", mode="train")
    assert {name: 2 * whole[name].probes for name in whole} == rows.to_dict()


def test_several_monitors_watch_the_same_passes() -> None:
    def watched(*which: str) -> dict[str, IUAMonitor]:
        net = Net()
        model = nn.Sequential(net, nn.ReLU())
        made = {"whole": (model, 2), "again": (model, 3), "part": (net, 3)}
        monitors = {
            name: monitor_of(made[name][0], every=made[name][1], max_probes=16) for name in which
        }
        for _ in range(6):
            model(DATA[:8]).sum().backward()
            for monitor in monitors.values():
                monitor.step()
        assert not net.relu._forward_hooks
        assert innermost() is None
        return monitors

    together = watched("whole", "again", "part")
    for name, monitor in together.items():
        alone = watched(name)[name]
        assert monitor.history().equals(alone.history())
        assert monitor.steps == list(range(alone.every, 7, alone.every))


def test_training_goes_on_where_no_layer_responds() -> None:
    model = Net()
    monitor = monitor_of(model, layers=["Net/tanh"])
    model(DATA[:8]).sum().backward()
    with pytest.warns(IUAWarning, match="no batch with a response"):
        assert monitor.look() is None
    model(DATA[:8]).sum().backward()
    assert monitor.look(1) is None
