"""Which layers are in chains, with what transformers have; and those that are not, by name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import weight_norm

from iua_widget import IUA, IUAWarning, RemedyError, prune, reinitialize


class Net(nn.Module):
    """Layers of which a forward is made."""

    def __init__(self, forward: Callable[[Any, torch.Tensor], Any], **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self._forward = forward

    def forward(self, x: torch.Tensor) -> Any:
        return self._forward(self, x)


def linear(first: int = 4, last: int = 4) -> nn.Linear:
    """With a dead unit, 1, where a ReLU follows."""
    layer = nn.Linear(first, last)
    with torch.no_grad():
        layer.bias[1] = -100
    return layer


def conv(first: int = 4, last: int = 4, **options: Any) -> nn.Conv2d:
    layer = nn.Conv2d(first, last, 3, padding=1, **options)
    with torch.no_grad():
        layer.bias[1] = -100
    return layer


def of_two(forward: Callable[[Any, torch.Tensor], Any], **modules: nn.Module) -> Net:
    return Net(forward, fc1=linear(), relu=nn.ReLU(), fc2=nn.Linear(4, 4), **modules)


def tied() -> nn.Module:
    net = of_two(lambda net, x: net.fc2(net.relu(net.fc1(x))), spare=nn.Linear(4, 4))
    net.fc2.weight = net.spare.weight
    return net


def computed() -> nn.Module:
    net = of_two(lambda net, x: net.fc2(net.relu(net.fc1(x))))
    weight_norm(net.fc2)
    return net


def grouped() -> nn.Module:
    net = Net(
        lambda net, x: net.conv2(F.relu(net.conv1(x))),
        conv1=conv(3),
        conv2=nn.Conv2d(4, 4, 3, groups=2),
    )
    net.images = True
    return net


def by_batch() -> nn.Module:
    return of_two(
        lambda net, x: net.fc2(net.norm(net.relu(net.fc1(x)))),
        norm=nn.BatchNorm1d(4, track_running_stats=False),
    )


def of_rows() -> nn.Module:
    net = Net(lambda net, x: net.fc(F.relu(net.conv(x))), conv=conv(3), fc=nn.Linear(8, 2))
    net.images = True
    return net


def branches(net: Any, x: torch.Tensor) -> Any:
    x = net.relu(net.fc1(x))
    return net.fc2(x), net.head(x)


def divides(net: Any, x: torch.Tensor) -> Any:
    x = net.relu(net.fc1(x))
    return net.fc2(x) / x.shape[-1]


def two_names() -> nn.Module:
    layer = linear()
    return of_two(lambda net, x: net.fc2(net.relu(net.again(x))), again=layer, other=layer)


def not_traced() -> nn.Module:
    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        x = net.relu(net.fc1(x))
        return net.fc2(x) if x.sum() > 0 else x

    return of_two(forward)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "sum": (
        lambda: of_two(lambda net, x: net.fc2(x + net.relu(net.fc1(x)))),
        "relu",
        (
            "it is part of the sum 'Net/add', as in residual blocks, and all that is added has the "
            "same units"
        ),
    ),
    "concatenation": (
        lambda: of_two(
            lambda net, x: net.head(torch.cat([net.relu(net.fc1(x)), x], 1)), head=nn.Linear(8, 2)
        ),
        "relu",
        "it is joined with others by 'Net/cat' (cat), as in concatenations",
    ),
    "branch": (
        lambda: of_two(branches, head=nn.Linear(4, 2)),
        "relu",
        "'relu' is used in 2 places ('fc2', 'head'), not in one",
    ),
    "grouped": (grouped, "Net/relu", "'conv2' is a grouped convolution (groups=2)"),
    "called twice": (
        lambda: of_two(lambda net, x: net.fc2(net.relu(net.fc2(net.relu(net.fc1(x)))))),
        "relu",
        "'fc2' is shared: it is called 2 times",
    ),
    "two names": (
        two_names,
        "relu",
        "'again' is shared: it is 'again' and 'other'",
    ),
    "tied": (tied, "relu", "'fc2' shares its weight with 'spare'"),
    "computed": (computed, "relu", "the weight of 'fc2' is computed, and no parameter of its own"),
    "mixing": (
        lambda: of_two(lambda net, x: net.fc2(net.relu(net.fc1(x)).softmax(1))),
        "relu",
        "'Net/softmax' (softmax) is not known to leave each unit by itself",
    ),
    "norm over units": (
        lambda: of_two(
            lambda net, x: net.fc2(net.norm(net.relu(net.fc1(x)))), norm=nn.LayerNorm(4)
        ),
        "relu",
        "'norm' (LayerNorm) is not known to leave each unit by itself",
    ),
    "norm by batch": (
        by_batch,
        "relu",
        "'norm' (BatchNorm1d) keeps no statistics, and normalizes by each batch",
    ),
    "output": (
        lambda: of_two(lambda net, x: net.relu(net.fc1(x))),
        "relu",
        "it is what the model returns",
    ),
    "input": (
        lambda: of_two(lambda net, x: net.fc2(net.relu(x - 100))),
        "relu",
        "it comes from the input 'x' through no Linear or Conv layer",
    ),
    "length read": (
        lambda: of_two(divides),
        "relu",
        "how many units 'relu' has is read in the code",
    ),
    "width written": (
        lambda: of_two(lambda net, x: net.fc2(net.relu(net.fc1(x)).view(-1, 4))),
        "relu",
        "'Net/view' (view) is not known to leave each unit by itself",
    ),
    "positions": (of_rows, "Net/relu", "'fc' does not take the units of 'conv' as they are"),
    "control flow": (
        not_traced,
        "relu",
        (
            "torch.fx, PyTorch's tracer, does not see it: the model cannot be traced as a whole "
            "(TraceError: symbolically traced variables cannot be used as inputs to control flow)"
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_in_no_chain_is_refused_by_name(case: str) -> None:
    make, layer, why = REFUSED[case]
    model = make()
    data = torch.randn(20, 3, 8, 8) if hasattr(model, "images") else torch.randn(20, 4)
    iua = IUA.introspect(model, data, layers=layer, engine="reference")
    assert 1 in iua.dead_units()[layer]
    before = {name: one.clone() for name, one in model.state_dict().items()}
    for asked in (None, layer):
        with pytest.raises(RemedyError) as caught:
            prune(model, iua, layers=asked)
        assert str(caught.value) == f"cannot be pruned: {layer!r}: {why}."
    with pytest.raises(RemedyError) as caught:
        reinitialize(model, iua)
    assert str(caught.value) == f"cannot be initialized anew: {layer!r}: {why}."
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())


class Residual(nn.Module):
    """A block of which the inner ReLU is in a chain, and the outer is not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(), conv()
        self.norm1, self.norm2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.norm1(self.conv1(x)))
        return self.relu(x + self.norm2(self.conv2(y)))


