"""`IUACallback` in a real `transformers.Trainer`: a tiny transformer, without a network."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from iua_widget import IUAError, IUAWarning
from iua_widget.training.monitor import IUAMonitor
from iua_widget.training.transformers_callback import IUACallback

pytestmark = pytest.mark.slow

FIGURES = {
    "iua/step",
    "iua/dead_share",
    "iua/dead_units",
    "iua/inactive_share",
    "iua/worst_layer_dead_share",
    "iua/newly_dead",
    "iua/revived",
}


def texts(count: int, seed: int) -> list[dict[str, torch.Tensor]]:
    ids = torch.randint(31, (count, 12), generator=torch.Generator().manual_seed(seed))
    return [{"input_ids": one, "labels": one} for one in ids]


PROBES = {"input_ids": torch.stack([one["input_ids"] for one in texts(20, seed=1)])}


def net() -> GPT2LMHeadModel:
    set_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=31,
            n_positions=12,
            n_embd=16,
            n_layer=2,
            n_head=2,
            activation_function="relu",
            bos_token_id=0,
            eos_token_id=0,
        )
    )


class Tracker(TrainerCallback):
    """Reads the logs as trackers do, which come before a user's callbacks."""

    def __init__(self) -> None:
        self.logged: list[dict[str, Any]] = []

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:  # noqa: ARG002
        self.logged.append(dict(given["logs"]))


def watching(**options: Any) -> IUACallback:
    return IUACallback(PROBES, **{"every": 2, "engine": "reference", **options})


def trainer(folder: Path, *callbacks: TrainerCallback, **arguments: Any) -> Trainer:
    settings = {
        "output_dir": str(folder),
        "max_steps": 6,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "learning_rate": 0.05,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
    }
    return Trainer(
        model=net(),
        args=TrainingArguments(**{**settings, **arguments}),
        train_dataset=texts(24, seed=2),
        callbacks=list(callbacks),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, IUACallback, Path]:
    """Trained from the first step to the last, with checkpoints."""
    folder = tmp_path_factory.mktemp("whole")
    callback = watching()
    trained = trainer(folder, callback, save_strategy="steps", save_steps=3)
    trained.train()
    return trained, callback, folder


def same_weights(one: Trainer, other: Trainer) -> bool:
    there = other.model.state_dict()
    return all(torch.equal(value, there[name]) for name, value in one.model.state_dict().items())


def test_weights_are_those_of_training_without(whole: Any, tmp_path: Path) -> None:
    trained, callback, _ = whole
    bare = trainer(tmp_path)
    bare.train()
    assert same_weights(trained, bare)
    assert [entry.get("loss") for entry in trained.state.log_history] == [
        entry.get("loss") for entry in bare.state.log_history
    ]
    assert callback.monitor.steps == [0, 2, 4, 6]


def test_history_is_that_of_looks_by_hand(whole: Any) -> None:
    trained, callback, _ = whole
    by_hand = IUAMonitor(trained.model, PROBES, engine="reference")
    by_hand.look(6)
    last = callback.monitor.history().query("step == 6").reset_index(drop=True)
    columns = ["response", "mean inactive", "dead units", "probes"]
    pd.testing.assert_frame_equal(last[columns], by_hand.history()[columns])
    assert list(last["kind"]) == ["ReLU"] * 2


def test_trackers_get_a_bounded_number_of_figures_once_a_look(tmp_path: Path) -> None:
    tracker = Tracker()
    trained = trainer(tmp_path, tracker, watching(), logging_steps=1)
    trained.train()
    looked = [entry for entry in tracker.logged if "iua/step" in entry]
    assert [entry["iua/step"] for entry in looked] == [0, 2, 4, 6]
    assert set(looked[-1]) - {"loss", "grad_norm", "learning_rate", "epoch"} == FIGURES
    assert all(isinstance(value, (int, float)) for value in looked[-1].values())
    kept = [entry["iua/step"] for entry in trained.state.log_history if "iua/step" in entry]
    assert kept == [0, 2, 4, 6]


def test_training_resumed_from_a_checkpoint_goes_on_with_the_history(
    whole: Any, tmp_path: Path
) -> None:
    trained, callback, folder = whole
    shutil.copytree(folder / "checkpoint-3", tmp_path / "checkpoint-3")
    again = watching()
    resumed = trainer(tmp_path, again)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert same_weights(resumed, trained)
    pd.testing.assert_frame_equal(again.monitor.history(), callback.monitor.history())


def test_a_checkpoint_elsewhere_is_found_by_its_name(whole: Any, tmp_path: Path) -> None:
    checkpoint = str(whole[2] / "checkpoint-3")
    again = watching()
    resumed = trainer(tmp_path, again, max_steps=4, resume_from_checkpoint=checkpoint)
    resumed.train(resume_from_checkpoint=resumed.args.resume_from_checkpoint)
    assert again.monitor.steps == [0, 2, 4]


