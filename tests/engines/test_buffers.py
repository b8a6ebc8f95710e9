"""Memory is used again, never while it is in use, and never more of it than was needed at once."""

from __future__ import annotations

import random

import numpy as np

from iua_widget import IUA
from iua_widget.engines.cpu.buffers import Buffers
from iua_widget.engines.cpu.engine import CPUEngine

MIB = 2**20


def test_no_two_arrays_that_are_alive_share_memory() -> None:
    chance, buffers = random.Random(0), Buffers()
    alive: list[tuple[int, np.ndarray]] = []
    for number in range(2000):
        if alive and chance.random() < 0.5:
            mark, array = alive.pop(chance.randrange(len(alive)))
            assert (array == mark).all()
            del array
        else:
            array = buffers.take((chance.randint(MIB, 3 * MIB) // 4,), np.float32)
            array[:] = number
            alive.append((number, array))
        alive = alive[-6:]
    for mark, array in alive:
        assert (array == mark).all()


def test_no_more_is_kept_than_was_in_use_at_once() -> None:
    chance, buffers = random.Random(0), Buffers()
    most = 0
    for _ in range(300):
        arrays = [
            buffers.take((chance.randint(MIB, 9 * MIB),), np.uint8)
            for _ in range(chance.randint(1, 4))
        ]
        most = max(most, sum(array.nbytes for array in arrays))
        del arrays
        held = [*buffers._free, *buffers._returned]
        assert sum(len(buffer) for buffer in held) <= 2 * most


def test_a_run_that_has_ended_keeps_none() -> None:
    data = np.maximum(np.random.default_rng(0).normal(size=(96, 200_000)), 0).astype(np.float32)
    iua = IUA.introspect({"a": data}, engine="cpu", keep_inactive=False)
    engine = iua._run.engine
    assert isinstance(engine, CPUEngine)
    assert not engine._buffers._free
    assert not engine._buffers._returned
    counts = iua.at(atol=0.0).results["a"].unit_inactive_count
    assert counts.tolist() == (data == 0).sum(axis=0).tolist()


def test_arrays_of_a_batch_that_is_kept_are_not_written_again() -> None:
    engine, rng = CPUEngine(), np.random.default_rng(0)
    thresholds = np.array([0.0, 0.5, 1.0], np.float32)
    batches = [rng.normal(size=(8, 200_000)).astype(np.float32) for _ in range(4)]
    kept = [engine.classify(values, thresholds) for values in batches]
    for values, batch in zip(batches, kept, strict=True):
        np.testing.assert_array_equal(batch.bins, np.searchsorted(thresholds, np.abs(values)))
        np.testing.assert_array_equal(batch.abs_max, np.abs(values).max(axis=0))
