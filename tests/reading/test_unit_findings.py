"""Findings in networks in which the cause of death was planted, and in near misses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from transformers.pytorch_utils import Conv1D

from iua_widget import IUA
from iua_widget.errors import NoProbesError

X = torch.rand(60, 4, generator=torch.Generator().manual_seed(0)) + 0.5


def counted(model: nn.Module, x: torch.Tensor = X, **options: Any) -> IUA:
    return IUA.introspect(
        model, x, **{"causes": True, "engine": "reference", "batch_size": 16} | options
    )


def found(model: nn.Module, layer: str, x: torch.Tensor = X, **options: Any) -> list[str]:
    return list(counted(model, x, **options).units(layer)["finding"])


def linear(weights: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weights[0]), len(weights))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights))
        layer.bias.copy_(torch.tensor(bias))
    return layer


PLANTED = linear(
    [
        [1.0, 1.0, 1.0, 1.0],  # alive
        [1.0, -1.0, 1.0, 1.0],  # bias-dominated
        [0.0, 0.0, 0.0, 0.0],  # weights zero
        [1.0, 0.0, 0.0, 0.0],  # just below
        [-1.0, -1.0, -1.0, -1.0],  # no cause: it would not fire without its bias
        [-1.0, -1.0, -1.0, -1.0],  # nor does this one, which has none
    ],
    [0.0, -40.0, -1.0, -1.0, -1.0, 0.0],
)
with torch.no_grad():
    PLANTED.bias[3] = -X[:, 0].max() - 0.001
EXPECTED = [
    "", "bias-dominated", "weights zero or not finite", "just below", "no cause seen",
    "no cause seen",
]  # fmt: skip


class ByFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.drop = PLANTED, nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.drop(F.linear(x, bias=self.fc.bias, weight=self.fc.weight)))


def as_conv(kind: Any) -> nn.Module:
    conv = kind(4, 6, 1)
    with torch.no_grad():
        weight = PLANTED.weight.T if "Transpose" in kind.__name__ else PLANTED.weight
        conv.weight.copy_(weight.reshape(conv.weight.shape))
        conv.bias.copy_(PLANTED.bias)
    return conv


@pytest.mark.parametrize("units", ["element", "channel"])
@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d])
def test_planted_causes_are_found_in_maps(kind: Any, units: str) -> None:
    conv = as_conv(kind)
    axes = conv.weight.ndim - 2
    x = X.reshape(60, 4, *[1] * axes).expand(60, 4, *[2] * axes)
    codes = found(nn.Sequential(conv, nn.ReLU(inplace=True)), "1", x, units=units)
    each = 2**axes if units == "element" else 1
    assert codes == [finding for finding in EXPECTED for _ in range(each)]


def test_planted_causes_are_found() -> None:
    for model, layer in (
        (nn.Sequential(PLANTED, nn.Identity(), nn.Dropout(0.5), nn.ReLU()), "3"),
        (nn.Sequential(PLANTED, nn.ReLU(inplace=True)), "1"),
        (nn.Sequential(PLANTED, nn.ReLU6()), "1"),
    ):
        assert found(model, layer) == EXPECTED
    assert found(ByFunction(), "ByFunction/relu") == EXPECTED
    turned = Conv1D(6, 4)
    with torch.no_grad():
        turned.weight.copy_(PLANTED.weight.T)
        turned.bias.copy_(PLANTED.bias)
    sequence = X[:, None].expand(60, 3, 4)
    assert found(nn.Sequential(turned, nn.ReLU()), "1", sequence) == EXPECTED


def test_weights_that_are_not_finite_are_told() -> None:
    layer = linear([[float("-inf"), 0.5]], [0.0])
    model = nn.Sequential(layer, nn.ReLU())
    x = torch.tensor([[1.0, 1.0], [2.0, 1.0]])
    table = counted(model, x).units("1")
    assert list(table["dead"]) == [True]
    assert list(table["finding"]) == ["weights zero or not finite"]
    assert np.isnan(table["max pre-activation"][0])


def test_inputs_that_are_all_dead_are_told_and_those_that_only_seem_so_are_not() -> None:
    first = linear([[-1.0] * 4, [-1.0] * 4, [1.0] * 4], [0.0, 0.0, 0.0])
    second = linear(
        [[1.0, 1.0, 0.0], [1.0, -2.0, 0.0], [0.0, 0.0, -1.0], [1e-9, 1e-9, 1e-9], [1.0, 1.0, 0.0]],
        [-0.5, 0.0, -0.5, -40.0, 1.0],
    )
    model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
    assert found(model, "3") == [
        "inputs all dead", "inputs all dead", "no cause seen", "no cause seen", "",
    ]  # fmt: skip


def test_a_shift_of_batch_norm_is_told_and_the_bias_before_it_is_not() -> None:
    fc = linear([[1.0, 0, 0, 0]] * 5, [-5.0] * 5)
    norm = nn.BatchNorm1d(5)
    with torch.no_grad():
        norm.running_mean.copy_(fc(X).mean(0))
        norm.running_var.copy_(fc(X).var(0))
        norm.bias.copy_(torch.tensor([0.0, -30.0, -1.0, -30.0, -30.0]))
        norm.weight.copy_(torch.tensor([1.0, 1.0, 0.0, 0.001, 1.0]))
        norm.running_mean[4] += 100
    expected = [
        "", "BatchNorm shift", "weights zero or not finite", "BatchNorm shift", "no cause seen",
    ]  # fmt: skip
    model = nn.Sequential(fc, norm, nn.ReLU()).eval()
    assert found(model, "2") == expected
    table = counted(model).findings("2")
    assert list(table["unit"]) == [1, 2, 3, 4]
    assert list(table["BatchNorm shift"]) == [-30.0, -1.0, -30.0, -30.0]


class Added(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.relu = linear([[1.0, 0, 0, 0]], [-40.0]), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.fc(x)
        y += x[:, 1:2]
        return self.relu(y)


def test_what_was_added_to_in_place_is_of_no_module() -> None:
    iua = counted(Added())
    assert list(iua.findings("relu")["finding"]) == ["no cause seen"]
    assert "bias" not in iua.findings("relu")


class AddReLU(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.relu(x + y)


class LaterReLU(nn.ReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x - 50)


class Odd(nn.Module):
    def __init__(self, kind: type[nn.Module], *others: torch.Tensor) -> None:
        super().__init__()
        self.fc, self.act, self.others = PLANTED, kind(), others

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.fc(x), *self.others)


def test_an_activation_of_ones_own_is_no_relu_of_its_first_input() -> None:
    added = counted(Odd(AddReLU, torch.full((6,), -50.0)))
    assert not {"finding", "max pre-activation"} & {*added.units("act")}
    assert not len(added.findings("act"))
    later = counted(Odd(LaterReLU))
    assert {*later.units("act")["finding"]} == {"weights zero or not finite", "no cause seen"}
    assert later.findings("act")["distance"].isna().all()


def test_activations_that_are_never_cut_off_have_no_bias_to_blame() -> None:
    model = nn.Sequential(linear([[1.0, 0, 0, 0], [0.0, 0, 0, 0]], [-40.0, -90.0]), nn.GELU())
    assert found(model, "1", atol=1e-3) == ["no cause seen", "weights zero or not finite"]


def test_a_finding_is_of_the_tolerance_read_and_none_of_what_is_not_at_hand() -> None:
    model = nn.Sequential(linear([[1.0, 0, 0, 0]], [0.0]), nn.ReLU())
    iua = counted(model, stops=[2.0])
    assert not len(iua.findings("1"))
    assert list(iua.findings("1", atol=2.0)["finding"]) == ["no cause seen"]
    arrays = IUA.introspect({"relu": np.zeros((3, 2))}, causes=True)
    assert not len(arrays.findings("relu"))
    assert "finding" not in arrays.units("relu")


def test_findings_of_all_layers_are_in_one_table() -> None:
    first, second = linear([[1.0, 0, 0, 0]] * 2, [-40.0, 9.0]), nn.Linear(2, 2)
    nn.init.constant_(second.bias, -99.0)
    iua = counted(nn.Sequential(first, nn.ReLU(), second, nn.ReLU6(), nn.Sigmoid()))
    table = iua.findings()
    assert list(table["response"]) == ["1", "3", "3"]
    for layer, rows in table.groupby("response"):
        own = rows.drop(columns="response").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, iua.findings(str(layer)), check_dtype=False)
    whole = IUA.introspect(nn.Sequential(nn.ReLU()), torch.ones(3, 2), causes=True).findings()
    assert list(whole.columns[:3]) == ["response", "unit", "finding"]
    assert not len(whole)


def test_findings_of_what_was_not_counted_are_refused() -> None:
    iua = counted(nn.Sequential(nn.ReLU()), torch.zeros(3, 2), causes=False)
    for layer in ("0", None):
        with pytest.raises(NoProbesError, match=r"layer '0' .*: count with causes=True"):
            iua.findings(layer)


def test_runs_that_are_merged_keep_what_both_tell() -> None:
    layer = linear(PLANTED.weight.tolist(), PLANTED.bias.tolist())
    model = nn.Sequential(layer, nn.ReLU())
    one, other = counted(model, X[:20]), counted(model, X[20:])
    merged = IUA.merge(one, other)
    assert list(merged.units("1")["finding"]) == EXPECTED
    assert list(IUA.from_bytes(merged.to_bytes()).units("1")["finding"]) == EXPECTED
    with torch.no_grad():
        layer.bias[1] -= 1
    with pytest.warns(UserWarning, match="weights"):
        mixed = IUA.merge(one, counted(model, X[20:]))
    assert "bias" not in mixed.findings("1")
