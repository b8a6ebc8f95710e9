"""`IUACallback` in a real Lightning `Trainer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from iua_widget import IUAError, IUAWarning
from iua_widget.training.lightning_callback import IUACallback
from iua_widget.training.monitor import IUAMonitor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),  # Lightning 2.6's own
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
]

FIGURES = {
    "iua/step",
    "iua/dead_share",
    "iua/dead_units",
    "iua/inactive_share",
    "iua/worst_layer_dead_share",
    "iua/newly_dead",
    "iua/revived",
}
PROBES = torch.randn(24, 6, generator=torch.Generator().manual_seed(1))


class Net(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        loss = functional.cross_entropy(self(batch[0]), batch[1])
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.5)


def watching(**options: Any) -> IUACallback:
    return IUACallback(PROBES, **{"every": 2, "engine": "reference", **options})


def train(
    folder: Path, *callbacks: pl.Callback, ckpt_path: Path | None = None, **settings: Any
) -> tuple[pl.Trainer, Net]:
    torch.manual_seed(0)
    inputs = torch.randn(48, 6)
    data = TensorDataset(inputs, (inputs.sum(dim=1) > 0).long())
    net = Net()
    trainer = pl.Trainer(
        **{
            "default_root_dir": folder,
            "max_epochs": 2,
            "accelerator": "cpu",
            "accumulate_grad_batches": 2,
            "callbacks": list(callbacks),
            "logger": CSVLogger(folder),
            "log_every_n_steps": 3,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": any(isinstance(one, ModelCheckpoint) for one in callbacks),
            **settings,
        }
    )
    trainer.fit(net, DataLoader(data, batch_size=8), ckpt_path=ckpt_path)
    return trainer, net


def checkpoints(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(folder / "kept", filename="{step}", save_top_k=-1)


def same_weights(one: Net, other: Net) -> bool:
    there = other.state_dict()
    return all(torch.equal(value, there[name]) for name, value in one.state_dict().items())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trained from the first step to the last, with a checkpoint after each epoch of 3 steps."""
    folder = tmp_path_factory.mktemp("whole")
    callback = watching()
    trainer, net = train(folder, callback, checkpoints(folder))
    return trainer, net, callback, folder


def test_weights_are_those_of_training_without(whole: Any, tmp_path: Path) -> None:
    _, net, callback, _ = whole
    _, bare = train(tmp_path)
    assert same_weights(net, bare)
    assert callback.monitor.steps == [0, 2, 4, 6]


def test_history_is_that_of_a_look_by_hand(whole: Any) -> None:
    _, net, callback, _ = whole
    by_hand = IUAMonitor(net, PROBES, engine="reference")
    by_hand.look(6)
    last = callback.monitor.history().query("step == 6").reset_index(drop=True)
    columns = ["response", "mean inactive", "dead units", "probes"]
    pd.testing.assert_frame_equal(last[columns], by_hand.history()[columns])


def test_a_look_computes_in_the_precision_of_training(tmp_path: Path) -> None:
    callback = watching(layers="layers.0", every=3)
    _, net = train(tmp_path / "a", callback, precision="bf16-mixed", max_epochs=1)
    _, bare = train(tmp_path / "b", precision="bf16-mixed", max_epochs=1)
    assert same_weights(net, bare)
    in_half, in_single = (
        IUAMonitor(net, PROBES, layers="layers.0", engine="reference") for _ in range(2)
    )
    with torch.autocast("cpu", torch.bfloat16):
        in_half.look()
    in_single.look()
    looked, half, single = (
        one.iua().units("layers.0") for one in (callback.monitor, in_half, in_single)
    )
    pd.testing.assert_frame_equal(looked, half)
    assert not looked.equals(single)


def test_loggers_get_a_bounded_number_of_figures_at_each_look(whole: Any) -> None:
    trainer, _, callback, _ = whole
    logged = pd.read_csv(Path(trainer.logger.log_dir) / "metrics.csv")
    looked = logged.dropna(subset="iua/step")
    assert list(looked["step"]) == list(looked["iua/step"]) == callback.monitor.steps
    assert {name for name in logged if "iua" in name} == FIGURES
    assert {name for name in trainer.callback_metrics if "iua" in name} == FIGURES
    assert trainer.callback_metrics["iua/step"] == 6


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_training_resumed_from_a_checkpoint_goes_on_with_the_history(
    whole: Any, tmp_path: Path
) -> None:
    _, _, callback, folder = whole
    again, kept = watching(), folder / "kept" / "step=3.ckpt"
    _, resumed = train(tmp_path / "a", again, checkpoints(tmp_path / "a"), ckpt_path=kept)
    assert again.monitor.steps == [0, 2, 4, 6]
    before, there = (one.monitor.history().query("step < 3") for one in (again, callback))
    pd.testing.assert_frame_equal(before, there)
    last = again.monitor.history().query("step == 4")
    assert last["newly dead"].notna().all()
    _, bare = train(tmp_path / "b", checkpoints(tmp_path / "b"), ckpt_path=kept)
    assert same_weights(resumed, bare)


def test_the_batches_of_training_are_looked_at_in_passing(whole: Any, tmp_path: Path) -> None:
    callback = IUACallback(on="train", every=2, engine="reference")
    _, net = train(tmp_path, callback)
    assert same_weights(net, whole[1])
    history = callback.monitor.history()
    assert list(history["step"]) == [2, 4, 6]
    assert set(history["probes"]) == {2 * 2 * 8}  # steps, batches, inputs


def test_an_alarm_stops_training(tmp_path: Path) -> None:
    callback = watching(alarm="newly-dead>=0", on_alarm=lambda event: event.step == 2)
    with pytest.warns(IUAWarning, match="Alarm at step 2"):
        trainer, _ = train(tmp_path, callback)
    assert trainer.global_step == 2
    assert callback.monitor.steps == [0, 2]


def test_training_that_goes_on_by_a_second_fit_has_one_history(tmp_path: Path) -> None:
    callback = watching()
    trainer, net = train(tmp_path, callback, max_epochs=1)
    trainer.fit_loop.max_epochs = 2
    trainer.fit(net, DataLoader(TensorDataset(PROBES, torch.zeros(24).long()), batch_size=8))
    assert callback.monitor.steps == [0, 2, 4]
    train(tmp_path, callback, max_epochs=1)
    assert callback.monitor.steps == [0, 2]


def test_other_callbacks_see_the_figures(tmp_path: Path) -> None:
    stopping = EarlyStopping("iua/step", mode="min", patience=0, check_on_train_epoch_end=True)
    trainer, _ = train(tmp_path, watching(), stopping, max_epochs=5)
    assert trainer.current_epoch < 5


def test_two_callbacks_look_at_different_layers(tmp_path: Path) -> None:
    one, other = watching(), watching(layers="layers.0", prefix="linear")
    trainer, _ = train(tmp_path, one, other, max_epochs=1)
    assert other.monitor.layers == ["layers.0"]
    assert one.state_key != other.state_key
    assert {"iua/dead_share", "linear/dead_share"} <= set(trainer.callback_metrics)


def test_wrong_arguments_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match="evry"):
        watching(evry=3)
    with pytest.raises(ValueError, match="Did you mean 'first'"):
        watching(processes="frist")
    with pytest.raises(IUAError, match="made when training begins"):
        _ = watching().monitor
