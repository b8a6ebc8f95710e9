"""Finds the inputs of a batch that may be among those with the largest responses of a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from iua_widget.common.tensors import is_tensor
from iua_widget.engines.threads import RANGE, UNIT_ALIGNMENT, cores, in_parallel
from iua_widget.units.by_input import ResponseByInput

if TYPE_CHECKING:
    import torch

_COPIES: Final = 3
_FEW: Final = 2
"""Times as many candidates as there is room for, below which they are ranked one by one."""


def finding_bytes(values: np.ndarray) -> int:
    """What is held besides while they are found in a response: copies of what is looked at."""
    return _COPIES * min(values.nbytes, cores() * RANGE * values.itemsize)


@dataclass(frozen=True, slots=True)
class TopCandidates:
    """Entries that may be among the largest of their unit: by unit, and at most k of each.

    Attributes
    ----------
    units, rows : numpy.ndarray of int64, shape (candidates,)
        The unit, ascending, and which input of the batch.
    values : numpy.ndarray of float64
        The response, with its sign.
    positions : numpy.ndarray of int64
        Flattened; -1 where units are entries.
    lengths : tuple of int
        Of the axes of the positions.
    inputs : int
        Of the batch, as the response has them.
    """

    units: np.ndarray
    rows: np.ndarray
    values: np.ndarray
    positions: np.ndarray
    lengths: tuple[int, ...]
    inputs: int

    @classmethod
    def of(cls, response: ResponseByInput, k: int, floor: np.ndarray) -> Self:
        """Those of a response.

        Parameters
        ----------
        response : ResponseByInput
        k : int
            How many of each unit there is room for.
        floor : numpy.ndarray of float64, shape (units,)
            The smallest magnitude that is kept of each unit; zero where there is room.
        """
        on_device = is_tensor(response.values)
        parts = _of_tensor(response, k, floor) if on_device else _of_array(response, k, floor)
        units, rows, values, positions = parts
        lengths, inputs = response.positions, len(response.values)
        if not lengths:
            positions = np.full(len(units), -1 if response.at is None else response.at)
            lengths = () if response.at is None else (response.at + 1,)
        return cls(units, rows, values, positions, lengths, inputs)

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return 4 * self.units.nbytes


_Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _of_array(response: ResponseByInput, k: int, floor: np.ndarray) -> _Parts:
    values = np.asarray(response.values)
    inputs, units, positions = values.shape
    parts: dict[int, _Parts] = {}

    def find(start: int, stop: int) -> None:
        some = slice(start, stop)
        of, *found = _of_block(values[:, some], response.real, k, floor[some])
        parts[start] = of + start, found[0], found[1], found[2]

    in_parallel(find, units, inputs * units * positions, UNIT_ALIGNMENT)
    empty = np.zeros(0, np.int64)
    none: _Parts = (empty, empty, np.zeros(0), empty)
    in_order = [none, *(parts[start] for start in sorted(parts))]
    units_of, rows, of_values, of_positions = (
        np.concatenate(of) for of in zip(*in_order, strict=True)
    )
    return units_of, rows, of_values, of_positions


def _of_block(values: np.ndarray, real: np.ndarray | None, k: int, floor: np.ndarray) -> _Parts:
    if real is not None:
        values = np.where(real[:, None], values, values.dtype.type(0))
    best = _largest(values)
    if not np.isfinite(best.max(initial=0)):
        values = np.where(np.isfinite(values), values, values.dtype.type(0))
        best = _largest(values)
    above = best > _rounded_down(floor, best.dtype)
    if len(best) > k and np.count_nonzero(above) > _FEW * k * best.shape[1]:
        above &= best >= np.partition(best, -k, axis=0)[-k]
    rows, units = np.nonzero(above)
    by_unit = units.argsort(kind="stable")
    units, rows = units[by_unit], rows[by_unit]
    units, rows = _ranked(units, rows, best[rows, units], k)
    if values.shape[2] == 1:
        return units, rows, _signed(values[rows, units, 0]), np.zeros(len(units), np.int64)
    of_them = values[rows, units]
    positions = np.abs(of_them).argmax(axis=1) if len(of_them) else np.zeros(0, np.int64)
    return units, rows, _signed(of_them[np.arange(len(units)), positions]), positions


def _largest(values: np.ndarray) -> np.ndarray:
    """The largest magnitude over the positions."""
    if values.shape[2] == 1:
        return np.asarray(np.abs(values[:, :, 0]))
    if values.dtype.kind == "c":
        return np.asarray(np.abs(values).max(axis=2, initial=0))
    highest = values.max(axis=2, initial=0)
    return np.asarray(np.maximum(highest, -values.min(axis=2, initial=0), out=highest))


def _rounded_down(floor: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """In the dtype that it is compared in, so that nothing above it is missed."""
    with np.errstate(over="ignore"):
        narrow = floor.astype(dtype)
    return np.where(narrow > floor, np.nextafter(narrow, dtype.type(0)), narrow)


def _ranked(
    units: np.ndarray, rows: np.ndarray, magnitudes: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """At most k of each unit: the largest, and of equals the earlier."""
    counts = np.bincount(units)
    if counts.max(initial=0) <= k:
        return units, rows
    order = np.lexsort((rows, -magnitudes, units))
    first = np.cumsum(counts) - counts
    kept = np.sort(order[np.arange(len(units)) - first[units] < k])
    return units[kept], rows[kept]


def _signed(values: np.ndarray) -> np.ndarray:
    """As they are kept: of complex responses the magnitudes."""
    return np.abs(values).astype(np.float64) if values.dtype.kind == "c" else values.astype(float)


def _of_tensor(response: ResponseByInput, k: int, floor: np.ndarray) -> _Parts:
    """The same of a tensor, on its device: only what is found comes to the host."""
    import torch

    values: torch.Tensor = response.values  # type: ignore[assignment]
    values = torch.where(values.isfinite(), values, values.new_zeros(()))
    if response.real is not None:
        real = torch.from_numpy(np.ascontiguousarray(response.real)).to(values.device)
        values = torch.where(real[:, None], values, values.new_zeros(()))
    if not values.numel():
        empty = np.zeros(0, np.int64)
        return empty, empty, np.zeros(0), empty
    # Of equal positions max may give any, and topk any of equal inputs: both are the first here.
    magnitudes = values.abs()
    best = magnitudes.amax(dim=2)
    ordered, rows = best.sort(dim=0, descending=True, stable=True)
    ordered, rows = ordered[:k], rows[:k]
    of_them = values.gather(0, rows[:, :, None].expand(-1, -1, values.shape[2]))
    positions = (of_them.abs() == ordered[:, :, None]).to(torch.uint8).argmax(dim=2)
    signed = of_them.gather(2, positions[:, :, None])[:, :, 0]
    bounds = torch.from_numpy(floor).to(values.device)
    above = ordered.double() > bounds
    units, ranks = above.T.nonzero(as_tuple=True)
    found = (units, rows[ranks, units], signed[ranks, units].double(), positions[ranks, units])
    units_of, rows_of, values_of, positions_of = (one.cpu().numpy() for one in found)
    return units_of, rows_of, values_of, positions_of
