"""Memory in large pages, for what a run holds.

The system clears each page when it is first written to. In pages of 4 KiB, as memory comes by
default, that takes as long as to count what is written there; in pages of 2 MiB, a third of it. So
some of what one run gives back is kept for the next.
"""

from __future__ import annotations

import bisect
import contextlib
import ctypes
import math
import mmap
import threading
import weakref
from collections import deque
from typing import Any, Final, NamedTuple

import numpy as np

from iua_widget.common.forks import free_in_child, in_child
from iua_widget.engines.threads import in_parallel

_SMALL: Final = 2**15
"""Bytes below which an array is left to NumPy."""

_ROOM: Final = 2**25
"""Bytes that are mapped at once, for several arrays: what is not written to is no memory."""

_ALIGNMENT: Final = 64
_MOST_WASTE: Final = 8
"""A piece serves an array again if at most this part of the array's size would be left over."""

_BYTES_A_RESPONSE: Final = 8
"""Bytes that are cleared in the time in which a response is counted."""

_AVAILABLE: Final = hasattr(mmap, "MADV_HUGEPAGE")


class _Room:
    """Mapped memory that is cut into pieces."""

    def __init__(self, size: int) -> None:
        self._memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._cut = 0
        with contextlib.suppress(OSError):  # a system set up without them
            self._memory.madvise(mmap.MADV_HUGEPAGE)

    def has(self, size: int) -> bool:
        return self._cut + size <= len(self._memory)

    def cut(self, size: int) -> _Place:
        start = self._cut
        self._cut += -(-size // _ALIGNMENT) * _ALIGNMENT
        return _Place(size, start, self)

    def piece(self, place: _Place) -> Any:
        return (ctypes.c_char * place.size).from_buffer(self._memory, place.start)

    def give_back(self, place: _Place) -> None:
        first = -(-place.start // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (place.start + place.size) // mmap.PAGESIZE * mmap.PAGESIZE
        if first < end:
            self._memory.madvise(mmap.MADV_DONTNEED, first, end - first)


class _Place(NamedTuple):
    """Where a piece lies."""

    size: int
    start: int
    room: _Room


class _Kept:
    """Pieces that nothing refers to any more, as many as may be kept."""

    def __init__(self) -> None:
        self.most = 0
        self._released: deque[_Place] = deque()  # from any thread, at any moment
        self._places: list[_Place] = []  # by size
        self._bytes = 0
        self._lock = free_in_child(threading.Lock())

    def release(self, place: _Place) -> None:
        self._released.append(place)
        self._see_to_released()

    def keep_at_most(self, size: int) -> None:
        self.most = size
        with self._lock:
            self._sort_in()
            self._drop(size)
        self._see_to_released()

    def take(self, size: int) -> _Place | None:
        """A piece of this size or little more; without one, others make room for a new one."""
        place = None
        with self._lock:
            self._sort_in()
            at = bisect.bisect_left(self._places, size, key=_size)
            if at < len(self._places) and self._places[at].size <= size + size // _MOST_WASTE:
                place = self._places.pop(at)
                self._bytes -= place.size
            else:
                self._drop(self._bytes - size)
        self._see_to_released()
        return place

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
            place = self._released.popleft()
            bisect.insort(self._places, place, key=_size)
            self._bytes += place.size

    def forget(self) -> None:
        """Begin anew, in a process that was forked while another thread was at it."""
        self._released, self._places, self._bytes = deque(), [], 0

    def _drop(self, most: int) -> None:
        while self._places and self._bytes > most:
            place = self._places.pop()
            self._bytes -= place.size
            place.room.give_back(place)


def _size(place: _Place) -> int:
    return place.size


_kept: Final = _Kept()
_room: _Room | None = None
_cutting: Final = free_in_child(threading.Lock())


def keep_at_most(size: int) -> None:
    """Keep no more than so many bytes of what is given back, for arrays to come.

    Without this call nothing is kept.

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
    """What `numpy.empty` gives, in large pages where the system has them (Linux).

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
    global _room  # noqa: PLW0603
    size = math.prod(shape) * dtype.itemsize
    if size < _SMALL or not _AVAILABLE:
        return np.zeros(shape, dtype), True
    place = _kept.take(size)
    clear = place is None
    if place is None:
        with _cutting:
            if size > _ROOM // 2:
                place = _Room(size).cut(size)
            else:
                if _room is None or not _room.has(size):
                    _room = _Room(_ROOM)
                place = _room.cut(size)
    piece = place.room.piece(place)
    weakref.finalize(piece, _kept.release, place).atexit = False
    # Views of an array refer to what it was made from, not to the array.
    array = np.frombuffer(piece, dtype, math.prod(shape)).reshape(shape)
    return array, clear


@in_child
def _forget() -> None:
    global _room  # noqa: PLW0603
    _room = None
    _kept.forget()
