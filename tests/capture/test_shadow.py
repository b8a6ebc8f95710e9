"""A model's shadow computes what the model does, and nothing done to it is done to the model."""

from __future__ import annotations

import contextlib
import copy
import functools
import pickle
import re
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from by_hand import assert_untouched, everything
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.utils import parametrizations, parametrize, prune

from iua_widget import IUA, IUAWarning, IUAWidget, ProducerError
from iua_widget.capture import shadow as shadow_module
from iua_widget.capture.shadow import Shadow
from iua_widget.capture.twins import Twin


@pytest.fixture(params=["copied", "shared"])
def weights(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small models' weights are copied for each batch, and others' shared, as PyTorch's own are."""
    if request.param == "shared":
        monkeypatch.setattr(shadow_module, "_COPIED_THROUGHOUT", -1)
    else:
        monkeypatch.setattr(Twin, "is_of_torch", lambda _: False)
    return str(request.param)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3), nn.ReLU())


def outputs(shadow: Shadow, x: torch.Tensor) -> torch.Tensor:
    with shadow.batch():
        result: torch.Tensor = shadow.model(x)
    return result


def by_hand(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The model's own output in evaluation mode, and the model as it was."""
    modes, state = [m.training for m in model.modules()], copy.deepcopy(model.state_dict())
    with torch.no_grad():
        result: torch.Tensor = model.eval()(x)
        for now, before in zip(model.state_dict().values(), state.values(), strict=True):
            now.copy_(before)
    for module, mode in zip(model.modules(), modes, strict=True):
        module.training = mode
    return result


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    return model


class Sequence(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], *, normed: bool = False) -> None:
        super().__init__()
        self.rnn = kind(4, 5, batch_first=True)
        if normed:
            parametrizations.weight_norm(self.rnn, "weight_hh_l0")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.rnn(x[:, None].expand(-1, 3, -1))[0])


