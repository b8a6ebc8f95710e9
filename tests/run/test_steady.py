"""What is counted in the steady state is what is counted the careful way, batch by batch."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from careful_way import assert_same_run, careful_way, check_as_careful, seen
from hypothesis import given, settings
from hypothesis import strategies as st

from iua_widget import IUA
from iua_widget.run.counting import Counting
from iua_widget.run.layer_groups import LayerGroups
from iua_widget.run.loop import count
from iua_widget.sources.producers import as_source

Batch = dict[str, Any]
LAYERS = 5
BATCHES = 14


def values(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Normal responses, about half of them zero."""
    made = random.standard_normal(shape, np.float32)
    made[random.random(shape) < 0.5] = 0
    return made


def layers(probes: int = 4, batches: int = BATCHES, seed: int = 0) -> list[Batch]:
    random = np.random.default_rng(seed)
    names = [f"layer{number}" for number in range(LAYERS)]
    return [
        {name: values(random, probes, 3 + place) for place, name in enumerate(names)}
        for _ in range(batches)
    ]


def as_careful(batches: list[Batch], **options: Any) -> int:
    """How many responses were taken by slots, of batches that come to the same both ways."""
    return check_as_careful(lambda: (iter(batches),), **options).taken


def each(batches: list[Batch], change: Callable[[np.ndarray], Any]) -> list[Batch]:
    return [{name: change(one) for name, one in batch.items()} for batch in batches]


@pytest.mark.parametrize("engine", ["reference", "cpu"])
@pytest.mark.parametrize("keep", [False, True])
def test_layers_that_come_alike_are_taken_from_the_third_batch_on(engine: str, keep: bool) -> None:
    taken = as_careful(layers(), engine=engine, keep_inactive=keep)
    assert taken == LAYERS * (BATCHES - 2)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("of_torch", [False, True], ids=["numpy", "torch"])
def test_dtypes_that_are_compared_as_they_are(dtype: str, of_torch: bool) -> None:
    batches = each(layers(), lambda one: one.astype(dtype))
    if of_torch:
        batches = each(batches, torch.from_numpy)
    assert as_careful(batches)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "complex64", ">f4", "bfloat16"])
def test_dtypes_that_are_converted_go_the_careful_way(dtype: str) -> None:
    def converted(one: np.ndarray) -> Any:
        if dtype == "bfloat16":
            return torch.from_numpy(one).bfloat16()
        return one.astype(dtype)

    assert not as_careful(each(layers(), converted))


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda one: np.repeat(one, 2, 0)[::2, ::-1],
        lambda one: np.broadcast_to(one[:1], one.shape),
        lambda one: (one * 1e-41).astype(np.float32),
        lambda one: torch.from_numpy(one).mT.contiguous().mT,
        lambda one: torch.from_numpy(one).requires_grad_(),
        lambda one: torch._neg_view(torch.from_numpy(one)),
    ],
    ids=["fortran", "strided", "broadcast", "subnormal", "transposed", "grad", "negated"],
)
def test_arrays_of_any_layout(change: Callable[[np.ndarray], Any]) -> None:
    as_careful(each(layers(), change))


def test_one_unit_one_axis_and_maps() -> None:
    random = np.random.default_rng(1)
    shapes = (1,), (), (2, 4, 4), (7, 3)
    batches = [
        {f"layer{n}": values(random, 4, *shape) for n, shape in enumerate(shapes)}
        for _ in range(BATCHES)
    ]
    assert as_careful(batches)
    for units in ("channel", "token"):
        as_careful(batches, units=units)


@pytest.mark.parametrize("axis", [1, 2])
def test_tokens_of_varying_lengths(axis: int) -> None:
    random = np.random.default_rng(1)
    batches = []
    for length in (5, 5, 5, 4, 5, 3, 0, 5, 5, 6, 7, 5, 5, 5, 2, 1):
        shape = (3, length, 4) if axis == 2 else (3, 4, length)
        batches.append({"tokens": values(random, *shape), "others": values(random, 3, 7)})
    assert as_careful(batches, units={"tokens": "token"}, channel_axis={"tokens": axis})


