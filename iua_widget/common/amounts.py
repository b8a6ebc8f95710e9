"""Amounts of memory: what a user asks for, and what the machine has."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import TYPE_CHECKING, Final

from iua_widget.common.plain_values import plain
from iua_widget.errors import MemoryBudgetError

if TYPE_CHECKING:
    import torch

_UNITS: Final = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", start=1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", start=1)},
}
_AMOUNT: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", re.IGNORECASE)
_UNKNOWN_MACHINE: Final = 2 * 2**30
_SHARE: Final = 2
_MOST: Final = 2**62
"""Bytes that no machine has: half of what a pointer of 64 bits can name."""
_CGROUPS: Final = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def memory_budget(value: object, name: str = "memory") -> int:
    """Bytes that a run may hold.

    Parameters
    ----------
    value : str, int or None
        Such as ``"2 GiB"`` (2 * 1024**3), ``"500 MB"`` (500 * 1000**2) or a number of bytes. None
        is half of the memory that is free: of the machine, or of the container this runs in.
    name : str
        Of the option, for the error.

    Returns
    -------
    int

    Raises
    ------
    MemoryBudgetError
        If it is no amount of memory.

    Examples
    --------
    >>> memory_budget("1.5 GiB"), memory_budget("20 MB"), memory_budget(4096)
    (1610612736, 20000000, 4096)
    """
    if value is None:
        return free_memory() // _SHARE
    amount: float = 0
    number = plain(value)
    if isinstance(number, str):
        found = _AMOUNT.fullmatch(number)
        if found is not None:
            amount = float(found[1]) * _UNITS.get(found[2].lower(), 0)
    elif isinstance(number, (int, float)) and not isinstance(number, bool):
        amount = number
    if not 1 <= amount < _MOST:
        message = (
            f"{name} must be an amount of memory, such as {name}='2 GiB', {name}='500 MB' or a "
            f"number of bytes; got {value!r:.60}."
        )
        raise MemoryBudgetError(message)
    return int(amount)


def free_memory() -> int:
    """Bytes that are free: of the machine, or of the container this runs in.

    Returns
    -------
    int
        2 GiB where it cannot be told.
    """
    return min([*_free_on_the_machine(), *_free_in_the_container()], default=_UNKNOWN_MACHINE)


def device_budget(device: torch.device) -> int:
    """Bytes that a run may hold on a device: half of what is free there.

    What PyTorch keeps for tensors to come is free. A device whose memory is the machine's, or
    cannot be told, sets no bound of its own.
    """
    torch = sys.modules.get("torch")
    if torch is None or device.type != "cuda" or not torch.cuda.is_initialized():
        return sys.maxsize
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + kept) // _SHARE


def format_bytes(size: float) -> str:
    """A number of bytes in words.

    Examples
    --------
    >>> format_bytes(512), format_bytes(1536), format_bytes(3 * 2**30)
    ('512 B', '1.5 KiB', '3 GiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"


def _free_on_the_machine() -> list[int]:
    with contextlib.suppress(Exception):  # it is not there, or not for this system
        import psutil

        return [int(psutil.virtual_memory().available)]
    return []


def _free_in_the_container() -> list[int]:
    for limit, used in _CGROUPS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            most = _number_in(limit)
            return [max(most - _number_in(used), 0)] if most < _MOST else []
    return []


def _number_in(path: str) -> int:
    """The number in a file of the system's, in a third of the time that `pathlib` takes."""
    file = os.open(path, os.O_RDONLY)
    try:
        return int(os.read(file, 64))
    finally:
        os.close(file)