class Lists(nn.Module):
    """Modules and parameters in every container, registered and not."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(4, 4)) for _ in range(2)])
        self.named = nn.ParameterDict({"a": nn.Parameter(torch.randn(4))})
        self.parts = nn.ModuleDict({"fc": nn.Linear(4, 4)})
        self.hidden = [nn.Linear(4, 4)]
        self.by_module = {self.parts["fc"]: 2.0}
        self.back = weakref.ref(self.parts["fc"])
        self.__dict__["alias"] = self.parts["fc"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fc = self.back()
        assert fc is self.parts["fc"] is self.alias
        for weight in self.weights:
            x = x @ weight + self.named["a"]
        return F.relu(self.hidden[0](fc(x)) * self.by_module[fc])


class Table(nn.Module, dict[str, int]):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self["factor"] = 2

    __hash__ = nn.Module.__hash__

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.fc(x) * self["factor"])


MODELS: dict[str, Callable[[], nn.Module]] = {
    "plain": net,
    "tied": tied,
    "LSTM": lambda: Sequence(nn.LSTM),
    "GRU, weight norm": lambda: Sequence(nn.GRU, normed=True),
    "lists": Lists,
    "a dict": Table,
    "spectral norm": lambda: nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(4, 6)), nn.ReLU()
    ),
    "pruned": lambda: nn.Sequential(_pruned(), nn.ReLU()),
    "max_norm": lambda: nn.Sequential(Ids(), nn.Embedding(9, 4, max_norm=0.5), nn.ReLU()),
    "transformer": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 4)), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    ),
}


class Ids(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.abs().long() % 9


def _pruned() -> nn.Linear:
    layer = nn.Linear(4, 6)
    prune.random_unstructured(layer, "weight", 0.5)
    return layer


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("name", MODELS)
def test_a_shadow_computes_what_the_model_does_and_follows_its_training(name: str) -> None:
    torch.manual_seed(0)
    model, x = MODELS[name]().train(), torch.randn(5, 4) * 3
    shadow = Shadow(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        expected = by_hand(model, x)
        before = everything(model)
        assert torch.allclose(outputs(shadow, x), expected, atol=1e-6), step
        assert_untouched(before, everything(model))
        optimizer.zero_grad()
        model(x).pow(2).sum().backward()
        optimizer.step()
    notes = shadow.notes(thorough=True)
    assert "weights changed while counting" in " ".join(notes)


def test_weights_are_shared_and_not_copied(weights: str) -> None:
    model = net()
    shadow = Shadow(model)
    for _ in range(2):
        outputs(shadow, torch.randn(5, 4))
    pairs = zip(model.parameters(), shadow.model.parameters(), strict=True)
    same = [one.data_ptr() == other.data_ptr() for one, other in pairs]
    assert all(same) if weights == "shared" else not any(same)


OWNERS_CHANGES: dict[str, Callable[[nn.Sequential], Any]] = {
    "in place": lambda m: m[0].weight.data.mul_(2),
    "data": lambda m: setattr(m[0].weight, "data", torch.ones(6, 4)),
    "assigned": lambda m: m.load_state_dict(net().state_dict(), assign=True),
    "new parameter": lambda m: setattr(m[0], "weight", nn.Parameter(torch.ones(6, 4))),
    "precision": lambda m: m.double(),
    "buffer": lambda m: m[1].running_mean.add_(1),
    "new buffer": lambda m: setattr(m[1], "running_mean", torch.ones(6)),
    "attribute": lambda m: setattr(m[1], "eps", 0.5),
    "module": lambda m: m.__setitem__(2, nn.Tanh()),
    "hook": lambda m: m[0].register_forward_hook(lambda _m, _a, output: output + 1),
    "gradients off": lambda m: m.requires_grad_(requires_grad=False),
}


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("change", OWNERS_CHANGES)
def test_a_shadow_sees_what_the_owner_changes_between_two_batches(change: str) -> None:
    model, x = net(), torch.randn(5, 4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3)
    shadow = Shadow(model)
    first = outputs(shadow, x)
    OWNERS_CHANGES[change](model)
    x = x.to(model[0].weight.dtype)
    second = outputs(shadow, x)
    assert torch.equal(second, by_hand(model, x))
    assert torch.equal(first, second) == (change == "gradients off")
    flags = [[p.requires_grad for p in m.parameters()] for m in (model, shadow.model)]
    assert flags[0] == flags[1]


@contextlib.contextmanager
def everywhere(model: nn.Sequential) -> Iterator[None]:
    kept = register_module_forward_pre_hook(
        lambda module, _: shrink(module) if module is not model else None
    )
    yield
    kept.remove()


@contextlib.contextmanager
def by_class(_model: nn.Sequential) -> Iterator[None]:
    forward = nn.Linear.forward

    @functools.wraps(forward)
    def shrinking(self: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        shrink(self)
        return forward(self, x)

    with mock.patch.object(nn.Linear, "forward", shrinking):
        yield


@contextlib.contextmanager
def by_activation(model: nn.Sequential) -> Iterator[None]:
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)

    def activation(x: torch.Tensor) -> torch.Tensor:
        shrink(layer.linear1)
        return F.relu(x)

    layer.activation = activation
    model[0] = nn.Sequential(nn.Linear(4, 6), nn.Unflatten(1, (1, 6)), layer, nn.Flatten())
    yield


@contextlib.contextmanager
def by_hook(model: nn.Sequential) -> Iterator[None]:
    model[0].register_forward_pre_hook(lambda module, _: shrink(module))
    yield


@contextlib.contextmanager
def by_max_norm(model: nn.Sequential) -> Iterator[None]:
    model[0] = nn.Sequential(nn.Embedding(9, 6, max_norm=0.5), nn.Flatten(0, 1))
    yield


def shrink(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        module.weight.data.mul_(0.9)


CHANGING = [everywhere, by_class, by_activation, by_hook, by_max_norm]


@pytest.mark.parametrize(
    ("how", "begun"),
    [*((how, False) for how in CHANGING), (everywhere, True), (by_hook, True)],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
def test_what_modules_of_torch_change_in_their_weights_is_not_changed_in_the_models(
    how: Callable[[nn.Sequential], contextlib.AbstractContextManager[None]], *, begun: bool
) -> None:
    model = net()
    shadow = Shadow(model)
    x = torch.randint(9, (5, 4)) if how is by_max_norm else torch.randn(5, 4)
    if begun:
        outputs(shadow, x)
    with how(model):
        before, weights = everything(model), copy.deepcopy(model.state_dict())
        first = outputs(shadow, x)
        assert torch.equal(first, outputs(shadow, x))
        assert not shadow.notes(thorough=True)
        assert_untouched(before, everything(model))
        expected = by_hand(model, x)
        model.load_state_dict(weights)
    assert torch.equal(first, expected)


@pytest.mark.parametrize("replaced", [False, True])
def test_what_a_new_weight_becomes_is_not_changed_in_the_models(*, replaced: bool) -> None:
    class Shrinking(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shrink(self)
            return super().forward(x)

    model, x = nn.Sequential(Shrinking(4, 3), nn.ReLU()), torch.randn(5, 4)
    shadow = Shadow(model)
    outputs(shadow, x)
    if replaced:
        model[0].weight = nn.Parameter(torch.randn(3, 4))
    else:
        model[1] = Shrinking(3, 2)
    before = everything(model)
    assert torch.equal(outputs(shadow, x), outputs(shadow, x))
    assert_untouched(before, everything(model))


@pytest.mark.parametrize("kind", [list, np.array], ids=["list", "array"])
def test_what_the_owner_keeps_at_a_module_of_torch_is_followed(kind: Callable[..., Any]) -> None:
    model, x = nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.randn(5, 4)
    model[0].kept = kind([1.0])
    model[0].register_forward_hook(lambda module, _, output: output * float(module.kept[0]))
    shadow = Shadow(model)
    first = outputs(shadow, x)
    model[0].kept[0] = 2.0
    assert torch.equal(outputs(shadow, x), 2 * first)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["copied", "saved"]
)
def test_a_model_may_copy_its_modules_in_a_pass(copied: Callable[[Any], Any]) -> None:
    class Adapting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Sequential(nn.Linear(4, 3), nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            adapted = copied(self.head)
            shrink(adapted[0])
            return self.head(x) + adapted(x)

    batches = [torch.randn(5, 4) for _ in range(4)]
    iua = IUA.introspect(Adapting(), batches, layers=["head.1"], engine="reference")
    assert iua.probes == sum(map(len, batches))


class Stubborn(nn.Module):
    """Holds what cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.lock = threading.Lock()
        self.event = threading.Event()
        self.file = Path(__file__).open()  # noqa: SIM115
        self.steps = (number for number in range(10))
        self.graph = self.fc(torch.ones(1, 3))
        self.data = torch.utils.data.TensorDataset(torch.ones(1))
        self.inner = types.SimpleNamespace(lock=self.lock, count=0)
        self.mixed = {"lock": self.lock, "seen": []}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with self.lock:
            self.mixed["seen"].append(1)
            return F.relu(self.fc(x) + self.graph)


