"""`prune`: what was planted dead is gone, outputs are the same, and the old model is as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

from iua_widget import IUA, IUAWarning, Pruned, RemedyError, prune

DEEP = -50.0
"""A bias below which no response of these nets comes."""


def counted(model: nn.Module, data: torch.Tensor, **options: Any) -> IUA:
    return IUA.introspect(model, data, engine="reference", **options)


def planted(model: nn.Module, **dead: Sequence[int]) -> nn.Module:
    """The model with biases of its modules so low that these units never fire."""
    with torch.no_grad():
        for name, units in dead.items():
            bias: Any = model.get_submodule(name.replace("_", ".")).bias
            bias[list(units)] = DEEP
    return model.eval()


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same_state(model: nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def without(tensor: torch.Tensor, axis: int, removed: Sequence[int]) -> torch.Tensor:
    kept = [place for place in range(tensor.shape[axis]) if place not in set(removed)]
    return tensor.index_select(axis, torch.tensor(kept))


def removed(pruned: Pruned) -> dict[str, list[int]]:
    assert all(units.dtype == np.int64 for units in pruned.removed.values())
    return {layer: units.tolist() for layer, units in pruned.removed.items()}


class ConvNet(nn.Module):
    """Convolutions with padding and BatchNorm, pooling, a view, functions and modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(6)
        self.fc1, self.fc2 = nn.Linear(6 * 9, 12), nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.relu(self.norm1(self.conv1(x))), 2)
        x = F.avg_pool2d(self.relu(self.norm2(self.conv2(x))), 2)
        x = x.view(x.size(0), -1)
        x = F.dropout(F.relu(self.fc1(x)), training=self.training)
        return self.fc2(x)


def images(count: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(seed))


def conv_net() -> nn.Module:
    torch.manual_seed(0)
    model = ConvNet()
    with torch.no_grad():
        for norm in (model.norm1, model.norm2):
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.uniform_(0.5, 2)
            norm.bias.uniform_(0.2, 0.5)
    return planted(model, norm1=[2, 3], norm2=[0, 5], fc1=[1, 6, 7])


def test_a_conv_net_loses_what_is_dead_and_nothing_else() -> None:
    model = conv_net()
    before = state(model)
    iua = counted(model, images(40))
    pruned = prune(model, iua, check=images(30, seed=2))
    gone = removed(pruned)
    assert set(gone) == {"conv1", "conv2", "fc1"}
    assert {2, 3} <= set(gone["conv1"])
    assert {0, 5} <= set(gone["conv2"])
    assert {1, 6, 7} <= set(gone["fc1"])
    assert pruned.kept == {}
    assert pruned.difference is not None
    assert pruned.within is not None
    assert 0 <= pruned.difference <= pruned.within < 1e-5
    assert pruned.checked == 30
    assert same_state(model, before)
    assert type(pruned.model) is ConvNet
    # What is left is the old model's, bit for bit.
    left = pruned.model.state_dict()
    conv1, conv2, fc1 = gone["conv1"], gone["conv2"], gone["fc1"]
    entries = [9 * unit + place for unit in conv2 for place in range(9)]
    rows = without(before["conv2.weight"], 0, conv2)
    assert torch.equal(left["conv2.weight"], without(rows, 1, conv1))
    assert torch.equal(left["norm1.running_var"], without(before["norm1.running_var"], 0, conv1))
    columns = without(without(before["fc1.weight"], 0, fc1), 1, entries)
    assert torch.equal(left["fc1.weight"], columns)
    assert torch.equal(left["fc2.bias"], before["fc2.bias"])
    assert pruned.parameters_before == sum(one.numel() for one in model.parameters())
    assert pruned.parameters_after == sum(one.numel() for one in pruned.model.parameters())
    assert pruned.parameters_after < pruned.parameters_before


