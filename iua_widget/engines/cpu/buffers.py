"""Memory that serves one array after the other, those of later runs included.

The system clears what it gives, which takes as long as to count what is then written there: so some
of what is given back is kept.
"""

from __future__ import annotations

import bisect
import ctypes
import math
import mmap
import threading
import weakref
from collections import deque
from typing import Any, Final

import numpy as np

from iua_widget.common.forks import free_in_child, in_child
from iua_widget.engines.threads import in_parallel

_SMALL: Final = 2**16
"""Bytes below which an array is left to NumPy."""

_MOST_WASTE: Final = 8
"""A buffer serves an array again if at most this part of the array's size would be left over."""

_KEPT_AT_FIRST: Final = 2**25
_BYTES_A_RESPONSE: Final = 8
"""Bytes that are cleared in the time in which a response is counted."""

_PRIVATE: Final[dict[str, Any]] = (
    {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
)
"""Of a forked process's own: what it writes is not its parent's."""


class _Kept:
    """Buffers that nothing refers to any more, as many as may be kept."""

    def __init__(self) -> None:
        self.most = _KEPT_AT_FIRST
        self._released: deque[mmap.mmap] = deque()  # from any thread, at any moment
        self._buffers: list[mmap.mmap] = []  # by size
        self._bytes = 0
        self._lock = free_in_child(threading.Lock())

    def release(self, buffer: mmap.mmap) -> None:
        self._released.append(buffer)
        self._see_to_released()

    def keep_at_most(self, size: int) -> None:
        self.most = size
        with self._lock:
            self._sort_in()
            self._drop(size)
        self._see_to_released()

    def take(self, size: int) -> mmap.mmap | None:
        """A buffer of this size or little more."""
        buffer = None
        with self._lock:
            self._sort_in()
            at = bisect.bisect_left(self._buffers, size, key=len)
            if at < len(self._buffers) and len(self._buffers[at]) <= size + size // _MOST_WASTE:
                buffer = self._buffers.pop(at)
                self._bytes -= len(buffer)
        self._see_to_released()
        return buffer

    def _see_to_released(self) -> None:
        # Who holds the lock, be it this very thread, does this after letting go of it.
        while self._released and self._lock.acquire(blocking=False):
            try:
                self._sort_in()
                self._drop(self.most)
            finally:
                self._lock.release()

    def _sort_in(self) -> None:
        while self._released:
            buffer = self._released.popleft()
            bisect.insort(self._buffers, buffer, key=len)
            self._bytes += len(buffer)

    def forget(self) -> None:
        """Begin anew, in a process that was forked while another thread was at it."""
        self._released, self._buffers, self._bytes = deque(), [], 0

    def _drop(self, most: int) -> None:
        while self._buffers and self._bytes > most:
            self._bytes -= len(self._buffers.pop())


_kept: Final = _Kept()
in_child(_kept.forget)


def keep_at_most(size: int) -> None:
    """Keep no more than so many bytes of what is given back, for arrays to come.

    Examples
    --------
    >>> keep_at_most(2**20)
    >>> one = empty((2**20,), np.uint8)
    >>> place = one.ctypes.data
    >>> del one
    >>> empty((2**10, 2**10), np.uint8).ctypes.data == place
    True
    >>> keep_at_most(0)
    """
    _kept.keep_at_most(size)


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """What `numpy.empty` gives, perhaps where an array was before.

    The memory is given back, or kept for the next array, when neither the array nor a view of it
    is left.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype_like

    Returns
    -------
    numpy.ndarray

    Examples
    --------
    >>> empty((2, 3), np.uint8).shape
    (2, 3)
    """
    return _made(shape, np.dtype(dtype))[0]


def zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """What `numpy.zeros` gives, likewise.

    Examples
    --------
    >>> zeros((2, 3), np.uint8)
    array([[0, 0, 0],
           [0, 0, 0]], dtype=uint8)
    """
    array, clear = _made(shape, np.dtype(dtype))
    if not clear:
        flat = array.reshape(-1).view(np.uint8)

        def fill(start: int, stop: int) -> None:
            flat[start:stop] = 0

        in_parallel(fill, len(flat), len(flat) // _BYTES_A_RESPONSE, mmap.PAGESIZE)
    return array


def _made(shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, bool]:
    """An array, and whether it is all zeros."""
    size = math.prod(shape) * dtype.itemsize
    if size < _SMALL:
        return np.zeros(shape, dtype), True
    kept = _kept.take(size)
    buffer = mmap.mmap(-1, size, **_PRIVATE) if kept is None else kept
    # Views of an array refer to what it was made from, not to the array.
    piece: Any = (ctypes.c_char * size).from_buffer(buffer)
    weakref.finalize(piece, _kept.release, buffer).atexit = False
    return np.frombuffer(piece, dtype, math.prod(shape)).reshape(shape), kept is None