def test_of_a_residual_net_the_blocks_are_pruned_inside() -> None:
    model = nn.Sequential(conv(3), nn.ReLU(), Residual(), Residual()).eval()
    data = torch.randn(20, 3, 8, 8)
    iua = IUA.introspect(model, data, engine="reference")
    with pytest.warns(IUAWarning, match="Not pruned: '1': '1' is used in 2 places"):
        pruned = prune(model, iua, check=torch.randn(9, 3, 8, 8))
    assert {layer: units.tolist() for layer, units in pruned.removed.items()} == {
        "2.conv1": [1],
        "3.conv1": [1],
    }
    assert set(pruned.kept) == {
        "1",
        *(f"{n}.relu:1" for n in (2, 3) if f"{n}.relu:1" in pruned.kept),
    }


def test_the_model_is_traced_without_a_trace() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = linear(), nn.Linear(4, 2)
            self.last: Any = None
            self.calls = 0
            self.register_buffer("passes", torch.zeros(()))

        def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
            self.calls += 1
            self.passes += 1
            self.last = F.relu(self.fc1(x)) if scale > 0 else x
            return self.fc2(self.last)

    seen = []
    model = Keeps()
    model.fc1.register_forward_hook(lambda *_: seen.append(1))
    iua = IUA.introspect(model, torch.randn(9, 4), engine="reference")
    before = len(seen)
    pruned = prune(model, iua).model
    assert (model.calls, model.last, float(model.passes)) == (0, None, 0)
    assert (pruned.calls, pruned.last, float(pruned.passes)) == (0, None, 0)
    assert len(seen) == before


def test_while_it_is_traced_other_threads_call_modules_as_ever() -> None:
    entered, called = threading.Event(), threading.Event()

    class Waits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = linear(), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if isinstance(x, torch.fx.Proxy):
                entered.set()
                assert called.wait(20)
            return self.fc2(F.relu(self.fc1(x)))

    model, data, results = Waits(), torch.randn(9, 4), []
    iua = IUA.introspect(model, data, engine="reference")

    def elsewhere() -> None:
        entered.wait(20)
        try:
            results.append(model(data))
        finally:
            called.set()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    pruned = prune(model, iua)
    thread.join()
    assert torch.equal(results[0], model(data))
    assert 1 in pruned.removed["fc1"]


def test_of_layers_counted_with_other_axes_nothing_is_believed() -> None:
    model = of_two(lambda net, x: net.fc2(net.relu(net.fc1(x))))
    iua = IUA.introspect({"relu": np.zeros((5, 7))}, engine="reference")
    with pytest.raises(RemedyError, match="7 units were counted, and 'fc1' makes 4"):
        prune(model, iua)
    for remedy in (prune, reinitialize):
        with pytest.raises(TypeError, match=r"Of a widget `w` give `w\.iua`"):
            remedy(model, "run.iua")  # type: ignore[operator]