def test_what_cannot_be_copied_is_shared_and_the_rest_is_not() -> None:
    model = Stubborn()
    shadow = Shadow(model)
    with shadow.batch():
        twin: Any = shadow.model
        twin(torch.ones(2, 3))
    for name in ("lock", "event", "file", "steps", "data", "inner"):
        assert getattr(twin, name) is getattr(model, name), name
    assert twin.graph is not model.graph
    assert twin.mixed["lock"] is model.lock
    assert model.mixed["seen"] == []
    model.file.close()


PATCHES: dict[str, Callable[[nn.Sequential], Any]] = {}


def patch(function: Callable[[nn.Sequential], Any]) -> Callable[[nn.Sequential], Any]:
    PATCHES[function.__name__] = function
    return function


@patch
def a_closure(model: nn.Sequential) -> None:
    inner = model.forward
    model.forward = lambda x: inner(x) + 1  # type: ignore[method-assign]


@patch
def a_wrapper_of_a_wrapper(model: nn.Sequential) -> None:
    a_closure(model)
    inner = model.forward

    @functools.wraps(inner)
    def outer(*args: Any, factor: int = 2) -> Any:
        return inner(*args) * factor

    model.forward = outer  # type: ignore[method-assign]


@patch
def a_method(model: nn.Sequential) -> None:
    model.forward = types.MethodType(lambda self, x: nn.Sequential.forward(self, x) + 2, model)  # type: ignore[method-assign]


