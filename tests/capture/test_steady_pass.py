"""A pass that goes as before is seen as one that is watched with care, and others are repeated."""

from __future__ import annotations

import contextlib
import gc
import itertools
import random
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from careful_way import (
    Seen,
    assert_same_run,
    careful_way,
    check_as_careful,
    introspected,
    seen,
)
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

from iua_widget import IUA
from iua_widget.run.loop import count
from iua_widget.run.open import open_source

BATCHES = 12


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 4), nn.GELU()
    return nn.Sequential(*layers)


def inputs(above: dict[int, float] | None = None) -> list[torch.Tensor]:
    """Batches whose first number is 0, or what is said: a model may go by it."""
    batches = [torch.randn(4, 6, generator=torch.Generator().manual_seed(n)) for n in range(12)]
    for number, batch in enumerate(batches):
        batch[0, 0] = (above or {}).get(number, 0.0)
    return batches


class Net(nn.Module):
    """Does what a function makes of its modules and the input."""

    def __init__(self, does: Callable[[Net, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.does = does
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 6)
        self.relu, self.tanh, self.leaky = nn.ReLU(), nn.Tanh(), nn.LeakyReLU(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.does(self, x)


def as_careful(
    does: Callable[[Net, torch.Tensor], torch.Tensor],
    above: dict[int, float] | None = None,
    **options: Any,
) -> Seen:
    return check_as_careful(lambda: (Net(does), inputs(above)), **options)


def every_layer(net: Net, x: torch.Tensor) -> torch.Tensor:
    return net.leaky(net.tanh(net.two(net.relu(net.one(x)))))


def test_passes_that_go_as_before_are_steady_and_their_layers_have_slots() -> None:
    found = check_as_careful(lambda: (mlp(), inputs()), layers="*")
    assert (found.passes, found.repeated) == (BATCHES - 1, 0)
    assert found.taken == 7 * (BATCHES - 2)


def test_the_compiled_engine_gives_the_same() -> None:
    assert check_as_careful(lambda: (mlp(), inputs()), engine="cpu").taken


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.bfloat16], ids=str)
def test_dtypes_stay(dtype: torch.dtype) -> None:
    found = check_as_careful(lambda: (mlp().to(dtype), [x.to(dtype) for x in inputs()]))
    assert bool(found.taken) == (dtype is not torch.bfloat16)


def differing(net: Net, x: torch.Tensor) -> torch.Tensor:
    hidden = net.relu(net.one(x))
    if x[0, 0] <= 0:
        hidden = net.tanh(net.two(hidden))
    return net.leaky(hidden)


@pytest.mark.parametrize("option", [{}, {"layers": "*"}, {"keep_inactive": True}], ids=str)
@pytest.mark.parametrize("batch", [1, 3, 11])
def test_a_pass_that_goes_otherwise_is_repeated(batch: int, option: dict[str, Any]) -> None:
    assert as_careful(differing, {batch: 1.0}, **option).repeated == 1


def test_after_some_passes_watched_with_care_one_may_go_as_before_again() -> None:
    found = as_careful(differing, {1: 1.0})
    assert (found.passes, found.repeated) == (1 + 3, 1), "8 passes are watched, of batches 1 to 8"
    found = as_careful(differing, {1: 1.0, 9: 1.0})
    assert (found.passes, found.repeated) == (2, 2), "and of the next sixteen, all that are left"


def test_from_then_on_it_goes_as_the_latest_did() -> None:
    found = as_careful(differing, dict.fromkeys(range(1, BATCHES), 1.0))
    assert (found.passes, found.repeated) == (1 + 3, 1)


def test_a_pass_that_ends_early_is_repeated() -> None:
    def short(net: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = net.relu(net.one(x))
        return hidden if x[0, 0] > 0 else net.tanh(hidden)

    with seen() as found:
        introspected(Net(short), inputs({7: 1.0}))
    assert found.passes == 7
    as_careful(short, {7: 1.0})


def test_layers_that_come_late_are_put_where_they_are_in_the_network() -> None:
    def late(net: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = net.relu(net.one(x))
        if x[0, 0] > 0:
            hidden = net.tanh(hidden)
        return net.relu(net.two(hidden))

    run, _ = introspected(Net(late), inputs({6: 1.0}))
    assert run is not None
    assert list(run.tallies) == ["relu", "tanh", "relu:1"]
    as_careful(late, {6: 1.0})


def test_calls_that_raise_are_calls_too() -> None:
    def guarded(net: Net, x: torch.Tensor) -> torch.Tensor:
        if x[0, 0] > 0:
            with contextlib.suppress(TypeError):
                net.relu(None)
        return net.tanh(net.relu(net.one(x)))

    as_careful(guarded, {2: 1.0, 5: 1.0})


def test_shared_modules_have_the_name_of_the_branch_that_calls_them() -> None:
    def branches() -> tuple[Any, ...]:
        net, relu = Net(lambda net, x: (net.one if x[0, 0] > 0 else net.two)(x)), nn.ReLU()
        net.one, net.two = (nn.Sequential(nn.Linear(6, 6), relu) for _ in range(2))
        return net, inputs({2: 1.0, 5: 1.0, 6: 1.0})

    check_as_careful(branches)
    run, _ = introspected(*branches())
    assert run is not None
    assert {name: tally.probes for name, tally in run.tallies.items()} == {"one.1": 12, "two.1": 36}


def drawing(net: Net, x: torch.Tensor) -> torch.Tensor:
    noise = torch.randn_like(x) + random.random() + np.random.rand()  # noqa: NPY002
    hidden = F.dropout(net.relu(net.one(x + noise)), 0.5, training=True)
    if x[0, 0] <= 0:
        hidden = net.tanh(net.two(hidden))
    return net.leaky(hidden + torch.rand(1))


def seeded() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


def states() -> tuple[Any, ...]:
    _, keys, place, *_ = np.random.get_state()  # noqa: NPY002
    return random.getstate(), keys.tobytes(), place, torch.get_rng_state().tolist()


@pytest.mark.parametrize("thread", [False, True], ids=["here", "thread"])
def test_what_a_repeated_pass_had_drawn_is_drawn_again(thread: bool) -> None:
    def counted() -> None:
        seeded()
        before = states()
        assert as_careful(drawing, {8: 1.0}).repeated == 1
        torch.manual_seed(0)  # as making the model does
        assert states() == before

    if not thread:
        counted()
        return
    failures: list[BaseException] = []

    def beside() -> None:
        try:
            counted()
        except BaseException as error:  # noqa: BLE001  (raised below)
            failures.append(error)

    other = threading.Thread(target=beside)
    other.start()
    other.join()
    assert not failures, failures


@pytest.mark.parametrize("loader", [list, iter], ids=["list", "iterator"])
def test_a_repeated_pass_draws_what_is_drawn_by_hand(loader: Callable[[Any], Any]) -> None:
    model, batches = Net(drawing), inputs({8: 1.0})
    seeded()
    kept: list[np.ndarray] = []
    handle = model.leaky.register_forward_hook(lambda *args: kept.append(args[2].numpy()))
    with torch.no_grad():
        for batch in batches:
            model(batch)
    handle.remove()
    seeded()
    run, _ = introspected(model, loader(batches))
    assert run is not None
    magnitudes = run.tally("leaky").store.read_magnitudes()
    np.testing.assert_array_equal(magnitudes.abs_max, np.abs(np.concatenate(kept)).max(axis=0))


def test_draws_in_some_batches_and_by_the_loader_only() -> None:
    def sometimes(net: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = net.relu(net.one(x))
        return net.tanh(F.dropout(hidden, 0.5, training=bool(x[0, 0] > 0)))

    assert as_careful(sometimes, {4: 1.0, 9: 1.0}).passes == BATCHES - 1

    def loaded() -> tuple[nn.Module, Any]:
        seeded()
        rows = torch.cat(inputs())
        return mlp(), DataLoader(TensorDataset(rows), batch_size=5, shuffle=True)

    assert check_as_careful(loaded).taken


@pytest.mark.parametrize("caught", [Exception, BaseException], ids=["Exception", "BaseException"])
@pytest.mark.parametrize("swallows", [False, True], ids=["wraps", "swallows"])
def test_a_model_that_catches_errors_does_not_keep_a_pass_from_being_repeated(
    caught: type[BaseException], swallows: bool
) -> None:
    def catching(net: Net, x: torch.Tensor) -> torch.Tensor:
        try:
            return differing(net, x)
        except caught as error:
            if swallows:
                return x
            message = "wrapped"
            raise ValueError(message) from error

    assert as_careful(catching, {5: 1.0}).repeated == 1


def test_an_error_of_the_models_own_ends_the_run_between_two_batches() -> None:
    def raising(net: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = net.relu(net.one(x))
        if x[0, 0] > 0:
            message = "too much"
            raise ValueError(message)
        return net.tanh(hidden)

    found = as_careful(raising, {7: 1.0})
    assert (found.passes, found.repeated) == (7, 0)


@pytest.mark.parametrize("swallows", [False, True])
def test_an_error_in_a_response_is_raised_though_the_model_swallows_it(swallows: bool) -> None:
    def growing(net: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = net.one(x)
        try:
            hidden = net.relu(hidden[:, :4] if x[0, 0] > 0 else hidden)
        except Exception:
            if not swallows:
                raise
        return net.tanh(net.one(x))

    as_careful(growing, {7: 1.0}, calls="separate")


class Kind(torch.Tensor):
    """A tensor of another type."""


@pytest.mark.parametrize(
    "changed",
    [
        lambda h: h.double(),
        lambda h: h.as_subclass(Kind),
        lambda h: h.unsqueeze(1),
        lambda h: h.to_sparse(),
        lambda h: h.mT.contiguous().mT,
        lambda h: h.expand(2, *h.shape)[1],
        torch._neg_view,
    ],
    ids=["double", "subclass", "shape", "sparse", "strides", "expanded", "negated"],
)
def test_a_response_of_another_kind(changed: Callable[[torch.Tensor], torch.Tensor]) -> None:
    def sometimes(net: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = net.one(x)
        return net.relu(changed(hidden) if x[0, 0] > 0 else hidden)

    as_careful(sometimes, {4: 1.0, 6: 1.0, 9: 1.0})


def test_an_output_that_is_a_tuple_now_and_then() -> None:
    class Several(nn.ReLU):
        def forward(self, x: torch.Tensor) -> Any:
            output = super().forward(x)
            return (output, x) if x[0, 0] > 0 else output

    def model() -> nn.Module:
        return nn.Sequential(nn.Identity(), Several())

    check_as_careful(lambda: (model(), inputs({4: 1.0, 9: 1.0})))


def test_a_response_inside_vmap_is_refused() -> None:
    def mapped(net: Net, x: torch.Tensor) -> torch.Tensor:
        if x[0, 0] > 0:
            return torch.func.vmap(net.relu)(x)
        return net.relu(x)

    as_careful(mapped, {5: 1.0})


def test_responses_are_read_before_they_are_written_over() -> None:
    def in_place(net: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = net.relu(net.one(x)).add_(-1)
        return net.tanh(hidden).mul_(0)

    assert as_careful(in_place).taken


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode, torch.no_grad])
def test_modes_within_the_pass_and_around_it(mode: Callable[[], Any]) -> None:
    def within(net: Net, x: torch.Tensor) -> torch.Tensor:
        with mode():
            return net.tanh(net.relu(net.one(x)))

    as_careful(within)
    with mode():
        found = as_careful(every_layer)
        assert found.taken
        torch.ones(2, requires_grad=not torch.is_inference_mode_enabled()).sum()


class Functions(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


class Operators(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", [Functions, Operators])
def test_modes_of_the_users_see_no_more_than_where_passes_are_watched_with_care(
    kind: Callable[[], Any],
) -> None:
    with careful_way(), kind() as careful:
        introspected(mlp(), inputs())
    with seen() as found, kind() as mode:
        introspected(mlp(), inputs())
    assert found.taken
    assert Counter(mode.names) <= Counter(careful.names)


def test_a_nested_run_is_not_counted_with_the_outer_one() -> None:
    inner = mlp()
    counted = []

    def nesting(net: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = net.relu(net.one(x))
        counted.append(IUA.introspect(inner, [x] * 5, engine="reference").probes)
        return net.tanh(hidden)

    assert as_careful(nesting).taken
    assert set(counted) == {20}


@pytest.mark.parametrize("which", ["tanh", "relu"])
def test_calls_on_another_thread_are_noted(which: str) -> None:
    def beside(net: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = net.relu(net.one(x))
        if x[0, 0] > 0:
            other = threading.Thread(target=getattr(net, which), args=(hidden,))
            other.start()
            other.join()
        return net.leaky(hidden)

    as_careful(beside, {6: 1.0})


def test_each_batch_finds_the_modules_as_the_owner_has_them() -> None:
    def changing(net: Net, x: torch.Tensor) -> torch.Tensor:
        net.leaky.negative_slope += 0.1
        hidden = net.leaky(net.one(x))
        net.tanh.scale = getattr(net.tanh, "scale", 1) * 2
        net.tanh.register_forward_hook(lambda module, _args, output: output * module.scale)
        net.two.weight = nn.Parameter(net.two.weight * 1.5)
        return net.tanh(net.two(hidden))

    model, batch = Net(changing), inputs()[0]
    one, _ = introspected(model, [batch])
    many, _ = introspected(model, [batch] * 6)
    assert one is not None
    assert many is not None
    for layer, tally in one.tallies.items():
        here, there = tally.store.read_magnitudes(), many.tally(layer).store.read_magnitudes()
        np.testing.assert_array_equal(here.abs_max, there.abs_max)
        np.testing.assert_array_equal(here.highest_bin, there.highest_bin)
    assert model.leaky.negative_slope == 0.1
    assert not model.tanh._forward_hooks


def add_a_hook(model: nn.Sequential) -> Callable[[], object]:
    return model[1].register_forward_hook(lambda _module, _args, output: output - 0.5).remove


def change_an_attribute(model: nn.Sequential) -> Callable[[], object]:
    model[5].approximate = "tanh"
    return lambda: setattr(model[5], "approximate", "none")


def train(model: nn.Sequential) -> Callable[[], object]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model(torch.ones(4, 6)).sum().backward()
    optimizer.step()
    return lambda: None


def replace_a_parameter(model: nn.Sequential) -> Callable[[], object]:
    model[0].weight = nn.Parameter(torch.randn(8, 6, generator=torch.Generator().manual_seed(9)))
    return lambda: None


def write_data(model: nn.Sequential) -> Callable[[], object]:
    model[2].weight.data = model[2].weight.data * 2
    return lambda: None


def replace_a_module(model: nn.Sequential) -> Callable[[], object]:
    model[3] = nn.Identity()
    return lambda: None


CHANGES = add_a_hook, change_an_attribute, train, replace_a_parameter, write_data, replace_a_module


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_the_owner_changes_between_two_batches_counts_from_then_on(
    change: Callable[[nn.Sequential], Callable[[], object]], wrapped: bool
) -> None:
    def make() -> tuple[nn.Module, Iterator[torch.Tensor]]:
        inner = mlp()
        model: nn.Module = inner if not wrapped else Net(lambda net, x: net.inner(x))
        if wrapped:
            model.inner = inner

        def batches() -> Iterator[torch.Tensor]:
            undo: Callable[[], object] = lambda: None  # noqa: E731
            for number, batch in enumerate(inputs()):
                if number in (5, 8):
                    undo()
                    undo = change(inner)
                yield batch
            undo()

        return model, batches()

    assert check_as_careful(make).passes


def test_a_module_that_comes_later_is_followed_from_then_on() -> None:
    def uses(net: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = net.relu(net.one(x))
        late = getattr(net, "late", None)
        return hidden if late is None else hidden * late(x)

    def slopes(model: Net) -> Iterator[torch.Tensor]:
        for number, batch in enumerate(inputs()):
            if number == 3:
                model.late = nn.LeakyReLU(0.5)
            if number > 5:
                model.late.negative_slope = float(number)
            yield batch

    def largest(model: Net) -> np.ndarray:
        model.kept = []  # an attribute that is copied for each batch
        model.tanh, model.relu = nn.Identity(), nn.Identity()
        outputs = []
        model.does = lambda net, x: outputs.append(uses(net, x).clone()) or outputs[-1]
        introspected(model, slopes(model), layers=["relu"])
        return torch.stack(outputs[-BATCHES:]).abs().amax(dim=(1, 2)).numpy()

    got = largest(Net(every_layer))
    model, expected = Net(every_layer), []
    model.relu = nn.Identity()
    for batch in slopes(model):
        with torch.no_grad():
            expected.append(uses(model, batch).abs().max().item())
    np.testing.assert_allclose(got, expected, rtol=1e-6)


class TokenNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.linear, self.relu = nn.Embedding(9, 6), nn.Linear(6, 7), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.linear(self.embed(x)))


@pytest.mark.parametrize("units", ["auto", "channel"])
def test_tokens_of_varying_lengths_and_a_smaller_last_batch(units: str) -> None:
    shapes = [(3, n) for n in (5, 5, 5, 4, 5, 3, 5, 6, 5, 1, 5, 4)] + [(2, 5)]
    texts = [torch.full(shape, n % 9) for n, shape in enumerate(shapes)]
    found = check_as_careful(lambda: (TokenNet(), texts), units=units)
    assert found.passes
    check_as_careful(lambda: (TokenNet(), texts), mask=lambda batch: batch > 2)


def test_the_last_batch_is_cut_to_max_probes() -> None:
    assert check_as_careful(lambda: (mlp(), inputs()), max_probes=42).taken


def test_a_steady_pass_leaves_no_hook_and_refers_to_nothing_afterwards() -> None:
    model = Net(every_layer)
    kept: list[weakref.ref[torch.Tensor]] = []

    def keeping(net: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = net.one(x)
        kept.append(weakref.ref(hidden))
        return net.tanh(net.relu(hidden))

    model.does = keeping
    iua = IUA(engine="reference")
    for _ in count(iua._run, open_source(model, inputs())):
        gc.collect()
        assert all(ref() is None for ref in kept)
        assert not any(module._forward_hooks for module in model.modules())
    left = weakref.ref(model)
    del model, keeping
    gc.collect()
    assert left() is None
    assert iua.probes == 48


LEFT = """
import itertools, torch
from torch import nn
from iua_widget import IUA
from iua_widget.run.loop import count
from iua_widget.run.open import open_source
model = nn.Sequential(*[one for _ in range(20) for one in (nn.Linear(8, 8), nn.ReLU())])
iua = IUA(engine="reference")
steps = count(iua._run, open_source(model, itertools.repeat(torch.randn(4, 8))))
for _ in range(5):
    next(steps)
"""


def test_a_process_may_end_while_a_run_is_left_half_way() -> None:
    done = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_two_runs_of_one_model_take_turns() -> None:
    model, runs = mlp(), [IUA(engine="reference") for _ in range(2)]
    steps = [count(iua._run, open_source(model, inputs())) for iua in runs]
    for _ in itertools.zip_longest(*steps):
        pass
    alone, _ = introspected(model, inputs())
    assert alone is not None
    for iua in runs:
        assert_same_run(iua._run, alone)
