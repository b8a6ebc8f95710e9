"""After a run everything is as it was: the model, and the process's randomness."""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from by_hand import assert_untouched, everything
from careful_way import assert_same_run
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, Dataset, TensorDataset

from iua_widget import IUA, IUAWarning, IUAWidget, ProducerError, TorchModel, response_infos
from iua_widget.capture.own_draws import OwnDraws
from iua_widget.stages import pipeline


class Stateful(nn.Module):
    """Every way a forward pass can leave something behind, whatever the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.5)
        self.relu = nn.ReLU()
        self.embed = nn.Embedding(5, 6, max_norm=0.5)
        self.register_buffer("steps", torch.zeros(1))
        self.register_buffer("ema", torch.zeros(6))
        self.passes = 0
        self.log: list[int] = []
        self.cache: dict[int, torch.Tensor] = {}
        self.hidden: torch.Tensor | None = None
        self.scratch = torch.zeros(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        self.ema = 0.9 * self.ema + 0.1 * x.mean(dim=0)
        self.passes += 1
        self.log.append(len(x))
        self.cache[len(self.log)] = x
        self.scratch.add_(1)
        if not hasattr(self, "lazy"):
            self.lazy = x.std()
        x = self.fc(x) + self.embed(torch.tensor([1, 2])).sum(dim=0)
        if self.hidden is not None:
            x = x + self.hidden.mean()
        self.hidden = x
        self.fc.weight.data.mul_(0.99)
        self.fc.bias.data = self.fc.bias.data + 1
        noise = torch.rand(1) + random.random() + np.random.rand()  # noqa: NPY002
        return self.relu(self.drop(self.norm(x)) + 0 * noise)


class Augmented(Dataset[torch.Tensor]):
    """Draws from all three generators for every item."""

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> torch.Tensor:
        noise = torch.randn(6) + random.random() + np.random.rand()  # noqa: NPY002
        return noise * 0.01 + index


@pytest.fixture
def model() -> Stateful:
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    model = Stateful()
    model.drop.eval()
    model.embed.weight.requires_grad_(requires_grad=False)
    model.fc.weight.grad = torch.ones(6, 6)
    return model


def loader() -> DataLoader[Any]:
    return DataLoader(Augmented(), batch_size=10, shuffle=True)


RUNS: dict[str, Callable[[nn.Module], Any]] = {
    "introspect": lambda model: IUA.introspect(model, loader()),
    "train mode": lambda model: IUA.introspect(model, loader(), mode="train"),
    "widget": lambda model: IUAWidget(model, loader()).wait(),
    "foreground widget": lambda model: IUAWidget(model, loader(), background=False),
    "widget in train mode": lambda model: IUAWidget(model, loader(), mode="train").wait(),
    "response_infos": lambda model: response_infos(model, torch.randn(3, 6, generator=own())),
    "max_probes": lambda model: IUA.introspect(model, loader(), max_probes=13),
    "all modules": lambda model: IUA.introspect(model, loader(), layers="*"),
}


def own() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.filterwarnings("ignore:.*responses for:iua_widget.IUAWarning")
@pytest.mark.filterwarnings("ignore:Counted in training mode")
@pytest.mark.parametrize("run", RUNS)
def test_a_run_leaves_no_trace(model: Stateful, run: str) -> None:
    twin = copy.deepcopy(model)
    before = everything(model)
    RUNS[run](model)
    assert_untouched(before, everything(model))
    assert not hasattr(model, "lazy")
    state = torch.get_rng_state()
    x = torch.randn(4, 6, generator=own())
    output = model.train()(x)
    torch.set_rng_state(state)
    assert torch.equal(output, twin.train()(x))


def test_the_trap_without_care_all_of_that_moves(model: Stateful) -> None:
    before = everything(model)
    model.eval()
    with torch.no_grad():
        for batch in loader():
            model(batch)
    after = everything(model)
    changed = {what for what in before if repr(before[what]) != repr(after[what])}
    assert {"modes", "tensors", "ids", "attributes", "random"} <= changed


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["model", "loader", "hook"])
def test_a_run_that_breaks_off_leaves_no_trace(
    model: Stateful, where: str, error: type[BaseException]
) -> None:
    def fail(*_: Any) -> None:
        if model.passes or where == "loader":
            raise error

    def failing() -> Iterator[torch.Tensor]:
        yield torch.rand(3, 6)
        fail()

    handle = None
    if where == "model":
        handle = model.relu.register_forward_pre_hook(fail)
    if where == "hook":
        handle = model.register_forward_hook(fail)
    data = failing() if where == "loader" else loader()
    before = everything(model)
    with pytest.raises(ProducerError if error is RuntimeError else error):
        IUA.introspect(model, data)
    after = everything(model)
    if where == "loader":
        before.pop("random")  # the generator's own draw, made when Python closed it or before
    assert_untouched(before, {name: after[name] for name in before})
    if handle is not None:
        handle.remove()


def test_between_two_batches_the_model_is_as_its_owner_left_it(model: Stateful) -> None:
    before = everything(model)
    before.pop("random")

    def batches() -> Iterator[torch.Tensor]:
        for _ in range(3):
            now = everything(model)
            assert_untouched(before, {name: now[name] for name in before})
            yield torch.zeros(2, 6)

    IUA.introspect(model, batches())


def test_stopping_and_pausing_leave_no_trace(model: Stateful) -> None:
    before = everything(model)
    batches = [torch.zeros(2, 6)] * 400
    widget = IUAWidget(model, batches)
    widget.pause()
    assert_untouched(before, everything(model))
    widget.resume()
    widget.stop()
    assert_untouched(before, everything(model))


def test_a_run_draws_what_the_program_would_have_drawn_by_hand(model: Stateful) -> None:
    model.eval()
    torch.manual_seed(8)
    by_hand = [sorted(batch[:, 0].tolist()) for batch in _batches_of(loader())]
    torch.manual_seed(8)
    seen: list[list[float]] = []
    handle = model.register_forward_pre_hook(
        lambda _module, args: seen.append(sorted(args[0][:, 0].tolist()))
    )
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    IUA.introspect(model, loader())
    handle.remove()
    assert np.allclose(seen, by_hand, atol=0.2)
    assert [len(part) for part in seen] == [10, 10, 10]


def _batches_of(data: DataLoader[Any]) -> list[torch.Tensor]:
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    return list(data)


def test_numbers_drawn_beside_a_background_run_are_not_drawn_again() -> None:
    drawing, drawn = threading.Event(), threading.Event()

    class Slow(Augmented):
        def __getitem__(self, index: int) -> torch.Tensor:
            if index == 5:
                drawing.set()
                drawn.wait(10)
            return super().__getitem__(index)

    torch.manual_seed(0)
    expected = torch.rand(4)
    torch.manual_seed(0)
    widget = IUAWidget(Stateful(), DataLoader(Slow(), batch_size=10))
    assert drawing.wait(10)
    beside = torch.rand(4)
    drawn.set()
    widget.wait()
    assert not torch.equal(beside, torch.rand(4))
    del expected


def test_a_seed_set_beside_a_background_run_stands() -> None:
    drawing, seeded = threading.Event(), threading.Event()

    class Slow(Augmented):
        def __getitem__(self, index: int) -> torch.Tensor:
            if index == 29:
                drawing.set()
                seeded.wait(10)
            return torch.zeros(6)

    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
    widget = IUAWidget(model, DataLoader(Slow(), batch_size=10))
    assert drawing.wait(10)
    torch.manual_seed(123)
    seeded.set()
    widget.wait()
    after = torch.rand(3)
    torch.manual_seed(123)
    assert torch.equal(after, torch.rand(3))


def test_what_the_owner_changes_beside_a_background_run_is_kept() -> None:
    model = Stateful()
    reached, changed = threading.Event(), threading.Event()
    batches = 0

    def wait(_module: nn.Module, _args: Any) -> None:
        nonlocal batches
        batches += 1
        if batches == 3:
            reached.set()
            changed.wait(10)

    model.register_forward_pre_hook(wait)
    widget = IUAWidget(model, [torch.zeros(2, 6)] * 4)
    assert reached.wait(10)
    model.norm.running_mean.add_(7)
    model.note = "mine"
    handle = model.fc.register_forward_hook(lambda *_: None)
    changed.set()
    widget.wait()
    assert model.norm.running_mean.mean() == 7
    assert model.note == "mine"
    assert handle.id in model.fc._forward_hooks
    assert (model.passes, model.log, model.hidden) == (0, [], None)


def test_gradients_still_flow_through_what_the_model_caches() -> None:
    class Caching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)
            self.mask: torch.Tensor | None = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.mask is None:
                self.mask = torch.ones(3)
            return F.relu(self.fc(x) * self.mask)

    model = Caching()
    graph = model(torch.ones(2, 3)).sum()
    IUA.introspect(model, torch.ones(4, 3))
    graph.backward()
    model(torch.ones(2, 3)).sum().backward()
    assert model.fc.weight.grad is not None


def test_a_run_on_a_model_within_a_run_on_it() -> None:
    inner: list[IUA] = []
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())
    data = torch.randn(8, 3)

    def nested(_module: nn.Module, _args: Any, _output: Any) -> None:
        if len(inner) < 1:
            inner.append(None)  # type: ignore[arg-type]
            inner[0] = IUA.introspect(model, data[:5])

    handle = model[0].register_forward_hook(nested)
    outer = IUA.introspect(model, data)
    handle.remove()
    alone = IUA.introspect(model, data)
    assert (outer.probes, inner[0].probes) == (8, 5)
    for layer in ("1", "3"):
        assert (
            outer.results[layer].unit_inactive_count.tolist()
            == alone.results[layer].unit_inactive_count.tolist()
        )


def test_runs_at_once_leave_no_trace(model: Stateful) -> None:
    before = everything(model)
    for _ in range(4):  # in how they meet they differ
        widgets = [IUAWidget(model, loader()) for _ in range(3)]
        for widget in widgets:
            assert widget.wait(60)
            assert (widget.status, widget.iua.probes) == ("done", 30)
        assert_untouched(before, everything(model))


def test_training_mode_counts_dropped_units_and_says_what_it_means() -> None:
    model = nn.Sequential(nn.Linear(4, 50), nn.ReLU(), nn.Dropout(0.5)).eval()
    nn.init.ones_(model[0].weight)
    data = TensorDataset(torch.ones(200, 4))
    calm = IUA.introspect(model, data, layers=nn.Dropout)
    assert calm.results["2"].mean_inactive == 0
    torch.manual_seed(0)
    with pytest.warns(IUAWarning, match=r"Counted in training mode"):
        train = IUA.introspect(model, data, layers=nn.Dropout, mode="train")
    assert train.results["2"].mean_inactive == pytest.approx(25, abs=2)
    assert not any(module.training for module in model.modules())
    torch.manual_seed(0)
    model.train()
    batches = DataLoader(data, batch_size=32)
    expected = torch.cat([model(part) == 0 for (part,) in batches]).sum(dim=0)
    assert train.results["2"].unit_inactive_count.tolist() == expected.tolist()


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ProducerError, match=r"'eval' or 'train'; got 'trian'.*Did you mean"):
        IUA.introspect(nn.Sequential(nn.ReLU()), torch.zeros(2, 2), mode="trian")


class Holder(nn.Module):
    """Things a forward pass may change that are no attribute itself."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.relu = nn.Linear(3, 3), nn.ReLU()
        self.states = [torch.zeros(3)]
        self.nested = {"a": {"b": [torch.zeros(3)]}}
        self.array = np.zeros(3)
        self.box = SimpleNamespace(count=0, inner=SimpleNamespace(values=[1]))
        self.loose = [nn.BatchNorm1d(3)]
        self.generator = torch.Generator().manual_seed(1)
        self.rng = np.random.default_rng(2)
        self.python = random.Random(3)
        self.register_buffer("sign", torch.tensor([-0.0, 1.0, float("nan")]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.states[0].add_(1)
        self.nested["a"]["b"][0].add_(1)
        self.nested["a"]["new"] = [x]
        self.array += 1
        self.box.count += 1
        self.box.inner.values.append(2)
        self.loose[0](x)
        torch.rand(2, generator=self.generator)
        self.rng.random()
        self.python.random()
        self.sign.abs_()
        return self.relu(self.fc(x))

    def report(self) -> str:
        norm = self.loose[0]
        randomness = (
            self.generator.get_state().sum(),
            self.rng.bit_generator.state,
            hash(self.python.getstate()),
        )
        held = (self.states, self.nested, self.array, self.box)
        loose = (norm.running_mean, norm.training, norm.num_batches_tracked)
        parts = (*held, *loose, *randomness, torch.signbit(self.sign), self.sign)
        return repr(parts)


@pytest.mark.parametrize("how", ["introspect", "widget", "pipeline"])
def test_what_attributes_hold_is_put_back_levels_deep(how: str) -> None:
    model, data = Holder(), torch.randn(9, 3)
    before = model.report()
    if how == "introspect":
        IUA.introspect(model, data, batch_size=3)
    elif how == "widget":
        assert IUAWidget(model, data, batch_size=3).wait()
    else:
        IUA.introspect(pipeline(data, TorchModel(model)()), batch_size=3)
    assert model.report() == before


def test_what_a_later_batch_is_the_first_to_change_is_put_back_too() -> None:
    class Later(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.relu = nn.Embedding(5, 3, max_norm=1.0), nn.ReLU()
            self.register_buffer("longest", torch.zeros(1))
            self.cache: dict[int, int] = {}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[1] > 2:
                self.longest.fill_(x.shape[1])
                self.cache[x.shape[1]] = 1
                self.embed.weight.data[0].mul_(2)
            return self.relu(self.embed(x))

    model = Later()
    with torch.no_grad():
        model.embed.weight[4] = 5.0
    before = everything(model)
    IUA.introspect(model, [torch.tensor([[0, 1]]), torch.tensor([[1, 2, 4]])])
    assert_untouched(before, everything(model))


def test_beside_the_main_thread_what_a_later_batch_is_the_first_to_change_stays_too() -> None:
    class Grows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.relu, self.longest = nn.Linear(2, 2), nn.ReLU(), 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.longest = max(self.longest, x.shape[1] - 3)
            if self.longest:
                self.fc.weight.data.mul_(2)
            return self.relu(self.fc(x))

    model = Grows()
    before = everything(model)
    batches = [torch.ones(2, 3, 2), torch.ones(2, 9, 2)]
    widget = IUAWidget(model, batches, units="token")
    widget.wait()
    assert (widget.status, widget._run["notes"]) == ("done", [])
    assert_untouched(before, everything(model))


@pytest.mark.filterwarnings("ignore:Counted in training mode")
def test_a_graph_that_waits_for_its_backward_pass_still_can() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU()).eval()
    x = torch.randn(6, 4)
    loss = model(x).sum()
    IUA.introspect(model, x, mode="train")
    loss.backward()
    assert model[0].weight.grad is not None


def test_gradients_and_flags_changed_inside_are_put_back() -> None:
    class Learns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.relu = nn.Linear(3, 3), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                self.fc(x).sum().backward()
            self.fc.bias.requires_grad_(requires_grad=False)
            return self.relu(self.fc(x))

    for gradient in (None, torch.ones(3, 3)):
        model = Learns()
        model.fc.weight.grad = gradient
        for run in (lambda m: IUA.introspect(m, torch.ones(4, 3), batch_size=2),
                    lambda m: IUAWidget(m, torch.ones(4, 3), batch_size=2).wait()):  # fmt: skip
            before = everything(model)
            run(model)
            assert_untouched(before, everything(model))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("run", ["introspect", "response_infos", "widget"])
def test_buffers_that_a_forward_pass_resizes_are_put_back(run: str) -> None:
    model = nn.Sequential(torch.ao.quantization.QuantStub(), nn.Linear(4, 4), nn.ReLU())
    model.qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
    model = torch.ao.quantization.prepare_qat(model.train())
    x = torch.randn(5, 4)
    before = everything(model)
    {
        "introspect": lambda: IUA.introspect(model, x, batch_size=2),
        "response_infos": lambda: response_infos(model, x),
        "widget": lambda: IUAWidget(model, x, batch_size=2).wait(),
    }[run]()
    assert_untouched(before, everything(model))
    assert model(x).shape == (5, 4)


def test_a_loaders_own_generator_is_put_back() -> None:
    data = TensorDataset(torch.randn(12, 3))
    loader = DataLoader(data, batch_size=4, shuffle=True, generator=own())
    before = loader.generator.get_state()
    IUA.introspect(nn.Sequential(nn.ReLU()), loader)
    assert torch.equal(before, loader.generator.get_state())


class Drawing(Mapping[str, torch.Tensor]):
    """A batch that is drawn when it is read."""

    def __getitem__(self, _: str) -> torch.Tensor:
        return torch.rand(4, 6) + random.random() + float(np.random.rand())  # noqa: NPY002

    def __iter__(self) -> Iterator[str]:
        return iter(["input"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("kind", [list, tuple])
def test_batches_that_draw_as_they_are_read_leave_the_programs_randomness(
    kind: Callable[[list[Drawing]], Any],
) -> None:
    model = nn.Sequential(nn.Linear(6, 3), nn.ReLU())
    before = everything(model)
    one, other = (
        IUA.introspect(model, kind([Drawing(), Drawing()]), engine="reference") for _ in range(2)
    )
    assert_untouched(before, everything(model))
    assert_same_run(one._run, other._run)


def test_attention_draws_only_for_dropout() -> None:
    draws, x = OwnDraws(), torch.ones(1, 2, 6, 8)
    with torch.no_grad(), draws:
        F.scaled_dot_product_attention(x, x, x)
        assert not draws.drew
        F.scaled_dot_product_attention(x, x, x, dropout_p=0.5)
        assert draws.drew


class Noisy(nn.Module):
    """Draws into tensors that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = torch.rand(x.shape, out=torch.empty_like(x))
        return self.relu(x + noise + torch.randint(9, x.shape, out=torch.empty_like(x)))


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("kind", ["attention", "noise"])
def test_numbers_drawn_beside_a_run_are_those_without_it(kind: str, mode: str) -> None:
    def drawn(*, beside: bool) -> torch.Tensor:
        torch.manual_seed(0)
        attention = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        model = attention if kind == "attention" else Noisy()
        data = [torch.randn(4, 6, 16)] * 500
        widget = IUAWidget(model, data, mode=mode, engine="reference") if beside else None
        ones = torch.ones(500)
        numbers = [F.dropout(ones) for _ in range(3_000)]
        if widget is not None:
            widget.stop()
            widget.wait()
            assert widget.error is None
            assert widget.iua.probes
        return torch.cat(numbers)

    assert torch.equal(drawn(beside=True), drawn(beside=False))


def test_epochs_within_one_stream_do_not_move_the_programs_randomness() -> None:
    def epochs() -> Iterator[Any]:
        for _ in range(4):
            yield from DataLoader(torch.randn(8, 3, generator=own()), batch_size=2, shuffle=True)

    before = everything(nn.ReLU())
    IUAWidget(nn.Sequential(nn.ReLU()), epochs()).wait()
    assert_untouched(before, everything(nn.ReLU()))


def test_an_interrupt_keeps_what_was_counted() -> None:
    def batches() -> Iterator[torch.Tensor]:
        yield torch.ones(4, 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        IUA.introspect(nn.Sequential(nn.ReLU()), batches())
    assert caught.value.partial.probes == 4  # type: ignore[attr-defined]


def test_what_a_background_run_draws_is_not_the_programs_and_not_drawn_twice() -> None:
    class Noise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop, self.rows = nn.Dropout(0.5), [[]]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            noise = [torch.rand_like(x), torch.randn(2, 8), torch.bernoulli(0.5 * torch.ones(2, 8))]
            seen.append(torch.cat([self.drop(x), *noise], dim=1))
            return F.relu(x)

    seen: list[torch.Tensor] = []
    model, batches = Noise(), [torch.ones(2, 8)] * 5
    drawing, drawn = threading.Event(), threading.Event()

    def loader() -> Iterator[torch.Tensor]:
        for number, batch in enumerate(batches):
            if number == 2:
                drawing.set()
                drawn.wait(10)
            yield batch

    torch.manual_seed(0)
    expected = torch.rand(6)
    torch.manual_seed(0)
    widget = IUAWidget(model, loader(), mode="train")
    assert drawing.wait(10)
    beside = torch.rand(3)
    drawn.set()
    widget.wait()
    assert torch.equal(torch.cat([beside, torch.rand(3)]), expected)
    rows = torch.cat(seen)
    assert len(torch.unique(rows, dim=0)) == len(rows) >= 10


def test_workers_of_a_background_runs_loader_draw_each_their_own() -> None:
    seen: list[torch.Tensor] = []

    def keep(model: nn.Module, x: torch.Tensor) -> Any:
        seen.append(x.clone())
        return model(x)

    data = DataLoader(Augmented(), batch_size=10, num_workers=2)
    before = everything(nn.ReLU())
    IUAWidget(nn.Sequential(nn.ReLU()), data, forward=keep).wait()
    assert_untouched(before, everything(nn.ReLU()))
    fractions = torch.cat(seen) % 1
    assert len(torch.unique(fractions[:, 0])) == 30
