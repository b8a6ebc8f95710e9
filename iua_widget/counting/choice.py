"""Which engine counts."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeVar, get_args

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
from iua_widget.errors import EngineError, IUAError, IUAWarning
from iua_widget.tensors import is_tensor

EngineName = Literal["auto", "cpu", "device", "reference"]
"""`cpu`: compiled by numba, on all cores. `device`: PyTorch, on the device of each response.
`reference`: plain NumPy. `auto`: `device` for tensors on a CUDA device; for all else `cpu`, as soon
as there is enough to count that compiling pays, and where numba is there and works. All give the
same, bit for bit."""

ENGINES: Final[tuple[EngineName, ...]] = get_args(EngineName)

_Classified = TypeVar("_Classified")

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
        return self._classified(
            values.size, lambda engine: engine.classify(values, thresholds, running)
        )

    def classify_all(self, layers: Sequence[LayerResponses]) -> list[BatchCounts | DeviceBatch]:
        """Classify several layers' arrays; see `Engine.classify_all`."""
        size = sum(one.values.size for one in layers)
        return self._classified(size, lambda engine: engine.classify_all(layers))

    def accumulate(self, batches: Sequence[np.ndarray], counts: np.ndarray) -> None:
        """Add classified batches to `counts`, in place; see `Engine.accumulate`."""
        self._engine.accumulate(batches, counts)

    def accumulate_all(self, layers: Sequence[LayerBins]) -> None:
        """Add classified batches to several layers' counts; see `Engine.accumulate_all`."""
        self._engine.accumulate_all(layers)

    def rest(self) -> None:
        """Let go of memory that is kept for the next batch; see `Engine.rest`."""
        self._engine.rest()

    def _classified(self, responses: int, classify: Callable[[Engine], _Classified]) -> _Classified:
        """What the engine in use makes of so many responses: of these, or of others with them."""
        if self._left > 0:
            self._left -= responses
            if self._left <= 0:
                self._engine = _compiled_or(self._engine)
        if isinstance(self._engine, ReferenceEngine):
            return classify(self._engine)
        try:
            return classify(self._engine)
        except (MemoryError, IUAError):
            raise
        except Exception as error:  # noqa: BLE001  (a compiler's: it can be any)
            # Nothing has been counted yet. Where it is for want of memory or of sense, this fails.
            reference = ReferenceEngine()
            found = classify(reference)
            self._engine = reference
            _warn_of_slower_counting(error)
            return found

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
    try:
        return _compiled()
    except ModuleNotFoundError as error:
        message = (
            "engine='cpu' needs numba, which cannot be imported here: install it with "
            "`pip install numba`, or leave engine= out to count with NumPy alone."
        )
        raise EngineError(message) from error
    except Exception as error:
        message = (
            f"engine='cpu' needs numba, which fails here with {type(error).__name__}: {error}. "
            "Install it again with `pip install --force-reinstall numba llvmlite`, or leave "
            "engine= out to count with NumPy alone."
        )
        raise EngineError(message) from error


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


def _compiled() -> Engine:
    """The CPU engine; raises whatever numba fails with, which shows when something is compiled."""
    from iua_widget.counting.cpu import CPUEngine
    from iua_widget.counting.kernels import chunks_of

    chunks_of(1)
    return CPUEngine()


def _compiled_or(otherwise: Engine) -> Engine:
    try:
        return _compiled()
    except ImportError:
        return otherwise
    except Exception as error:  # noqa: BLE001  (broken libraries raise anything)
        _warn_of_slower_counting(error)
        return otherwise


def _warn_of_slower_counting(error: Exception) -> None:
    message = (
        f"numba is here and fails ({type(error).__name__}: {error}); NumPy counts in its place: as "
        "exactly, but several times slower. Install it again with "
        "`pip install --force-reinstall numba llvmlite`."
    )
    warnings.warn(message, IUAWarning, stacklevel=2)
