"""Mixtures of experts: which rows of a response belong to which expert, and to which token.

Implementations gather the tokens of several experts in one tensor, or call one activation once for
each expert that is hit. Counted as they come, unit 7 would stand for the seventh unit of every
expert at once. The order of the rows is that of `transformers` (`integrations/moe.py`, version 5).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import nn

_MATRIX: Final = 2
_SEQUENCE: Final = 3
_INTEGERS: Final = {torch.int64, torch.int32, torch.int16, torch.uint8, torch.int8}
_COUNTS: Final = ("num_experts", "num_local_experts", "num_routed_experts", "n_routed_experts")
"""Attributes in which modules of experts say how many there are."""

RealTokens = Callable[[int], np.ndarray | None]
"""Given how many tokens there are, which are no padding: bool, of that length; None where all."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Which tokens of a batch the rows of a response are.

    Attributes
    ----------
    index : torch.Tensor of int64, shape (rows,)
        Flattened over items and positions.
    among : int
        How many tokens there are.
    """

    index: torch.Tensor
    among: int


@dataclass(frozen=True, slots=True)
class ExpertRows:
    """What one expert computed: a tensor of shape (rows, ...), and for which tokens."""

    expert: int
    tensor: torch.Tensor
    tokens: Tokens | None


class Routing(Protocol):
    """Where tokens go in one call of a module of experts."""

    experts: int
    sure: bool
    """Whether activations within are those of experts, and of nothing else."""

    eager: bool
    """Whether an activation is called once for each expert that is hit, in their order."""

    def split(self, response: torch.Tensor, call: int) -> list[ExpertRows] | None:
        """A response's rows by expert; None where they are not in an order that is known.

        Parameters
        ----------
        response : torch.Tensor, shape (rows, ...)
        call : int
            How many responses of the same activation came before in this call of the module.
        """
        ...

    def hit(self) -> list[int]:
        """The experts that a token is routed to, in ascending order."""
        ...

    def tokens(self, expert: int) -> Tokens | None:
        """The tokens of one expert, where they are known."""
        ...

    def counts(self, real: RealTokens) -> torch.Tensor | None:
        """How many tokens each expert gets: int64, shape (experts,); None where that is not known.

        Parameters
        ----------
        real : callable
            Given how many tokens there are, which are no padding.
        """
        ...


class ChosenExperts:
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
        positions = _on_device(real(len(self._chosen)), self._chosen.device)
        chosen = self._chosen if positions is None else self._chosen[positions]
        inside = chosen[(chosen >= 0) & (chosen < self.experts)]
        return torch.bincount(inside.long(), minlength=self.experts)


class AllExperts:
    """Routing where experts compute side by side, each on its copy of the tokens or all on one.

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

    eager = False

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
        lead, rows = response.shape[:-1], _rows(self._hidden)
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

    def hit(self) -> list[int]:
        """See `Routing.hit`."""
        return []

    def tokens(self, expert: int) -> None:
        """See `Routing.tokens`."""

    def counts(self, real: RealTokens) -> torch.Tensor | None:
        """See `Routing.counts`."""
        if self._given is None:
            return None
        positions = _on_device(real(self._given.shape[1]), self._given.device)
        return (self._given if positions is None else self._given & positions).sum(dim=1)


class SortedExperts:
    """Routing where what is computed is sorted by expert, so many rows each.

    Parameters
    ----------
    sizes : sequence of int
        Rows of each expert.
    tokens : Tokens or None
        Of all rows, where they are known.
    """

    sure = eager = False

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

    def hit(self) -> list[int]:
        """See `Routing.hit`."""
        return [expert for expert, size in enumerate(self._sizes) if size]

    def tokens(self, expert: int) -> Tokens | None:
        """See `Routing.tokens`."""
        if self._tokens is None:
            return None
        return Tokens(torch.split(self._tokens.index, self._sizes)[expert], self._tokens.among)

    def counts(self, real: RealTokens) -> torch.Tensor:
        """See `Routing.counts`."""
        tokens = self._tokens
        positions = None if tokens is None else _on_device(real(tokens.among), tokens.index.device)
        if tokens is None or positions is None:
            return torch.tensor(self._sizes, device="cpu")
        parts = torch.split(positions[tokens.index], self._sizes)
        return torch.stack([part.sum() for part in parts])


def number_of_experts(module: nn.Module) -> int | None:
    """How many experts a module says it has; None where it says nothing."""
    found = (getattr(module, name, None) for name in _COUNTS)
    return next((n for n in found if isinstance(n, int) and not isinstance(n, bool)), None)


def may_have_experts(module: nn.Module) -> bool:
    """Whether a module's calls must be watched for those of experts."""
    return number_of_experts(module) is not None or named_for_experts(type(module).__name__)


def named_for_experts(name: str) -> bool:
    """Whether a module's name or class says that it is an expert, or several."""
    return "expert" in name.lower()


