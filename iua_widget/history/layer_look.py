"""`LayerLook`: what is kept of one layer at one look, and its curves over the stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.history.layers import LayerUnits
from iua_widget.reading.statistics import at_or_below, by_channel


@dataclass(frozen=True, slots=True, eq=False)
class LayerLook:
    """One layer at one look. For K stops there are K + 1 columns: see `Look`.

    Attributes
    ----------
    layer : LayerUnits
        What its units are.
    probes, nan, infinite : int
    layer_mean, neuron_mean : float
    mean, std : numpy.ndarray of float64, shape (K + 1,)
    dead_from : numpy.ndarray of uint8 or uint16, shape (units,)
    mean_abs : numpy.ndarray of float32, shape (units,)
    channel_mean_abs : numpy.ndarray of float64, shape (channels,), or None
        None where a channel is one unit.
    counted : tuple of int or None
        The columns at which it is known what is dead; None where it is at all.
    """

    layer: LayerUnits
    probes: int
    nan: int
    infinite: int
    layer_mean: float
    neuron_mean: float
    mean: np.ndarray
    std: np.ndarray
    dead_from: np.ndarray
    mean_abs: np.ndarray
    channel_mean_abs: np.ndarray | None
    counted: tuple[int, ...] | None

    @property
    def columns(self) -> int:
        """How many there are: the stops, and "any finite value"."""
        return len(self.mean)

    @property
    def perhaps_dead_from(self) -> np.ndarray:
        """The column from which on each unit is perhaps dead; `dead_from` where that is exact."""
        if self.counted is None:
            return self.dead_from
        after_counted = np.array([-1, *self.counted]) + 1
        return after_counted[np.searchsorted(self.counted, self.dead_from)].astype(
            self.dead_from.dtype
        )

    @property
    def finite(self) -> np.ndarray:
        """Which units were finite on a probe at all: bool, shape (units,)."""
        return np.asarray(self.dead_from < self.columns)

    def dead(self, *, upper: bool = False) -> np.ndarray:
        """Dead units at every column: int64, shape (K + 1,); the bound below, or above."""
        return at_or_below(self._first(upper=upper), self.columns)

    def dead_channels(self, *, upper: bool = False) -> np.ndarray | None:
        """Channels of which every unit is dead, likewise; None where a channel is one unit."""
        last = channels_dead_from(self.layer, self._first(upper=upper), self.columns)
        return None if last is None else at_or_below(last, self.columns)

    def dead_in_both(self, before: LayerLook, *, upper: bool = False) -> np.ndarray:
        """Units that are dead here and were before, at every column: int64, shape (K + 1,).

        Parameters
        ----------
        before : LayerLook
            Of the same units.
        upper : bool
            Whether to tell the bound above.
        """
        both = np.maximum(self._first(upper=upper), before._first(upper=upper))
        return at_or_below(both, self.columns)

    def newly_dead(self, before: LayerLook, *, upper: bool = False) -> np.ndarray:
        """Units that are dead here and were not before, likewise.

        What was finite on no probe in one of the two is not compared.
        """
        known = before.finite
        here, there = self._first(upper=upper)[known], before._first(upper=not upper)[known]
        both = at_or_below(np.maximum(here, there), self.columns)
        newly: np.ndarray = at_or_below(here, self.columns) - both
        return newly

    def revived(self, before: LayerLook, *, upper: bool = False) -> np.ndarray:
        """Units that were dead before and are not here, likewise."""
        return before.newly_dead(self, upper=upper)

    @as_ieee
    def dormant(self, taus: Sequence[float], *, upper: bool = False) -> np.ndarray:
        """How many neurons are tau-dormant at each of some ascending tau: int64, shape (taus,)."""
        limits = np.array(taus, np.float64) * self.neuron_mean
        means: np.ndarray | None = self.channel_mean_abs
        if means is None:
            means, limits = self.mean_abs, single_limits(limits, upper=upper)
        return at_or_below(np.searchsorted(limits, means), len(limits))

    def _first(self, *, upper: bool) -> np.ndarray:
        return self.perhaps_dead_from if upper else self.dead_from


def channels_dead_from(layer: LayerUnits, first: np.ndarray, columns: int) -> np.ndarray | None:
    """From which column on all units of each channel are dead: shape (channels,).

    Beyond all columns for a channel without a unit; None where a channel is one unit.
    """
    if layer.channel_axis is None:
        return None
    rows = by_channel(first.reshape(layer.shape), layer.channel_axis)
    return np.asarray(rows.max(axis=1, initial=0 if layer.count else columns))


def single_limits(limits: np.ndarray, *, upper: bool) -> np.ndarray:
    """Up to where numbers that were rounded to single precision are surely, or perhaps, below.

    Zero is exact, and no other number was rounded to it.

    Examples
    --------
    >>> surely, perhaps = (single_limits(np.array([0.1]), upper=upper) for upper in (False, True))
    >>> bool(surely[0] < np.float32(0.1) <= perhaps[0])
    True
    """
    rounded = limits.astype(np.float32)
    below = np.where(rounded > limits, np.nextafter(rounded, np.float32(0)), rounded)
    beside = np.nextafter(below, np.float32(np.inf if upper else 0))
    return np.where(limits == 0, np.float32(0), beside)
