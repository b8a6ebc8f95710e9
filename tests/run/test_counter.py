"""A counter's looks are those of fresh runs, whatever came before them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from careful_way import assert_same_run, introspected, seen
from torch import nn
from torch.nn import functional as F  # noqa: N812

from iua_widget.errors import IUAError
from iua_widget.options import CountOptions, SourceOptions
from iua_widget.run.counter import Counter
from iua_widget.run.run import Run


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 4), nn.GELU()
    return nn.Sequential(*layers)


def inputs(batches: int = 6, probes: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(probes)
    return [torch.randn(probes, 6, generator=generator) for _ in range(batches)]


class Loader:
    """Gives the batches of the look at hand."""

    def __init__(self) -> None:
        self.batches: list[Any] = []

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


class Looks:
    """A counter beside fresh runs of the same model and options."""

    def __init__(self, model: nn.Module, **options: Any) -> None:
        self.model, self.loader, self.options = model, Loader(), options
        asked = dict(options)
        most = asked.pop("max_probes", None)
        self.counter = Counter(
            model,
            self.loader,
            CountOptions(**{"engine": "reference", **asked}),
            SourceOptions(max_probes=most),
        )

    def look(self, batches: list[Any]) -> Run | None:
        """Look, and check that a fresh run counts the same; None if both broke off."""
        self.loader.batches = batches
        message = ""
        try:
            run = self.counter.count()
        except IUAError as error:
            message = str(error)
        fresh, expected = introspected(self.model, batches, **self.options)
        assert message == expected
        if message or fresh is None:
            return None
        run.weights = fresh.weights
        assert_same_run(run, fresh)
        return run


def train(model: nn.Module) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model(torch.ones(4, 6)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def write_data(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.data = parameter.data * 2


def new_parameters(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight = nn.Parameter(module.weight * 1.5)


def nothing(model: nn.Module) -> None:
    pass


@pytest.mark.parametrize("change", [nothing, train, write_data, new_parameters])
@pytest.mark.parametrize("option", [{}, {"keep_inactive": False}, {"max_probes": 10}], ids=str)
def test_looks_between_changes_of_the_weights(
    change: Callable[[nn.Module], None], option: dict[str, Any]
) -> None:
    looks = Looks(mlp(), **option)
    with seen() as found:
        for _ in range(4):
            assert looks.look(inputs()) is not None
            change(looks.model)
    assert found.taken


def test_many_replaced_parameters_and_looks_of_one_batch() -> None:
    looks = Looks(mlp())
    with seen() as found:
        for _ in range(12):
            looks.look(inputs(1))
            new_parameters(looks.model)
    assert found.taken == 3 * 10


def test_the_compiled_engine_looks_alike() -> None:
    looks = Looks(mlp(), engine="cpu")
    for _ in range(3):
        looks.look(inputs())
        train(looks.model)


def test_batches_of_other_sizes_dtypes_and_lengths() -> None:
    looks = Looks(mlp())
    for probes in (4, 4, 3, 9, 4, 1):
        looks.look([*inputs(5, probes), *inputs(1, max(probes - 1, 1))])
    looks.model.double()
    for _ in range(3):
        looks.look([batch.double() for batch in inputs()])


@pytest.mark.parametrize("units", ["auto", "channel"])
def test_the_shape_of_a_look_is_its_own(units: str) -> None:
    torch.manual_seed(0)
    looks = Looks(nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 7), nn.ReLU()), units=units)
    for lengths in ((5,) * 6, (5, 4, 3), (5,) * 3, (4,) * 3, (9, 2), (4,) * 6, (3, 4)):
        texts = [torch.full((3, length), length % 9) for length in lengths]
        run = looks.look(texts)
        assert run is not None
        same = len(set(lengths)) == 1
        assert run.tally("2").response_shape == (lengths[0] if same else None, 7)


def test_nan_in_one_look_is_not_carried_over() -> None:
    looks = Looks(mlp())
    odd = inputs()
    odd[4] = odd[4] * torch.nan
    for batches, batch in ((inputs(), None), (odd, 4), (inputs(), None), (odd[4:], 0), (odd, 4)):
        run = looks.look(batches)
        assert run is not None
        assert run.tally("1").store.read_magnitudes().first_non_finite == batch
    looks.look(inputs())


class Switched(nn.Module):
    """Has a layer that can be left out, and an error that can be raised."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.relu, self.tanh = nn.Linear(6, 6), nn.ReLU(), nn.Tanh()
        self.raises = False
        self.short = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.relu(self.linear(x))
        if self.raises and x[0, 0] > 0:
            message = "too much"
            raise ValueError(message)
        return hidden if self.short else self.tanh(hidden)


