"""Mixtures of experts: which rows of a response belong to which expert, and to which token.

Implementations gather the tokens of several experts in one tensor, or call one activation once for
each expert that is hit. Counted as they come, unit 7 would stand for the seventh unit of every
expert at once. The order of the rows is that of `transformers` (`integrations/moe.py`, version 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

_MATRIX: Final = 2


@dataclass(frozen=True, slots=True)
class ExpertRows:
    """What one expert computed.

    Attributes
    ----------
    expert : int
    tensor : torch.Tensor, shape (rows, ...)
    tokens : torch.Tensor of int64, shape (rows,)
        Which token of the batch each row is, flattened over items and positions.
    """

    expert: int
    tensor: torch.Tensor
    tokens: torch.Tensor


class Routing:
    """Where a batch's tokens go in one module of experts.

    Parameters
    ----------
    chosen : torch.Tensor of integers, shape (tokens, choices)
        The experts of each token.
    experts : int
    implementation : str
        ``"eager"``, ``"grouped_mm"`` or ``"batched_mm"``.
    """

    def __init__(self, chosen: torch.Tensor, experts: int, implementation: str) -> None:
        self.experts = experts
        self._chosen = chosen
        self._implementation = implementation

    def split(self, response: torch.Tensor, call: int) -> list[ExpertRows] | None:
        """A response's rows by expert; None where they are not in an order that is known.

        Parameters
        ----------
        response : torch.Tensor, shape (rows, ...)
        call : int
            How many responses of the same activation came before in this pass.
        """
        choices = self._chosen.shape[1]
        if self._implementation == "eager":
            return self._one_expert(response, call)
        flat = self._chosen.reshape(-1)
        if len(response) != len(flat):
            return None
        if self._implementation == "grouped_mm":
            owners, order = torch.sort(flat)
        else:
            owners, order = flat, torch.arange(len(flat), device=flat.device)
        return [
            ExpertRows(expert, response[owners == expert], order[owners == expert] // choices)
            for expert in self._hit()
        ]

    def _one_expert(self, response: torch.Tensor, call: int) -> list[ExpertRows] | None:
        hit = list(self._hit())
        if call >= len(hit):
            return None
        _, tokens = torch.where((self._chosen == hit[call]).T)
        if len(tokens) != len(response):
            return None
        return [ExpertRows(hit[call], response, tokens)]

    def _hit(self) -> Iterator[int]:
        for expert in torch.unique(self._chosen).tolist():
            if expert < self.experts:  # one more stands for tokens of other devices
                yield expert


def routing_of(module: nn.Module, args: tuple[Any, ...]) -> Routing | None:
    """The routing with which a module of experts is called; None where it is no such module."""
    experts = getattr(module, "num_experts", None)
    if not isinstance(experts, int) or len(args) <= 1:
        return None
    tokens, chosen = args[:2]
    fits = (
        isinstance(tokens, torch.Tensor)
        and isinstance(chosen, torch.Tensor)
        and tokens.ndim == chosen.ndim == _MATRIX
        and len(tokens) == len(chosen)
        and not chosen.is_floating_point()
    )
    if not fits:
        return None
    config = getattr(module, "config", None)
    return Routing(chosen, experts, getattr(config, "_experts_implementation", None) or "eager")