@pytest.mark.parametrize("at", [1, 2, 3, 7])
def test_tokens_with_an_axis_less_in_one_batch(at: int) -> None:
    random = np.random.default_rng(1)
    batches = [
        {"tokens": values(random, 3, 4, 4), "others": values(random, 3, 7)} for _ in "12345678"
    ]
    batches[at]["tokens"] = batches[at]["tokens"].reshape(12, 4)[:3]
    as_careful(batches, units={"tokens": "token"})
    flat = batches[: at + 1] + [batches[at]] * 4
    iua = IUA.introspect(flat, units={"tokens": "token"}, engine="reference")
    rows = np.concatenate([batch["tokens"].reshape(-1, 4) for batch in flat])
    assert iua["tokens"].probes == len(rows)
    np.testing.assert_array_equal(
        iua._run.tally("tokens").store.read_counts().up_to(0), (rows == 0).sum(axis=0)
    )


def test_batches_of_several_sizes_and_empty_ones() -> None:
    sizes = 4, 4, 4, 3, 2, 1, 4, 5, 6, 2, 4, 0, 4, 4, 0, 0, 3
    batches = [layers(size, 1, size)[0] for size in sizes]
    assert as_careful(batches)
    assert as_careful([*layers(), *layers(2, 1)])


def test_responses_that_are_not_finite_come_and_go() -> None:
    batches = layers()
    batches[0]["layer0"][:] = np.inf
    batches[5]["layer1"][0, 0] = np.nan
    batches[7]["layer1"][1, 1] = -np.inf
    batches[9]["layer3"][:] = np.nan
    assert as_careful(batches)
    assert as_careful(batches, engine="cpu")


def without(batch: Batch) -> None:
    del batch["layer3"]


def one_more(batch: Batch) -> None:
    batch["late"] = batch["layer1"]


def wider(batch: Batch) -> None:
    batch["layer2"] = np.zeros((len(batch["layer2"]), 99))


def words(batch: Batch) -> None:
    batch["layer4"] = np.array(["x"] * len(batch["layer4"]))


def longer(batch: Batch) -> None:
    batch["layer4"] = batch["layer4"].repeat(2, 0)


def other_dtype(batch: Batch) -> None:
    batch["layer1"] = batch["layer1"].astype(np.float64)
    batch["layer2"] = batch["layer2"].astype(np.float16)


def other_kind(batch: Batch) -> None:
    batch["layer1"] = torch.from_numpy(batch["layer1"])
    batch["layer2"] = batch["layer2"].tolist()
    batch["layer3"] = np.ma.masked_array(batch["layer3"], mask=False)


@pytest.mark.parametrize(
    "change", [without, one_more, wider, words, longer, other_dtype, other_kind]
)
@pytest.mark.parametrize("at", [1, 2, 7, 13])
def test_a_batch_that_is_otherwise(change: Callable[[Batch], None], at: int) -> None:
    batches = layers()
    change(batches[at])
    as_careful(batches)
    as_careful([*batches, *layers(seed=1)], max_probes=37)


@pytest.mark.parametrize("at", [0, 2, 3, 9])
def test_a_producer_that_raises_leaves_whole_batches(at: int) -> None:
    def producing() -> Iterator[Batch]:
        yield from layers()[:at]
        message = "gone"
        raise ValueError(message)

    check_as_careful(lambda: (producing,))


MIXED = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from(["float16", "float32"]), st.booleans()),
    min_size=3,
    max_size=16,
)


@settings(max_examples=60, deadline=None)
@given(MIXED, st.integers(0, 2**32), st.booleans())
def test_any_stream(batches: list[tuple[int, str, bool]], seed: int, known: bool) -> None:
    random = np.random.default_rng(seed)
    made = []
    for probes, dtype, odd in batches:
        batch = {name: values(random, probes, 2 + place) for place, name in enumerate("abc")}
        if odd and probes:
            batch["b"][0, 0] = random.choice([np.nan, np.inf])
        if odd:
            batch["c"] = batch["c"].astype(dtype)
        made.append(batch)
    check_as_careful(lambda: (made if known else iter(made),))


class Sometimes:
    """Gives layers now in one part, now in two, now not at all, as a model may."""

    steady, whole_batches, label, total = False, False, "sometimes", None
    weights, labels = None, None
    notes: list[str] = []  # noqa: RUF012

    def __init__(self, seed: int, *, breaks: bool = False) -> None:
        self._seed, self._breaks = seed, breaks

    def batches(self, record: Any, restart: Callable[[], None], _position: Any) -> Iterator[int]:
        random = np.random.default_rng(self._seed)
        for number in range(24):
            seed = int(random.integers(2**32))
            if number and random.random() < 0.3:  # broken off, and begun anew
                self._give(record, np.random.default_rng(seed + 1), int(random.integers(4)))
                restart()
            self._give(record, np.random.default_rng(seed), 99)
            yield 4

    def _give(self, record: Any, random: np.random.Generator, most: int) -> None:
        """Give responses, the first so many of them."""
        given = 0
        for name in "abcdef":
            times = random.choice([0, 1, 2], p=[0.05, 0.85, 0.1])
            for _ in range(times):
                if given < most:
                    record(name, values(random, 4, 3 + (name == "f")))
                    given += 1


