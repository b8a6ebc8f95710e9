"""From which stop on each unit of a layer is dead, in one result: what comparisons are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.reading.bounds import read_bounds
from iua_widget.reading.curves import DeadCurves, dead_curves, rtol_curves
from iua_widget.reading.layer_comparison import DeadIn
from iua_widget.reading.recount import Recount
from iua_widget.reading.statistics import finite_probes, mean_abs
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Scale, Tolerances, default_stops


@dataclass(frozen=True, slots=True)
class DeadFrom:
    """From where on the units of a layer are dead, in one result.

    Attributes
    ----------
    first : numpy.ndarray of an integer dtype, shape (units,)
        The column from which on each unit is dead: a column for each stop, then one for "any
        finite value"; beyond all of them where it was finite on no probe.
    columns : int
        How many there are.
    probes : int
    mean_abs : float
        What rtol multiplies with the scale "layer_mean".
    kind : str
    counted : sequence of int, or None
        Where units are counted at fewer columns, those: from the one before `first` on, a unit may
        be dead.
    over_rtol : dict of scale to numpy.ndarray, shape (2, units)
        With a scale of the units, the stop of rtol from which on each is dead: surely, perhaps.
    exactly : sequence of DeadIn
        What is dead at tolerances at which one of two results that are compared was counted again.
    """

    first: np.ndarray
    columns: int
    probes: int
    mean_abs: float
    kind: str = ""
    counted: Sequence[int] | None = None
    over_rtol: dict[Scale, np.ndarray] = field(default_factory=dict)
    exactly: Sequence[DeadIn] = ()

    @property
    def known(self) -> np.ndarray:
        """Units that were finite on a probe: bool."""
        return self.first < self.columns if self.probes else np.zeros_like(self.first, np.bool_)

    @classmethod
    @as_ieee
    def of(
        cls,
        tally: Tally,
        at: Tolerances,
        *,
        scales: Sequence[Scale] = (),
        exactly: Sequence[DeadIn] = (),
        dead: DeadCurves | None = None,
    ) -> DeadFrom:
        """Of a tally, for the `dead_at` of the tolerances.

        Parameters
        ----------
        tally : Tally
        at : Tolerances
        scales : sequence of str
            Scales of the units to tell it for, at the atol of the tolerances and over the stops of
            rtol.
        exactly : sequence of DeadIn
        dead : DeadCurves, optional
            Where they are known already.
        """
        rtols, dead = default_stops(at.rtol), dead or dead_curves(tally, at)
        return cls(
            first=dead.first,
            columns=len(tally.stops) + 1,
            probes=tally.probes,
            mean_abs=mean_abs(tally),
            kind=tally.kind,
            counted=dead.counted,
            over_rtol={
                scale: rtol_curves(tally, replace(at, scale=scale), rtols).first for scale in scales
            },
            exactly=exactly,
        )


@as_ieee
def dead_exactly(
    layer: str, tally: Tally, several: Sequence[Tolerances], recount: Recount | None
) -> list[DeadIn]:
    """What is dead in a layer at each of several tolerances, exactly where it was recounted."""
    finite = np.broadcast_to(np.asarray(finite_probes(tally)) > 0, tally.units)
    found = []
    for at in several:
        counted = recount.layers[layer] if recount is not None and recount.answers(at) else None
        bounds = read_bounds(tally, at, counted)
        found.append(DeadIn(bounds.dead, bounds.dead_upper, finite))
    return found
