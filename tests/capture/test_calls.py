"""Calls of one module in a loop: one layer where they are one, and else layers of their own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from by_hand import assert_counts
from torch import nn
from torch.nn import functional as F  # noqa: N812

from iua_widget import (
    IUA,
    IUAWarning,
    IUAWidget,
    LayerSelectionError,
    ProducerError,
    TorchModel,
    response_infos,
)
from iua_widget.stages import pipeline

pytestmark = pytest.mark.filterwarnings("ignore:.*are one layer, and:iua_widget.IUAWarning")


class Steps(nn.Module):
    """A recurrent net, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out, self.relu = (
            nn.RNNCell(4, 8, nonlinearity="relu"),
            nn.Linear(8, 5),
            nn.ReLU(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(len(x), 8)
        for step in x.unbind(1):
            state = self.cell(step, state)
        return self.relu(self.out(state))

    def by_hand(self, x: torch.Tensor) -> np.ndarray:
        states = [torch.zeros(len(x), 8)]
        with torch.no_grad():
            for step in x.unbind(1):
                states.append(self.cell(step, states[-1]))
        return torch.cat(states[1:]).numpy()


class Spiking(nn.Module):
    """Two layers without weights of their own and one function, at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.first, self.second = (nn.Linear(4, 4) for _ in range(3))
        self.fire = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, leak = F.relu(self.encode(x)), torch.zeros(())
        for _ in range(20):
            spikes = self.fire(self.first(x) + leak)
            leak = F.relu(spikes - 0.5)
            out = self.fire(self.second(spikes))
        return out


class Stacked(nn.Module):
    """One activation behind many layers, each with weights of its own."""

    def __init__(self, depth: int = 20) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(depth))
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(4, 4)) for _ in range(depth))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = self.relu(layer(x))
        for weight in self.weights:
            x = torch.relu(x @ weight)
        return x


class LayerByLayer(nn.Module):
    """All steps of a layer, then all steps of the next, with one activation for all."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.again = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = [x] * 20
        for inner, again in zip(self.inner, self.again, strict=True):
            states = [torch.zeros_like(x)]
            for step in steps:
                states.append(self.relu(inner(step) + again(states[-1])))
            steps = states[1:]
        return steps[-1]


def probes(iua: IUA) -> dict[str, int]:
    return {layer: result.probes for layer, result in iua.results.items()}


def test_a_cell_in_a_loop_over_time_is_one_layer_and_a_note_says_so() -> None:
    torch.manual_seed(0)
    model, x = Steps(), torch.randn(6, 40, 4)
    layers = ["cell", "relu"]
    with pytest.warns(IUAWarning, match=r"'cell': up to 40 calls.*calls='separate'"):
        iua = IUA.introspect(model, x, batch_size=4, layers=layers)
    assert probes(iua) == {"cell": 240, "relu": 6}
    by_batch = [model.by_hand(x[:4]), model.by_hand(x[4:])]
    assert_counts(iua, "cell", np.concatenate(by_batch), 1e-8)
    merged = IUA.introspect(model, x, batch_size=4, layers=layers, calls="merge")
    assert_counts(merged, "cell", np.concatenate(by_batch), 1e-8)
    assert not merged.notes
    separate = IUA.introspect(model, x, layers=layers, calls="separate")
    assert len(separate.layers) == 41
    assert_counts(separate, "cell:7", model.by_hand(x)[7 * 6 : 8 * 6], 1e-8)


@pytest.mark.parametrize(("steps", "layers"), [(16, 16), (17, 1)])
def test_more_than_sixteen_calls_are_merged(steps: int, layers: int) -> None:
    iua = IUA.introspect(Steps(), torch.randn(3, steps, 4), layers="cell")
    assert len(iua.layers) == layers


def test_what_has_no_weights_is_merged_by_place() -> None:
    torch.manual_seed(0)
    model, x = Spiking(), torch.randn(16, 4)
    iua = IUA.introspect(model, [x, x])
    every = 2 * 16 * 20
    expected = {"Spiking/relu": 32, "fire": every, "Spiking/relu:1": every, "fire:1": every}
    assert probes(iua) == expected
    with torch.no_grad():
        steady = model.fire(model.first(F.relu(model.encode(x))))
    assert (iua.results["fire"].unit_inactive_count <= 40 * (steady == 0).sum(0).numpy()).all()
    infos = response_infos(model, x)
    assert [name for name in infos if "relu" in name or "fire" in name] == list(expected)
    staged = IUA.introspect(pipeline([x, x], TorchModel(model)()))
    assert probes(staged) == expected
    assert any("are one layer" in note for note in staged.notes)
    counts = [run.results["fire:1"].unit_inactive_count for run in (iua, staged)]
    np.testing.assert_array_equal(*counts)


def test_layers_with_weights_of_their_own_stay_apart() -> None:
    x = torch.randn(3, 4)
    iua = IUA.introspect(Stacked(), [x, x])
    assert len(iua.layers) == 40
    assert not iua.notes
    assert probes(IUA.introspect(LayerByLayer(), [x, x])) == dict.fromkeys(
        ["relu", "relu:1", "relu:2"], 2 * 3 * 20
    )


def test_weights_that_are_not_parameters_count_as_weights() -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.randn(4, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.weight

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers, self.relu = nn.ModuleList(Frozen() for _ in range(20)), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                x = self.relu(layer(x))
            return x

    assert len(IUA.introspect(Net(), torch.randn(3, 4)).layers) == 20


def test_the_first_batch_decides() -> None:
    def batches(*lengths: int) -> list[torch.Tensor]:
        return [torch.randn(2, length, 4) for length in lengths]

    iua = IUA.introspect(Steps(), batches(20, 3, 30), layers="cell")
    assert probes(iua) == {"cell": 2 * 53}
    grown = pytest.warns(IUAWarning, match="'cell': up to 20 calls .* the first batch made fewer")
    with grown, pytest.warns(IUAWarning, match="responses for"):
        iua = IUA.introspect(Steps(), batches(3, 20, 18), layers="cell")
    assert len(iua.layers) == 20
    assert not IUAWidget(Steps(), batches(20, 16), layers="cell", calls="separate").iua.notes


def test_many_calls_of_one_activation_in_a_deep_net_are_not_a_loop() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(20))
            self.relu = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                x = self.relu(layer(x))
            return x

    iua = IUA.introspect(Deep(), [torch.randn(3, 4)] * 2, atol=0.1)
    assert (len(iua.layers), iua.notes) == (20, [])


def test_a_run_goes_on_is_recounted_and_merged_as_it_began(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, batches = Steps(), [torch.randn(2, length, 4) for length in (20, 3, 5, 18)]

    def introspect(data: Iterable[Any], **options: Any) -> IUA:
        return IUA.introspect(model, data, layers=["cell"], **options)

    whole = introspect(batches)
    introspect(batches[:1], resume=tmp_path / "run.iua")
    resumed = introspect(batches, resume=tmp_path / "run.iua")
    assert probes(resumed) == probes(whole) == {"cell": 2 * 46}
    loaded = IUA.load(tmp_path / "run.iua")
    exact = loaded.recount(model, batches[::-1], layers=["cell"], atol=0.033).results["cell"]
    expected = np.concatenate([model.by_hand(batch) for batch in batches])
    inactive = np.isclose(expected, 0, atol=0.033).sum(axis=0)
    np.testing.assert_array_equal(exact.unit_inactive_count, inactive)
    both = IUA.merge(loaded, introspect(batches[:1]))
    assert probes(both) == {"cell": 2 * 66}
    assert any("are one layer" in note for note in both.notes)


def test_a_call_that_is_named_is_a_layer() -> None:
    model, x = Steps(), torch.randn(3, 20, 4)
    assert IUA.introspect(model, x, layers=["cell:3", "cell:1[78]"]).layers == [
        "cell:3",
        "cell:17",
        "cell:18",
    ]
    with pytest.raises(LayerSelectionError, match="matches nothing"):
        IUA.introspect(model, x, layers="cell:20")


def test_padding_on_single_steps_is_noted() -> None:
    class Masked(Steps):
        def forward(self, x: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
            return super().forward(x)

    mask = torch.ones(3, 20)
    mask[0, 5:] = 0
    batch = {"x": torch.randn(3, 20, 4), "attention_mask": mask}
    with pytest.warns(IUAWarning, match="steps that are padding are counted"):
        IUA.introspect(Masked(), [batch], layers="cell")


def test_further_passes_over_a_batch_are_told_apart_from_merged_calls() -> None:
    def twice(model: Any, batch: Any) -> None:
        model(batch)
        model(batch)

    with pytest.warns(IUAWarning, match=r"'relu': 12 responses for 6 inputs: the model is called"):
        iua = IUA.introspect(Steps(), torch.randn(6, 20, 4), layers="relu", forward=twice)
    assert iua.layers == ["relu"]


@pytest.mark.parametrize("given", ["merged", 3, None])
def test_an_unusable_option_is_refused(given: Any) -> None:
    with pytest.raises(ProducerError, match="calls must be 'auto', 'separate' or 'merge'"):
        IUA.introspect(Steps(), torch.randn(3, 20, 4), calls=given)
    with pytest.raises(ProducerError, match="calls must be"):
        TorchModel(Steps(), calls=given)
    with pytest.raises(ProducerError, match="`calls` goes with a torch"):
        IUA.introspect({"x": np.zeros((3, 2))}, calls="merge")
