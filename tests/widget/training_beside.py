"""Trains models with a widget that counts them meanwhile, and without: see `test_training_beside`.

Prints a line a run. A process of its own, for what went wrong here once was a crash.
"""

from __future__ import annotations

import faulthandler
import hashlib
import random
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from iua_widget import IUAWidget
from iua_widget.capture import shadow

STEPS = {"plain": 1000, "drawing": 200}


class Augmented(torch.utils.data.Dataset[torch.Tensor]):
    """Draws from PyTorch's generator for each item."""

    def __len__(self) -> int:
        return 64_000

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.randn(16) + index % 2


def plain() -> tuple[nn.Module, Any]:
    """Layers alone, on batches that are there."""
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 32), nn.GELU())
    return model, [torch.randn(32, 16)] * 20_000


def drawing() -> tuple[nn.Module, Any]:
    """Normalized and dropped out, while the widget's loader shuffles and augments."""
    model = nn.Sequential(
        nn.Linear(16, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 32)
    )
    return model, DataLoader(Augmented(), batch_size=32, shuffle=True)


def wait_for_batch(shown: IUAWidget | None) -> None:
    """Have the widget count one more, if it is not at its end: on few cores it may be behind."""
    if shown is not None:
        counted = shown.iua.probes
        while shown.iua.probes == counted and shown.status == "running":
            time.sleep(1e-3)


def train(make: Any, seed: int, *, widget: bool, mode: str) -> str:
    """Train, and return a digest of the weights and of the program's random states."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    model, loader = make()
    inputs = TensorDataset(torch.randn(256, 16))
    shown = IUAWidget(model, loader, mode=mode, engine="reference") if widget else None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    wait_for_batch(shown)
    steps = 0
    while steps < STEPS[make.__name__]:
        for (x,) in DataLoader(inputs, batch_size=32, shuffle=True):
            optimizer.zero_grad()
            noise = random.random() + np.random.rand()  # noqa: NPY002
            model(x + 0.01 * noise).pow(2).mean().backward()
            optimizer.step()
            steps += 1
            if not all(module.training for module in model.modules()):
                raise AssertionError("not in training mode")
    wait_for_batch(shown)
    if shown is not None:
        if shown.status == "failed":
            raise AssertionError from shown.error
        shown.stop()
        notes = str(shown._run["notes"])
        if "weights changed while counting" not in notes:
            raise AssertionError(notes)
    parts = [*model.state_dict().values(), torch.get_rng_state()]
    whole = b"".join(part.numpy().tobytes() for part in parts)
    whole += repr((random.getstate(), np.random.rand(3).tolist())).encode()  # noqa: NPY002
    return hashlib.sha256(whole).hexdigest()


def main(rounds: int) -> None:
    """Train each way so many times."""
    faulthandler.enable()
    torch.set_num_threads(2)
    sys.setswitchinterval(1e-5)  # the threads meet all the more often, and nobody waits
    for seed in range(rounds):
        shadow._COPIED_THROUGHOUT = -1 if seed % 2 else 2**20  # type: ignore[misc]
        for make in (plain, drawing):
            mode = "train" if make is drawing and seed % 4 > 1 else "eval"
            alone = train(make, seed, widget=False, mode=mode)
            beside = train(make, seed, widget=True, mode=mode)
            sys.stdout.write(f"{make.__name__} {mode} {alone == beside}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
