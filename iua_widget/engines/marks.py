"""Marker files that show, without loading numba, which compiled loops its cache holds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PREFIX: Final = "loops-"
PRIVATE_FOLDER: Final = "iua_widget-numba"
"""Beside other temporary files, where numba finds no place of its own."""


def loops_are_marked() -> bool:
    """Whether there are loops in one of the places where numba keeps them on Linux and macOS.

    They may be of another edition. Where numba keeps them elsewhere, they are not found: then a run
    counts somewhat longer with NumPy before it looks for them.
    """
    try:
        return any(next(place.glob(pattern), None) for place, pattern in _places())
    except OSError:
        return False


def _places() -> Iterator[tuple[Path, str]]:
    own = os.environ.get("NUMBA_CACHE_DIR")
    if own:
        yield Path(own), f"*/{PREFIX}*"
        return
    home = Path(os.environ.get("HOME", ""))
    yield Path(__file__).parent / "cpu/__pycache__", f"{PREFIX}*"
    yield Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "numba", f"*/{PREFIX}*"
    yield home / "Library/Caches/numba", f"*/{PREFIX}*"
    yield Path(tempfile.gettempdir()), f"{PRIVATE_FOLDER}-*/*/{PREFIX}*"
