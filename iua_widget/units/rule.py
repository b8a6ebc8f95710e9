"""The rule that decides what a unit is in each layer, from the user's choice or by default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

import numpy as np

from iua_widget.common.layer_names import of_layer, try_one_of, unmatched
from iua_widget.common.plain_values import plain
from iua_widget.common.words import did_you_mean
from iua_widget.errors import UnitsError
from iua_widget.units.activation import Activation
from iua_widget.units.expert_load import ExpertLoad
from iua_widget.units.parameters import Parameters

if TYPE_CHECKING:
    import torch

UnitChoice = Literal["element", "channel", "token"]
"""`element`: every entry of a probe's response. `channel`: the channel, inactive on a probe only
where it is inactive at every position. `token`: the channel, every position being a probe."""

CHOICES: Final = ("element", "channel", "token", "auto")
_SEQUENCE_AXES: Final = 3


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a response besides its values: what made it, its channels, its padding.

    Attributes
    ----------
    kind : str
        What made it, such as ``"ReLU"``; ``"array"`` where nothing is known.
    traced : bool
        Whether a model's forward pass was watched, so that ``"auto"`` may take sequences by token.
    channel_axis : int or None
        The axis of the response that counts the channels, where the producer knows it.
    mask : numpy.ndarray of bool, shape (items, positions), or None
        Which positions are real, and not padding.
    tokens : bool
        Whether the rows of the response are known to be tokens.
    length : int or None
        Positions of each item, where the model was given text.
    merged_calls : bool
        Whether it is of one of several calls in a pass that are one layer.
    many_passes : bool
        Whether it is of a further pass over one batch, as `model.generate` makes.
    settled : UnitPlan or None
        What ``"auto"`` decided while the axes were as the model has them, where something was done
        to them since.
    load : ExpertLoad or None
        What the expert of a mixture whose layer it is got of the batch's tokens.
    inputs : int or None
        Inputs of the batch, where a model was watched.
    positions_first : bool
        Whether positions are known to come before inputs.
    before : torch.Tensor or None
        The input of the activation whose output it is, laid out as that is, where it was asked for.
    activation : Activation or None
        What is known of that activation.
    parameters : Parameters or None
        Those of the module that made `before`.
    routed : bool
        Whether its rows are those that experts were given, and so not the batch's items in order.
    """

    kind: str = "array"
    traced: bool = False
    channel_axis: int | None = None
    mask: np.ndarray | None = None
    tokens: bool = False
    length: int | None = None
    merged_calls: bool = False
    many_passes: bool = False
    settled: UnitPlan | None = None
    load: ExpertLoad | None = None
    inputs: int | None = None
    positions_first: bool = False
    before: torch.Tensor | None = None
    activation: Activation | None = None
    parameters: Parameters | None = None
    routed: bool = False

    @property
    def tells_only_units(self) -> bool:
        """Whether nothing has to be left out of the response, nor noted beside its units."""
        return (
            self.mask is None
            and self.load is None
            and not self.merged_calls
            and not self.many_passes
        )


UNKNOWN: Final = Origin()


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """What a unit is in one layer.

    Attributes
    ----------
    choice : {"element", "channel", "token"}
    channel_axis : int or None
        The axis of the channels in the response, batch axis included; None where a probe's
        response is a single number.
    """

    choice: UnitChoice
    channel_axis: int | None

    def __str__(self) -> str:
        axis = "" if self.channel_axis is None else f" (channels on axis {self.channel_axis})"
        return f"units={self.choice!r}{axis}"