def test_what_cannot_be_traced_is_one_operation_of_what_is_around_it() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = Net(
                lambda net, x: net.fc2(F.relu(net.fc1(x))), fc1=linear(), fc2=linear()
            )

        def forward(self, x: torch.Tensor, mask: Any = None, **options: Any) -> torch.Tensor:
            return self.inside(x) if x.sum() > -1e9 or options or mask else -x

    model = of_two(lambda net, x: net.fc2(net.relu(net.fc1(x + net.inner(x)))), inner=Branching())
    data = torch.randn(40, 4)
    iua = IUA.introspect(model, data, engine="reference")
    pruned = prune(model, iua, check=torch.randn(40, 4))
    assert {layer: 1 in units for layer, units in pruned.removed.items()} == {
        "fc1": True,
        "inner.inside.fc1": True,
    }


def test_a_forward_put_in_the_place_of_a_modules_own_is_not_passed_over() -> None:
    model = of_two(lambda net, x: net.fc2(net.relu(net.fc1(x))))
    model.fc2.forward = lambda x: F.linear(x.roll(1, dims=1), model.fc2.weight)
    iua = IUA.introspect(model, torch.randn(40, 4), engine="reference")
    with pytest.raises(RemedyError, match=r"'fc2' \(Linear\) is not known to leave each unit"):
        prune(model, iua)


@pytest.mark.filterwarnings("ignore:.*responses for 8 inputs")  # OPT flattens them
@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
def test_the_mlps_of_transformers_are_pruned_by_themselves(family: str) -> None:
    import transformers

    torch.manual_seed(0)
    model: Any
    if family == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=31,
            n_positions=16,
            n_embd=16,
            n_layer=2,
            n_head=2,
            activation_function="relu",
        )
        model = transformers.GPT2LMHeadModel(config).eval()
        with torch.no_grad():
            model.transformer.h[1].mlp.c_fc.bias[[0, 5]] = -100
        layer, producers = "transformer.h.1.mlp.act", ["transformer.h.1.mlp.c_fc"]
    elif family == "opt":  # whose MLP is in the forward of the layer, beside attention
        config = transformers.OPTConfig(
            vocab_size=31, hidden_size=16, ffn_dim=24, num_hidden_layers=2, num_attention_heads=2,
            word_embed_proj_dim=16, max_position_embeddings=32,
        )  # fmt: skip
        model = transformers.OPTForCausalLM(config).eval()
        with torch.no_grad():
            model.model.decoder.layers[1].fc1.bias[[0, 5]] = -100
        layer, producers = "model.decoder.layers.1.activation_fn", ["model.decoder.layers.1.fc1"]
    else:
        config = transformers.LlamaConfig(
            vocab_size=31, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, hidden_act="relu",
        )  # fmt: skip
        model = transformers.LlamaForCausalLM(config).eval()
        mlp = model.model.layers[1].mlp
        with torch.no_grad():
            mlp.gate_proj.weight[[0, 5]] = 0
        layer = "model.layers.1.mlp.act_fn"
        producers = ["model.layers.1.mlp.gate_proj", "model.layers.1.mlp.up_proj"]
    ids = torch.randint(31, (8, 12))
    iua = IUA.introspect(model, {"input_ids": ids}, engine="reference")
    assert iua.dead_units()[layer].tolist() == [0, 5]
    held_out = {"input_ids": torch.randint(31, (4, 12))}
    pruned = prune(model, iua, layers=layer, check=held_out)
    assert {name: units.tolist() for name, units in pruned.removed.items()} == {
        name: [0, 5] for name in producers
    }
    assert pruned.difference is not None
    assert pruned.difference <= 1e-6


def test_units_that_multiply_go_with_those_that_they_multiply() -> None:
    model = Net(
        lambda net, x: net.down(torch.relu(net.gate(x)) * torch.relu(net.norm(net.up(x)))),
        gate=linear(4, 6),
        up=nn.Linear(4, 6),
        norm=nn.BatchNorm1d(6),
        down=nn.Linear(6, 3),
    ).eval()
    with torch.no_grad():
        model.norm.bias[4] = -100
    data = torch.randn(40, 4)
    pruned = prune(model, IUA.introspect(model, data, engine="reference"), check=data)
    gone = pruned.removed["gate"].tolist()
    assert pruned.removed["up"].tolist() == gone
    assert {1, 4} <= set(gone)
    assert pruned.model.norm.num_features == pruned.model.down.in_features == 6 - len(gone)
