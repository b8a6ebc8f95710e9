"""Tables of layers whose names no encoding has: pandas keeps texts in Arrow where it is there."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import torch

from iua_widget import IUA, IUAMonitor, response_infos

HALF = "half a pair \ud800"


def test_every_table_has_the_name() -> None:
    before, after = (IUA.introspect({HALF: ones * np.eye(3), "b": np.eye(3)}) for ones in (0, 1))
    names = [HALF, "b"]
    assert before.to_pandas()["response"].tolist() == names
    assert before.show()["response"].tolist() == names
    assert before.plan["layer"].tolist() == names
    assert before.compare(after).to_pandas()["response"].tolist() == names
    assert before.worst(6)["response"].tolist() == [HALF] * 3 + ["b"] * 3


def test_of_a_model_too() -> None:
    model = torch.nn.Sequential()
    model.add_module(HALF, torch.nn.Linear(2, 2))
    model.add_module("relu", torch.nn.ReLU())
    assert response_infos(model).to_pandas()["name"].tolist()[1:] == [HALF, "relu"]
    with closing(IUAMonitor(model, torch.eye(2), layers=torch.nn.Linear)) as monitor:
        monitor.look()
        assert monitor.history(layers="half*")["response"].tolist() == [HALF]
