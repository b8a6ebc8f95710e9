"""Layers that are counted together, and what may come of them alone."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from iua_widget import IUA, ProducerError
from iua_widget.options import CountOptions
from iua_widget.run.counter import Counter
from iua_widget.run.loop import count
from iua_widget.run.open import open_source


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_a_wide_layer_with_one_larger_batch_has_the_sums_of_one_counted_alone(engine: str) -> None:
    """Engines take the sums of a layer as an array of its own, which those of a group are not."""
    generator = np.random.default_rng(0)
    sizes = (16, 16, 16, 16, 20, 16)
    batches = [
        {name: np.maximum(generator.standard_normal((n, 3000)), 0).astype(np.float32)
         for name in "ab"} for n in sizes
    ]  # fmt: skip
    together = IUA.introspect(iter(batches), engine=engine)
    for name in "ab":
        alone = IUA.introspect(iter([{name: one[name]} for one in batches]), engine="reference")
        ours = together._run.tally(name).store.read_magnitudes()
        expected = alone._run.tally(name).store.read_magnitudes()
        values = np.concatenate([one[name] for one in batches]).astype(np.float64)
        assert np.array_equal(ours.sums, expected.sums)
        assert np.allclose(ours.sums, [values.sum(0), (values**2).sum(0), values.max(0)])


def test_a_counter_wants_a_loader_that_gives_its_batches_each_time() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with pytest.raises(ProducerError, match=r"generator, which gives them only once.*a list"):
        Counter(model, (torch.zeros(2, 2) for _ in range(3)), CountOptions())


def test_a_counter_begins_anew_where_the_model_has_other_modules() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4), nn.ReLU())
    counter = Counter(model, [torch.ones(2, 2)] * 4, CountOptions(engine="reference"))
    assert [*counter.count().tallies] == ["1", "3"]
    model[3] = nn.GELU()
    run = counter.count()
    assert [(name, tally.kind, tally.probes) for name, tally in run.tallies.items()] == [
        ("1", "ReLU", 8), ("3", "GELU", 8),
    ]  # fmt: skip


def test_a_look_keeps_the_tallies_of_the_look_before_large_ones_too() -> None:
    model = nn.Sequential(nn.Linear(2, 30_000), nn.ReLU(), nn.Linear(30_000, 4), nn.ReLU())
    counter = Counter(model, [torch.ones(5, 2)], CountOptions(engine="reference"))
    tallies = dict(counter.count().tallies)
    assert all(counter.count().tallies[name] is tally for name, tally in tallies.items())


def batches(number: int = 6) -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    return [{"a": generator.standard_normal((4, 9)).astype(np.float32)} for _ in range(number)]


def test_a_run_is_counted_by_one_at_a_time() -> None:
    iua = IUA(engine="reference")
    steps = count(iua._run, open_source(iter(batches())))
    for _ in range(4):
        next(steps)
    with pytest.raises(ProducerError, match=r"this run is being counted.*or close it"):
        next(count(iua._run, open_source(iter(batches()))))
    twin = pickle.loads(pickle.dumps(copy.deepcopy(iua)))
    assert [*steps, *count(iua._run, open_source(iter(batches())))] == [4] * 8
    expected = IUA.introspect(iter(batches() * 2), engine="reference")
    for layer, tally in iua._run.tallies.items():
        here, there = tally.state().arrays, expected._run.tally(layer).state().arrays
        assert all(np.array_equal(here[name], there[name]) for name in there)
    assert sum(count(twin._run, open_source(iter(batches())))) == 24


def test_a_count_that_was_dropped_is_none() -> None:
    iua = IUA(engine="reference")
    steps = count(iua._run, open_source(iter(batches())))
    next(steps)
    del steps
    assert sum(count(iua._run, open_source(iter(batches())))) == 24


def test_a_look_within_a_look_is_refused_and_the_outer_one_ends_the_run() -> None:
    class Looks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if looking:
                counter.count()
            return torch.relu(x)

    looking = False
    counter = Counter(Looks(), [torch.randn(4, 3)] * 3, CountOptions(engine="reference"))
    assert counter.count().probes == 12
    looking = True
    with pytest.raises(ProducerError, match="being counted"):
        counter.count()
    looking = False
    assert counter.count().probes == 12
