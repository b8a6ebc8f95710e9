"""Recognizing modules of experts, and how a call of one routes tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from iua_widget.capture.routing import AllExperts, ChosenExperts, Routing
from iua_widget.capture.token_rows import count_rows, rows_of

_MATRIX: Final = 2
_FEWEST: Final = 2


_INTEGERS: Final = {torch.int64, torch.int32, torch.int16, torch.uint8, torch.int8}
_COUNTS: Final = ("num_experts", "num_local_experts", "num_routed_experts", "n_routed_experts")
"""Attributes in which modules of experts say how many there are."""


@dataclass(frozen=True, slots=True)
class ListedExpert:
    """An expert that is a module of its own, in a list of them.

    Attributes
    ----------
    module : str
        The list.
    expert : int
        Its place there, counted from 0.
    """

    module: str
    expert: int


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


def routing_of(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Routing | None:
    """The routing of a call of a module of experts; None for other modules.

    It is given hidden states, which are floating point, the experts chosen for each token, which
    are integers, and a weight for each of these. Where no weights are given, the module must hold
    the parameters of all experts itself: a language model is called with embeddings and a mask.
    Which comes first, and what comes by name, is the module's own affair.
    """
    if not may_have_experts(module):
        return None
    experts, stacked = number_of_experts(module), _stacked_experts(module)
    given = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.Tensor)]
    floats = [one for one in given if one.is_floating_point() and one.ndim > 1]
    choices = [one[:, None] if one.ndim == 1 else one for one in given if one.dtype in _INTEGERS]
    for chosen in choices if experts else ():
        if chosen.ndim != _MATRIX:
            continue
        by_token = [one for one in floats if count_rows(one) == len(chosen)]
        weighed = len(by_token) > 1 and any(one.shape == chosen.shape for one in by_token)
        if experts and (weighed or (by_token and stacked == experts)):
            return ChosenExperts(chosen, experts, _implementation(module))
    sure = named_for_experts(type(module).__name__)
    return AllExperts(floats[0], stacked, sure=sure) if stacked and floats else None


def sizes_given(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> list[int] | None:
    """Rows of each expert, where a module is given rows sorted by expert, and their numbers."""
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


def _stacked_experts(module: nn.Module) -> int | None:
    """For how many experts a module has stacked parameters."""
    lengths = {len(one) for one in module.parameters(recurse=False) if one.ndim > _MATRIX}
    return max(lengths) if len(lengths) == 1 and max(lengths) > 1 else None


def _implementation(module: nn.Module) -> str:
    """How `transformers` computes a module's experts: eagerly where its class has no choice."""
    if not hasattr(module, "has_gate"):
        return "eager"
    return getattr(module.config, "_experts_implementation", None) or "eager"
