"""Memory that serves one batch after the other."""

from __future__ import annotations

import bisect
import math
import threading
import weakref
from collections import deque
from typing import Any, Final

import numpy as np

from iua_widget.common.forks import free_in_child
from iua_widget.engines.cpu import pages

_LARGE: Final = 2**16
_MOST_WASTE: Final = 2

_lock = free_in_child(threading.Lock())
"""Of all of them: they are copied with the results that hold them."""


class Buffers:
    """Large arrays whose memory is used again once they are no longer referred to.

    The operating system clears what it gives, which for the arrays of a batch takes as long as to
    count it. Together they take no more than was ever in use at once.

    A buffer is in use as long as the array that `take` returned is alive: what is made from that
    array (slices, views) must not outlive it.

    Examples
    --------
    >>> buffers = Buffers()
    >>> one = buffers.take((2**20,), np.uint8)
    >>> place = one.ctypes.data
    >>> del one
    >>> buffers.take((2**10, 2**10), np.uint8).ctypes.data == place
    True
    """

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []  # by size
        self._returned: deque[np.ndarray] = deque()  # from any thread, at any moment

    def take(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array with nothing particular in it, as `numpy.empty` gives."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size < _LARGE:
            return np.empty(shape, dtype)
        with _lock:
            buffer = self._fitting(size)
        array: np.ndarray = buffer[:size].view(dtype).reshape(shape)
        weakref.finalize(array, self._returned.append, buffer).atexit = False
        return array

    def clear(self) -> None:
        """Let go of what is not in use, and of the rest once it is not."""
        self._free, self._returned = [], deque()

    def _fitting(self, size: int) -> np.ndarray:
        while self._returned:
            bisect.insort(self._free, self._returned.popleft(), key=len)
        place = bisect.bisect_left(self._free, size, key=len)
        if place < len(self._free) and len(self._free[place]) <= _MOST_WASTE * size:
            return self._free.pop(place)
        missing = size
        while self._free and missing > 0:
            missing -= len(self._free.pop())
        return pages.empty((size,), np.uint8)
