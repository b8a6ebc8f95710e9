"""What differs between two results of one layer: masks of its units, and bounds on them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.reading.results import LayerResult, shares
from iua_widget.reading.statistics import by_channel


@dataclass(frozen=True)
class LayerComparison:
    """One layer before and after: which of its units died, came back, or stayed dead.

    Where counts are exact, a mask and its upper one are the same. Where a threshold falls between
    two stops, `newly_dead` and its like have the units of which it is certain, and the masks that
    end in ``_upper`` those of which it is possible.

    Attributes
    ----------
    before, after : LayerResult
        The layer in each of the two results.
    compared : numpy.ndarray of bool
        Units that were finite on at least one probe before, and on one after: of the others
        nothing is said, and they are in none of the masks. Shape, here and below: one probe's
        response.
    newly_dead, newly_dead_upper : numpy.ndarray of bool
        Units that were not dead before, and are after.
    revived, revived_upper : numpy.ndarray of bool
        Units that were dead before, and are not after.
    dead_in_both, dead_in_both_upper : numpy.ndarray of bool
        Units that were dead before and are after.

    Examples
    --------
    >>> from iua_widget import IUA
    >>> before = IUA.introspect({"relu": np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])})
    >>> after = IUA.introspect({"relu": np.array([[2.0, 0.0, 0.0]])})
    >>> relu = before.compare(after)["relu"]
    >>> relu.newly_dead, relu.revived, relu.dead_in_both
    (array([False,  True, False]), array([ True, False, False]), array([False, False,  True]))
    >>> relu.change_of_inactive_share
    array([-1. ,  0.5,  0. ])
    """

    before: LayerResult
    after: LayerResult
    compared: np.ndarray = field(repr=False)
    newly_dead: np.ndarray = field(repr=False)
    newly_dead_upper: np.ndarray = field(repr=False)
    revived: np.ndarray = field(repr=False)
    revived_upper: np.ndarray = field(repr=False)
    dead_in_both: np.ndarray = field(repr=False)
    dead_in_both_upper: np.ndarray = field(repr=False)

    @property
    def exact(self) -> bool:
        """Whether both results are exact at these tolerances: see `LayerResult.exact`."""
        return self.before.exact and self.after.exact

    @property
    def change_of_inactive_share(self) -> np.ndarray:
        """Each unit's inactive share after, less that before; the bound below where not exact.

        Returns
        -------
        numpy.ndarray of float64
            From -1 to 1; NaN where the unit was not compared. Shape: one probe's response.
        """
        return self._change(self.before.upper, self.after.lower)

    @property
    def change_of_inactive_share_upper(self) -> np.ndarray:
        """The bound above on it, likewise."""
        return self._change(self.before.lower, self.after.upper)

    @property
    def nothing_compared(self) -> bool:
        """Whether nothing is said of the layer: no unit of it was finite in both results."""
        reached = self.before.probes and self.after.probes
        return not reached or bool(self.compared.size and not self.compared.any())

    @property
    def channel_axis(self) -> int | None:
        """Which axis of the masks counts channels, where a channel has several units."""
        return (self.before if self.before.probes else self.after).channel_axis

    @as_ieee
    def _change(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        change = np.full(self.compared.shape, math.nan)
        if self.before.probes and self.after.probes:
            difference = shares(after, self.after.probes) - shares(before, self.before.probes)
            change[self.compared] = difference[self.compared]
        return change


@dataclass(frozen=True, slots=True)
class DeadIn:
    """Which units, or channels, are dead in one result: bool arrays of one shape.

    Attributes
    ----------
    surely, perhaps : numpy.ndarray of bool
        The bounds below and above; the same where they are exact.
    known : numpy.ndarray of bool
        What was finite on a probe, so that there is something to say.
    """

    surely: np.ndarray
    perhaps: np.ndarray
    known: np.ndarray

    @classmethod
    def of(cls, result: LayerResult, shape: tuple[int, ...]) -> DeadIn:
        """Of a layer's units; where no probe reached it, which may hide their shape, of none."""
        if not result.probes:
            none = np.zeros(shape, np.bool_)
            return cls(none, none, none)
        return cls(result._dead_units, result._dead_units_upper, result._finite_units)  # noqa: SLF001

    def of_channels(self, axis: int) -> DeadIn:
        """Of channels: one is dead where every unit of it is, and known where all are."""
        surely, perhaps, known = (
            np.logical_and(by_channel(units, axis).all(axis=1), units.size > 0)
            for units in (self.surely, self.perhaps, self.known)
        )
        return DeadIn(surely, perhaps, known)


def compare_layers(before: LayerResult, after: LayerResult) -> LayerComparison:
    """Compare two results of one layer, whose units are the same where probes reached it."""
    shape = (before if before.probes or not after.probes else after).lower.shape
    return LayerComparison(
        before, after, **changes(DeadIn.of(before, shape), DeadIn.of(after, shape))
    )


def changes(before: DeadIn, after: DeadIn) -> dict[str, np.ndarray]:
    """The masks of `LayerComparison`."""
    compared = before.known & after.known
    return {
        "compared": compared,
        "newly_dead": compared & ~before.perhaps & after.surely,
        "newly_dead_upper": compared & ~before.surely & after.perhaps,
        "revived": compared & before.surely & ~after.perhaps,
        "revived_upper": compared & before.perhaps & ~after.surely,
        "dead_in_both": compared & before.surely & after.surely,
        "dead_in_both_upper": compared & before.perhaps & after.perhaps,
    }
