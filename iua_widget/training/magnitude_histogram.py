"""`MagnitudeHistogram`: the responses of a layer by magnitude, in the bins they were counted in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iua_widget.history.layer_look import LayerLook
from iua_widget.tolerances import Stops


@dataclass(frozen=True, slots=True, eq=False)
class MagnitudeHistogram:
    """Finite ``|x|`` of all units of a layer on all probes, as they were counted between stops.

    A unit that has several positions on a probe counts there with the largest ``|x|`` of them.

    Attributes
    ----------
    counts : numpy.ndarray of int64, shape (bins,)
        Exact zeros, then what lies above one stop and at most at the next. Empty bins at the end
        are left out.
    limits : numpy.ndarray of float64, shape (bins,)
        The largest ``|x|`` of each bin: a stop. What lies above the last stop is not counted
        apart: its limit is ten times that stop, or the largest mean ``|x|`` of a unit where that is
        more.
    mean : float
        Mean finite ``|x|`` of the layer.
    """

    counts: np.ndarray
    limits: np.ndarray
    mean: float

    @classmethod
    def of(cls, look: LayerLook, stops: Stops) -> MagnitudeHistogram:
        """Of a layer at a look, whose stops these are."""
        # A mean is a whole number over that of the probes: their product, rounded, is that number.
        up_to = np.rint(look.mean * look.probes).astype(np.int64)
        counts = np.diff(up_to, prepend=0)
        above = max(10 * stops.values[-1], float(np.nan_to_num(look.mean_abs).max(initial=0)))
        limits = np.array([*stops.values, above])
        bins = int(np.flatnonzero(counts).max(initial=0)) + 1
        return cls(counts[:bins], limits[:bins], look.layer_mean)
