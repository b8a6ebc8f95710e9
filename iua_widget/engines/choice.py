"""Chooses the counting engine by its name."""

from __future__ import annotations

from typing import Final, Literal, get_args

from iua_widget.engines.auto import AutoEngine
from iua_widget.engines.engine import Engine
from iua_widget.engines.reference import ReferenceEngine
from iua_widget.errors import EngineError

EngineName = Literal["auto", "cpu", "device", "reference"]
"""`cpu`: compiled by numba, on all cores. `device`: PyTorch, on the device of each response.
`reference`: plain NumPy. `auto`: `device` for tensors on a CUDA device; for all else `cpu`, where
there is enough to count, and as soon as numba, which may be missing, has compiled the loops. All
give the same, bit for bit."""

ENGINES: Final[tuple[EngineName, ...]] = get_args(EngineName)


def check_engine(name: object) -> None:
    """Check that an engine has this name.

    Raises
    ------
    EngineError
        If none has.
    """
    if name not in ENGINES:
        message = f"engine must be one of {', '.join(map(repr, ENGINES))}, and is {name!r}."
        raise EngineError(message)


def choose_engine(name: EngineName) -> Engine:
    """The engine of a name.

    Raises
    ------
    EngineError
        If there is none of that name, or it cannot be had here.

    Examples
    --------
    >>> type(choose_engine("reference")).__name__
    'ReferenceEngine'
    """
    check_engine(name)
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
        from iua_widget.engines.device.engine import DeviceEngine
    except ImportError as error:
        message = (
            "engine='device' needs PyTorch, which cannot be imported here: install it with "
            "`pip install torch`, or leave engine= out."
        )
        raise EngineError(message) from error
    return DeviceEngine()


def _compiled() -> Engine:
    """The CPU engine; raises whatever numba fails with, which shows when something is compiled."""
    from iua_widget.engines.cpu.engine import CPUEngine
    from iua_widget.engines.cpu.kernels import chunks_of

    chunks_of(1)
    return CPUEngine()
