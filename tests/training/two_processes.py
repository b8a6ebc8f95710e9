"""Trains in one of two processes that share their gradients: what a test starts twice."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import torch
from torch import nn
from transformers import Trainer, TrainingArguments

from iua_widget.training.transformers_callback import IUACallback


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.relu, self.head = nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.head(self.relu(self.linear(x)))
        return {"loss": nn.functional.cross_entropy(scores, labels), "logits": scores}


def main(folder: Path) -> None:
    inputs = torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
    data = [{"x": one, "labels": (one.sum() > 0).long()} for one in inputs]
    probes = {"x": inputs, "labels": torch.zeros(len(inputs), dtype=torch.long)}
    callback = IUACallback(
        probes,
        every=2,
        engine="reference",
        alarm="newly-dead>=0",
        on_alarm=lambda event: event.step == 2,
    )
    arguments = TrainingArguments(
        str(folder),
        max_steps=8,
        per_device_train_batch_size=4,
        use_cpu=True,
        ddp_backend="gloo",
        save_steps=1,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = Trainer(Net(), arguments, train_dataset=data, callbacks=[callback])
    trainer.train()
    looks = callback.monitor.steps if callback._driven.made else None
    print(json.dumps({"steps": trainer.state.global_step, "looks": looks}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
