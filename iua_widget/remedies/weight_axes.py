"""The layers whose units can be told from their weights, and which axis of those counts what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from torch import nn

_CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, slots=True)
class WeightAxes:
    """The axes of a layer's weight.

    Attributes
    ----------
    out, into : int
        Which counts the layer's units, and which its inputs.
    positions : int
        Axes of positions that its responses have: none where units come last.
    out_name, into_name : str
        The layer's own names of their lengths.
    """

    out: int
    into: int
    positions: int
    out_name: str
    into_name: str


def axes_of(module: nn.Module) -> WeightAxes | None:
    """The axes of Linear, Conv1d to Conv3d and the Conv1D of transformers; None of others.

    Examples
    --------
    >>> axes_of(nn.Conv2d(3, 8, 5)).positions, axes_of(nn.ReLU())
    (2, None)
    """
    kind = type(module)
    if kind.forward is nn.Linear.forward:
        return WeightAxes(0, 1, 0, "out_features", "in_features")
    for positions, convolution in enumerate(_CONVOLUTIONS, start=1):
        if kind.forward is convolution.forward:
            return WeightAxes(0, 1, positions, "out_channels", "in_channels")
    if kind.__module__ == "transformers.pytorch_utils" and kind.__name__ == "Conv1D":
        return WeightAxes(1, 0, 0, "nf", "nx")
    return None
