"""Memory that serves again: zeros at first, alive with any view, given back or kept afterwards."""

from __future__ import annotations

import gc
import random
import sys
import threading
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from iua_widget.engines.cpu import buffers
from iua_widget.engines.cpu.engine import CPUEngine

MIB = 2**20
ON_LINUX = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="what is resident is like this there"
)


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    buffers.keep_at_most(0)
    yield
    buffers.keep_at_most(0)


def resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.float64])
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (MIB, 2), (70_000, 71), (40 * MIB // 8,)])
def test_it_is_what_numpy_gives(shape: tuple[int, ...], dtype: type) -> None:
    made = buffers.zeros(shape, dtype)
    assert made.shape == shape
    assert made.dtype == dtype
    assert made.flags.writeable
    assert made.flags.c_contiguous
    assert not made.any()


@pytest.mark.parametrize("kept", [0, 4 * MIB, 64 * MIB])
def test_no_two_arrays_share_memory_and_views_keep_theirs(kept: int) -> None:
    buffers.keep_at_most(kept)
    chance = random.Random(0)
    alive: list[tuple[int, np.ndarray]] = []
    for number in range(500):
        array = buffers.zeros((chance.randint(1, 3 * MIB),), np.uint8)
        assert not array.any()
        array[:] = number % 251
        view = array[len(array) // 3 :].reshape(1, -1) if number % 2 else array
        alive.append((number % 251, view))
        del array, view
        if len(alive) > 8:
            mark, left = alive.pop(chance.randrange(len(alive)))
            assert (left == mark).all()
    for mark, left in alive:
        assert (left == mark).all()


@ON_LINUX
def test_what_is_not_referred_to_is_given_back_though_neighbors_live() -> None:
    before = resident()
    arrays = [buffers.zeros((MIB,), np.uint8) for _ in range(64)]
    for array in arrays:
        array[:] = 1
    assert resident() - before > 60 * MIB
    del array
    kept = arrays[::8]
    del arrays
    assert resident() - before < 16 * MIB
    assert all(array.all() for array in kept)


@ON_LINUX
def test_what_may_be_kept_serves_arrays_of_its_size_and_the_rest_is_given_back() -> None:
    size, stray = 12 * MIB, 16 * MIB  # other tests' threads come and go in this process
    before = resident()
    buffers.keep_at_most(2 * size)
    arrays = [buffers.empty((size,), np.uint8) for _ in range(10)]
    for array in arrays:
        array[:] = 255
    assert resident() - before > 9 * size
    places = {array.ctypes.data for array in arrays}
    del array, arrays
    assert resident() - before < 2 * size + stray
    again = buffers.empty((2, size // 2), np.uint8)
    assert again.ctypes.data in places
    cleared = buffers.zeros((size - 100,), np.uint8)
    assert cleared.ctypes.data in places
    assert not cleared.any()
    del again, cleared
    buffers.keep_at_most(0)
    assert resident() - before < stray


@ON_LINUX
def test_what_is_kept_and_of_no_use_makes_room_for_what_is_new() -> None:
    buffers.keep_at_most(32 * MIB)
    before = resident()
    for size in (31, 20, 29, 12, 30, 3):
        buffers.empty((size * MIB,), np.uint8)[:] = 1
        assert resident() - before < 48 * MIB  # 125, were all kept


def test_threads_that_take_and_let_go_at_once_disturb_nobody() -> None:
    buffers.keep_at_most(16 * MIB)
    wrong: list[int] = []

    def work(mark: int) -> None:
        chance = random.Random(mark)
        for _ in range(300):
            array = buffers.zeros((chance.choice([1, 2, 3]) * MIB // 4,), np.uint8)
            if array.any():
                wrong.append(mark)
            array[:] = mark
            if (array != mark).any():
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_arrays_of_a_batch_that_is_kept_are_not_written_again() -> None:
    engine, rng = CPUEngine(), np.random.default_rng(0)
    thresholds = np.array([0.0, 0.5, 1.0], np.float32)
    batches = [rng.normal(size=(8, 200_000)).astype(np.float32) for _ in range(4)]
    kept = [engine.classify(values, thresholds) for values in batches]
    for values, batch in zip(batches, kept, strict=True):
        np.testing.assert_array_equal(batch.bins, np.searchsorted(thresholds, np.abs(values)))
        np.testing.assert_array_equal(batch.abs_max, np.abs(values).max(axis=0))
