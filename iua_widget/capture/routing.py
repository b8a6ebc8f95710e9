"""Routing of tokens: which rows of a response belong to which expert, and to which token.

Implementations gather the tokens of several experts in one tensor, or call one activation once for
each expert that is hit. Counted as they come, unit 7 would stand for the seventh unit of every
expert at once. The order of the rows is that of `transformers` (`integrations/moe.py`, version 5).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from iua_widget.capture.token_rows import count_rows, on_device

_MATRIX: Final = 2


RealTokens = Callable[[int], np.ndarray | None]
"""Given how many tokens there are, which are no padding: bool, of that length; None where all."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Which tokens of a batch the rows of a response are.

    Attributes
    ----------
    index : torch.Tensor of int64, shape (rows,)
        Flattened over items and positions.
    total : int
        How many tokens there are.
    """

    index: torch.Tensor
    total: int


@dataclass(frozen=True, slots=True)
class ExpertRows:
    """What one expert computed: a tensor of shape (rows, ...), and its tokens.

    `before` is what an activation was given to make it, where that is asked for.
    """

    expert: int
    tensor: torch.Tensor
    tokens: Tokens | None
    before: torch.Tensor | None = None


class Routing:
    """Where tokens go in one call of a module of experts."""

    experts: int
    sure = False
    """Whether activations within are those of experts, and of nothing else."""

    eager = False
    """Whether an activation is called once for each expert that is hit, in their order."""

    def split(self, response: torch.Tensor, call: int) -> list[ExpertRows] | None:
        """A response's rows by expert; None if their order is not known.

        Parameters
        ----------
        response : torch.Tensor, shape (rows, ...)
        call : int
            How many responses of the same activation came before in this call of the module.
        """
        raise NotImplementedError

    def hit(self) -> list[int]:
        """The experts that a token is routed to, in ascending order, where it is eager."""
        return []

    def tokens(self, expert: int) -> Tokens | None:  # noqa: ARG002
        """The tokens of one expert, where they are known."""
        return None

    def counts(self, real: RealTokens) -> torch.Tensor | None:
        """How many tokens each expert gets: int64, shape (experts,); None where that is not known.

        Parameters
        ----------
        real : callable
            Given how many tokens there are, which are not padding.
        """
        raise NotImplementedError


class ChosenExperts(Routing):
    """Routing by the experts that are chosen for each token.

    Parameters
    ----------
    chosen : torch.Tensor of integers, shape (tokens, choices)
    experts : int
    implementation : str
        ``"eager"``, ``"grouped_mm"`` or ``"batched_mm"``; of others the order is not known.
    """

    def __init__(self, chosen: torch.Tensor, experts: int, implementation: str) -> None:
        self.experts = experts
        self.sure = True
        self.eager = implementation == "eager"
        self._chosen = chosen
        self._implementation = implementation
        self._hit: list[int] | None = None

    def split(self, response: torch.Tensor, call: int) -> list[ExpertRows] | None:
        """See `Routing.split`."""
        if self.eager:
            return self._one_expert(response, call)
        choices = self._chosen.shape[1]
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
            ExpertRows(
                expert,
                response[owners == expert],
                Tokens(order[owners == expert] // choices, len(self._chosen)),
            )
            for expert in self.hit()
        ]

    def _one_expert(self, response: torch.Tensor, call: int) -> list[ExpertRows] | None:
        hit = self.hit()
        if call >= len(hit):
            return None
        tokens = self.tokens(hit[call])
        if len(tokens.index) != len(response):
            return None
        return [ExpertRows(hit[call], response, tokens)]

    def hit(self) -> list[int]:
        """See `Routing.hit`."""
        if self._hit is None:
            # One more than there are experts stands for tokens of other devices.
            chosen = torch.unique(self._chosen).tolist()
            self._hit = [expert for expert in chosen if 0 <= expert < self.experts]
        return self._hit

    def tokens(self, expert: int) -> Tokens:
        """See `Routing.tokens`; in the order of `transformers`, choice by choice."""
        return Tokens(torch.where((self._chosen == expert).T)[1], len(self._chosen))

    def counts(self, real: RealTokens) -> torch.Tensor:
        """See `Routing.counts`."""
        positions = on_device(real(len(self._chosen)), self._chosen.device)
        chosen = self._chosen if positions is None else self._chosen[positions]
        inside = chosen[(chosen >= 0) & (chosen < self.experts)]
        return torch.bincount(inside.long(), minlength=self.experts)


class AllExperts(Routing):
    """Routing where experts compute side by side, each on a copy of the tokens or all on one.

    What an expert is given of a token that is routed to others is zeros, in Llama 4. Where all are
    given the same, as experts are that every token shares, each is given every token.

    Parameters
    ----------
    hidden : torch.Tensor, shape (..., channels)
        What the module is given.
    experts : int
    sure : bool
        See `Routing`.

    Attributes
    ----------
    last : bool or None
        Whether the axis of the experts is the last but the channels', and not the first. As many
        tokens as experts do not tell: then what it says before, or the first.
    """

    def __init__(self, hidden: torch.Tensor, experts: int, *, sure: bool) -> None:
        self.experts = experts
        self.sure = sure
        self.last: bool | None = None
        self._hidden = hidden
        self._given: torch.Tensor | None = None

    def split(self, response: torch.Tensor, call: int) -> list[ExpertRows] | None:  # noqa: ARG002
        """See `Routing.split`."""
        if response.ndim <= _MATRIX:
            return None
        lead, rows = response.shape[:-1], count_rows(self._hidden)
        among = math.prod(lead) // self.experts
        last = lead[-1] == self.experts and among == rows
        first = lead[0] == self.experts and rows in (among, among * self.experts)
        if not (first or last):
            return None
        if self.last is None or not (first and last):
            self.last = not first
        by_expert = (
            response.flatten(0, -3).transpose(0, 1) if self.last else response.flatten(1, -2)
        )
        if rows == among:
            self._given = response.new_ones((self.experts, among), dtype=torch.bool)
        else:
            self._given = self._hidden.reshape(self.experts, among, -1).ne(0).any(dim=2)
        found = [
            (expert, Tokens(given.nonzero()[:, 0], among))
            for expert, given in enumerate(self._given)
        ]
        return [ExpertRows(expert, by_expert[expert, of.index], of) for expert, of in found]

    def counts(self, real: RealTokens) -> torch.Tensor | None:
        """See `Routing.counts`."""
        if self._given is None:
            return None
        positions = on_device(real(self._given.shape[1]), self._given.device)
        return (self._given if positions is None else self._given & positions).sum(dim=1)


class SortedExperts(Routing):
    """Routing where rows are sorted by expert.

    Parameters
    ----------
    sizes : sequence of int
        Rows of each expert.
    tokens : Tokens or None
        Of all rows, where they are known.
    """

    def __init__(self, sizes: Sequence[int], tokens: Tokens | None) -> None:
        self.experts = len(sizes)
        self._sizes = list(sizes)
        self._tokens = tokens

    def split(self, response: torch.Tensor, call: int) -> list[ExpertRows] | None:  # noqa: ARG002
        """See `Routing.split`."""
        if len(response) != sum(self._sizes):
            return None
        parts = torch.split(response, self._sizes)
        return [
            ExpertRows(expert, part, self.tokens(expert))
            for expert, part in enumerate(parts)
            if len(part)
        ]

    def tokens(self, expert: int) -> Tokens | None:
        """See `Routing.tokens`."""
        if self._tokens is None:
            return None
        return Tokens(torch.split(self._tokens.index, self._sizes)[expert], self._tokens.total)

    def counts(self, real: RealTokens) -> torch.Tensor:
        """See `Routing.counts`."""
        tokens = self._tokens
        positions = None if tokens is None else on_device(real(tokens.total), tokens.index.device)
        if tokens is None or positions is None:
            return torch.tensor(self._sizes, device="cpu")
        parts = torch.split(positions[tokens.index], self._sizes)
        return torch.stack([part.sum() for part in parts])
