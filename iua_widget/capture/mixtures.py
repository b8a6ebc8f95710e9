"""The mixtures of a model's experts: which layers are whose, and what each got of the tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from iua_widget.capture.experts import (
    Tokens,
    may_have_experts,
    named_for_experts,
    number_of_experts,
)
from iua_widget.units.expert_load import ExpertLoad

if TYPE_CHECKING:
    from iua_widget.capture.watch import Capture

_FEWEST: Final = 2


@dataclass(frozen=True, slots=True)
class ListedExpert:
    """An expert that is a module of its own, in a list of such.

    Attributes
    ----------
    module : str
        The list.
    expert : int
        Its place there, counted from 0.
    """

    module: str
    expert: int


@dataclass(slots=True)
class Mixture:
    """The experts of one module, as far as they have been met.

    Attributes
    ----------
    name : str
        The module of experts.
    experts : tuple of str
        The names of all.
    layers : dict of str to (int, Capture)
        By response: whose it is, and one like it that has no row.
    completed : int
        Layers when `complete` was called last.
    """

    name: str
    experts: tuple[str, ...]
    layers: dict[str, tuple[int, Capture]] = field(default_factory=dict)
    completed: int = 0

    def met(self, expert: int, capture: Capture) -> None:
        """Note a response of an expert's."""
        if capture.name not in self.layers:
            tensor, tokens = capture.tensor, capture.tokens
            empty = tensor.new_empty((0, *tensor.shape[1:]))
            none = None if tokens is None else Tokens(tokens.index[:0].clone(), 0)
            self.layers[capture.name] = expert, replace(capture, tensor=empty, tokens=none)

    def complete(self, has: Callable[[str, Capture, Capture], bool]) -> None:
        """Give every expert the layers of the others.

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

    def loads(self, counts: torch.Tensor) -> Iterator[Capture]:
        """Every layer without a row, and what its expert got of the tokens.

        Parameters
        ----------
        counts : torch.Tensor of int64, shape (experts,)
        """
        tokens = counts.tolist()
        for expert, capture in self.layers.values():
            load = ExpertLoad(self.name, expert, len(tokens), tokens[expert], sum(tokens))
            yield replace(capture, load=load)


def listed_experts(modules: Mapping[str, nn.Module]) -> dict[str, ListedExpert]:
    """The experts of a model that are modules of their own, by name.

    They are the children of a list that is named for experts, or of one that is as long as the
    module above it has experts.

    Parameters
    ----------
    modules : mapping of str to torch.nn.Module
        By their names.

    Examples
    --------
    >>> model = nn.ModuleDict({"experts": nn.ModuleList(nn.Linear(2, 2) for _ in range(2))})
    >>> listed_experts(dict(model.named_modules()))["experts.1"]
    ListedExpert(module='experts', expert=1)
    """
    found: dict[str, ListedExpert] = {}
    for name, module in modules.items():
        if not isinstance(module, (nn.ModuleList, nn.ModuleDict)) or len(module) < _FEWEST:
            continue
        above, _, last = name.rpartition(".")
        if named_for_experts(last) or named_for_experts(type(module).__name__):
            said = True
        else:
            owner = modules.get(above) if above else next(iter(modules.values()))
            inner = (one for child in module.children() for one in child.modules())
            said = (
                owner is not None
                and number_of_experts(owner) == len(module)
                and not any(map(may_have_experts, inner))
            )
        if said:
            # A dictionary may hold more than its experts.
            children = list(module.named_children())[: number_of_experts(module)]
            for place, (key, _) in enumerate(children):
                found[f"{name}.{key}"] = ListedExpert(name, place)
    return found
