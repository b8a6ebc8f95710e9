"""PyTorch models: what they compute, counted."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from iua_widget import IUA, IUAWarning, LayerSelectionError, ProducerError


class Net(nn.Module):
    """One ReLU module used three times, with equal shapes twice: merged silently elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, 10), nn.GELU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.conv(x)))
        x = self.relu(x - 0.5)
        return self.head(self.relu(self.drop(x) - 0.1))


@pytest.fixture
def model() -> Net:
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(50, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def responses_by_hand(model: Net, inputs: torch.Tensor) -> dict[str, np.ndarray]:
    model.eval()
    with torch.no_grad():
        first = torch.relu(model.norm(model.conv(inputs)))
        second = torch.relu(first - 0.5)
        third = torch.relu(second - 0.1)
        last = model.head(third)
    model.train()
    return {
        "relu": first.numpy(),
        "relu:1": second.numpy(),
        "relu:2": third.numpy(),
        "head.2": last.numpy(),
    }


def state(model: nn.Module) -> dict[str, Any]:
    return {
        "modes": [module.training for module in model.modules()],
        "hooks": [len(module._forward_hooks) for module in model.modules()],
        "tensors": {name: value.clone() for name, value in model.state_dict().items()},
        "grads": [parameter.requires_grad for parameter in model.parameters()],
    }


def assert_same_state(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["modes"] == other["modes"]
    assert one["hooks"] == other["hooks"]
    assert one["grads"] == other["grads"]
    for name, value in one["tensors"].items():
        assert torch.equal(value, other["tensors"][name])


def test_each_call_of_a_reused_module_is_a_layer_and_counts_what_it_computed(
    model: Net, inputs: torch.Tensor
) -> None:
    expected = responses_by_hand(model, inputs)
    iua = IUA.introspect(model, inputs, batch_size=16, atol=1e-3)
    assert iua.layers == list(expected)
    for layer, response in expected.items():
        inactive = np.isclose(response, 0, atol=1e-3)
        result = iua.results[layer]
        np.testing.assert_array_equal(result.unit_inactive_count, inactive.sum(axis=0))
        assert result.inactive == inactive.reshape(50, -1).sum(axis=1).tolist()
    assert iua.to_pandas()["kind"].tolist() == ["ReLU", "ReLU", "ReLU", "GELU"]


def test_the_model_is_left_as_it_was(model: Net, inputs: torch.Tensor) -> None:
    model.drop.eval()
    before = state(model)
    IUA.introspect(model, inputs)
    assert_same_state(before, state(model))


def test_the_model_is_left_as_it_was_when_it_raises(model: Net, inputs: torch.Tensor) -> None:
    def fail_on_short_batches(_module: nn.Module, args: Any) -> None:
        if len(args[0]) < 20:
            raise RuntimeError("too short")

    model.head.register_forward_pre_hook(fail_on_short_batches)
    before = state(model)
    with pytest.raises(
        ProducerError, match=r"Net raised RuntimeError in batch 2: too sh"
    ) as caught:
        IUA.introspect(model, inputs, batch_size=20)
    assert_same_state(before, state(model))
    assert caught.value.partial is not None
    assert caught.value.partial.probes == 40
    probes = {result.probes for result in caught.value.partial.results.values()}
    assert probes == {40}, "a batch that broke off half way was counted in part"


def test_between_batches_the_model_is_as_it_was(model: Net, inputs: torch.Tensor) -> None:
    before = state(model)

    def loader() -> Any:
        for start in range(0, 50, 10):
            assert_same_state(before, state(model))
            yield inputs[start : start + 10]

    assert IUA.introspect(model, loader()).probes == 50


def test_use_of_the_model_on_another_thread_is_not_counted(
    model: Net, inputs: torch.Tensor
) -> None:
    def forward_elsewhere(_module: nn.Module, _inputs: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=lambda: model(inputs[:3]))
            thread.start()
            thread.join()

    handle = model.register_forward_pre_hook(forward_elsewhere)
    with pytest.warns(IUAWarning, match=r"'head.2', 'relu' on another thread were not counted"):
        iua = IUA.introspect(model, inputs)
    handle.remove()
    assert iua.probes == 50
    assert iua.layers == ["relu", "relu:1", "relu:2", "head.2"]


def test_two_runs_at_once_on_one_model_do_not_disturb_each_other(
    model: Net, inputs: torch.Tensor
) -> None:
    expected = IUA.introspect(model, inputs).to_pandas()
    before = state(model)
    results: list[IUA] = []

    def run() -> None:
        batches = [part for _ in range(10) for part in inputs.split(5)]
        results.append(IUA.introspect(model, batches))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same_state(before, state(model))
    assert len(results) == 4
    for iua in results:
        assert iua.probes == 500
        np.testing.assert_allclose(
            iua.to_pandas()["mean inactive"], expected["mean inactive"], rtol=1e-3
        )
        assert iua.to_pandas()["dead units"].tolist() == expected["dead units"].tolist()


def test_a_run_on_a_part_of_a_model_does_not_disturb_one_on_the_whole() -> None:
    part = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    whole = nn.Sequential(part, nn.Linear(8, 8), nn.ReLU())
    batches = [torch.randn(4, 8) for _ in range(60)]
    threads = [threading.Thread(target=IUA.introspect, args=(m, batches)) for m in (part, whole)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(module.training for module in whole.modules())


def test_the_output_of_the_model_is_not_changed(model: Net, inputs: torch.Tensor) -> None:
    model.eval()
    expected = model(inputs)
    seen: list[torch.Tensor] = []
    handle = model.register_forward_hook(lambda _m, _i, output: seen.append(output.clone()))
    IUA.introspect(model, inputs, batch_size=50)
    handle.remove()
    assert torch.equal(seen[0], expected)


LOADERS = {
    "tensor": lambda x: x,
    "array": lambda x: x.numpy(),
    "list of tensors": lambda x: list(torch.split(x, 16)),
    "list of arrays": lambda x: [part.numpy() for part in torch.split(x, 16)],
    "iterator": lambda x: iter(torch.split(x, 16)),
    "dataset": lambda x: TensorDataset(x, torch.zeros(50)),
    "loader of pairs": lambda x: DataLoader(TensorDataset(x, torch.zeros(50)), batch_size=16),
    "loader of one": lambda x: DataLoader(x, batch_size=16),
    "one mapping": lambda x: {"x": x},
    "one mapping of arrays": lambda x: {"x": x.numpy()},
    "mappings": lambda x: [{"x": part} for part in torch.split(x, 16)],
}


@pytest.mark.parametrize("kind", LOADERS)
def test_batches_as_they_come(model: Net, inputs: torch.Tensor, kind: str) -> None:
    expected = IUA.introspect(model, inputs, batch_size=50).to_pandas()
    iua = IUA.introspect(model, LOADERS[kind](inputs), batch_size=16)
    assert iua.probes == 50
    assert iua.to_pandas()["dead units"].tolist() == expected["dead units"].tolist()
    np.testing.assert_allclose(
        iua.to_pandas()["mean inactive"], expected["mean inactive"], rtol=1e-3
    )


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("relu", ["relu", "relu:1", "relu:2"]),
        (["head.*"], ["head.0", "head.1", "head.2"]),
        (["conv", "head.2"], ["conv", "head.2"]),
        ("Net", ["Net"]),
        (("head.[12]",), ["head.1", "head.2"]),
    ],
)
def test_layers_are_chosen_by_name_and_glob(
    model: Net, inputs: torch.Tensor, layers: Any, expected: list[str]
) -> None:
    assert IUA.introspect(model, inputs, layers=layers, atol=0.1).layers == expected


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("relo", "layers='relo' matches no module of Net. Modules there are: 'relu'"),
        (["relu", "x.*"], r"layers='x\.\*' matches no module"),
        ([], "chooses nothing"),
        (nn.Tanh, r"layers=Tanh matches no module.*of the classes 'BatchNorm2d', 'Conv2d'"),
        (nn.ReLU(), r"none of this model's.*layers=ReLU"),
        (int, "a class in layers= must be one of modules.*got int"),
        (lambda module: module.no_such, "predicate <lambda>.*AttributeError on 'Net'"),
        (lambda _: False, "layers=<lambda> matches no module"),
        ("relu/gelu", "layers=relu/gelu matches nothing that Net called"),
        (5, "names, globs"),
    ],
)
def test_a_choice_of_layers_that_matches_nothing_says_what_there_is(
    model: Net, inputs: torch.Tensor, layers: Any, message: str
) -> None:
    with pytest.raises(LayerSelectionError, match=message):
        IUA.introspect(model, inputs, layers=layers)


