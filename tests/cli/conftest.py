"""Saved runs, and files of users' code, that tests of the command line share."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from iua_widget import IUA, IUAMonitor, IUAWarning

NETS = '''
"""What a user may have in a file."""
import numpy as np
import torch
from torch import nn

print("imported")


def make_model():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3), nn.Tanh())
    with torch.no_grad():
        net[0].bias[:3], net[0].bias[3:] = -100, 100
    return net


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        print("forward")
        return self.relu(x)


class Sizes:
    large = torch.ones(7, 4)


model = make_model()
loader = torch.linspace(-2, 2, 40).reshape(10, 4)
pairs = [(loader[:5], torch.arange(5) % 2), (loader[5:], torch.arange(5) % 2)]
responses = {"relu": np.eye(4), "gelu": np.ones((4, 2))}


def batches(batch_size):
    yield {"relu": np.eye(batch_size)}


def wide(width, depth=2):
    raise AssertionError


def fails():
    raise RuntimeError("no weights here")


def breaks_off():
    def stream():
        yield {"relu": np.zeros((3, 2))}
        raise OSError("disk on fire")
    return stream()


def parity(batch):
    return batch[1].tolist()


def first_two(model, batch):
    return model(batch[:2])
'''


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs: of one architecture `before` and `after`, and `other`."""
    folder = tmp_path_factory.mktemp("saved")
    rng = np.random.default_rng(0)
    maps = rng.random((5, 3, 4, 4))
    maps[:, 1] = 0
    head = np.maximum(rng.normal(size=(5, 8)), 0)
    for name, dead in (("before", [0]), ("after", [1, 2, 3])):
        head[:, :4] = 1
        head[:, dead] = 0
        responses = {"conv": maps, "head.relu": head}
        IUA.introspect(responses, engine="reference").save(folder / f"{name}.iua")
    IUA.introspect({"other": np.eye(2)}, engine="reference").save(folder / "other.iua")
    (folder / "junk.iua").write_bytes(b"junk")
    return folder


@pytest.fixture
def runs(saved: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of saved runs, as the current one."""
    monkeypatch.chdir(saved)
    return saved


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with code of a user's, as the current one; what is imported from it is forgotten."""
    (tmp_path / "mynets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A saved history of five looks, at which 0, 1, 4, 4 and 2 of eight units are dead."""
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Sigmoid())
    nn.init.constant_(net[2].weight, 1e-4)
    probes = torch.linspace(-1, 1, 40).reshape(10, 4)
    monitor = IUAMonitor(net, probes, engine="reference", atol=0, alarm="dead-units>3")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", IUAWarning)
        for look, dead in enumerate(([], [0], [0, 1, 2, 3], [2, 3, 4, 5], [2, 3])):
            net[0].bias.fill_(100)
            net[0].bias[dead] = -100
            monitor.look(100 * look)
    return monitor.save(tmp_path / "training.iuah")
