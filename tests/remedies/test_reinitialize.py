"""`reinitialize`: dead or dormant units begin anew, and all else stays, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from iua_widget import IUA, IUAWarning, RemedyError, reinitialize

ROWS = [1, 4]
"""The units planted dead."""


def net() -> nn.Module:
    torch.manual_seed(0)
    layers = [
        *(nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(20, 8), nn.ReLU()),
        nn.Linear(8, 3),
    ]
    model: Any = nn.Sequential(*layers)
    with torch.no_grad():
        model[0].weight[ROWS] = model[4].weight[ROWS] = model[7].weight[ROWS] = 0
        model[0].bias[ROWS] = model[4].bias[ROWS] = model[7].bias[ROWS] = -3
        model[1].bias[:] = 0.5
        model[1].bias[ROWS] = -60
    return model


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def trained(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for _ in range(3):
        optimizer.zero_grad()
        output = model(images(8))
        (output.square().sum() + sum(one.sum() for one in model.parameters())).backward()
        optimizer.step()


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adam": lambda of: torch.optim.Adam(of, lr=1e-5, amsgrad=True),
    "adamw": lambda of: torch.optim.AdamW(of, lr=1e-5),
    "sgd": lambda of: torch.optim.SGD(of, lr=1e-5, momentum=0.9),
    "rmsprop": lambda of: torch.optim.RMSprop(of, lr=1e-5, centered=True, momentum=0.5),
    "plain sgd": lambda of: torch.optim.SGD(of, lr=1e-5),
}


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
def test_what_belongs_to_dead_units_begins_anew_and_nothing_else(optimizer_name: str) -> None:
    model: Any = net()
    optimizer = OPTIMIZERS[optimizer_name](model.parameters())
    trained(model, optimizer)
    iua = IUA.introspect(model, images(30), engine="reference")
    before = {name: one.clone() for name, one in model.state_dict().items()}
    moments = {
        (name, kind): one.clone()
        for name, parameter in model.named_parameters()
        for kind, one in optimizer.state[parameter].items()
        if isinstance(one, torch.Tensor)
    }
    generator = torch.Generator().manual_seed(5)
    random = torch.random.get_rng_state()
    result = reinitialize(model, iua, optimizer, generator=generator)
    assert torch.equal(torch.random.get_rng_state(), random)
    units = {name: set(found.tolist()) for name, found in result.units.items()}
    assert set(units) == {"0", "4", "7"}
    assert all(set(ROWS) <= found for found in units.values())
    assert result.kept == {}
    touched = masks(before, units)
    for name, after in model.state_dict().items():
        assert torch.equal(after[~touched[name]], before[name][~touched[name]]), name
    for (name, kind), was in moments.items():
        parameter = model.get_parameter(name)
        now = optimizer.state[parameter][kind]
        if was.shape != parameter.shape:
            assert torch.equal(now, was)  # the count of steps
            continue
        assert torch.equal(now[~touched[name]], was[~touched[name]])
        assert (now[touched[name]] == 0).all()
    # Incoming anew, within the layers' own bounds; outgoing zero.
    dead = sorted(units["7"])
    assert (model[9].weight[:, dead] == 0).all()
    assert model[7].bias[dead].abs().max() <= 20**-0.5
    alive = [place for place in range(20) if place // 4 not in units["4"]]
    assert (model[7].weight[dead][:, alive] != 0).all()
    assert (model[7].weight[:, [p for p in range(20) if p not in alive]] == 0).all()
    assert (model[1].weight[ROWS] == 1).all()
    assert (model[1].running_mean[ROWS] == 0).all()


def masks(tensors: dict[str, torch.Tensor], units: dict[str, set[int]]) -> dict[str, torch.Tensor]:
    """Which entries may have changed."""
    found = {name: torch.zeros_like(one, dtype=torch.bool) for name, one in tensors.items()}
    one, two, three = (sorted(units[name]) for name in ("0", "4", "7"))
    for name in ("0.weight", "0.bias", *(f"1.{n}" for n in ("weight", "bias"))):
        found[name][one] = True
    found["1.running_mean"][one] = found["1.running_var"][one] = True
    found["4.weight"][:, one] = True
    found["4.weight"][two] = found["4.bias"][two] = True
    found["7.weight"][:, [4 * unit + place for unit in two for place in range(4)]] = True
    found["7.weight"][three] = found["7.bias"][three] = True
    found["9.weight"][:, three] = True
    return found


def test_outputs_do_not_move_where_units_were_dead() -> None:
    model = net().eval()
    data = images(30)
    before = model(data)
    reinitialize(model, IUA.introspect(model, data, engine="reference"))
    torch.testing.assert_close(model(data), before)


def test_a_generator_decides_what_is_drawn() -> None:
    drawn = []
    for seed in (1, 1, 2):
        model = net()
        iua = IUA.introspect(model, images(30), engine="reference")
        torch.manual_seed(len(drawn))
        reinitialize(model, iua, generator=torch.Generator().manual_seed(seed))
        drawn.append(torch.cat([one.flatten() for one in model.parameters()]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_layers_begin_as_they_are_asked_to() -> None:
    model: Any = net()
    iua = IUA.introspect(model, images(30), engine="reference")

    def initialize(layer: nn.Module) -> None:
        nn.init.constant_(layer.weight, 0.25)
        nn.init.zeros_(layer.bias)

    result = reinitialize(model, iua, layers="8", initialize=initialize)
    (units,) = result.units.values()
    assert (model[7].weight[units] == 0.25).all()
    assert (model[7].bias[units] == 0).all()
    assert set(result.units) == {"7"}


def test_dormant_units_are_those_of_tau() -> None:
    model: Any = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        model[0].weight[2] = 0
        model[0].bias[2] = 1e-3  # active on every probe, and dormant
    iua = IUA.introspect(model, torch.randn(50, 4), engine="reference")
    dormant = np.flatnonzero(iua.units("1", tau=0.05)["dormant"])
    assert 2 in dormant
    assert 2 not in iua.dead_units()["1"]
    assert reinitialize(model, iua, tau=0.05).units["0"].tolist() == dormant.tolist()
    with pytest.raises(RemedyError, match="tau chooses dormant units, in which dead_share, atol"):
        reinitialize(model, iua, tau=0.05, atol=1e-3)


def test_what_an_optimizer_remembers_in_other_ways_is_refused_and_nothing_changed() -> None:
    model = net()
    optimizer = torch.optim.Rprop(model.parameters(), lr=1e-5)
    trained(model, optimizer)
    iua = IUA.introspect(model, images(30), engine="reference")
    before = {name: one.clone() for name, one in model.state_dict().items()}
    with pytest.raises(RemedyError, match="Rprop remembers prev, step_size of each entry"):
        reinitialize(model, iua, optimizer)
    of_another = torch.optim.Adam(net().parameters())
    with pytest.raises(RemedyError, match="the Adam given trains none of the parameters"):
        reinitialize(model, iua, of_another)
    with pytest.raises(RemedyError, match=r"optimizer must be a torch\.optim\.Optimizer, or None"):
        reinitialize(model, iua, "adam")  # type: ignore[arg-type]
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())


def test_layers_in_no_chain_stay_with_a_warning() -> None:
    model: Any = nn.Sequential(net(), nn.ReLU())
    with torch.no_grad():
        model[0][9].bias[:] = -100
    iua = IUA.introspect(model, images(30), engine="reference")
    with pytest.warns(IUAWarning, match="Not initialized anew: '1': it is what the model returns"):
        result = reinitialize(model, iua)
    assert set(result.units) == {"0.0", "0.4", "0.7"}
    assert result.kept == {"1": "it is what the model returns"}