@pytest.mark.parametrize("at", range(4))
def test_a_look_that_breaks_off_leaves_the_next_as_fresh(at: int) -> None:
    looks = Looks(Switched())
    bad = inputs()
    for number, batch in enumerate(bad):
        batch[0, 0] = number - 2
    for number in range(5):
        looks.model.raises = number == at
        assert (looks.look(bad) is None) == (number == at)


def test_a_layer_that_a_look_does_not_reach_has_no_probes_there() -> None:
    looks = Looks(Switched())
    assert looks.look(inputs()) is not None
    looks.model.short = True
    looks.loader.batches = inputs()
    run = looks.counter.count()
    fresh, _ = introspected(looks.model, inputs())
    assert fresh is not None
    assert run.tallies["tanh"].probes == 0
    np.testing.assert_array_equal(
        run.tally("relu").store.read_counts().counts, fresh.tally("relu").store.read_counts().counts
    )
    looks.model.short = False
    assert looks.look(inputs()) is not None


def test_notes_are_those_of_the_look() -> None:
    model = mlp()

    def training() -> Iterator[torch.Tensor]:
        for number, batch in enumerate(inputs()):
            if number == 3 and changes:
                with torch.no_grad():
                    model[2].weight.mul_(1.0)
            yield batch

    class Training(Loader):
        def __iter__(self) -> Iterator[Any]:
            return training()

    counter = Counter(model, Training(), CountOptions(engine="reference"))
    for changes in (False, True, False, True):
        assert any("'2.weight'" in note for note in counter.count().kept_notes) == changes


def test_what_is_drawn_in_a_look_is_what_a_fresh_run_draws() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.linear, self.relu = nn.Linear(6, 6), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.relu(self.linear(x) + torch.randn(6))
            return self.relu(F.dropout(hidden, training=True))

    looks = Looks(Noisy())
    for _ in range(3):
        before = torch.get_rng_state()
        looks.look(inputs())
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(3)


@pytest.mark.parametrize("memory", [160_000, 200_000, 400_000])
def test_little_memory_and_looks_of_growing_length(memory: int) -> None:
    """How many stops are held depends on the looks before; what is counted at them does not."""
    torch.manual_seed(0)
    many = nn.Sequential(*[one for _ in range(10) for one in (nn.Linear(6, 6), nn.ReLU())])
    loader = Loader()
    counter = Counter(many, loader, CountOptions(engine="reference", memory=memory))
    for batches in (5, 30, 70, 100):
        loader.batches = inputs(batches)
        run = counter.count()
        fresh, _ = introspected(many, loader.batches)
        assert fresh is not None
        for layer, tally in run.tallies.items():
            assert (tally.kind, tally.probes) == ("ReLU", 4 * batches)
            whole, counts = fresh.tally(layer).store, tally.store.read_counts()
            np.testing.assert_array_equal(
                counts.counts, whole.read_counts().thinned(counts.columns).counts
            )
            moments = tally.store.read_moments()
            np.testing.assert_array_equal(moments.inactive_sum, whole.read_moments().inactive_sum)


def test_memory_is_planned_anew_when_a_look_has_more_probes() -> None:
    looks = Looks(mlp(), keep_inactive=False)
    looks.look([*inputs(6, 40), *inputs(100, 1)][:7])
    looks.look([*inputs(3, 40), *inputs(60, 1)])
    run = looks.look(inputs(60, 40))
    assert run is not None
    assert {plan.need.final_width for plan in run.budget.plans} == {2}


def test_nothing_of_a_look_is_referred_to_afterwards() -> None:
    model = mlp()
    kept: list[weakref.ref[torch.Tensor]] = []
    model[0].register_forward_hook(lambda *args: kept.append(weakref.ref(args[2])))
    looks = Looks(model)
    for _ in range(3):
        looks.look(inputs())
    looks.loader.batches = []
    gc.collect()
    assert kept
    assert all(ref() is None for ref in kept)
    assert len(model[0]._forward_hooks) == 1
