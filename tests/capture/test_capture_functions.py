"""Activations that are functions, calls, parts of outputs: what is captured, and its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from by_hand import assert_counts
from torch import nn
from torch.nn import functional as F  # noqa: N812

from iua_widget import (
    IUA,
    IUAWarning,
    LayerKind,
    LayerSelectionError,
    ProducerError,
    response_infos,
)


class Inception(nn.Module):
    """Four branches, no activation module."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, 4, 1)
        self.three = nn.ModuleList([nn.Conv2d(channels, 3, 1), nn.Conv2d(3, 4, 3, padding=1)])
        self.pool = nn.Conv2d(channels, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = F.relu(self.one(x), inplace=True)
        three = torch.relu(self.three[1](F.relu(self.three[0](x))))
        pooled = self.pool(F.max_pool2d(x, 3, 1, padding=1)).relu_()
        return torch.cat([one, three, pooled], dim=1)


class GoogLeNet(nn.Module):
    """Functional only, as torchvision's is."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.inception3a = Inception(6)
        self.inception3b = Inception(12)
        self.fc = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        x = self.inception3b(self.inception3a(x))
        return F.softmax(F.gelu(self.fc(x.mean(dim=(2, 3)))), dim=-1)


def googlenet_by_hand(model: GoogLeNet, x: torch.Tensor) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}

    def inception(name: str, block: Inception, x: torch.Tensor) -> torch.Tensor:
        one, inner = block.one(x).clamp(min=0), block.three[0](x).clamp(min=0)
        three = block.three[1](inner).clamp(min=0)
        pooled = block.pool(F.max_pool2d(x, 3, 1, padding=1)).clamp(min=0)
        for suffix, value in (("", one), (":1", inner), (":2", three), (":3", pooled)):
            found[f"{name}/relu{suffix}"] = value
        return torch.cat([one, three, pooled], dim=1)

    with torch.no_grad():
        found["GoogLeNet/relu"] = x = model.stem(x).clamp(min=0)
        x = inception("inception3a", model.inception3a, x)
        x = inception("inception3b", model.inception3b, x)
        found["GoogLeNet/gelu"] = F.gelu(model.fc(x.mean(dim=(2, 3))))
    return found


def test_functional_activations_are_layers_of_the_module_that_calls_them() -> None:
    torch.manual_seed(0)
    model, x = GoogLeNet().eval(), torch.randn(20, 1, 6, 6)
    iua = IUA.introspect(model, x, batch_size=8, atol=1e-3)
    expected = googlenet_by_hand(model, x)
    assert iua.layers == list(expected)
    for layer, responses in expected.items():
        assert iua.results[layer].kind == layer.split("/")[1].split(":")[0]
        assert_counts(iua, layer, responses.numpy(), 1e-3)


def test_functions_are_not_intercepted_where_the_first_batch_calls_none() -> None:
    calls: list[str] = []

    class Spy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(str(len(torch.overrides._get_current_function_mode_stack())))
            return x

    model = nn.Sequential(Spy(), nn.ReLU())
    IUA.introspect(model, torch.randn(9, 3), batch_size=3)
    assert calls == ["1", "0", "0"]
    calls.clear()
    functional = nn.Sequential(Spy(), GoogLeNet())
    IUA.introspect(functional, torch.randn(9, 1, 6, 6), batch_size=3)
    assert calls == ["1", "1", "1"]


FORMS = {
    "relu": [
        F.relu,
        torch.relu,
        lambda x: x.relu(),
        lambda x: x.clone().relu_(),
        lambda x: torch.relu_(x.clone()),
        lambda x: F.relu_(x.clone()),
        torch.ops.aten.relu.default,
        lambda x: F.relu(input=x),
    ],
    "gelu": [F.gelu, lambda x: F.gelu(x, approximate="tanh")],
    "silu": [F.silu, lambda x: F.silu(x.clone(), inplace=True)],
    "sigmoid": [torch.sigmoid, F.sigmoid, lambda x: x.sigmoid(), torch.special.expit],
    "tanh": [torch.tanh, F.tanh, lambda x: x.clone().tanh_()],
    "leaky_relu": [F.leaky_relu, lambda x: F.leaky_relu_(x.clone())],
    "threshold": [lambda x: F.threshold(x, 0.1, 0)],
    "logsigmoid": [F.logsigmoid],
    "prelu": [lambda x: F.prelu(x, torch.tensor(0.1))],
    **{
        name: [getattr(F, name)]
        for name in (
            "relu6", "rrelu", "elu", "celu", "selu", "mish", "softplus", "hardswish", "hardtanh",
            "hardsigmoid", "softsign", "softshrink", "hardshrink", "tanhshrink",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_an_activation_function_is_known(name: str) -> None:
    class Block(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([form(x) for form in FORMS[name]])

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.block(x)

    x = torch.randn(10, 4)
    iua = IUA.introspect(Net(), x, atol=0.05)
    names = [f"block/{name}", *(f"block/{name}:{call}" for call in range(1, len(FORMS[name])))]
    assert iua.layers == names
    for layer, form in zip(names, FORMS[name], strict=True):
        assert_counts(iua, layer, form(x).numpy(), 0.05)


class Gated(nn.Module):
    """A SwiGLU, a GLU, and an activation of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 8)
        self.swish = Swish()
        self.glu = nn.GLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, value = self.fc(x).chunk(2, dim=-1)
        x = F.silu(gate) * value
        return self.glu(torch.cat([self.swish(x), F.glu(torch.cat([x, x], dim=-1))], dim=-1))