def test_a_model_without_activation_modules_says_what_to_do() -> None:
    with pytest.raises(LayerSelectionError, match=r"no activation.*layers='\*'"):
        IUA.introspect(nn.Sequential(nn.Linear(3, 3)), torch.zeros(2, 3))


def test_chosen_modules_that_are_never_called_are_an_error(inputs: torch.Tensor) -> None:
    class Unused(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    with pytest.raises(LayerSelectionError, match=r"Unused called no activation.*layers="):
        IUA.introspect(Unused(), inputs)
    with pytest.raises(LayerSelectionError, match=r"layers=relu matches nothing that Unused call"):
        IUA.introspect(Unused(), inputs, layers="relu")


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (None, "a model needs data"),
        (3, "the loader must be .* got int"),
        ("data", "the loader must be a DataLoader, .* got str"),
        ({"x": "text"}, "a dict without a tensor in it"),
        ([3], "batch 0 of the loader must be .* got int"),
        ((torch.ones(6, 4), torch.arange(6)), r"looks like the labels of the first\. Give"),
        ([np.ones((6, 4)), np.ones(6)], r"shape \(6, 4\) and one of shape \(6,\)"),
        ([("a", 1)], "batch 0 of the loader must have the input first: .* got str"),
    ],
)
def test_a_loader_without_batches_is_refused(model: Net, loader: Any, message: str) -> None:
    with pytest.raises(ProducerError, match=message):
        IUA.introspect(model, loader)