@patch
def a_partial(model: nn.Sequential) -> None:
    model.forward = functools.partial(lambda m, x: nn.Sequential.forward(m, x) - 1, model)  # type: ignore[method-assign]


@patch
def a_default(model: nn.Sequential) -> None:
    model.forward = lambda x, m=model: nn.Sequential.forward(m, x) * 3  # type: ignore[method-assign]


@patch
def a_method_of_an_object(model: nn.Sequential) -> None:
    class Trainer:
        def __init__(self) -> None:
            self.model = model

        def run(self, x: torch.Tensor) -> Any:
            return nn.Sequential.forward(self.model, x)  # type: ignore[arg-type]

    model.forward = Trainer().run  # type: ignore[method-assign]


@patch
def a_global(model: nn.Sequential) -> None:
    scope: dict[str, Any] = {"net": model, "inner": model.forward}
    exec("def helper(x):\n return inner(x)\ndef forward(x):\n return helper(x) + len(net)", scope)
    model.forward = scope["forward"]  # type: ignore[method-assign]


@pytest.mark.parametrize("how", PATCHES)
def test_a_patched_forward_runs_on_the_shadow(how: str) -> None:
    model, x = net().train(), torch.randn(5, 4)
    PATCHES[how](model)
    expected = IUA.introspect(net(), x).results["2"].unit_inactive_count.tolist()
    before = everything(model)
    iua = IUA.introspect(model, x)
    assert iua.results["2"].unit_inactive_count.tolist() == expected
    assert_untouched(before, everything(model))


@pytest.mark.parametrize("how", ["argument", "closure", "global", "helper", "method", "part"])
@pytest.mark.parametrize("widget", [False, True])
def test_forward_may_call_the_model_by_any_name(how: str, widget: bool) -> None:
    model, x = net().train(), torch.randn(5, 4)
    expected = IUA.introspect(model, x).results["2"].unit_inactive_count.tolist()
    scope: dict[str, Any] = {"net": model}
    exec("def helper(x): return net(x)\nforward = lambda model, x: net(x)", scope)
    exec("through = lambda model, x: helper(x)", scope)
    forwards: dict[str, Any] = {
        "argument": lambda m, x: m(x),
        "closure": lambda _m, x: model(x),
        "global": scope["forward"],
        "helper": scope["through"],
        "method": types.SimpleNamespace(model=model, run=lambda _m, x: model(x)).run,
        "part": lambda _m, x: model[2](model[1](model[0](x))),
    }
    before = everything(model)
    if widget:
        shown = IUAWidget(model, x, forward=forwards[how])
        shown.wait()
        assert shown.error is None
        iua = shown.iua
    else:
        never = pytest.warns(IUAWarning, match=r"Never called.*'4'")
        with never if how == "part" else contextlib.nullcontext():
            iua = IUA.introspect(model, x, forward=forwards[how])
    assert iua.results["2"].unit_inactive_count.tolist() == expected
    assert_untouched(before, everything(model))


def test_a_model_that_is_called_around_its_shadow_is_refused_and_untouched() -> None:
    model = net().train()

    class Hidden:
        """Refers to the model where nobody can see it."""

        __slots__ = ("model",)

        def __init__(self) -> None:
            self.model = model

    hidden, x = Hidden(), torch.randn(5, 4)
    before = everything(model)
    with pytest.raises(ProducerError, match=r"called itself.*forward=lambda model, batch"):
        IUA.introspect(model, x, forward=lambda _m, x: hidden.model(x))
    before.pop("tensors")  # what the user's own call does to BatchNorm is the user's
    after = everything(model)
    assert_untouched(before, {name: after[name] for name in before})


