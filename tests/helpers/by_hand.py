"""Counting by hand: what the package is held against, sharing no code with it."""

from __future__ import annotations

import copy
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import nn

from iua_widget import IUA


def outputs_by_hand(
    model: nn.Module, batches: Iterable[Any], names: Iterable[str]
) -> dict[str, list[np.ndarray]]:
    """Every output of the modules named, in a deep copy of the model, in evaluation mode."""
    model = copy.deepcopy(model).eval()
    kept: defaultdict[str, list[np.ndarray]] = defaultdict(list)

    def keep(name: str) -> Callable[..., None]:
        return lambda _module, _args, output: kept[name].append(output.float().numpy().copy())

    for name in names:
        model.get_submodule(name).register_forward_hook(keep(name))
    with torch.no_grad():
        for batch in batches:
            model(**batch) if isinstance(batch, dict) else model(batch)
    return dict(kept)


def assert_counts(iua: IUA, layer: str, values: np.ndarray, atol: float) -> None:
    """Compare a layer with responses of shape (probes, ...), counted here."""
    inactive = np.isclose(values, 0, atol=atol)
    per_probe = inactive.reshape(len(values), -1).sum(axis=1)
    result = iua.at(atol=atol).results[layer]
    assert result.probes == len(values)
    np.testing.assert_array_equal(result.unit_inactive_count, inactive.sum(axis=0))
    np.testing.assert_allclose(result.mean_inactive, per_probe.mean(), rtol=1e-12)
    np.testing.assert_allclose(result.std_inactive, per_probe.std(), rtol=1e-9, atol=1e-12)
    flat = inactive.reshape(len(values), -1)
    assert result.dead == dead_by_hand(np.abs(values).reshape(flat.shape), flat).sum()


def dead_by_hand(values: np.ndarray, inactive: np.ndarray, share: float = 1.0) -> np.ndarray:
    """Which units are inactive on enough of the probes on which they are finite: bool, (units,).

    Values and what is inactive of them are of shape (probes, units).
    """
    finite = np.isfinite(values)
    needed = [max(math.ceil(Fraction(repr(share)) * int(n)), 1) for n in finite.sum(axis=0)]
    dead: np.ndarray = (inactive & finite).sum(axis=0) >= np.array(needed, np.int64)
    return dead


def everything(model: nn.Module) -> dict[str, Any]:
    """All there is to know of a model and of the process's randomness, copied."""
    return {
        "modes": [module.training for module in model.modules()],
        "hooks": [
            [list(getattr(module, hooks)) for hooks in vars(module) if hooks.endswith("_hooks")]
            for module in model.modules()
        ],
        "tensors": {
            name: tensor.detach().clone()
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]
        },
        "ids": [id(tensor) for tensor in [*model.parameters(), *model.buffers()]],
        "requires_grad": [parameter.requires_grad for parameter in model.parameters()],
        "grads": [
            None if parameter.grad is None else parameter.grad.clone()
            for parameter in model.parameters()
        ],
        "attributes": [
            {
                name: copy.copy(value)
                for name, value in vars(module).items()
                if isinstance(value, (int, float, str, list, dict, type(None)))
                and not name.startswith("_")
            }
            for module in model.modules()
        ],
        "random": (random.getstate(), _numpy_state(), torch.get_rng_state().clone()),
        "grad mode": torch.is_grad_enabled(),
        "global hooks": (
            len(torch.nn.modules.module._global_forward_hooks),
            len(torch.nn.modules.module._global_forward_pre_hooks),
        ),
    }


def assert_untouched(before: dict[str, Any], after: dict[str, Any]) -> None:
    for what, value in before.items():
        assert _alike(value, after[what]), f"{what} changed"


def _numpy_state() -> list[Any]:
    state = np.random.get_state()  # noqa: NPY002  (the generator that others draw from)
    return [part.tolist() if isinstance(part, np.ndarray) else part for part in state]


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)
