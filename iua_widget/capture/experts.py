"""Mixtures of experts: which rows of a response belong to which expert, and to which token.

Implementations gather the tokens of several experts in one tensor, or call one activation once for
each expert that is hit. Counted as they come, unit 7 would stand for the seventh unit of every
expert at once. The order of the rows is that of `transformers` (`integrations/moe.py`, version 5).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

_MATRIX: Final = 2
_INTEGERS: Final = {torch.int64, torch.int32, torch.int16, torch.uint8, torch.int8}
_COUNTS: Final = ("num_experts", "num_local_experts", "num_routed_experts", "n_routed_experts")
"""Attributes in which modules of experts say how many there are."""


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
        ``"eager"``, ``"grouped_mm"`` or ``"batched_mm"``; of others the order is not known.
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
        elif self._implementation == "batched_mm":
            owners, order = flat, torch.arange(len(flat), device=flat.device)
        else:
            return None
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


def number_of_experts(module: nn.Module) -> int | None:
    """How many experts a module says it has; None where it says nothing."""
    found = (getattr(module, name, None) for name in _COUNTS)
    return next((n for n in found if isinstance(n, int) and not isinstance(n, bool)), None)


def routing_of(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Routing | None:
    """The routing with which a module of experts is called; None where it is no such module.

    It is given hidden states, which are floating point, the experts chosen for each token, which
    are integers, and a weight for each of these. Where no weights are given, the module must hold
    the parameters of all experts itself: a language model is called with embeddings and a mask.
    Which comes first, and what comes by name, is the module's own affair.
    """
    experts = number_of_experts(module)
    if experts is None:
        return None
    tensors = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.Tensor)]
    floats = [one for one in tensors if one.is_floating_point()]
    for chosen in tensors:
        if chosen.ndim != _MATRIX or chosen.dtype not in _INTEGERS:
            continue
        by_token = [one for one in floats if _rows(one) == len(chosen)]
        weighed = len(by_token) > 1 and any(one.shape == chosen.shape for one in by_token)
        if weighed or (by_token and _holds_experts(module, experts)):
            return Routing(chosen, experts, _implementation(module))
    return None


def _rows(hidden: torch.Tensor) -> int:
    return math.prod(hidden.shape[:-1]) if hidden.ndim > 1 else -1


def _holds_experts(module: nn.Module, experts: int) -> bool:
    own = module.parameters(recurse=False)
    return any(one.ndim > _MATRIX and len(one) == experts for one in own)


def _implementation(module: nn.Module) -> str:
    """How `transformers` computes a module's experts: eagerly where its class has no choice."""
    if not hasattr(module, "has_gate"):
        return "eager"
    return getattr(module.config, "_experts_implementation", None) or "eager"