class UnitRule:
    """Decides what a unit is, from the user's choice.

    With ``"auto"`` every entry is a unit, but for sequences inside a model (three axes, channels
    last, or second where the third is as long as the text; or rows that are known to be tokens),
    where the channel is, and every token is a probe; and for maps over the positions of a text
    (four axes: attention), whose size changes with its length, where the channel is, too. The
    channel axis is the user's, or the second where the last, and not it, is as long as the text, or
    what the model tells (the last convolution, linear layer or the like before), or by
    convention: the second for responses of four axes and more, otherwise the last.

    Parameters
    ----------
    units : {"element", "channel", "token", "auto"} or mapping of str to these
        For all layers, or by the name or glob of a layer.
    channel_axis : int, or mapping of str to int, optional
        The axis of the channels, batch axis included: 1 for PyTorch's images, -1 where channels
        come last.

    Raises
    ------
    UnitsError
        If a choice is unknown, or the axis is not a whole number other than 0.

    Examples
    --------
    >>> rule = UnitRule({"conv*": "channel"})
    >>> rule.plan("conv1", (32, 8, 14, 14), UNKNOWN)
    UnitPlan(choice='channel', channel_axis=1)
    >>> rule.plan("fc", (32, 10), UNKNOWN)
    UnitPlan(choice='element', channel_axis=1)
    """

    def __init__(
        self,
        units: str | Mapping[str, str] = "auto",
        channel_axis: int | Mapping[str, int] | None = None,
    ) -> None:
        units, channel_axis = plain(units), plain(channel_axis)
        self.units, self.channel_axis = units, channel_axis
        self._units = units if isinstance(units, Mapping) else {"*": units}
        self._axes = channel_axis if isinstance(channel_axis, Mapping) else {"*": channel_axis}
        for pattern in (*self._units, *self._axes):
            if not isinstance(pattern, str):
                message = f"units and channel_axis must name layers by strings; got {pattern!r}."
                raise UnitsError(message)
        for choice in self._units.values():
            if not isinstance(choice, str) or choice not in CHOICES:
                hint = did_you_mean(choice, CHOICES)
                message = (
                    f"units must be one of {', '.join(map(repr, CHOICES))}; got {choice!r}.{hint}"
                )
                raise UnitsError(message)
        for axis in self._axes.values():
            whole = isinstance(axis, (int, np.integer)) and not isinstance(axis, bool)
            if axis is not None and (not whole or axis == 0):
                message = (
                    "channel_axis must be the number of the axis that counts the channels, such as "
                    "1 (PyTorch's images) or -1 (channels last), and not 0, which counts the "
                    f"probes; got {axis!r}."
                )
                raise UnitsError(message)

    def plan(self, layer: str, shape: tuple[int, ...], origin: Origin) -> UnitPlan:
        """Decide for one layer.

        Parameters
        ----------
        layer : str
        shape : tuple of int
            Of its response, batch axis included.
        origin : Origin

        Raises
        ------
        UnitsError
            If the response has no such channel axis.
        """
        axis = self._axis(layer, shape, origin)
        choice = of_layer(self._units, layer, "auto")
        if choice == "auto":
            choice = _automatic(shape, axis, origin)
        return UnitPlan(cast("UnitChoice", choice), axis)

    def check_used(self, layers: Iterable[str]) -> None:
        """Check that every name and glob of the user's matches a layer.

        Raises
        ------
        UnitsError
            If one matches none.
        """
        layers = list(layers)
        for option, choices in (("units", self._units), ("channel_axis", self._axes)):
            if (glob := unmatched(choices, layers)) is not None:
                hint = try_one_of(glob, layers)
                message = f"{option}={{{glob!r}: ...}} matches no layer. {hint}"
                raise UnitsError(message)

    def _axis(self, layer: str, shape: tuple[int, ...], origin: Origin) -> int | None:
        ndim = len(shape)
        if ndim <= 2:  # noqa: PLR2004  (one unit a probe, or one axis that can count channels)
            return ndim - 1 or None
        axis = of_layer(self._axes, layer, None)
        if axis is None and origin.settled is not None:
            axis = origin.settled.channel_axis
        elif axis is None and shape[-1] == origin.length != shape[1]:
            axis = 1  # a product of matrices may have been taken for a linear layer
        if axis is None:
            axis = origin.channel_axis
        if axis is None:
            axis = 1 if ndim > _SEQUENCE_AXES else -1
        if not -ndim < axis < ndim or axis == 0:
            message = (
                f"layer {layer!r}: channel_axis={axis} is not an axis of channels: the response "
                f"has {ndim} axes, the first of which counts the probes."
            )
            raise UnitsError(message)
        return int(axis % ndim)


def _automatic(shape: tuple[int, ...], axis: int | None, origin: Origin) -> UnitChoice:
    if origin.settled is not None:
        return origin.settled.choice
    ndim = len(shape)
    if ndim == _SEQUENCE_AXES - 1:
        return "token" if _rows_are_tokens(shape[0], origin) else "element"
    if not origin.traced or axis is None:
        return "element"
    positions = [size for place, size in enumerate(shape) if place not in (0, axis)]
    of_text = origin.length is not None and origin.length in positions
    if ndim == _SEQUENCE_AXES:
        return "token" if axis == ndim - 1 or of_text else "element"
    return "channel" if of_text else "element"


def _rows_are_tokens(rows: int, origin: Origin) -> bool:
    mask = origin.mask
    return origin.tokens or (mask is not None and rows == mask.size != len(mask))
