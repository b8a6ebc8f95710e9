"""Chooses the kernels that count on a device: Triton's or PyTorch's."""

from __future__ import annotations

import threading
from typing import Final

import torch

from iua_widget.common.forks import free_in_child
from iua_widget.engines.device.check import disagreement, disagreement_together
from iua_widget.engines.device.fallback import (
    KernelsWithFallback,
    warn_of_slower_counting,
)
from iua_widget.engines.device.kernels import DeviceKernels
from iua_widget.engines.device.torch_kernels import TorchKernels

_BY_TORCH: Final = TorchKernels()
_chosen: Final[dict[torch.device, DeviceKernels]] = {}
_turn: Final = free_in_child(threading.Lock())


def kernels_for(device: torch.device) -> DeviceKernels:
    """Those of Triton on a CUDA device, where they can be had; everywhere else PyTorch's own.

    Triton comes with PyTorch for CUDA on Linux. What it makes of the kernels is up to the device
    and the release, so they are checked once for each device, when they are first asked for.

    Examples
    --------
    >>> type(kernels_for(torch.device("cpu"))).__name__
    'TorchKernels'
    """
    if device.type != "cuda":
        return _BY_TORCH
    if device not in _chosen:
        with _turn:
            if device not in _chosen:
                _chosen[device] = _by_triton(device) or _BY_TORCH
    return _chosen[device]


def _by_triton(device: torch.device) -> DeviceKernels | None:
    try:
        from iua_widget.engines.device.by_triton import TritonKernels

        kernels = TritonKernels()
        problem = disagreement(kernels, _BY_TORCH, device)
    except ImportError:
        return None
    except torch.cuda.OutOfMemoryError:
        raise  # not for want of Triton
    except Exception as error:  # noqa: BLE001  (a compiler's, a driver's: it can be any)
        problem = f"{type(error).__name__}: {error}"
    if problem is not None:
        warn_of_slower_counting(device, problem)
        return None
    chosen = KernelsWithFallback(kernels, _BY_TORCH)
    try:
        problem = disagreement_together(chosen, _BY_TORCH, device)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001
        problem = f"{type(error).__name__}: {error}"
    if problem is not None:
        chosen.count_apart(device, problem)
    return chosen