def routing_of(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Routing | None:
    """The routing with which a module of experts is called; None where it is no such module.

    It is given hidden states, which are floating point, the experts chosen for each token, which
    are integers, and a weight for each of these. Where no weights are given, the module must hold
    the parameters of all experts itself: a language model is called with embeddings and a mask.
    Which comes first, and what comes by name, is the module's own affair.
    """
    if not may_have_experts(module):
        return None
    experts, held = number_of_experts(module), _held_experts(module)
    given = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.Tensor)]
    floats = [one for one in given if one.is_floating_point() and one.ndim > 1]
    choices = [one[:, None] if one.ndim == 1 else one for one in given if one.dtype in _INTEGERS]
    for chosen in choices if experts else ():
        if chosen.ndim != _MATRIX:
            continue
        by_token = [one for one in floats if _rows(one) == len(chosen)]
        weighed = len(by_token) > 1 and any(one.shape == chosen.shape for one in by_token)
        if experts and (weighed or (by_token and held == experts)):
            return ChosenExperts(chosen, experts, _implementation(module))
    sure = named_for_experts(type(module).__name__)
    return AllExperts(floats[0], held, sure=sure) if held and floats else None


def sizes_given(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> list[int] | None:
    """Rows of each expert, where a module is given rows sorted by expert and how many of each."""
    experts = number_of_experts(module)
    rows = rows_of(args, kwargs)
    for one in (*args, *kwargs.values()) if experts and rows is not None else ():
        if isinstance(one, torch.Tensor):
            if one.ndim != 1 or one.dtype not in _INTEGERS or len(one) != experts:
                continue
            one = one.tolist()  # noqa: PLW2901
        whole = isinstance(one, (list, tuple)) and all(isinstance(size, int) for size in one)
        if whole and len(one) == experts and rows is not None and sum(one) == len(rows):
            return list(one)
    return None


def rows_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    """What a module is given, one row a token: of sequences a position, otherwise an item."""
    tensors = (one for one in (*args, *kwargs.values()) if isinstance(one, torch.Tensor))
    first = next((one for one in tensors if one.is_floating_point()), None)
    if first is None or not first.ndim:
        return None
    if first.ndim > _SEQUENCE:
        return first.flatten(1)
    return first.reshape(math.prod(first.shape[:-1]), first.shape[-1])


def places_among(
    rows: torch.Tensor, among: torch.Tensor, real: np.ndarray | None = None
) -> torch.Tensor | None:
    """Which of other rows these are, bit for bit; None where one is none of them.

    Parameters
    ----------
    rows, among : torch.Tensor, shape (..., channels)
    real : numpy.ndarray of bool, optional
        Which of the others are no padding. Where only some of those are there that are equal, and
        these differ in this, it is None as well.

    Returns
    -------
    torch.Tensor of int64, shape (rows,)
        Equal rows in order.

    Examples
    --------
    >>> among = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> places_among(among[[2, 0, 0]], among)
    tensor([2, 0, 0])
    """
    if rows.shape[1:] != among.shape[1:] or rows.dtype != among.dtype or not len(among):
        return None
    keys, order = _keys(among).sort(stable=True)
    found, back = _keys(rows).sort(stable=True)
    # Equal rows one by one: where all that are equal are there, so are those that are no padding.
    first = torch.searchsorted(keys, found)
    many = torch.searchsorted(keys, found, right=True) - first
    ours = torch.searchsorted(found, found)
    rank = torch.arange(len(found), device=found.device) - ours
    place = order[(first + torch.minimum(rank, (many - 1).clamp(min=0))).clamp(max=len(keys) - 1)]
    label = _on_device(real, keys.device)
    if label is not None:
        fewer = torch.searchsorted(found, found, right=True) - ours != many
        labels = torch.cat([label.new_zeros(1).long(), label[order].long().cumsum(0)])
        kept = labels[(first + many).clamp(max=len(keys))] - labels[first]
        if bool((fewer & (kept > 0) & (kept < many)).any()):
            return None
    places = torch.empty_like(place)
    places[back] = place
    return places if torch.equal(rows, among[places]) else None


def _keys(rows: torch.Tensor) -> torch.Tensor:
    """A number for each row, the same for equal rows, whatever the order of summation: int64."""
    width = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[rows.element_size()]
    draw = np.random.default_rng(0).integers(-(2**62), 2**62, rows.shape[-1])
    odd = torch.from_numpy(draw * 2 + 1).to(rows.device)
    return (rows.contiguous().view(width).long() * odd).sum(dim=-1)


def _on_device(real: np.ndarray | None, device: torch.device) -> torch.Tensor | None:
    return None if real is None else torch.from_numpy(np.ascontiguousarray(real)).to(device)


def _rows(hidden: torch.Tensor) -> int:
    return math.prod(hidden.shape[:-1]) if hidden.ndim > 1 else -1


def _held_experts(module: nn.Module) -> int | None:
    """For how many experts a module holds the parameters, stacked."""
    stacked = {len(one) for one in module.parameters(recurse=False) if one.ndim > _MATRIX}
    return max(stacked) if len(stacked) == 1 and max(stacked) > 1 else None


def _implementation(module: nn.Module) -> str:
    """How `transformers` computes a module's experts: eagerly where its class has no choice."""
    if not hasattr(module, "has_gate"):
        return "eager"
    return getattr(module.config, "_experts_implementation", None) or "eager"
