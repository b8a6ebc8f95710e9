"""Memory in large pages, for what a run holds.

The system clears each page when it is first written to. In pages of 4 KiB, as memory comes by
default, that takes as long as to count what is written there; in pages of 2 MiB, a third of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import mmap
import threading
import weakref
from typing import Any, Final

import numpy as np

_SMALL: Final = 2**15
"""Bytes below which an array is left to NumPy."""

_ROOM: Final = 2**25
"""Bytes that are mapped at once, for several arrays: what is not written to is no memory."""

_ALIGNMENT: Final = 64
_AVAILABLE: Final = hasattr(mmap, "MADV_HUGEPAGE")

_room: _Room | None = None
_lock = threading.Lock()


class _Room:
    """Mapped memory that is cut into pieces, each given back when nothing refers to it."""

    def __init__(self, size: int) -> None:
        self._memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._cut = 0
        with contextlib.suppress(OSError):  # a system set up without them
            self._memory.madvise(mmap.MADV_HUGEPAGE)

    def has(self, size: int) -> bool:
        return self._cut + size <= len(self._memory)

    def cut(self, size: int) -> Any:
        start = self._cut
        piece = (ctypes.c_char * size).from_buffer(self._memory, start)
        self._cut += -(-size // _ALIGNMENT) * _ALIGNMENT
        first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        whole_pages = (start + size - first) // mmap.PAGESIZE * mmap.PAGESIZE
        weakref.finalize(piece, self._give_back, first, whole_pages).atexit = False
        return piece

    def _give_back(self, first: int, size: int) -> None:
        self._memory.madvise(mmap.MADV_DONTNEED, first, size)


def zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """What `numpy.zeros` gives, in large pages where the system has them (Linux).

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype_like

    Returns
    -------
    numpy.ndarray

    Examples
    --------
    >>> zeros((2, 3), np.uint8)
    array([[0, 0, 0],
           [0, 0, 0]], dtype=uint8)
    """
    global _room  # noqa: PLW0603
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < _SMALL or not _AVAILABLE:
        return np.zeros(shape, dtype)
    with _lock:
        if size > _ROOM // 2:
            piece = _Room(size).cut(size)
        else:
            if _room is None or not _room.has(size):
                _room = _Room(_ROOM)
            piece = _room.cut(size)
    # Views of an array refer to what it was made from, not to the array.
    return np.frombuffer(piece, dtype).reshape(shape)
