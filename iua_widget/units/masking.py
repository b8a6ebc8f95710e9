"""Leaving padding out of a response, on the host or on its own device."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch


class Masking(Protocol):
    """How the padding of a response is left out; `real` says which positions are not padding."""

    def rows(self, values: Any, real: np.ndarray) -> Any:
        """The real rows of values of shape (rows, channels); `real` of any shape, flattened."""
        ...

    def items(self, values: Any, real: np.ndarray) -> Any:
        """The items that have a real position, the others of theirs zero.

        Parameters
        ----------
        values : shape (items, positions, channels)
        real : numpy.ndarray of bool, shape (items, positions)
        """
        ...


class _OnHost:
    def rows(self, values: np.ndarray, real: np.ndarray) -> np.ndarray:
        picked: np.ndarray = values[real.ravel()]
        return picked

    def items(self, values: np.ndarray, real: np.ndarray) -> np.ndarray:
        some = real.any(axis=1)
        return np.where(real[some, :, None], values[some], values.dtype.type(0))


ON_HOST: Final[Masking] = _OnHost()


class OnDevice:
    """Masking of the tensors of one batch; each mask is copied to their device once.

    A boolean index would wait for the device to tell how many rows there are; the host knows.
    """

    def __init__(self) -> None:
        self._copies: dict[tuple[Any, ...], tuple[np.ndarray, torch.Tensor]] = {}

    def rows(self, values: torch.Tensor, real: np.ndarray) -> torch.Tensor:
        """See `Masking.rows`."""
        index = self._copy("rows", real, values, lambda: np.flatnonzero(real))
        return values.index_select(0, index)

    def items(self, values: torch.Tensor, real: np.ndarray) -> torch.Tensor:
        """See `Masking.items`."""
        some = real.any(axis=1)
        if not some.all():
            index = self._copy("items", real, values, lambda: np.flatnonzero(some))
            values = values.index_select(0, index)
        padding = self._copy("padding", real, values, lambda: ~real[some])
        return values.masked_fill(padding[:, :, None], 0)

    def _copy(
        self, what: str, real: np.ndarray, values: torch.Tensor, make: Callable[[], np.ndarray]
    ) -> torch.Tensor:
        import torch

        # By the address of the mask, which stays while `real` is kept: views of it are made anew.
        key = (what, real.ctypes.data, real.shape, real.strides, values.device)
        if key not in self._copies:
            copy = torch.from_numpy(make()).to(values.device, non_blocking=True)
            self._copies[key] = real, copy
        return self._copies[key][1]