@pytest.mark.parametrize("seed", range(12))
def test_layers_in_parts_away_late_and_batches_begun_anew(seed: int) -> None:
    runs = []
    for way in (careful_way, seen):
        iua = IUA(engine="reference")
        with way() as found:
            assert list(count(iua._run, Sometimes(seed))) == [4] * 24
        runs.append(iua._run)
    assert_same_run(*runs)
    assert found is not None
    assert found.taken


def followed(batches: list[Batch], **options: Any) -> Iterator[tuple[IUA, IUA]]:
    """A steady run and one that is counted with care, after each batch."""
    steady, careful = (IUA(engine="reference", **options) for _ in range(2))
    alone = count(careful._run, as_source(iter(batches)))
    for _ in count(steady._run, as_source(iter(batches))):
        with careful_way():
            next(alone)
        yield steady, careful


def test_what_is_read_between_two_batches(tmp_path: Path) -> None:
    batches = layers()
    batches[6]["layer1"][0, 0] = np.nan
    with seen() as found:
        for number, (steady, careful) in enumerate(followed(batches)):
            assert_same_run(steady._run, careful._run)
            if number % 3:
                continue
            results = steady.at(atol=0.5).to_pandas()
            assert results.equals(careful.at(atol=0.5).to_pandas())
            steady.save(tmp_path / "steady.iua")
            for twin in (
                copy.deepcopy(steady),
                pickle.loads(pickle.dumps(steady)),
                IUA.load(tmp_path / "steady.iua"),
            ):
                assert twin.at(atol=0.5).to_pandas().equals(results)
            merged = IUA.merge(steady, careful)
            assert merged.probes == 2 * careful.probes
    assert found.taken == LAYERS * (BATCHES - 2)


def test_a_copy_goes_its_own_way() -> None:
    pairs = followed(layers(batches=20))
    for _ in range(8):
        steady, careful = next(pairs)
    twin, apart = copy.deepcopy(steady._run), copy.deepcopy(careful._run)
    for run, way in ((twin, seen), (apart, careful_way)):
        with way():
            list(count(run, as_source(iter(layers(seed=5)))))
    assert_same_run(twin, apart)
    for steady, careful in pairs:
        assert_same_run(steady._run, careful._run)


def test_recounting_between_two_batches_and_at_the_end() -> None:
    batches = layers()
    iua = IUA.introspect(lambda: iter(batches), engine="reference")
    with careful_way():
        careful = IUA.introspect(lambda: iter(batches), engine="reference")
    for one in (iua, careful):
        one.recount(lambda: iter(batches), atol=0.123)
    assert iua.at(atol=0.123).to_pandas().equals(careful.at(atol=0.123).to_pandas())


def test_resuming_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    batches, path = layers(batches=20), tmp_path / "run.iua"

    def stopping() -> Iterator[Batch]:
        yield from batches[:9]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        IUA.introspect(stopping, engine="reference", resume=path, save_every=1)
    with seen() as found:
        iua = IUA.introspect(lambda: iter(batches), engine="reference", resume=path)
    assert found.taken
    with careful_way():
        whole = IUA.introspect(lambda: iter(batches), engine="reference")
    assert_same_run(iua._run, whole._run)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("factor", [1.0, 1.1, 1.3, 1.6, 2, 2.5, 3, 4, 6])
def test_little_memory_changes_nothing(factor: float, known: bool) -> None:
    random = np.random.default_rng(0)
    batches = [
        {f"layer{place}": values(random, 16, 40 * place + 1) for place in range(6)}
        for _ in range(40)
    ]
    memory = int(200_000 * factor)
    check_as_careful(lambda: (batches if known else iter(batches),), memory=memory)


def test_memory_that_becomes_short_is_asked_for_before_it_is_short() -> None:
    random = np.random.default_rng(0)

    def batches(number: int) -> list[Batch]:
        made = []
        for place in range(number):
            made.append({f"layer{n}": values(random, 16, 200) for n in range(3)})
            if place >= 20:
                made[-1]["late"] = values(random, 16, 900)
        return made

    def producing(_: int) -> Iterator[Batch]:
        return iter(stream)

    producing.steady = False  # type: ignore[attr-defined]
    stream = batches(40)
    for memory in range(300_000, 1_000_000, 50_000):
        check_as_careful(lambda: (producing,), memory=memory)


