"""Comparing what two models give for the same inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from iua_widget.capture.inputs import arguments, read_batch
from iua_widget.capture.loaders import as_loader
from iua_widget.capture.outputs import tensors
from iua_widget.capture.shadow import Shadow
from iua_widget.errors import RemedyError

_Forward = Callable[[Any, Any], Any] | None


@dataclass(slots=True)
class OutputDifference:
    """How far the outputs of two models are apart.

    Attributes
    ----------
    largest : float
        The largest difference between two numbers; infinite where only one is NaN.
    within : float
        What is allowed.
    probes : int
        Inputs that were compared.
    """

    largest: float = 0.0
    within: float = 0.0
    probes: int = 0

    @property
    def is_within(self) -> bool:
        """Whether the outputs are the same, within what is allowed."""
        return self.largest <= self.within


def compare_outputs(
    one: nn.Module,
    other: nn.Module,
    inputs: Iterable[Any],
    *,
    within: float | None,
    batch_size: int,
    forward: _Forward,
) -> OutputDifference:
    """Run two models, in evaluation mode, on the same batches, leaving no trace on them.

    Where `within` is None, it is ``eps ** 0.75`` times the largest ``abs`` of the first model's
    outputs, with the eps of their dtype: a quarter of the digits may be rounded otherwise.

    Raises
    ------
    RemedyError
        If there is no number to compare.
    """
    shadows = [Shadow(model, has_forward=forward is not None) for model in (one, other)]
    found, compared = OutputDifference(), 0
    allowed, largest_output = 0.0, 0.0
    for number, batch in enumerate(as_loader(inputs, batch_size)):
        results = []
        for shadow, model in zip(shadows, (one, other), strict=True):
            given = read_batch(batch, number, model)
            with shadow.batch():
                results.append(_outputs(shadow, model, given.batch, number, forward))
        found.probes += given.probes
        for path, before in results[0].items():
            after = results[1].get(path)
            found.largest = max(found.largest, _difference(before, after))
            finite = before[before.isfinite()]
            largest_output = max(largest_output, float(finite.abs().max()) if len(finite) else 0.0)
            allowed = max(allowed, float(torch.finfo(before.dtype).eps ** 0.75))
            compared += before.numel()
    if not compared:
        message = "there is nothing to compare: `check` gave no batch, or the model no numbers."
        raise RemedyError(message)
    found.within = allowed * largest_output if within is None else within
    return found


def _outputs(
    shadow: Shadow, model: nn.Module, batch: Any, number: int, forward: _Forward
) -> dict[str, torch.Tensor]:
    if forward is not None:
        output = shadow.bound(forward)(shadow.model, batch)
    else:
        args, kwargs = arguments(model, batch, number)
        output = shadow.model(*args, **kwargs)
    return {path: one for path, one in tensors(output) if one.is_floating_point()}


def _difference(before: torch.Tensor, after: torch.Tensor | None) -> float:
    if after is None or after.shape != before.shape:
        return math.inf
    if not before.numel():
        return 0.0
    before, after = before.cpu().double(), after.cpu().double()  # MPS has no float64
    same = (before == after) | (before.isnan() & after.isnan())
    apart = torch.where(same, 0.0, (before - after).abs())
    largest = float(apart.max())
    return math.inf if math.isnan(largest) else largest
