"""The lines of docs/training.md that need more than a model and a loader run, too."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from test_lightning_callback import PROBES, Net
from torch.utils.data import DataLoader, TensorDataset

from iua_widget import IUA, IUAMonitor

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def lines_on(title: str) -> str:
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"^```py\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return block


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
def test_the_lines_on_lightning() -> None:
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    data = TensorDataset(PROBES, torch.zeros(len(PROBES), dtype=torch.long))
    scope: dict[str, Any] = {
        "Trainer": partial(pl.Trainer, accelerator="cpu", max_epochs=1, **quiet),
        "module": Net(),
        "loader": DataLoader(data, batch_size=8),
        "held_out": PROBES,
    }
    exec(lines_on("Lightning"), scope)
    assert scope["callback"].monitor.steps == [0]


def test_the_lines_on_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MODE": "offline", "SILENT": "true", "DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monitor = IUAMonitor(Net(), PROBES, engine="reference")
    monitor.look()
    scope: dict[str, Any] = {"monitor": monitor}
    exec(lines_on("Weights & Biases"), scope)
    assert list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))


def test_the_lines_on_keras() -> None:
    """With a stand-in for Keras, which calls what it calls."""
    weights = np.array([1.0, 1.0, 0.0])

    def responses(batch_size: int) -> Any:
        yield {"relu": np.maximum(np.ones((batch_size, 3)) * weights, 0)}

    class Model:
        logged: dict[str, float]

        def fit(self, *_: Any, callbacks: list[Any]) -> None:
            for callback in callbacks:
                callback.on_train_begin()
                for epoch in range(3):
                    weights[0] = 1 - epoch
                    self.logged = {}
                    callback.on_epoch_end(epoch, self.logged)

    scope: dict[str, Any] = {
        "keras": SimpleNamespace(callbacks=SimpleNamespace(Callback=object)),
        "IUA": IUA,
        "responses": responses,
        "model": (model := Model()),
        "x": None,
        "y": None,
    }
    exec(lines_on("Keras"), scope)
    assert model.logged == {"dead units": 2}
    first, *_, last = scope["looks"].looks
    assert first.compare(last).newly_dead["relu"].tolist() == [True, False, False]