def test_what_is_dead_by_zero_weights_is_removed_too() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    with torch.no_grad():
        model[0].weight[[1, 4]] = 0
        model[0].bias[[1, 4]] = 0
    data = torch.randn(50, 4)
    pruned = prune(model, counted(model, data), check=data)
    assert {1, 4} <= set(removed(pruned)["0"])


def test_the_shift_of_a_norm_behind_a_dead_relu_goes_into_the_next_bias() -> None:
    layers = [nn.Linear(4, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3, bias=False)]
    model = planted(nn.Sequential(*layers), **{"0": [0, 5]})
    with torch.no_grad():
        model[2].bias.uniform_(0.5, 1)
        model[2].running_mean.uniform_(-1, 1)
    data = torch.randn(50, 4)
    pruned = prune(model, counted(model, data, layers="1"), check=torch.randn(20, 4))
    gone = removed(pruned)["0"]
    norm: Any = model[2]
    shift = norm(torch.zeros(1, 6))[0, gone].tanh().double()
    expected = model[4].weight[:, gone].double() @ shift
    assert torch.equal(pruned.model[4].bias, expected.float())
    assert model[4].bias is None
    assert pruned.model[2].num_features == 6 - len(gone)


class Padded(nn.Module):
    """A ReLU, a norm, and a convolution of which padding and its mode are given."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 5, 3, **options)
        with torch.no_grad():
            self.norm.bias[:2] = torch.tensor([0.0, 0.7])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.norm(F.relu(self.conv1(x))))


@pytest.mark.parametrize(
    "options",
    [{}, {"padding": "valid"}, {"padding": 1, "padding_mode": "reflect"}],
    ids=["none", "valid", "reflect"],
)
def test_a_constant_map_goes_into_the_next_bias_where_no_border_tells(options: Any) -> None:
    model = planted(Padded(**options), conv1=[0, 1])
    pruned = prune(model, counted(model, images(20)), check=images(9, seed=2))
    assert removed(pruned) == {"conv1": [0, 1]}


@pytest.mark.parametrize("padding", [1, "same"])
def test_a_constant_map_stays_where_it_is_padded_with_zeros(padding: Any) -> None:
    model = planted(Padded(padding=padding), conv1=[0, 1])
    with torch.no_grad():
        model.norm.bias[0] = 0.0  # and zero is zero at the border, too
    with pytest.warns(IUAWarning, match="Not pruned: 'Padded/relu': unit 1: it gives a constant"):
        pruned = prune(model, counted(model, images(20)), check=images(9, seed=2))
    assert removed(pruned) == {"conv1": [0]}
    why = "unit 1: it gives a constant 0.7, and 'conv2' pads it"
    assert pruned.kept == {"Padded/relu": why}


def test_a_constant_map_stays_where_it_is_averaged_with_padding() -> None:

    def net(*, padded: bool) -> nn.Module:
        pool = nn.AvgPool2d(3, padding=1, count_include_pad=padded)
        norm = nn.BatchNorm2d(4)
        nn.init.constant_(norm.bias, 0.5)
        layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), norm, pool, nn.Flatten(), nn.Linear(64, 2)]
        return planted(nn.Sequential(*layers), **{"0": [2]})

    model = net(padded=True)
    with pytest.warns(IUAWarning, match="Not pruned"):
        pruned = prune(model, counted(model, images(20)), check=images(9, seed=2))
    assert removed(pruned) == {}
    assert pruned.kept == {"1": "unit 2: it gives a constant 0.5, and '3' makes no constant of it"}
    model = net(padded=False)
    pruned = prune(model, counted(model, images(20)), check=images(9, seed=2))
    assert removed(pruned) == {"0": [2]}


def test_of_units_behind_a_flattened_convolution_a_channel_goes_where_all_its_are_dead() -> None:
    flat = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.Flatten(), nn.ReLU(), nn.Linear(16, 2))
    model = planted(flat, **{"0": [1]})
    iua = counted(model, images(40))
    entries = iua.dead_units()["2"]
    assert set(range(4, 8)) <= set(entries.tolist())
    assert removed(prune(model, iua, check=images(9, seed=2))) == {"0": [1]}


def test_a_depthwise_convolution_between_goes_along() -> None:
    depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
    layers = [nn.Conv2d(3, 6, 1), nn.ReLU(), depthwise, nn.BatchNorm2d(6), nn.ReLU()]
    model = planted(nn.Sequential(*layers, nn.Conv2d(6, 2, 1)), **{"0": [1], "3": [4]})
    with torch.no_grad():
        depthwise.bias[1] = 0.5  # behind a dead unit it is all that is given, at the border, too
        depthwise.bias[4] = 0
    pruned = prune(model, counted(model, images(20)), check=images(9, seed=2))
    gone = removed(pruned)["0"]
    assert {1, 4} <= set(gone)
    left: Any = pruned.model[2]
    assert left.groups == left.in_channels == left.out_channels == len(left.weight) == 6 - len(gone)
    assert torch.equal(left.weight, without(depthwise.weight.detach(), 0, gone))


class SamePadding(nn.Conv2d):
    """As several libraries have it, after TensorFlow."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.pad = nn.ZeroPad2d((0, 1, 0, 1)) if self.kernel_size[0] > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(self.pad(x), self.weight, self.bias, self.stride)