def test_a_hook_that_is_a_method_of_an_object_still_reaches_the_object() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.shapes: list[Any] = []

        def see(self, _module: nn.Module, _args: Any, output: torch.Tensor) -> None:
            self.shapes.append(tuple(output.shape))

    recorder, model = Recorder(), net()
    model[0].register_forward_hook(recorder.see)
    IUA.introspect(model, torch.randn(5, 4))
    assert recorder.shapes == [(5, 6)]


def test_what_a_hook_writes_to_globals_stays_written() -> None:
    model = net()
    scope: dict[str, Any] = {"net": model, "seen": 0}
    exec("def hook(module, args, output):\n global seen\n seen += len(net)", scope)
    model[0].register_forward_hook(scope["hook"])
    IUA.introspect(model, torch.randn(5, 4))
    assert scope["seen"] == 5


def test_layers_may_be_modules_and_predicates_on_the_models_own() -> None:
    model, x = net(), torch.randn(5, 4)
    for layers in (model[2], [model[2]], lambda module: module is model[2]):
        assert IUA.introspect(model, x, layers=layers).layers == ["2"]


def test_two_runs_on_one_model_do_not_wait_for_each_other() -> None:
    model, both = net(), threading.Barrier(2, timeout=20)

    def meet(_model: nn.Module, x: torch.Tensor) -> Any:
        both.wait()
        return _model(x)

    widgets = [IUAWidget(model, [torch.randn(5, 4)] * 3, forward=meet) for _ in range(2)]
    for widget in widgets:
        assert widget.wait(60)
        assert (widget.status, widget.iua.probes) == ("done", 15)


def test_a_late_change_of_a_shared_weight_by_the_forward_pass_is_noted() -> None:
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.big = nn.Linear(600, 600)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) == 3:
                self.big.weight.mul_(2)
            return F.relu(self.big(x))

    model = Late()
    before = model.big.weight.detach().clone()
    batches = [torch.randn(n, 600) for n in (2, 3, 3, 2)]
    with pytest.warns(IUAWarning, match=r"changed 'big.weight' of the model in place"):
        IUA.introspect(model, batches)
    assert torch.equal(model.big.weight, before * 2)


def test_each_batch_finds_the_model_as_it_is() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls, self.log, self.seen = 0, [0], torch.zeros(1)
            self.config = {"scale": 1.0}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            self.log.append(self.calls)
            self.seen += 1
            return F.relu(x) * self.config["scale"] + (len(self.log) - 2) + (self.seen - 1)

    model = Counts()

    def batches() -> Iterator[torch.Tensor]:
        for scale in (1.0, 1.0, 0.0):
            model.config["scale"] = scale
            yield torch.ones(2, 3)

    results: list[float] = []
    model.register_forward_hook(lambda _m, _a, output: results.append(output.sum().item()))
    IUA.introspect(model, batches(), layers="Counts")
    assert results == [6.0, 6.0, 0.0]
    assert (model.calls, model.log, model.seen.item()) == (0, [0], 0)


def test_what_forward_sets_on_the_stand_in_is_gone_at_the_next_batch() -> None:
    model, found = net(), []

    def forward(net: nn.Sequential, batch: torch.Tensor) -> Any:
        found.append(hasattr(net[0], "seen"))
        net[0].seen = True
        return net(batch)

    IUA.introspect(model, [torch.randn(5, 4)] * 4, forward=forward)
    assert not any(found)
    assert not hasattr(model[0], "seen")


def test_weights_of_modules_that_cannot_change_them_are_never_copied() -> None:
    model, places = net(), []
    model.register_forward_hook(lambda *_: None)

    def place(net: nn.Sequential) -> bool:
        return bool(net[0].weight.data_ptr() == model[0].weight.data_ptr())

    for hooked in (True, False):
        shadow = Shadow(model)
        outputs(shadow, torch.randn(5, 4))
        places.append(place(shadow.model))  # type: ignore[arg-type]
        if hooked:
            model._forward_hooks.clear()
    shadow = Shadow(model, has_forward=True)
    outputs(shadow, torch.randn(5, 4))
    assert [*places, place(shadow.model)] == [False, True, False]  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*torch.jit.:DeprecationWarning")
