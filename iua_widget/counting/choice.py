"""Which engine counts."""

from __future__ import annotations

import sys
from typing import Final, Literal, get_args

import numpy as np

from iua_widget.counting.engine import BatchCounts, Engine
from iua_widget.counting.reference import ReferenceEngine
from iua_widget.errors import EngineError

EngineName = Literal["auto", "cpu", "reference"]
"""`cpu`: compiled by numba, on all cores. `reference`: plain NumPy. `auto`: `cpu` as soon as there
is enough to count that compiling pays, and where numba is there. All give the same, bit for bit."""

ENGINES: Final[tuple[EngineName, ...]] = get_args(EngineName)

_LOOPS: Final = "iua_widget.counting.kernels"
_WORTH_COMPILING: Final = 2**19
"""Responses that the reference engine counts in about the time that numba takes to load."""


class AutoEngine:
    """The reference engine for the first responses, and the CPU engine as soon as it pays.

    Both give the same to the last bit, so it does not show which of them counted.

    Examples
    --------
    >>> import numpy as np
    >>> AutoEngine().classify(np.zeros((2, 3)), np.array([0.0])).inactive
    array([[3, 3],
           [3, 3]])
    """

    def __init__(self) -> None:
        self._engine: Engine = ReferenceEngine()
        self._left = 1 if _LOOPS in sys.modules else _WORTH_COMPILING

    def classify(self, values: np.ndarray, thresholds: np.ndarray) -> BatchCounts:
        """Sort every magnitude of a batch into its bin; see `Engine.classify`."""
        if self._left > 0:
            self._left -= values.size
            if self._left <= 0:
                self._engine = _compiled() or self._engine
        return self._engine.classify(values, thresholds)

    def accumulate(self, bins: np.ndarray, counts: np.ndarray) -> None:
        """Add a classified batch to `counts`, in place; see `Engine.accumulate`."""
        self._engine.accumulate(bins, counts)

    def spill(self, narrow: np.ndarray, wide: np.ndarray) -> None:
        """Move counts from narrow counters to wide ones; see `Engine.spill`."""
        self._engine.spill(narrow, wide)


def choose_engine(name: object) -> Engine:
    """The engine of a name.

    Parameters
    ----------
    name : {"auto", "cpu", "reference"}

    Raises
    ------
    EngineError
        If there is none of that name, or it cannot be had here.

    Examples
    --------
    >>> type(choose_engine("reference")).__name__
    'ReferenceEngine'
    """
    if name not in ENGINES:
        message = f"engine must be one of {', '.join(map(repr, ENGINES))}, and is {name!r}."
        raise EngineError(message)
    if name == "auto":
        return AutoEngine()
    if name == "reference":
        return ReferenceEngine()
    engine = _compiled()
    if engine is None:
        message = (
            "engine='cpu' needs numba, which cannot be imported here: install it with "
            "`pip install numba`, or leave engine= out to count with NumPy alone."
        )
        raise EngineError(message)
    return engine


def _compiled() -> Engine | None:
    try:
        from iua_widget.counting.cpu import CPUEngine
    except ImportError:
        return None
    return CPUEngine()
