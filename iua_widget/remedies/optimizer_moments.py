"""Clearing what an optimizer remembers of some entries of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import torch

from iua_widget.errors import RemedyError

_MOMENTS: Final = frozenset(
    {
        "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg",
        "grad_avg",
    }
)  # fmt: skip
"""Of Adam and its kin, SGD and RMSprop."""


def check_moments(optimizer: torch.optim.Optimizer, parameters: Iterable[torch.Tensor]) -> None:
    """Check that all is known that an optimizer remembers of the entries of parameters.

    Raises
    ------
    RemedyError
        If not, or it is no optimizer, or trains none of them.
    """
    if not isinstance(getattr(optimizer, "state", None), Mapping):
        message = (
            "optimizer must be a torch.optim.Optimizer, or None where its moments are cleared by "
            f"you; got {type(optimizer).__name__}."
        )
        raise RemedyError(message)
    held = {id(one) for group in optimizer.param_groups for one in group["params"]}
    changed = list(parameters)
    if changed and not any(id(one) in held for one in changed):
        message = (
            f"the {type(optimizer).__name__} given trains none of the parameters that begin anew: "
            "give the optimizer of this model, or None where its moments are cleared by you."
        )
        raise RemedyError(message)
    for parameter in changed:
        unknown = {name for name, _ in _of_entries(optimizer, parameter)} - _MOMENTS
        if unknown:
            message = (
                f"{type(optimizer).__name__} remembers {', '.join(sorted(unknown))} of each entry, "
                f"and what is known to be cleared is {', '.join(sorted(_MOMENTS))}. Give "
                "optimizer=None, and clear its state of the units that are returned."
            )
            raise RemedyError(message)


def clear_moments(
    optimizer: torch.optim.Optimizer, parameter: torch.Tensor, axis: int, entries: torch.Tensor
) -> None:
    """Set the moments of some entries along an axis to zero; the count of steps stays."""
    for _, moment in _of_entries(optimizer, parameter):
        moment.index_fill_(axis, entries, 0)


def _of_entries(
    optimizer: torch.optim.Optimizer, parameter: torch.Tensor
) -> Iterator[tuple[str, torch.Tensor]]:
    """What is remembered of each entry of a parameter."""
    state: Mapping[str, Any] = optimizer.state.get(parameter, {})
    for name, value in state.items():
        if isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.ndim:
            yield name, value
