"""Notes on what the default leaves out, and on nets without exact zeros."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.ao import quantization
from torch.nn import functional as F  # noqa: N812

from iua_widget import IUA, IUAWarning, IUAWidget, LayerSelectionError


class Coder(nn.Module):
    """A sparse autoencoder, whose latents are what `cut` makes of the ReLU's."""

    def __init__(self, cut: Callable[[Coder, torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.encoder, self.gate = nn.Linear(8, 32), nn.Linear(8, 32)
        self.decoder, self.drop = nn.Linear(32, 8), nn.Dropout(0.5)
        self.threshold = nn.Parameter(torch.full((32,), 0.3))
        self._cut = cut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.encoder(x)
        latents = self._cut(self, before, F.relu(before))
        return self.decoder(latents) if latents.shape[-1] == 32 else latents


def top_k(_: Coder, before: torch.Tensor, acts: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
    values, places = acts.topk(4, -1)
    return torch.zeros_like(acts).scatter_(-1, places, values)


def top_of_the_batch(_: Coder, before: torch.Tensor, acts: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
    top = acts.flatten().topk(4 * len(acts), sorted=False)
    latents = torch.zeros_like(acts.flatten()).scatter(-1, top.indices, top.values)
    return latents.reshape(acts.shape)


CUTS: dict[str, tuple[Any, str, str]] = {
    "topk": (top_k, "topk and scatter", "Coder/scatter"),
    "batch topk": (top_of_the_batch, "topk and scatter", "Coder/reshape"),
    "values": (lambda _c, _b, a: a.topk(4, -1)[0], "topk", "Coder/topk[0]"),
    "jump": (lambda c, b, a: a * (b > c.threshold), "mul", "Coder/mul"),
    "jump in float": (lambda c, b, a: (b > c.threshold).to(a.dtype) * a, "mul", "Coder/mul"),
    "gated": (lambda c, _b, a: (c.gate(a[:, :8]) > 0).float() * a, "", ""),
    "where": (lambda _c, _b, a: torch.where(a > 0.5, a, 0.0), "where", "Coder/where"),
    "fill": (lambda _c, _b, a: a.masked_fill(a < 0.5, 0), "masked_fill", "Coder/masked_fill"),
    "kth": (lambda _c, _b, a: a * (a >= a.topk(4).values[:, -1:]), "mul", "Coder/mul"),
    "sorted": (
        lambda _c, _b, a: torch.where(a > a.sort()[0][:, 28:29], a, 0),
        "where",
        "Coder/where",
    ),
    "strongest": (lambda _c, _b, a: a * (a == a.max(-1, True)[0]), "mul", "Coder/mul"),
    "by unit": (lambda _c, _b, a: a * (a.norm(dim=0) > 3).float(), "mul", "Coder/mul"),
    "one hot": (
        lambda _c, _b, a: a * F.one_hot(a.topk(4).indices, 32).sum(1).to(a.dtype),
        "mul",
        "Coder/mul",
    ),
    "second": (lambda _c, b, a: (b * b) + a * (b > 1), "mul", "Coder/mul:1"),
}
UNCUT: dict[str, Any] = {
    "as it is": lambda _c, _b, a: a,
    "dropout": lambda c, _b, a: c.drop(a),
    "by hand": lambda _c, _b, a: a * (torch.rand_like(a) > 0.5),
    "padding": lambda _c, b, a: (a * (b[:, :1] > 0)).masked_fill(b[:, :1] > 2, 0),
    "statistics": lambda _c, _b, a: a + 0 * (a > 0).float().sum() + 0 * a.topk(3).values.sum(),
    "pooled": lambda _c, _b, a: a.mean(0, keepdim=True) + 0 * a.amax(),
    "no number": lambda _c, _b, a: torch.where(a.isnan() | ~a.isfinite(), torch.zeros_like(a), a),
    "product": lambda _c, b, a: a * b,
    "residual": lambda _c, b, a: F.relu(a + b) + a,
    "whole first": lambda c, _b, a: c.gate(c.decoder(a)) + a * (a > 1),
}


@pytest.mark.parametrize("name", [name for name, (_, functions, _) in CUTS.items() if functions])
def test_a_relu_that_is_cut_before_it_is_used_is_told_with_what_to_ask_for(name: str) -> None:
    torch.manual_seed(0)
    cut, functions, response = CUTS[name]
    model, x = Coder(cut), torch.randn(64, 8)
    with pytest.warns(IUAWarning, match="'Coder/relu' gives is cut by") as warned:
        IUA.introspect(model, [x, x])
    (note,) = [str(warning.message) for warning in warned]
    assert f"cut by {functions} before" in note
    asked = re.findall(r"layers='(.*)'", note)
    assert asked == [response]
    assert IUA.introspect(model, [x], layers=asked, atol=0.05).layers == asked


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", UNCUT)
def test_a_relu_that_is_used_as_it_is_is_not_told_of(name: str, mode: str) -> None:
    iua = IUAWidget(Coder(UNCUT[name]), [torch.randn(64, 8)], mode=mode, background=False).iua
    assert not [note for note in iua.notes if "cut by" in note]


def test_what_is_chosen_is_not_told_of() -> None:
    assert not IUA.introspect(Coder(top_k), [torch.randn(64, 8)], layers=F.relu).notes


CELLS: dict[str, Callable[..., nn.Module]] = {
    "rnn": lambda: nn.RNN(4, 8, nonlinearity="relu", batch_first=True),
    "lstm": lambda: nn.LSTM(4, 8, batch_first=True),
    "gru": lambda: nn.GRU(4, 8, batch_first=True),
    "rnn cell": lambda: nn.RNNCell(4, 8),
    "lstm cell": lambda: nn.LSTMCell(4, 8),
    "gru cell": lambda: nn.GRUCell(4, 8),
}


class Recurrent(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.inner, self.relu, self.steps = CELLS[kind](), nn.ReLU(), "cell" not in kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.inner(x if self.steps else x[:, 0])
        return self.relu(out[0] if isinstance(out, tuple) else out)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_recurrent_layers_are_told_by_name_with_what_to_ask_for(
    kind: str, *, dynamic: bool
) -> None:
    model, x = Recurrent(kind), torch.randn(3, 6, 4)
    if dynamic:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kinds = {nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell}
            model = quantization.quantize_dynamic(model, kinds)
    with pytest.warns(IUAWarning, match=r"'inner'.*layers=\['inner'\]"):
        IUA.introspect(model, [x])
    named = IUA.introspect(model, [x], layers=["inner"], atol=0.05)
    assert named.layers[0].startswith("inner")
    assert not named.notes


def test_a_net_that_is_only_recurrent_says_what_to_ask_for() -> None:
    model = nn.Sequential(nn.LSTM(4, 8))
    with pytest.raises(LayerSelectionError, match=r"layers=\['0'\] takes what they give"):
        IUA.introspect(model, [torch.randn(3, 6, 4)])


class Quantized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant, self.dequant = quantization.QuantStub(), quantization.DeQuantStub()
        self.conv, self.conv_relu = nn.Conv2d(1, 4, 3), nn.ReLU()
        self.linear, self.linear_relu = nn.Linear(16, 8), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_relu(self.conv(self.quant(x))).mean(-1).flatten(1)
        return self.dequant(self.linear_relu(self.linear(x)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch")
@pytest.mark.parametrize("aware", [False, True], ids=["after training", "aware"])
def test_fused_activations_are_counted_whether_quantized_or_not(*, aware: bool) -> None:
    torch.manual_seed(0)
    pairs = [["conv", "conv_relu"], ["linear", "linear_relu"]]
    model, x = Quantized().train(aware), torch.randn(16, 1, 6, 6)
    if aware:
        model.qconfig = quantization.get_default_qat_qconfig()
        model = quantization.prepare_qat(quantization.fuse_modules_qat(model, pairs))
    else:
        model.qconfig = quantization.get_default_qconfig()
        model = quantization.prepare(quantization.fuse_modules(model, pairs))
    before = IUA.introspect(model, [x])
    assert before.layers == (["conv", "linear"] if aware else ["conv.1", "linear.1"])
    model(x)
    converted = quantization.convert(model.eval())
    iua = IUA.introspect(converted, [x])
    assert {name: one.kind for name, one in iua.results.items()} == {
        "conv": "ConvReLU2d",
        "linear": "LinearReLU",
    }
    expected = converted.linear(converted.conv(converted.quant(x)).mean(-1).flatten(1))
    inactive = (expected.dequantize() == 0).sum(dim=0).tolist()
    assert iua.results["linear"].unit_inactive_count.tolist() == inactive


def test_a_net_without_exact_zeros_names_a_tolerance_to_try() -> None:
    model, x = nn.Sequential(nn.Linear(8, 16), nn.GELU()), torch.randn(64, 8)
    with pytest.warns(IUAWarning, match=r"Hardly any exact zero \(0.00% at atol=1e-08\)"):
        iua = IUA.introspect(model, [x])
    (note,) = iua.notes
    (call,) = re.findall(r"iua\.(at\(.*?\))", note)
    assert eval(f"iua.{call}").results["1"].mean_inactive > 0.1
    for settings in ({"atol": 0.05}, {"rtol": 0.05, "scale": "layer_mean"}):
        assert not IUA.introspect(model, [x], **settings).notes
    assert not IUA.introspect({"x": x.numpy()}).notes
    assert not IUA.introspect(nn.Sequential(model, nn.ReLU()), [x]).notes


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch")
def test_activations_fused_with_a_function_before_them_are_counted() -> None:
    class Adding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quant, self.dequant = quantization.QuantStub(), quantization.DeQuantStub()
            self.one, self.other = nn.Linear(4, 8), nn.Linear(4, 8)
            self.add = torch.ao.nn.quantized.FloatFunctional()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.quant(x)
            return self.dequant(self.add.add_relu(self.one(x), self.other(x)))

    torch.manual_seed(0)
    model, x = Adding().eval(), torch.randn(32, 4)
    model.qconfig = quantization.get_default_qconfig()
    prepared = quantization.prepare(model)
    prepared(x)
    converted = quantization.convert(prepared)
    iua = IUA.introspect(converted, [x])
    assert iua.layers == ["Adding/add_relu"]
    inactive = (converted(x) == 0).sum(dim=0).tolist()
    assert iua.results["Adding/add_relu"].unit_inactive_count.tolist() == inactive
