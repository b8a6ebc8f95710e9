"""`Mixture`: the experts of one module, their layers, and their shares of the tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch

from iua_widget.capture.captured_response import CapturedResponse
from iua_widget.capture.routing import Tokens
from iua_widget.units.expert_load import ExpertLoad


@dataclass(slots=True)
class Mixture:
    """The experts of one module, and their layers as far as they have been called.

    Attributes
    ----------
    name : str
        The module of experts.
    experts : tuple of str
        The names of all.
    layers : dict of str to (int, CapturedResponse)
        By response: whose it is, and one like it that has no row.
    completed : int
        Layers when `complete` was called last.
    """

    name: str
    experts: tuple[str, ...]
    layers: dict[str, tuple[int, CapturedResponse]] = field(default_factory=dict)
    completed: int = 0

    def add(self, expert: int, captured: CapturedResponse) -> None:
        """Add a response of an expert."""
        if captured.name not in self.layers:
            tensor, tokens = captured.tensor, captured.tokens
            empty = tensor.new_empty((0, *tensor.shape[1:]))
            none = None if tokens is None else Tokens(tokens.index[:0].clone(), 0)
            self.layers[captured.name] = (
                expert,
                replace(captured, tensor=empty, tokens=none, before=None),
            )

    def complete(self, has: Callable[[str, CapturedResponse, CapturedResponse], bool]) -> None:
        """Give every expert the layers that the others have.

        Parameters
        ----------
        has : callable
            Given an expert, a layer that it lacks, and another expert's like it: whether it is one
            of its.
        """
        if len(self.layers) == self.completed:
            return
        for whose, like in list(self.layers.values()):
            before = len(self.experts[whose])
            for expert, name in enumerate(self.experts):
                response = name + like.name[before:]
                if response not in self.layers:
                    layer = replace(like.layer, name=name + like.layer.name[before:])
                    one = replace(like, name=response, layer=layer)
                    if has(name, one, like):
                        self.layers[response] = expert, one
        self.completed = len(self.layers)

    def loads(self, counts: torch.Tensor) -> Iterator[CapturedResponse]:
        """Every layer, without rows, and with the load of its expert.

        Parameters
        ----------
        counts : torch.Tensor of int64, shape (experts,)
        """
        tokens = counts.tolist()
        for expert, captured in self.layers.values():
            load = ExpertLoad(self.name, expert, len(tokens), tokens[expert], sum(tokens))
            yield replace(captured, load=load)