class Swish(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(x)


def test_gated_products_are_left_out_unless_asked_for() -> None:
    x = torch.randn(6, 4)
    assert IUA.introspect(Gated(), x).layers == ["Gated/silu", "swish"]
    assert IUA.introspect(Gated(), x, layers=["*/glu", nn.GLU]).layers == ["Gated/glu", "glu"]
    assert IUA.introspect(Gated(), x, layers="*/sigmoid").layers == ["swish/sigmoid"]
    assert IUA.introspect(Gated(), x, layers="Gated/*u").layers == ["Gated/silu", "Gated/glu"]


class Reuse(nn.Module):
    """One module under two names, in a list, called more than once, and made on the spot."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        act = nn.ReLU()
        self.first = nn.Sequential(nn.Linear(4, 4), act)
        self.second = nn.Sequential(nn.Linear(4, 4), act)
        self.loose = [nn.Tanh()]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.first(x))
        x = self.first(x)
        x = nn.ReLU()(self.fc(x))
        return self.loose[0](x)


def test_a_call_is_named_by_where_it_is_made() -> None:
    x = torch.randn(6, 4)
    iua = IUA.introspect(Reuse(), x)
    assert iua.layers == ["first.1", "second.1", "first.1:1", "Reuse/relu", "Reuse/tanh"]
    assert IUA.introspect(Reuse(), x, layers="second.1").layers == ["second.1"]
    assert IUA.introspect(Reuse(), x, layers="first.1:1").layers == ["first.1:1"]


def test_a_second_name_of_a_module_captures_its_calls_there_only() -> None:
    iua = IUA.introspect(Reuse(), torch.randn(6, 4), layers=["second.1", "fc"])
    assert iua.layers == ["second.1", "fc"]


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


@dataclass
class Outputs:
    logits: torch.Tensor
    states: list[torch.Tensor]
    loss: torch.Tensor
    indices: torch.Tensor
    note: str = "text"


class Many(nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        state = {"deep": (x, x + 1), "count": torch.arange(len(x))}
        values = Outputs(x, [x, x * 2], x.mean(), torch.arange(len(x)))
        return {"pair": Pair(x, -x), "state": state, "values": values}


def test_tensors_of_one_output_are_told_apart_by_path() -> None:
    model = nn.Sequential(Many())
    names = [
        "0[pair][left]",
        "0[pair][right]",
        "0[state][deep][0]",
        "0[state][deep][1]",
        "0[values][logits]",
        "0[values][states][0]",
        "0[values][states][1]",
    ]
    x = torch.randn(5, 3)
    assert IUA.introspect(model, x, layers="0").layers == names
    assert IUA.introspect(model, x, layers="0[pair][right]").layers == names[1:2]
    assert IUA.introspect(model, x, layers=["0[state]*"]).layers == names[2:4]
    assert [name for name in response_infos(model, x) if name[0] == "0"] == names


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_nets_count_items_as_probes_and_steps_as_positions(
    kind: type[nn.RNNBase], batch_first: bool
) -> None:
    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = kind(4, 3, num_layers=2, batch_first=batch_first)

        def forward(self, x: torch.Tensor) -> Any:
            return self.rnn(x if batch_first else x.transpose(0, 1))

    model, x = Net(), torch.randn(6, 5, 4)
    output, state = kind.forward(model.rnn, x if batch_first else x.transpose(0, 1))
    iua = IUA.introspect(model, x, layers="rnn", atol=0.05)
    tokens = output if batch_first else output.transpose(0, 1)
    assert_counts(iua, "rnn[0]", tokens.reshape(30, 3).detach().numpy(), 0.05)
    states = {"rnn[1]": state} if kind is not nn.LSTM else {"rnn[1][0]": state[0],
                                                            "rnn[1][1]": state[1]}  # fmt: skip
    assert iua.layers == ["rnn[0]", *states]
    for name, value in states.items():
        assert_counts(iua, name, value.transpose(0, 1).detach().numpy(), 0.05)


@pytest.mark.parametrize("batch_first", [True, False])
def test_an_encoder_layer_takes_its_steps_one_by_one_and_padding_is_left_out(
    batch_first: bool,
) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x, padding = torch.randn(4, 6, 8), torch.zeros(4, 6, dtype=torch.bool)
    padding[1, 3:] = padding[3, 1:] = True

    def forward(model: nn.Module, batch: Any) -> Any:
        inputs, mask = batch
        return model(inputs if batch_first else inputs.transpose(0, 1), src_key_padding_mask=mask)

    iua = IUA.introspect(
        encoder, [(x, padding)], forward=forward, mask=lambda batch: ~batch[1], atol=1e-3
    )
    assert iua.layers == ["layers.0/relu", "layers.1/relu"]
    with torch.no_grad():
        first = encoder.layers[0]
        inputs = x if batch_first else x.transpose(0, 1)
        attended = first.self_attn(
            inputs, inputs, inputs, key_padding_mask=padding, need_weights=False
        )[0]
        hidden = torch.relu(first.linear1(first.norm1(inputs + attended)))
    rows = hidden if batch_first else hidden.transpose(0, 1)
    result = iua.results["layers.0/relu"]
    assert (result.masked, result.probes) == (8, 16)
    expected = np.isclose(rows[~padding].numpy(), 0, atol=1e-3).sum(axis=0)
    assert np.abs(result.unit_inactive_count - expected).max() <= 1


def test_attention_gives_its_output_and_its_weights() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.attn(x, x, x)[0]

    model, x = Net(), torch.randn(3, 5, 8)
    assert IUA.introspect(model, x, layers="attn").layers == ["attn[0]", "attn[1]"]
    with pytest.warns(IUAWarning, match=r"'attn.out_proj'.*MultiheadAttention.*'attn\[0\]'"):
        IUA.introspect(model, x, layers=["attn", "attn.out_proj"])
    with pytest.raises(LayerSelectionError, match=r"attn.out_proj matches nothing that Net called"):
        IUA.introspect(model, x, layers="attn.out_proj")


def test_a_direct_call_of_forward_is_missed_and_noted() -> None:
    class Direct(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)
            self.relu = nn.ReLU()
            self.tanh = nn.Tanh()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.tanh(self.relu.forward(self.fc(x)))

    with pytest.warns(IUAWarning, match=r"[Nn]ever called.*'relu'.*\.forward\(\)"):
        iua = IUA.introspect(Direct(), torch.randn(4, 3))
    assert iua.layers == ["Direct/relu", "tanh"], "the function inside is seen all the same"


CHOICES: list[tuple[Any, list[str]]] = [
    (LayerKind.RELU, ["GoogLeNet/relu", *(f"inception3{b}/relu{n}" for b in "ab"
                                          for n in ("", ":1", ":2", ":3"))]),
    (LayerKind.LINEAR, ["fc"]),
    (LayerKind.CONV_2D, ["stem", *(f"inception3{block}.{conv}" for block in "ab"
                                   for conv in ("one", "three.0", "three.1", "pool"))]),
    ([nn.Linear, "stem", LayerKind.GELU], ["stem", "fc", "GoogLeNet/gelu"]),
    (lambda name, module: name.endswith("one") and isinstance(module, nn.Conv2d),
     ["inception3a.one", "inception3b.one"]),
    (lambda module: getattr(module, "out_features", 0) == 5, ["fc"]),
    ("inception3a/relu:*", ["inception3a/relu:1", "inception3a/relu:2", "inception3a/relu:3"]),
    ("*/softmax", ["GoogLeNet/softmax"]),
    ("inception3?.one", ["inception3a.one", "inception3b.one"]),
]  # fmt: skip


@pytest.mark.parametrize(("layers", "expected"), CHOICES)
def test_layers_are_chosen_by_kind_class_predicate_function_or_a_mix(
    layers: Any, expected: list[str]
) -> None:
    iua = IUA.introspect(GoogLeNet(), torch.randn(4, 1, 6, 6), layers=layers)
    assert iua.layers == expected


def test_a_module_itself_chooses_its_calls() -> None:
    model = GoogLeNet()
    iua = IUA.introspect(model, torch.randn(4, 1, 6, 6), layers=[model.fc, model.stem])
    assert iua.layers == ["stem", "fc"]


def test_the_names_of_a_run_choose_the_same_layers_again() -> None:
    x = torch.randn(4, 1, 6, 6)
    iua = IUA.introspect(GoogLeNet(), x)
    assert IUA.introspect(GoogLeNet(), x, layers=iua.layers).layers == iua.layers


def test_a_choice_that_matches_nothing_is_noted_with_the_nearest_names() -> None:
    with pytest.warns(IUAWarning, match=r"layers=inception3a/gelu has matched.*'inception3a/relu'"):
        IUA.introspect(GoogLeNet(), torch.randn(4, 1, 6, 6), layers=["fc", "inception3a/gelu"])


def test_a_layer_that_some_batches_pass_by_counts_those_that_do_not() -> None:
    class Skips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.early, self.late, self.last = nn.ReLU(), nn.ReLU(), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.early(x) if x.mean() > 0 else self.late(x)
            return self.last(x)

    data = [torch.ones(3, 2), -torch.ones(4, 2), torch.ones(5, 2)]
    with pytest.warns(IUAWarning, match=r"'early', 'late': 8 responses for 12 inputs"):
        iua = IUA.introspect(Skips(), data)
    assert iua.layers == ["early", "late", "last"]
    assert [iua.results[name].probes for name in iua.layers] == [8, 4, 12]
    assert iua.results["late"].dead == 2


class Half(nn.Module):
    def __init__(self, act: nn.Module, offset: float) -> None:
        super().__init__()
        self.act, self.offset = act, offset

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(x + self.offset)


class Shared(nn.Module):
    """One activation in two places: dead in one, always active in the other."""

    def __init__(self, *, branch: bool = False) -> None:
        super().__init__()
        act = nn.ReLU()
        self.dead, self.alive, self.branch = Half(act, -100), Half(act, 100), branch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.branch:
            return self.dead(x) if len(x) == 4 else self.alive(x)
        return self.alive(x) + self.dead(x)


@pytest.mark.parametrize(("layers", "dead"), [("dead.act", 4), ("alive.act", 0), ("dead.*", 4)])
def test_a_shared_module_chosen_in_one_place_is_counted_there_in_every_batch(
    layers: str, dead: int
) -> None:
    iua = IUA.introspect(Shared(), torch.randn(12, 4), batch_size=4, layers=layers)
    assert iua.layers == [layers.replace("*", "act")]
    assert (iua.results[iua.layers[0]].dead, iua.results[iua.layers[0]].probes) == (dead, 12)


@pytest.mark.filterwarnings("ignore:.*responses for")
def test_what_a_later_batch_is_the_first_to_reach_is_named_and_read_as_in_the_first() -> None:
    data = [torch.randn(4, 4), torch.randn(3, 4)]
    iua = IUA.introspect(Shared(branch=True), data)
    assert {name: iua.results[name].probes for name in iua.layers} == {
        "dead.act": 4,
        "alive.act": 3,
    }

    class Later(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu, self.conv, self.late = nn.ReLU(), nn.Conv1d(3, 5, 3), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.relu(x)
            if x.sum() > 1000:
                return self.late(self.conv(x))
            return F.gelu(x) if len(x) == 3 else x

    small, large = torch.randn(4, 3, 8), torch.full((4, 3, 8), 100.0)
    iua = IUA.introspect(Later(), [small, small[:3], small, large], units={"relu": "element"})
    assert {name: iua.results[name].probes for name in iua.layers} == {
        "relu": 15,
        "late": 4,
        "Later/gelu": 9,
    }
    assert (iua.results["late"].unit, iua.results["late"].response_shape) == ("element", (5, 6))


def test_a_first_batch_without_an_activation_is_not_yet_an_error() -> None:
    class Exits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if len(x) == 4 else self.relu(x)

    with pytest.warns(IUAWarning, match=r"'relu': 3 responses for 7 inputs"):
        iua = IUA.introspect(Exits(), [torch.ones(4, 2), torch.ones(3, 2)])
    assert iua.results["relu"].probes == 3


def test_a_response_that_cannot_be_counted_raises_even_if_the_model_swallows_errors() -> None:
    class Swallows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu, self.tanh = nn.ReLU(), nn.Tanh()

        def forward(self, x: torch.Tensor) -> Any:
            try:
                return self.relu(x)
            except Exception:  # noqa: BLE001
                return self.tanh(x)

    with pytest.raises(ProducerError, match=r"'relu'.*shape \(5,\) in batch 1"):
        IUA.introspect(Swallows(), [torch.ones(2, 4), torch.ones(2, 5)])


def _without_address(layers: object) -> str:
    """What names a test: the same in every process, for they share the tests."""
    return re.sub(" at 0x[0-9a-f]+", "", str(layers))


@pytest.mark.parametrize(
    "layers",
    [
        "*relu*",
        "relu",
        "relu_",
        "F.relu",
        "torch.nn.functional.relu",
        F.relu,
        torch.relu,
        torch.relu_,
        torch.Tensor.relu,
        [torch.Tensor.relu_],
    ],
    ids=_without_address,
)
def test_a_bare_name_a_glob_or_the_function_itself_finds_what_response_infos_lists(
    layers: Any,
) -> None:
    model, x = GoogLeNet().eval(), torch.randn(3, 1, 6, 6)
    infos = response_infos(model, x)
    expected = [name for name, info in infos.items() if info.layer.kind == LayerKind.RELU]
    assert len(expected) == 9
    assert IUA.introspect(model, x, layers=layers).layers == expected


@pytest.mark.parametrize(
    "layers", ["*/topk[0]", "topk", torch.topk, torch.Tensor.topk], ids=_without_address
)
def test_any_function_of_pytorch_is_found_by_its_name_or_itself(layers: Any) -> None:
    class Sparse(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x).topk(2, -1)[0]

    iua = IUA.introspect(Sparse(), torch.randn(3, 5), layers=layers)
    assert iua.layers == ["Sparse/topk[0]"]


def test_a_name_that_is_near_a_function_says_how_functions_are_named() -> None:
    model, x = GoogLeNet(), torch.randn(3, 1, 6, 6)
    how, silent = r"'relu'.*, or by its caller, too: '\*/relu'", r"GoogLeNet called.*Near it.*/relu"
    for layers in ("*rleu*", "GoogLeNet.rellu", "rleu", nn.ReLU):
        with pytest.raises(LayerSelectionError, match=how):
            IUA.introspect(model, x, layers=layers)
    for uncalled in ("elu", F.elu):
        with pytest.raises(LayerSelectionError, match=silent):
            IUA.introspect(model, x, layers=uncalled)
    with pytest.raises(LayerSelectionError, match="there are: 'Sequential', '0', '1'") as raised:
        IUA.introspect(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), x, layers="*rleu*")
    assert "calls" not in str(raised.value)
    for layers in ("relu", F.relu, "*/relu"):
        with pytest.raises(LayerSelectionError, match=r"A module is '1': layers=nn\.ReLU"):
            IUA.introspect(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), x, layers=layers)


def test_a_glob_of_modules_takes_the_activation_functions_that_match_with_them() -> None:
    model, x = GoogLeNet().eval(), torch.randn(3, 1, 6, 6)
    layers = IUA.introspect(model, x, layers="Goo*").layers
    assert layers == [name for name in response_infos(model, x) if name.startswith("Goo")]
