"""`Parameters`: those of the module before an activation, by channel."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of the linear layer or convolution that gives an activation its input.

    Attributes
    ----------
    module : str
        Which it is.
    batch_norm : str or None
        The BatchNorm between, in evaluation mode.
    axis : int
        The axis of the input that counts channels.
    rounding : float
        The relative rounding error of the input's dtype.
    checksum : int
        Of all of them: what was counted with others is not of the same.
    arrays : dict of str to numpy.ndarray of float64, shape (channels,)
        ``weight_max``, the largest magnitude of a weight, infinite where one of the channel's
        parameters is not finite; ``bias``; ``gain``, the scale of the BatchNorm over its standard
        deviation, otherwise 1; ``shift``; and ``at_zero``, what all that makes of inputs of zero.
    """

    module: str
    batch_norm: str | None
    axis: int
    rounding: float
    checksum: int
    arrays: dict[str, np.ndarray] = field(repr=False, compare=False)

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of them but for the arrays."""
        return {
            "module": self.module,
            "batch_norm": self.batch_norm,
            "rounding": self.rounding,
            "checksum": self.checksum,
        }

    def of_units(
        self, unit_shape: tuple[int, ...], choice: str, channel_axis: int | None
    ) -> dict[str, np.ndarray] | None:
        """The arrays by unit: float64, shape (units,); None where units are of other channels."""
        channels = len(self.arrays["at_zero"])
        if choice != "element":
            fits = channel_axis == self.axis and unit_shape == (channels,)
            return dict(self.arrays) if fits else None
        place = self.axis - 1
        if not 0 <= place < len(unit_shape) or unit_shape[place] != channels:
            return None
        along = [1] * len(unit_shape)
        along[place] = channels
        shape = (math.prod(unit_shape),)
        return {
            name: np.broadcast_to(array.reshape(along), unit_shape).reshape(shape).copy()
            for name, array in self.arrays.items()
        }