def test_a_script_module_inside_follows_training_and_keeps_its_mode() -> None:
    torch.manual_seed(0)
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5)))
    model, x = nn.Sequential(scripted, nn.ReLU()).train(), torch.randn(5, 4)
    shadow = Shadow(model)
    for _ in range(2):
        with torch.no_grad():
            scripted[0].weight.add_(1)
            expected = F.relu(F.linear(x, scripted[0].weight, scripted[0].bias))
        assert torch.equal(outputs(shadow, x), expected)
        assert scripted[1].training


def test_parametrizations_stay_parametrized() -> None:
    class Positive(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight.abs()

    model, x = nn.Sequential(nn.Linear(4, 6), nn.ReLU()), torch.randn(5, 4)
    parametrize.register_parametrization(model[0], "weight", Positive())
    assert torch.equal(outputs(Shadow(model), x), by_hand(model, x))


def test_tensors_that_the_owner_has_replaced_are_dropped() -> None:
    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.hidden = nn.Linear(4, 4), torch.zeros(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.relu(self.fc(x) + self.hidden)

    model, x = Remembers(), torch.randn(2, 4)
    shadow, former = Shadow(model), []
    for step in range(100):
        model.hidden = torch.full((4,), float(step))
        former.append(weakref.ref(model.hidden))
        with torch.no_grad():
            assert torch.equal(outputs(shadow, x), model(x))
    assert sum(one() is not None for one in former) < 25
    assert shadow.notes(thorough=True) == []


def test_a_model_in_fsdp_is_watched_itself_and_only_where_it_is_safe() -> None:
    class FSDPModule:
        """What `torch.distributed.fsdp.fully_shard` makes a module an instance of."""

    class Sharded(FSDPModule, nn.Sequential):
        pass

    model = Sharded(nn.Linear(4, 6), nn.Dropout(0.9), nn.ReLU()).train()
    x = torch.randn(5, 4)
    assert IUA.introspect(model, x).results["2"].probes == 5
    assert all(module.training for module in model.modules())
    widget = IUAWidget(model, x)
    with pytest.warns(IUAWarning, match=r"sharded by FSDP.*background=False"):
        widget.wait()
    assert widget.status == "failed"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("in place", r"The weights changed while counting \('0.weight'\)"),
        ("data", r"The weights changed while counting \('0.weight'\)"),
        ("assigned", "The weights changed while counting"),
        ("buffer", r"The buffers changed while counting \('1.running_mean'\)"),
    ],
)
def test_a_change_of_the_model_meanwhile_is_noted(change: str, told: str) -> None:
    model, go_on = net(), threading.Event()

    def batches() -> Iterator[torch.Tensor]:
        yield torch.randn(5, 4)
        go_on.wait(20)
        yield torch.randn(5, 4)

    widget = IUAWidget(model, batches())
    while not widget.iua.probes:
        go_on.wait(0.001)
    assert widget._run["notes"] == []
    OWNERS_CHANGES[change](model)
    go_on.set()
    widget.wait()
    assert re.match(told, widget._run["notes"][0]), widget._run["notes"]


def test_a_model_made_in_inference_mode_is_watched_there_and_outside() -> None:
    x = torch.randn(5, 4)
    with torch.inference_mode():
        model = net()
        inside = IUA.introspect(model, x).results["2"].unit_inactive_count.tolist()
        before = [p.clone() for p in model.state_dict().values()]
    assert IUA.introspect(model, x).results["2"].unit_inactive_count.tolist() == inside
    assert all(map(torch.equal, before, model.state_dict().values()))


def test_a_compiled_part_is_chosen_by_itself_or_by_what_it_was() -> None:
    part = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    compiled: Any = torch.compile(part, backend="eager")
    model = nn.Sequential(compiled, nn.Linear(6, 3))
    for layers in (part, compiled):
        assert IUA.introspect(model, torch.randn(5, 4), layers=layers).layers == ["0"]
