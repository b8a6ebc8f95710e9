"""What the checks on several ranks share: the job, a model, and how results are compared.

Imported in a script that is called with a folder, a port, the rank and the number of ranks.
"""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from iua_widget import IUA, IUAError

FOLDER = Path(sys.argv[1])
PORT, RANK, SIZE = map(int, sys.argv[2:])
torch.set_num_threads(1)
dist.init_process_group("gloo", f"tcp://127.0.0.1:{PORT}", rank=RANK, world_size=SIZE)

FLOATING = {"abs_sum", "square_sum", "pre_sum"}
CHECKS: list[Callable[[], None]] = []


def check(function: Callable[[], None]) -> Callable[[], None]:
    CHECKS.append(function)
    return function


def rounded(values: torch.Tensor, parts: int) -> torch.Tensor:
    """So that sums of products are exact, whatever the batch and the order."""
    return (values * parts).round() / parts


def exact(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(rounded(parameter, 32))
    return model


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relu = nn.Conv2d(1, 3, 3), nn.ReLU()
        self.head, self.out = nn.Linear(3 * 16, 5), nn.ReLU()
        exact(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.head(self.relu(self.conv(x)).flatten(1)))


IMAGES = rounded(torch.randn(42, 1, 6, 6, generator=torch.Generator().manual_seed(1)), 8)
IMAGES[17, 0, 2, 3] = torch.nan
OPTIONS: dict[str, Any] = {"engine": "reference", "atol": 1e-3}


def counted(model: Any, *inputs: Any, **options: Any) -> IUA:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return IUA.introspect(model, *inputs, **{**OPTIONS, **options})


def assert_same(whole: IUA, alone: IUA, *, in_order: bool = True) -> None:
    """Whether counts are the same bit for bit, and what is floating but for rounding."""
    assert whole.layers == alone.layers
    assert whole.probes == alone.probes
    assert whole.tolerances == alone.tolerances
    for layer in whole.layers:
        here, there = (iua._run.tallies[layer].state() for iua in (whole, alone))
        assert {**here.facts, "first_non_finite": 0} == {**there.facts, "first_non_finite": 0}
        assert here.arrays.keys() == there.arrays.keys()
        for name, array in here.arrays.items():
            one, other = array, there.arrays[name]
            if name == "inactive" and not in_order:
                one, other = np.sort(one), np.sort(other)
            if name in FLOATING:
                np.testing.assert_allclose(one, other, rtol=1e-12)
            else:
                np.testing.assert_array_equal(one, other, err_msg=f"{layer} {name}")


def assert_same_on_all(iua: IUA, group: Any = None) -> None:
    digests: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(digests, hashlib.sha256(iua.to_bytes()).hexdigest(), group)
    assert len(set(digests)) == 1


def told_by_all(told: Any) -> list[Any]:
    """What every rank tells, on each of them."""
    answers: list[Any] = [None] * SIZE
    dist.all_gather_object(answers, told)
    return answers


def raised(call: Callable[[], Any]) -> IUAError:
    try:
        call()
    except IUAError as error:
        return error
    raise AssertionError("no error")


def assert_raised_on_all(call: Callable[[], Any], *words: str) -> IUAError:
    error = raised(call)
    told = told_by_all(f"{type(error).__name__}: {error}")
    assert len(set(told)) == 1, told
    assert all(word in told[0] for word in words), told[0]
    return error