class Standardized(nn.Conv2d):
    """A convolution whose filters depend on all their entries."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


def test_convolutions_of_ones_own_are_told_by_what_they_compute() -> None:
    def net(second: nn.Module) -> nn.Module:
        layers = [SamePadding(3, 4, 2), nn.ReLU(), nn.BatchNorm2d(4), second]
        model = nn.Sequential(*layers)
        nn.init.constant_(model[2].bias, 0.5)
        return planted(model, **{"0": [1]})

    model = net(SamePadding(4, 5, 1))
    assert removed(prune(model, counted(model, images(20)), check=images(9))) == {"0": [1]}
    model = net(SamePadding(4, 5, 2))
    with pytest.warns(IUAWarning, match="Not pruned: '1': unit 1: it gives a constant 0.5"):
        assert removed(prune(model, counted(model, images(20)), check=images(9))) == {}
    model = net(Standardized(4, 5, 2))
    with pytest.raises(RemedyError, match="is not known to leave each unit by itself"):
        prune(model, counted(model, images(20)))


def test_the_mean_over_positions_keeps_channels() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 5, 3), nn.Linear(5, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(torch.relu(self.conv(x)).mean((-2, -1)))

    torch.manual_seed(0)
    model = planted(Pooled(), conv=[0, 4])
    assert removed(prune(model, counted(model, images(20)), check=images(9))) == {"conv": [0, 4]}


def test_a_layer_that_is_dead_altogether_keeps_one_unit() -> None:
    model = planted(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), **{"0": [0, 1, 2]})
    data = torch.randn(9, 4)
    with pytest.warns(IUAWarning, match="none left"):
        pruned = prune(model, counted(model, data), check=data)
    assert removed(pruned) == {"0": [1, 2]}
    assert pruned.kept == {"1": "unit 0: the layer would have none left"}


def test_a_model_without_a_dead_unit_is_copied() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 2))
    pruned = prune(model, counted(model, torch.randn(9, 4)), check=torch.randn(9, 4))
    assert (removed(pruned), pruned.kept, pruned.difference) == ({}, {}, 0)
    assert pruned.model is not model


def test_mode_and_frozen_parameters_stay() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2)).train()
    planted(model, **{"0": [1]}).train()
    model[0].requires_grad_(requires_grad=False)
    pruned = prune(model, counted(model, torch.randn(30, 4)), check=torch.randn(9, 4)).model
    assert pruned.training
    assert [one.requires_grad for one in pruned.parameters()] == [False, False, True, True]
    pruned(torch.randn(5, 4)).sum().backward()  # it can be trained


def test_several_layers_counted_in_one_chain_are_one() -> None:
    model = conv_net()
    iua = counted(model, images(40), layers=["conv1", "norm1", "relu", "*/relu"])
    pruned = prune(model, iua, check=images(20, seed=2))
    assert {2, 3} <= set(removed(pruned)["conv1"])
    only = prune(model, iua, layers="relu", check=images(20, seed=2))
    assert set(removed(only)) == {"conv1"}


def test_what_fires_on_held_out_data_is_told_with_the_difference() -> None:
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1)).eval()
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([[1.0], [1.0], [-1.0], [1.0]])
        model[0].bias[:] = torch.tensor([1.0, -5.0, 1.0, -50.0])
        model[2].weight[:] = 0.5
    iua = counted(model, torch.rand(100, 1))
    assert iua.dead_units()["1"].tolist() == [1, 3]
    assert iua.units("1")["active rate below"][1] == pytest.approx(1 - 0.05 ** (1 / 100))
    wide = torch.linspace(0, 7, 50)[:, None]
    with pytest.raises(RemedyError, match="differ by up to 1 on 50 inputs of `check`") as caught:
        prune(model, iua, check=wide)
    assert "Dead on the probes is not dead on the data: active there of '1': 1. " in str(
        caught.value
    )
    assert caught.value.difference == pytest.approx(1)
    with pytest.raises(RemedyError, match="`check` can be read only once"):
        prune(model, iua, check=iter([wide]))
    allowed = prune(model, iua, check=wide, within=1.5)
    assert (allowed.difference, allowed.within) == (pytest.approx(1), 1.5)
    assert removed(prune(model, iua, check=torch.rand(50, 1))) == {"0": [1, 3]}
    assert prune(model, iua).difference is None


def test_what_is_dead_only_by_a_tolerance_moves_outputs_by_as_much() -> None:
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1)).eval()
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([[1.0], [0.0]])
        model[0].bias[:] = torch.tensor([1.0, 1e-3])
        model[2].weight[:] = 1.0
    data = torch.rand(20, 1)
    iua = counted(model, data)
    assert removed(prune(model, iua, check=data)) == {}
    message = "no unit is active there, but they give more than nothing"
    with pytest.raises(RemedyError, match=message) as caught:
        prune(model, iua, atol=2e-3, check=data)
    assert caught.value.difference == pytest.approx(1e-3, rel=1e-3)
    assert removed(prune(model, iua, atol=2e-3, check=data, within=2e-3)) == {"0": [1]}


def test_other_weights_than_were_counted_are_told() -> None:
    model = planted(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), **{"0": [1]})
    iua = counted(model, torch.randn(9, 4))
    with torch.no_grad():
        model[0].bias[1] = -20.0
    with pytest.warns(IUAWarning, match="The model has other weights than were counted"):
        prune(model, iua)


def test_a_mapping_and_a_forward_of_ones_own_are_checked_with() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor, *, twice: bool = False) -> dict[str, torch.Tensor]:
            y = self.fc2(F.relu(self.fc1(x)))
            return {"y": 2 * y if twice else y}

    model = planted(Named(), fc1=[2])
    batches = [{"x": torch.randn(5, 4)} for _ in range(3)]
    iua = IUA.introspect(model, batches, engine="reference")
    pruned = prune(model, iua, check=batches)
    assert (pruned.checked, removed(pruned)) == (15, {"fc1": [2]})
    forward = lambda model, batch: model(batch["x"], twice=True)  # noqa: E731
    assert prune(model, iua, check=batches, forward=forward).checked == 15


ACTIVATIONS = [nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.Tanh, lambda: nn.PReLU(1)]


@st.composite
def chains(draw: st.DrawFn) -> tuple[nn.Module, torch.Tensor]:
    """A random chain in float64, random units of which are planted dead, and its inputs."""
    torch.manual_seed(draw(st.integers(0, 10**6)))
    layers: list[nn.Module] = []
    width = draw(st.integers(1, 4))
    shape = (width, 13, 13)
    for _ in range(draw(st.integers(0, 2))):
        options = {"padding": draw(st.integers(0, 1)), "stride": draw(st.integers(1, 2))}
        mode = draw(st.sampled_from(["zeros", "reflect", "circular"]))
        after = draw(st.integers(2, 6))
        layers.append(
            nn.Conv2d(width, after, draw(st.sampled_from([1, 3])), padding_mode=mode, **options)
        )
        _plant(draw, layers, after, nn.BatchNorm2d)
        if draw(st.booleans()):
            layers.append(nn.MaxPool2d(2, padding=1))
        if draw(st.booleans()):
            size = draw(st.sampled_from([1, 3]))
            layers.append(nn.Conv2d(after, after, size, padding=size // 2, groups=after))
            layers.append(draw(st.sampled_from(ACTIVATIONS))())
        width = after
    layers.append(nn.Flatten())
    if draw(st.booleans()):
        layers.append(draw(st.sampled_from(ACTIVATIONS))())
    with torch.no_grad():
        width = nn.Sequential(*layers).eval()(torch.zeros(1, *shape)).shape[1]
    for _ in range(draw(st.integers(1, 3))):
        after = draw(st.integers(2, 7))
        layers.append(nn.Linear(width, after, bias=draw(st.booleans())))
        _plant(draw, layers, after, nn.BatchNorm1d)
        width = after
    layers.append(nn.Linear(width, 3))
    data = torch.randn(40, *shape, dtype=torch.float64)
    return nn.Sequential(*layers).double().eval(), data


def _plant(draw: st.DrawFn, layers: list[nn.Module], width: int, norm_class: Any) -> None:
    """An activation, with a norm before or behind, and units dead by weights and bias, or norm."""
    dead = draw(st.lists(st.integers(0, width - 1), unique=True, max_size=width))
    layer: Any = layers[-1]
    norm = norm_class(width)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.uniform_(-0.5, 0.5)
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.5, 2)
        layer.weight[dead] = 0
        if layer.bias is not None:
            layer.bias[dead] = 0 if draw(st.booleans()) else DEEP
    activation = draw(st.sampled_from(ACTIVATIONS))()
    where = draw(st.sampled_from(["none", "before", "behind"]))
    if where == "before":
        with torch.no_grad():
            norm.weight[dead] = norm.bias[dead] = 0
    layers += [norm] * (where == "before") + [activation] + [norm] * (where == "behind")


@settings(max_examples=30, deadline=None)
@given(chains())
@pytest.mark.filterwarnings("ignore:Hardly any exact zero", "ignore:Not pruned")
def test_random_chains_with_units_planted_dead_give_the_same_outputs(
    chain: tuple[nn.Module, torch.Tensor],
) -> None:
    model, data = chain
    before = state(model)
    iua = counted(model, data[:20])
    # At atol=0, because a GELU far below zero gives less than 1e-8, and more than nothing.
    pruned = prune(model, iua, atol=0, check=data[:20])  # raises if not
    assert same_state(model, before)
    assert pruned.within is not None
    assert pruned.within <= 2e-12 * float(model(data[:20]).detach().abs().max())
    layers = (nn.Linear, nn.Conv2d)
    names = [
        name
        for name, one in model.named_modules()
        if isinstance(one, layers) and getattr(one, "groups", 1) == 1
    ]
    widths = {name: model.get_submodule(name).weight.shape[0] for name in names}
    smaller = {name: pruned.model.get_submodule(name).weight.shape[0] for name in names}
    gone = {name: len(units) for name, units in pruned.removed.items()}
    assert smaller == {name: width - gone.get(name, 0) for name, width in widths.items()}
    # Of what is flattened, single positions may be dead.
    after_flatten = str(1 + [type(one) for one in model].index(nn.Flatten))
    dead = [layer for layer, units in iua.dead_units(atol=0).items() if len(units)]
    if any(layer != after_flatten for layer in dead):
        assert gone or pruned.kept
    assert dead or not gone