def test_several_tensors_of_one_output_are_told_apart_by_path() -> None:
    model = nn.LSTM(4, 3, batch_first=True)
    iua = IUA.introspect(model, torch.randn(6, 5, 4), layers="*", batch_size=6)
    assert iua.layers == ["LSTM[0]", "LSTM[1][0]", "LSTM[1][1]"]


@pytest.mark.filterwarnings("ignore:.*quantized tensor:UserWarning")
@pytest.mark.parametrize("kind", ["quantized", "conjugate", "negative", "grad"])
def test_unusual_tensors_count_as_the_values_they_hold(kind: str) -> None:
    dense = torch.tensor([[0.0, 1.0, -2.0], [0.0, 0.0, 3.0]])
    tensor = {
        "quantized": lambda: torch.quantize_per_tensor(dense, 0.5, 0, torch.qint8),
        "conjugate": lambda: torch.complex(dense, dense).conj(),
        "negative": lambda: torch._neg_view(dense),
        "grad": lambda: dense.clone().requires_grad_(),
    }[kind]()
    result = IUA.introspect([{"a": tensor}]).results["a"]
    assert result.unit_inactive_count.tolist() == [2, 1, 0]


def test_bfloat16_and_half_models_count_in_their_own_precision() -> None:
    for dtype in (torch.bfloat16, torch.float16):
        model = nn.Sequential(nn.Linear(4, 6), nn.ReLU()).to(dtype)
        iua = IUA.introspect(model, torch.randn(10, 4).to(dtype), atol=1e-6)
        assert iua._run.tally("1").dtypes == {str(dtype).removeprefix("torch.")}
        assert 0 < iua.results["1"].mean_inactive < 6


class RandomNets(nn.Module):
    """Many independent nets of two ReLU layers, the second of one unit, on the same inputs."""

    def __init__(self, nets: int, n0: int, n1: int) -> None:
        super().__init__()
        self.first, self.first_bias = self._normal(nets, n0, n1), self._normal(nets, n1)
        self.second, self.second_bias = self._normal(nets, n1), self._normal(nets)
        self.relu = nn.ReLU()

    def _normal(self, *shape: int) -> nn.Parameter:
        return nn.Parameter(torch.randn(*shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.einsum("bi,nij->bnj", x, self.first) + self.first_bias
        return self.relu((hidden.clamp(min=0) * self.second).sum(dim=-1) + self.second_bias)


def theory(n0: int, n1: int) -> float:
    """P(a second-layer ReLU is dead for every input): arXiv 2412.06829."""
    return 2.0 ** -(n1 + 1) if n1 <= n0 else (2**n0 + 1) / 4 ** (n0 + 1)


@pytest.mark.parametrize(("n0", "n1"), [(2, 1), (2, 2), (3, 3), (1, 2), (2, 3)])
def test_units_of_random_nets_are_dead_as_often_as_theory_says(n0: int, n1: int) -> None:
    torch.manual_seed(5)
    nets, inputs = 3000, 6000
    probes = torch.randn(inputs, n0) * torch.logspace(-3, 3, inputs)[:, None]
    model = RandomNets(nets, n0, n1)
    iua = IUA.introspect(model, probes, batch_size=1000, stops=[0], atol=0)
    expected = theory(n0, n1)
    sampling_error = (expected * (1 - expected) / nets) ** 0.5
    assert iua.results["relu"].dead / nets == pytest.approx(expected, abs=3.5 * sampling_error)
