"""Which engine counts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import numpy as np

from iua_widget.counting.device.batch import DeviceBatch
from iua_widget.counting.engine import (
    BatchCounts,
    Engine,
    LayerBins,
    LayerResponses,
    RunningSums,
)
from iua_widget.counting.reference import ReferenceEngine
from iua_widget.errors import EngineError
from iua_widget.tensors import is_tensor

EngineName = Literal["auto", "cpu", "device", "reference"]
"""`cpu`: compiled by numba, on all cores. `device`: PyTorch, on the device of each response.
`reference`: plain NumPy. `auto`: `device` for tensors on a CUDA device; for all else `cpu`, as soon
as there is enough to count that compiling pays, and where numba is there. All give the same, bit
for bit."""

ENGINES: Final[tuple[EngineName, ...]] = get_args(EngineName)

_LOOPS: Final = "iua_widget.counting.kernels"
_WORTH_COMPILING: Final = 2**19
"""Responses that the reference engine counts in about the time that numba takes to load."""


class AutoEngine:
    """The reference engine for the first responses, and the CPU engine as soon as it pays.

    Tensors on a CUDA device are counted there, by the device engine. All give the same to the last
    bit, so it does not show which of them counted.

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
        self._device: Engine | None = None

    def takes(self, tensor: Any) -> bool:
        """Tensors on a CUDA device: see `Engine.takes`."""
        return bool(tensor.is_cuda) and self._on_device().takes(tensor)

    def classify(
        self, values: Any, thresholds: np.ndarray, running: RunningSums | None = None
    ) -> BatchCounts | DeviceBatch:
        """Sort every magnitude of a batch into its bin; see `Engine.classify`."""
        if is_tensor(values):
            return self._on_device().classify(values, thresholds)
        return self._engine_for(values.size).classify(values, thresholds, running)

    def classify_all(self, layers: Sequence[LayerResponses]) -> list[BatchCounts | DeviceBatch]:
        """Classify several layers' arrays; see `Engine.classify_all`."""
        return self._engine_for(sum(one.values.size for one in layers)).classify_all(layers)

    def accumulate(self, batches: Sequence[np.ndarray], counts: np.ndarray) -> None:
        """Add classified batches to `counts`, in place; see `Engine.accumulate`."""
        self._engine.accumulate(batches, counts)

    def accumulate_all(self, layers: Sequence[LayerBins]) -> None:
        """Add classified batches to several layers' counts; see `Engine.accumulate_all`."""
        self._engine.accumulate_all(layers)

    def rest(self) -> None:
        """Let go of memory that is kept for the next batch; see `Engine.rest`."""
        self._engine.rest()

    def _engine_for(self, responses: int) -> Engine:
        if self._left > 0:
            self._left -= responses
            if self._left <= 0:
                self._engine = _compiled() or self._engine
        return self._engine

    def _on_device(self) -> Engine:
        if self._device is None:
            from iua_widget.counting.device.engine import DeviceEngine

            self._device = DeviceEngine()
        return self._device


def choose_engine(name: object) -> Engine:
    """The engine of a name.

    Parameters
    ----------
    name : {"auto", "cpu", "device", "reference"}

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
    if name == "device":
        return _by_torch()
    engine = _compiled()
    if engine is None:
        message = (
            "engine='cpu' needs numba, which cannot be imported here: install it with "
            "`pip install numba`, or leave engine= out to count with NumPy alone."
        )
        raise EngineError(message)
    return engine


def _by_torch() -> Engine:
    try:
        from iua_widget.counting.device.engine import DeviceEngine
    except ImportError as error:
        message = (
            "engine='device' needs PyTorch, which cannot be imported here: install it with "
            "`pip install torch`, or leave engine= out."
        )
        raise EngineError(message) from error
    return DeviceEngine()


def _compiled() -> Engine | None:
    try:
        from iua_widget.counting.cpu import CPUEngine
    except ImportError:
        return None
    return CPUEngine()
