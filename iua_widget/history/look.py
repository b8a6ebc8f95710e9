"""`Look`: what is kept of one counting of all layers, at one step of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.history.layer_look import LayerLook
from iua_widget.history.layers import LayerIndex, LayerUnits
from iua_widget.reading.dead_rule import dead_from_bounds
from iua_widget.reading.statistics import (
    mean_abs,
    mean_inactive,
    neuron_mean_abs,
    non_finite,
    std_inactive,
    unit_mean_abs,
)
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Stops, Tolerances


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One counting of all layers at one step of training: less than a run, and at every stop.

    The units of all layers are one after another in one array, so that many looks take little
    more than their figures. For K stops there are K + 1 columns: the last is "any finite value".

    Attributes
    ----------
    step : int
        Steps of training before it.
    inputs : int
        Inputs counted.
    index : LayerIndex
        Its layers. Looks of the same layers share one.
    probes, nan, infinite : numpy.ndarray of int64, shape (layers,)
        Probes counted, and responses that were NaN, and infinite.
    layer_mean : numpy.ndarray of float64, shape (layers,)
        Mean finite ``abs(x)``: what the scale ``"layer_mean"`` is.
    neuron_mean : numpy.ndarray of float64, shape (layers,)
        Mean of the means of the neurons, to which tau is relative.
    mean, std : numpy.ndarray of float64, shape (layers, K + 1)
        Of the inactive units on one probe: NaN without a probe.
    dead_from : numpy.ndarray of uint8 or uint16, shape (units,)
        The column from which on each unit is dead: K where it is dead at no stop, K + 1 where it
        was finite on no probe.
    mean_abs : numpy.ndarray of float32, shape (units,)
        Mean finite ``abs(x)`` of each unit, not zero unless it is; NaN where none was finite.
    channel_mean_abs : numpy.ndarray of float64, shape (channels,)
        That of channels, in layers whose channels have several units.
    counted : mapping of int to tuple of int
        Of layers of which it is not known at every column what is dead, by their place: where it
        is. Elsewhere `dead_from` is the next column at which it is known.
    """

    step: int
    inputs: int
    index: LayerIndex
    probes: np.ndarray
    nan: np.ndarray
    infinite: np.ndarray
    layer_mean: np.ndarray
    neuron_mean: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    dead_from: np.ndarray
    mean_abs: np.ndarray
    channel_mean_abs: np.ndarray
    counted: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    @as_ieee
    def of(
        cls,
        step: int,
        tallies: Mapping[str, Tally],
        stops: Stops,
        tolerances: Tolerances,
        inputs: int = 0,
    ) -> Look:
        """What is kept of a run.

        Parameters
        ----------
        step : int
        tallies : mapping of str to Tally
            In the order of the network.
        stops : Stops
            Theirs.
        tolerances : Tolerances
            For their `dead_at` it is kept what is dead.
        inputs : int
            Inputs counted.
        """
        index = LayerIndex(LayerUnits.of(name, tally) for name, tally in tallies.items())
        top = len(stops) + 1
        layers, units = len(index), int(index.units[-1])
        non_finites = np.zeros((2, layers), np.int64)
        means = np.zeros((2, layers))
        mean, std = np.zeros((2, layers, top))
        first = np.empty(units, np.min_scalar_type(top))
        unit_means = np.empty(units, np.float32)
        channel_means = np.empty(int(index.channels[-1]))
        counted = {}
        for number, tally in enumerate(tallies.values()):
            here = index.units_of(number)
            surely, perhaps = dead_from_bounds(tally, tolerances)
            if perhaps is not surely:
                counted[number] = tally.columns
            first[here], unit_means[here] = surely, _single(unit_mean_abs(tally))
            neurons = neuron_mean_abs(tally)
            if tally.channel_axis is not None:
                channel_means[index.channels_of(number)] = neurons
            means[:, number] = mean_abs(tally), _mean(neurons[~np.isnan(neurons)])
            non_finites[:, number] = non_finite(tally)
            mean[number], std[number] = mean_inactive(tally), std_inactive(tally)
        probes = np.array([tally.probes for tally in tallies.values()], np.int64)
        return cls(
            step,
            inputs,
            index,
            probes,
            non_finites[0],
            non_finites[1],
            means[0],
            means[1],
            mean,
            std,
            first,
            unit_means,
            channel_means,
            counted,
        )

    @property
    def layers(self) -> list[str]:
        """The names of its layers, in the order of the network."""
        return list(self.index.numbers)

    @property
    def nbytes(self) -> int:
        """Bytes that its figures take."""
        arrays = (getattr(self, one.name) for one in fields(self))
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))

    @property
    def perhaps_dead_from(self) -> np.ndarray:
        """The column from which on each unit is perhaps dead; `dead_from` where that is exact."""
        if not self.counted:
            return self.dead_from
        perhaps = self.dead_from.copy()
        for number in self.counted:
            layer = self._layer(number)
            perhaps[self.index.units_of(number)] = layer.perhaps_dead_from
        return perhaps

    def layer(self, name: str) -> LayerLook:
        """One layer of it.

        Raises
        ------
        LayerSelectionError
            If there is no such layer.
        """
        return self._layer(self.index.number(name))

    def sharing(self, index: LayerIndex) -> Look:
        """Itself, with another's index in place of one that is equal."""
        return replace(self, index=index) if self.index == index else self

    def _layer(self, number: int) -> LayerLook:
        layer, units = self.index.layers[number], self.index.units_of(number)
        channels = self.index.channels_of(number)
        return LayerLook(
            layer,
            int(self.probes[number]),
            int(self.nan[number]),
            int(self.infinite[number]),
            float(self.layer_mean[number]),
            float(self.neuron_mean[number]),
            self.mean[number],
            self.std[number],
            self.dead_from[units],
            self.mean_abs[units],
            None if layer.channels is None else self.channel_mean_abs[channels],
            self.counted.get(number),
        )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _single(values: np.ndarray) -> np.ndarray:
    """In single precision, zero only where it is."""
    single = values.astype(np.float32)
    single[(single == 0) & (values > 0)] = np.finfo(np.float32).smallest_subnormal
    return single


def same_layers(before: Look, after: Look) -> tuple[Sequence[int], Sequence[int]]:
    """Places of the layers that have the same units in both looks, in each of them."""
    if before.index is after.index:
        every = range(len(after.index))
        return every, every
    there, here = before.index, after.index
    pairs = [
        (there.numbers[layer.name], number)
        for number, layer in enumerate(here.layers)
        if layer.name in there.numbers
        and there.layers[there.numbers[layer.name]].same_units == layer.same_units
    ]
    return [one for one, _ in pairs], [other for _, other in pairs]
