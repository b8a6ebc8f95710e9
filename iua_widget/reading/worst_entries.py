"""Figures of channels and units at several tolerances, as they are ranked over a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from iua_widget.reading.dead_rule import DeadRule
from iua_widget.reading.recount import LayerRecount, Recount
from iua_widget.reading.statistics import (
    dead_from,
    finite_probes,
    mean_abs,
    neuron_mean_abs,
    neuron_rms,
    unit_mean_abs,
    unit_rms,
)
from iua_widget.reading.thresholds import (
    active_when_finite,
    bounds_at,
    counted_stops,
    scale_values,
    thresholds_at,
)
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances, locate_each

_BLOCK_UNITS: Final = 2**14


@dataclass(frozen=True, slots=True)
class Entries:
    """Some channels or units, of one layer or of several, at one or several tolerances.

    Attributes
    ----------
    layer, unit : numpy.ndarray of int64, shape (entries,)
        The number of the layer; the channel, where one has several units, or else the unit.
    units : numpy.ndarray of int64, shape (entries,)
        Of which an entry consists: the positions of a channel.
    finite : numpy.ndarray of int64, shape (entries,)
        Probes on which its units were finite, added up.
    mean_abs, rms, abs_max : numpy.ndarray of float64, shape (entries,)
        Over its units and all probes; NaN where none was finite.
    lower, upper : numpy.ndarray of int64, shape (tolerances, entries)
        Bounds on the probes on which its units were inactive, added up.
    dead_units, dead_units_upper : numpy.ndarray of int64, shape (tolerances, entries)
        Bounds on how many of its units are dead.
    """

    layer: np.ndarray
    unit: np.ndarray
    units: np.ndarray
    finite: np.ndarray
    mean_abs: np.ndarray
    rms: np.ndarray
    abs_max: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    dead_units: np.ndarray
    dead_units_upper: np.ndarray

    def take(self, places: np.ndarray) -> Entries:
        """Those at these places, in their order."""
        taken = (getattr(self, field.name)[..., places] for field in fields(self))
        return Entries(*taken)

    @staticmethod
    def together(parts: Sequence[Entries]) -> Entries:
        """One after the other."""
        columns = ([getattr(part, field.name) for part in parts] for field in fields(Entries))
        return Entries(*(np.concatenate(arrays, axis=-1) for arrays in columns))

    @staticmethod
    def none(tolerances: int) -> Entries:
        """Not one, at so many tolerances."""
        whole = (np.zeros(0, np.int64) for _ in range(4))
        figures = (np.zeros(0) for _ in range(3))
        counts = (np.zeros((tolerances, 0), np.int64) for _ in range(4))
        return Entries(*whole, *figures, *counts)


class Several:
    """Several tolerances of one `dead_at`, taken apart once for all layers.

    Parameters
    ----------
    tolerances : sequence of Tolerances
    recount : Recount, optional
        Those for which it was made are read from it.
    """

    def __init__(self, tolerances: Sequence[Tolerances], recount: Recount | None = None) -> None:
        self.tolerances = tolerances
        recounted = np.array([recount is not None and recount.answers(at) for at in tolerances])
        per_unit = np.array([at.per_unit for at in tolerances])
        self.recounted = np.flatnonzero(recounted)
        self.per_unit: list[int] = np.flatnonzero(per_unit & ~recounted).tolist()
        self.of_layer = np.flatnonzero(~per_unit & ~recounted)
        self.atol = np.array([at.atol for at in tolerances])
        self.rtol = np.array([0.0 if at.uniform else at.rtol for at in tolerances])
        self.scales = {tolerances[place].scale for place in self.per_unit}


def read_entries(
    tally: Tally,
    several: Several,
    recount: LayerRecount | None,
    *,
    number: int,
    positions: bool = False,
) -> Iterator[Entries]:
    """Read a layer at several tolerances, some entries after the other.

    Parameters
    ----------
    tally : Tally
        Of a probe and a unit at least.
    several : Several
    recount : LayerRecount or None
        Of the layer, where there is one.
    number : int
        The layer's.
    positions : bool
        Whether the units of a map are read, and not its channels.
    """
    layout = _Layout.of(tally, positions=positions)
    if layout.axis is None:
        means, rms = unit_mean_abs(tally), unit_rms(tally)
    else:
        means, rms = neuron_mean_abs(tally), neuron_rms(tally)
    abs_max = tally.store.read_magnitudes().abs_max
    reader = _Reader(tally, several, recount, layout)
    step = max(1, _BLOCK_UNITS // layout.each)
    for start in range(0, layout.entries, step):
        block = slice(start, min(start + step, layout.entries))
        entries = block.stop - start
        lower, upper, dead, dead_upper = reader.read(block)
        largest = layout.units_of(abs_max, block).reshape(entries, layout.each).max(axis=1)
        yield Entries(
            layer=np.full(entries, number),
            unit=np.arange(start, block.stop),
            units=np.full(entries, layout.each),
            finite=reader.finite(block),
            mean_abs=means[block],
            rms=rms[block],
            abs_max=np.where(np.isnan(means[block]), np.nan, largest),
            lower=lower,
            upper=upper,
            dead_units=dead,
            dead_units_upper=dead_upper,
        )


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a layer's units lie in its entries: along all axes but one, or each for itself."""

    shape: tuple[int, ...]
    axis: int | None
    entries: int
    each: int

    @classmethod
    def of(cls, tally: Tally, *, positions: bool) -> _Layout:
        axis = None if positions else tally.channel_axis
        entries = tally.units if axis is None else tally.unit_shape[axis]
        return cls(tally.unit_shape, axis, entries, tally.units // entries)

    def units_of(self, array: np.ndarray, block: slice) -> np.ndarray:
        """What is known of the units of some entries, one entry after the other."""
        if self.axis is None:
            return array[block]
        by_entry = np.moveaxis(array.reshape(*self.shape, *array.shape[1:]), self.axis, 0)
        return by_entry[block].reshape(-1, *array.shape[1:])


class _Reader:
    """Reads counts of some entries of a layer at several tolerances."""

    def __init__(
        self,
        tally: Tally,
        several: Several,
        recount: LayerRecount | None,
        layout: _Layout,
    ) -> None:
        self._tally, self._several, self._recount = tally, several, recount
        self._layout = layout
        self._rule = DeadRule.of(tally, several.tolerances[0])
        self._finite = finite_probes(tally)
        self._stops, self._counted = _columns(tally, several)
        # Of few stops only these are read, and of none nothing.
        highest = int(self._counted.max(initial=-1)) + 1
        self._read_columns = len(tally.columns) if several.per_unit else highest
        self._scales = {scale: scale_values(tally, scale) for scale in several.scales}

    def finite(self, block: slice) -> np.ndarray:
        """Probes on which the units of each entry were finite, added up."""
        if isinstance(self._finite, int):
            return np.full(block.stop - block.start, self._finite * self._layout.each)
        return self._by_entry(self._layout.units_of(self._finite, block), block)

    def read(self, block: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Bounds on inactive probes, and on dead units: int64, shape (tolerances, entries)."""
        entries = block.stop - block.start
        several = self._several
        found = np.zeros((4, len(several.tolerances), entries), np.int64)
        counts = None
        if self._read_columns:
            counts = self._layout.units_of(
                self._tally.store.read_counts().counts[:, : self._read_columns], block
            )
        if counts is not None and len(several.of_layer):
            totals = self._by_entry(counts, block).cumsum(axis=1)
            found[:2, several.of_layer] = totals.T[self._counted]
            found[2:, several.of_layer] = self._dead(counts, block)
        if counts is not None and several.per_unit:
            found[:, several.per_unit] = np.stack(self._bounds_of_units(counts, block), axis=1)
        if self._recount is not None and len(several.recounted):
            inactive = self._layout.units_of(self._recount.counts, block)
            dead = inactive >= self._needed(block)
            found[:2, several.recounted] = self._by_entry(inactive, block)
            found[2:, several.recounted] = self._by_entry(dead, block)
        return found[0], found[1], found[2], found[3]

    def _dead(self, counts: np.ndarray, block: slice) -> np.ndarray:
        """Dead units of each entry at the layer's thresholds: shape (2, thresholds, entries)."""
        if self._rule.all_finite_probes:
            first = self._layout.units_of(dead_from(self._tally), block)
            return np.asarray(self._begun(first, len(self._tally.stops) + 1, block)[self._stops])
        totals = counts.cumsum(axis=1, dtype=np.int64)
        first = (totals < self._needed(block)[:, None]).sum(axis=1)
        return np.asarray(self._begun(first, counts.shape[1], block)[self._counted])

    def _begun(self, first: np.ndarray, columns: int, block: slice) -> np.ndarray:
        """How many units of each entry begin at a column or before: shape (columns, entries)."""
        entries = block.stop - block.start
        of_entry = np.repeat(np.arange(entries), self._layout.each) * (columns + 1)
        found = np.bincount(of_entry + first, minlength=entries * (columns + 1))
        return np.asarray(found.reshape(entries, columns + 1).cumsum(axis=1).T)

    def _bounds_of_units(self, counts: np.ndarray, block: slice) -> list[np.ndarray]:
        layout, tally = self._layout, self._tally
        totals = counts.cumsum(axis=1, dtype=np.int64)
        largest = layout.units_of(tally.store.read_magnitudes().abs_max, block)
        active = layout.units_of(active_when_finite(tally), block)
        needed, stops = self._needed(block), counted_stops(tally)
        scales = {scale: layout.units_of(of, block) for scale, of in self._scales.items()}
        found = []
        for place in self._several.per_unit:
            at = self._several.tolerances[place]
            thresholds = thresholds_at(scales[at.scale], at.atol, at.rtol)
            bounds = bounds_at(thresholds, totals, stops, largest, tally.dtypes, active=active)
            both = [*bounds, *(bound >= needed for bound in bounds)]
            found.append(np.stack([self._by_entry(units, block) for units in both]))
        return found

    def _needed(self, block: slice) -> np.ndarray:
        needed = np.broadcast_to(self._rule.needed, self._tally.units)
        return self._layout.units_of(needed, block)

    def _by_entry(self, units: np.ndarray, block: slice) -> np.ndarray:
        shape = block.stop - block.start, self._layout.each, *units.shape[1:]
        return np.asarray(units.reshape(shape).sum(axis=1, dtype=np.int64))


def _columns(tally: Tally, several: Several) -> tuple[np.ndarray, np.ndarray]:
    """What `locate_each` and `locate_counts` say where one threshold is the layer's.

    Returns
    -------
    columns, places : numpy.ndarray of int64, shape (2, tolerances)
        The lower and the upper one: of all columns, and places among those that are counted.
    """
    stops = np.array(tally.stops.values)
    atol, rtol = several.atol[several.of_layer], several.rtol[several.of_layer]
    thresholds = atol + rtol * mean_abs(tally) if rtol.any() else atol
    lower, upper = locate_each(stops, thresholds)
    place_lower = np.searchsorted(tally.columns, lower, side="right") - 1
    place_upper = np.searchsorted(tally.columns, upper, side="left")
    return np.stack([lower, upper]), np.stack([place_lower, place_upper])