def test_a_checkpoint_that_was_killed_goes_on_with_the_history_before(tmp_path: Path) -> None:
    saving = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    trainer(tmp_path, watching(), **saving).train()
    (tmp_path / "checkpoint-4" / "iua_history.iuah").unlink()
    again = watching()
    trainer(tmp_path, again).train(resume_from_checkpoint=True)
    assert again.monitor.steps == [0, 2, 6]


def test_a_checkpoint_without_history_begins_one_and_says_so(whole: Any, tmp_path: Path) -> None:
    again = watching()
    resumed = trainer(tmp_path, again, max_steps=4)
    with pytest.warns(IUAWarning, match="resumes at step 3, and no history"):
        resumed.train(resume_from_checkpoint=str(whole[2] / "checkpoint-3"))
    assert again.monitor.steps == [3, 4]


def test_training_goes_on_after_an_alarm_has_stopped_it(tmp_path: Path) -> None:
    alarm = {"alarm": "newly-dead>=0", "on_alarm": lambda event: event.step == 2}
    with pytest.warns(IUAWarning, match="Alarm at step 2"):
        trainer(tmp_path, watching(**alarm), save_strategy="steps", save_steps=2).train()
    callback = watching(**alarm)
    resumed = trainer(tmp_path, callback)
    resumed.train(resume_from_checkpoint=True)
    assert callback.monitor.steps == [0, 2, 4, 6]
    assert [event.step for event in callback.monitor.events] == [2]


def test_the_batches_of_training_are_looked_at_in_passing(whole: Any, tmp_path: Path) -> None:
    callback = IUACallback(on="train", every=2, engine="reference")
    trained = trainer(tmp_path, callback)
    trained.train()
    assert same_weights(trained, whole[0])
    history = callback.monitor.history()
    assert list(history["step"].unique()) == [2, 4, 6]
    assert set(history["probes"]) == {2 * 2 * 4 * 12}  # steps, batches, texts, tokens


def test_an_alarm_stops_training(tmp_path: Path) -> None:
    callback = watching(alarm="newly-dead>=0", on_alarm=lambda event: event.step == 2)
    trained = trainer(tmp_path, callback)
    with pytest.warns(IUAWarning, match="Alarm at step 2"):
        trained.train()
    assert trained.state.global_step == 2
    assert callback.monitor.steps == [0, 2]


def in_two_processes(script: str, *arguments: object) -> list[Any]:
    """What each prints last."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    runs = [
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name(script), *map(str, arguments)],
            env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    return [json.loads(run.communicate(timeout=200)[0].splitlines()[-1]) for run in runs]


def test_of_two_processes_the_first_looks_and_an_alarm_stops_both(tmp_path: Path) -> None:
    told = in_two_processes("two_processes.py", tmp_path)
    assert told == [{"steps": 2, "looks": [0, 2]}, {"steps": 2, "looks": None}]
    assert (tmp_path / "checkpoint-2" / "iua_history.iuah").is_file()


def test_a_model_that_is_split_among_processes_is_looked_at_by_each() -> None:
    for told in in_two_processes("split_model.py"):
        assert told["same"]
        assert "by processes='each'" in told["refused"]


def test_a_monitor_may_be_given_and_then_has_its_options(tmp_path: Path) -> None:
    trained = trainer(tmp_path, max_steps=2)
    monitor = IUAMonitor(trained.model, PROBES, every=1, engine="reference")
    seen = []
    callback = IUACallback(monitor, on_look=lambda one, step: seen.append((one, step)))
    trained.add_callback(callback)
    trained.train()
    assert callback.monitor is monitor
    assert seen == [(monitor, step) for step in (0, 1, 2)]
    with pytest.raises(TypeError, match="every is an option of IUAMonitor"):
        IUACallback(monitor, every=3)


def test_two_callbacks_keep_each_its_own_history(tmp_path: Path) -> None:
    one, other = watching(), watching(every=1, prefix="probe/all")
    trainer(tmp_path, one, other, max_steps=2, save_strategy="steps", save_steps=2).train()
    kept = {file.name: IUAMonitor.load(file).steps for file in tmp_path.rglob("*.iuah")}
    assert kept == {"iua_history.iuah": [0, 2], "probe_all_history.iuah": [0, 1, 2]}


def test_wrong_arguments_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match="evry"):
        IUACallback(PROBES, evry=3)
    with pytest.raises(ValueError, match="must be 'first' or 'each'; got 'frist'"):
        IUACallback(PROBES, processes="frist")  # type: ignore[arg-type]
    with pytest.raises(IUAError, match="made when training begins"):
        _ = IUACallback(PROBES).monitor
