"""The layers of a look: what their units are, and where each layer's are among those of all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from iua_widget.common.layer_names import unknown_layer
from iua_widget.tally.tally import Tally
from iua_widget.units.rule import UnitChoice


@dataclass(frozen=True, slots=True)
class LayerUnits:
    """What the units of one layer are.

    Attributes
    ----------
    name, kind : str
        The layer, and what makes its responses, such as ``"ReLU"``.
    choice : {"element", "channel", "token"}
    shape : tuple of int
        Of one probe's response, as it is counted.
    channel_axis : int or None
        The axis of it that counts channels, where a channel has several units.

    Examples
    --------
    >>> conv = LayerUnits("conv", "ReLU", "element", (8, 4, 4), 0)
    >>> conv.count, conv.channels
    (128, 8)
    """

    name: str
    kind: str
    choice: UnitChoice
    shape: tuple[int, ...]
    channel_axis: int | None

    @classmethod
    def of(cls, name: str, tally: Tally) -> LayerUnits:
        """Of a layer that is counted."""
        return cls(name, tally.kind, tally.plan.choice, tally.unit_shape, tally.channel_axis)

    @property
    def count(self) -> int:
        """How many units there are."""
        return math.prod(self.shape)

    @property
    def channels(self) -> int | None:
        """How many channels there are, where a channel has several units."""
        return None if self.channel_axis is None else self.shape[self.channel_axis]

    @property
    def same_units(self) -> tuple[object, ...]:
        """What two layers of one name have in common where their units are the same."""
        return self.choice, self.shape, self.channel_axis


class LayerIndex:
    """The layers of a look in the order of the network, and where their units and channels begin.

    Parameters
    ----------
    layers : iterable of LayerUnits

    Attributes
    ----------
    layers : tuple of LayerUnits
    numbers : mapping of str to int
        The place of each layer in the order of the network.
    units, channels : numpy.ndarray of int64, shape (layers + 1,)
        Where the units of each layer begin among those of all, and its channels; last, how many
        there are. A layer whose channels are units has none.

    Examples
    --------
    >>> conv = LayerUnits("conv", "ReLU", "element", (8, 4, 4), 0)
    >>> head = LayerUnits("head", "ReLU", "element", (5,), None)
    >>> index = LayerIndex([conv, head])
    >>> index.units, index.channels
    (array([  0, 128, 133]), array([0, 8, 8]))
    """

    __slots__ = ("channels", "layers", "numbers", "units")

    def __init__(self, layers: Iterable[LayerUnits]) -> None:
        self.layers = tuple(layers)
        self.numbers: Mapping[str, int] = {one.name: n for n, one in enumerate(self.layers)}
        self.units = _starts(one.count for one in self.layers)
        self.channels = _starts(one.channels or 0 for one in self.layers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LayerIndex) and self.layers == other.layers

    def __hash__(self) -> int:
        return hash(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def number(self, layer: str) -> int:
        """The place of a layer in the order of the network.

        Raises
        ------
        LayerSelectionError
            If there is no such layer.
        """
        try:
            return self.numbers[layer]
        except (KeyError, TypeError):
            raise unknown_layer(layer, list(self.numbers)) from None

    def units_of(self, number: int) -> slice:
        """Where the units of a layer are."""
        return slice(int(self.units[number]), int(self.units[number + 1]))

    def channels_of(self, number: int) -> slice:
        """Where the channels of a layer are."""
        return slice(int(self.channels[number]), int(self.channels[number + 1]))


def _starts(sizes: Iterable[int]) -> np.ndarray:
    return np.array([0, *sizes], np.int64).cumsum()


def sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums of values over the units of each layer.

    Parameters
    ----------
    values : numpy.ndarray of bool or integers, shape (units,)
    starts : numpy.ndarray of int64, shape (layers + 1,)

    Returns
    -------
    numpy.ndarray of int64, shape (layers,)

    Examples
    --------
    >>> sums(np.array([True, True, False]), np.array([0, 1, 1, 3]))
    array([1, 0, 1])
    """
    total = np.zeros(len(starts) - 1, np.int64)
    some = starts[:-1] < starts[1:]
    if some.any():
        total[some] = np.add.reduceat(values, starts[:-1][some], dtype=np.int64)
    return total
