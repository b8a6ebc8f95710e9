"""Memory in large pages: zeros at first, alive with any view, and given back with the last."""

from __future__ import annotations

import gc
import random
import sys

import numpy as np
import psutil
import pytest

from iua_widget.counting import pages

MIB = 2**20


def resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.float64])
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (MIB, 2), (70_000, 71), (40 * MIB // 8,)])
def test_it_is_what_numpy_gives(shape: tuple[int, ...], dtype: type) -> None:
    made = pages.zeros(shape, dtype)
    assert made.shape == shape
    assert made.dtype == dtype
    assert made.flags.writeable
    assert made.flags.c_contiguous
    assert not made.any()


def test_no_two_arrays_share_memory_and_views_keep_theirs() -> None:
    chance = random.Random(0)
    alive: list[tuple[int, np.ndarray]] = []
    for number in range(500):
        array = pages.zeros((chance.randint(1, 3 * MIB),), np.uint8)
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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere NumPy gives them")
def test_what_is_not_referred_to_is_given_back_though_neighbours_live() -> None:
    before = resident()
    arrays = [pages.zeros((MIB,), np.uint8) for _ in range(64)]
    for array in arrays:
        array[:] = 1
    assert resident() - before > 60 * MIB
    del array
    kept = arrays[::8]
    del arrays
    assert resident() - before < 16 * MIB
    assert all(array.all() for array in kept)