@pytest.mark.parametrize("memory", [6_000_000, 12_000_000, 18_000_000, 24_000_000])
def test_the_budget_holds_while_counters_are_widened_and_when_the_run_ends(memory: int) -> None:
    random = np.random.default_rng(0)
    batch = {f"layer{number}": values(random, 16, 600) for number in range(24)}
    iua = IUA(engine="reference", memory=memory, keep_inactive=False)
    steps = count(iua._run, as_source(iter([batch] * 40)))
    next(steps)  # makes what is made once
    tracemalloc.start()
    with seen() as found:
        assert sum(steps) == 39 * 16
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= memory
    assert bool(found.taken) == (memory >= 18_000_000)


def test_nothing_of_a_batch_is_referred_to_once_it_is_counted() -> None:
    kept: list[weakref.ref[np.ndarray]] = []
    run = IUA(engine="reference")._run
    counting = Counting(run, as_source(iter([])))
    for batch in layers():
        kept.extend(map(weakref.ref, batch.values()))
        for name in list(batch):
            counting.record(name, batch.pop(name))
        counting.commit(4)
        gc.collect()
        assert all(ref() is None for ref in kept)
    assert run.probes == 56


def test_memory_does_not_grow_with_the_batches() -> None:
    batch = layers()[0]
    iua = IUA(engine="reference", keep_inactive=False)

    def stream() -> Iterator[Batch]:
        while True:
            yield batch

    steps = count(iua._run, as_source(stream()))
    for _ in range(300):
        next(steps)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    for _ in range(700):
        next(steps)
    gc.collect()
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    steps.close()
    grown = sum(one.size_diff for one in after.compare_to(before, "filename"))
    assert grown < 30_000


def test_nothing_is_left_of_the_steady_state_when_a_run_ends() -> None:
    states: list[weakref.ref[LayerGroups]] = []
    begin = LayerGroups.__init__

    def noted(self: LayerGroups) -> None:
        begin(self)
        states.append(weakref.ref(self))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LayerGroups, "__init__", noted)
        iua = IUA.introspect(layers(), engine="reference")
    gc.collect()
    assert [ref() for ref in states] == [None]
    parts = [tally.store.read().arrays() for tally in iua._run.tallies.values()]
    bases = [{id(one if one.base is None else one.base) for one in p.values()} for p in parts]
    assert len(set().union(*bases)) == sum(map(len, bases)), "layers share memory"


def test_two_readers_see_whole_batches_while_layers_are_together() -> None:
    batches = layers(batches=150)
    iua = IUA(engine="reference")
    failures: list[BaseException] = []
    read, done = set(), threading.Event()

    def reading() -> None:
        try:
            while not done.is_set():
                with iua._run.lock:
                    probes = {tally.probes for tally in iua._run.tallies.values()}
                    totals = {
                        int(tally.store.read_counts().counts[0].sum())
                        for tally in iua._run.tallies.values()
                    }
                assert probes == totals
                assert len(probes) < 2
                read.update(probes)
        except BaseException as error:  # noqa: BLE001  (raised below)
            failures.append(error)

    readers = [threading.Thread(target=reading) for _ in range(2)]
    for reader in readers:
        reader.start()
    with seen() as found:
        for _ in count(iua._run, as_source(iter(batches))):
            pass
    done.set()
    for reader in readers:
        reader.join()
    assert not failures, failures
    assert found.taken == LAYERS * 148
    assert len(read) > 2


def test_an_error_when_it_is_counted_leaves_whole_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where classifying fails, or making room, nothing of the batch is counted."""
    for name in ("classify", "reserve"):
        iua = IUA(engine="reference")
        steps = count(iua._run, as_source(iter(layers())))
        for _ in range(6):
            next(steps)
        whole, careful = copy.deepcopy(iua._run), IUA(engine="reference")
        with careful_way():
            list(count(careful._run, as_source(iter(layers()[:6]))))
        with monkeypatch.context() as patch:

            def failing(*_: Any) -> None:
                raise MemoryError

            patch.setattr(LayerGroups, name, failing)
            with pytest.raises(Exception, match="MemoryError"):
                next(steps)
        whole.failure = iua._run.failure
        assert_same_run(iua._run, whole)
        careful._run.failure = whole.failure
        assert_same_run(careful._run, whole)
