"""`IUACallback` for `transformers.Trainer`: looks at the model while it trains."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from transformers.trainer_callback import CallbackHandler, TrainerCallback

from iua_widget.errors import IUAWarning
from iua_widget.training.driven_monitor import DrivenMonitor, Processes
from iua_widget.training.monitor import IUAMonitor


class IUACallback(TrainerCallback):  # type: ignore[misc]
    """Looks at a model's inactive units while `transformers.Trainer` trains it.

    It looks before the first step and every hundred steps of the optimizer, whatever gradients are
    accumulated over. Training gives the same weights as without.

    Seven figures of the whole network go into the trainer's logs, and so to all trackers, to the
    progress bar and to ``trainer.state.log_history``, with what is logged next after a look:
    ``iua/dead_share``, ``iua/dead_units``, ``iua/newly_dead``, ``iua/revived`` (since the look
    before), ``iua/inactive_share``, ``iua/worst_layer_dead_share``, and ``iua/step``, the step of
    the look.

    With each checkpoint the history is saved, as ``iua_history.iuah`` in its folder, and training
    that resumes from there goes on with it. A checkpoint outside of ``output_dir`` has to be named
    by ``TrainingArguments(resume_from_checkpoint=...)``, too, to be found.

    Parameters
    ----------
    probes : iterable, Dataset, Tensor, numpy.ndarray, mapping or IUAMonitor, optional
        What is looked at: held-out inputs as for `IUA.introspect`. Or a monitor of the model, to
        have its widget on the page before training begins.
    processes : {"first", "each"}
        Where several processes train, whether the first alone looks, while the others wait for
        it at their next step; or each, at the probes that it is given. Each has to, at the same
        probes, where the model is split among them (FSDP, DeepSpeed ZeRO 3). What is logged is
        the first's.
        With the option ``distributed=True`` each looks at its part of the probes, and all have the
        sum: see `IUAMonitor`.
    prefix : str
        Of the names of the figures, and of the history's file: of two callbacks each needs its own.
    on_look : callable, optional
        Called with the monitor and the step after each look, such as
        ``lambda monitor, step: log_to_tensorboard(writer, monitor)``.
    **options
        Further arguments of `IUAMonitor`: `every`, `layers`, `units`, `alarm`, `on_alarm`, ...
        Where `on_alarm` returns True, training stops, in all processes.

    Attributes
    ----------
    monitor : IUAMonitor
        Of this training; raises an `IUAError` before it has begun.

    Raises
    ------
    ProducerError
        If `processes` is unknown; and when training begins, if the first process alone is to look
        at a model that is split among several.
    TypeError
        If an option is none of `IUAMonitor`, or is given beside a monitor that is made.

    Examples
    --------
    >>> callback = IUACallback([torch.ones(8, 4)], every=50, alarm="dead-share>=50%")

    Then ``Trainer(model, ..., callbacks=[callback])``.
    """

    def __init__(
        self,
        probes: Any = None,
        *,
        processes: Processes = "first",
        prefix: str = "iua",
        on_look: Callable[[IUAMonitor, int], object] | None = None,
        **options: Any,
    ) -> None:
        self._driven = DrivenMonitor(probes, options, processes, prefix, on_look)
        self._prefix = prefix

    @property
    def monitor(self) -> IUAMonitor:
        """The monitor of this training, or of the last."""
        return self._driven.monitor

    def on_init_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Come before the trackers."""
        _come_first(self)

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: Any, **_: Any) -> Any:
        """Take up the history of the checkpoint, and look."""
        _come_first(self)
        step, is_first = state.global_step, state.is_world_process_zero
        history = _history_file(args, step, self._file_name(args)) if step else None
        if step and history is None and self._driven.looks_in(is_first=is_first):
            warnings.warn(
                f"Training resumes at step {step:,}, and no history was found in "
                f"{_checkpoint(args, step)}: it begins here. Name the checkpoint in "
                "TrainingArguments(resume_from_checkpoint=...) if it lies elsewhere.",
                IUAWarning,
                stacklevel=2,
            )
        self._driven.begin(model, step, is_first=is_first, file=history)
        return self._stopped_by_alarm(args, control)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Look where it is time to."""
        if not self._driven.looks_between(state.global_step - 1, state.global_step):
            return control
        self._driven.look(state.global_step)
        return self._stopped_by_alarm(args, control)

    def on_log(
        self,
        args: Any,
        state: Any,
        control: Any,
        *,
        logs: dict[str, Any],
        **_: Any,
    ) -> None:
        """Add the figures of the last look to what is logged."""
        figures = self._driven.take_unlogged()
        logs.update(figures)
        if state.log_history:
            state.log_history[-1].update(figures)  # made of the logs before anyone is told of them

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save the history with the checkpoint."""
        folder = _checkpoint(args, state.global_step)
        if self._driven.made and folder.is_dir():
            self._driven.monitor.save(folder / self._file_name(args))

    def _file_name(self, args: Any) -> str:
        process = f"_{args.process_index}" if args.process_index else ""
        return f"{self._prefix.replace('/', '_')}_history{process}.iuah"

    def _stopped_by_alarm(self, args: Any, control: Any) -> Any:
        if _of_any_process(self._driven.should_stop, args.device):
            control.should_training_stop = True
        return control


def _come_first(callback: TrainerCallback) -> None:
    """Have a callback called before the trackers, which read the logs that it adds to.

    Trainer puts a user's callbacks after its own, and tells none of the others: it is read from the
    handler that calls.
    """
    frame = inspect.currentframe()
    while frame is not None and not isinstance(frame.f_locals.get("self"), CallbackHandler):
        frame = frame.f_back
    if frame is not None:
        callbacks = frame.f_locals["self"].callbacks
        callbacks.remove(callback)
        callbacks.insert(0, callback)


def _of_any_process(flag: bool, device: torch.device) -> bool:  # noqa: FBT001
    """Whether it is true in any process, which all ask at the same step."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return flag
    told = torch.tensor(int(flag), device=device)
    distributed.all_reduce(told, distributed.ReduceOp.MAX)
    return bool(told.item())


def _checkpoint(args: Any, step: int) -> Path:
    return Path(args.output_dir) / f"checkpoint-{step}"


def _history_file(args: Any, step: int, name: str) -> Path | None:
    """The history to go on with at a step: the one of the checkpoint, or of the last before it.

    Training may have been killed when a checkpoint was written, and its history was not.
    """
    named = args.resume_from_checkpoint
    folders = [Path(named)] if isinstance(named, str) else []
    if _checkpoint(args, step).is_dir():
        before = range(step, 0, -1)
        there = {file.parent for file in Path(args.output_dir).glob(f"checkpoint-*/{name}")}
        folders += [folder for one in before if (folder := _checkpoint(args, one)) in there]
    return next((file for folder in folders if (file := folder / name).is_file()), None)
