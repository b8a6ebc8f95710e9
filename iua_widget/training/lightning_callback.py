"""`IUACallback` for Lightning's `Trainer`: looks at the model while it trains."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from iua_widget.training.driven_monitor import DrivenMonitor, Processes
from iua_widget.training.monitor import IUAMonitor


def _lightning() -> Any:
    """The one of Lightning's two packages that is in use: each has a Trainer of its own."""
    names = "lightning.pytorch", "pytorch_lightning"
    used = [name for name in names if name in sys.modules]
    there = [name for name in names if find_spec(name.partition(".")[0]) is not None]
    return import_module(next(iter([*used, *there]), names[0]))


_Callback: Any = _lightning().Callback


class IUACallback(_Callback):  # type: ignore[misc]
    """Looks at a model's inactive units while Lightning trains it.

    It looks before the first step and every hundred steps of the optimizer, whatever gradients are
    accumulated over. Training gives the same weights as without.

    Seven figures of the whole network go to all loggers at each look, at its step, and into
    ``trainer.callback_metrics``, where `EarlyStopping` and `ModelCheckpoint` find them:
    ``iua/dead_share``, ``iua/dead_units``, ``iua/newly_dead``, ``iua/revived`` (since the look
    before), ``iua/inactive_share``, ``iua/worst_layer_dead_share``, and ``iua/step``, the step of
    the look.

    The history is part of Lightning's checkpoints, and training that resumes from one goes on with
    it.

    Parameters
    ----------
    probes : iterable, Dataset, Tensor, numpy.ndarray, mapping or IUAMonitor, optional
        What is looked at: held-out inputs as for `IUA.introspect`, which the `LightningModule` is
        called with. Or a monitor of the model, to have its widget on the page before training
        begins, or to look at a part of the module.
    processes : {"first", "each"}
        Where several processes train, whether the first alone looks, while the others wait for
        it; or each, at the probes that it is given. Each has to, at the same probes, where the
        model is split among them (FSDP, DeepSpeed ZeRO 3). What is logged and kept is the first's.
        With the option ``distributed=True`` each looks at its part of the probes, and all have the
        sum: see `IUAMonitor`.
    prefix : str
        Of the names of the figures: of two callbacks each needs its own.
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
    >>> import torch
    >>> callback = IUACallback([torch.ones(8, 4)], every=50, alarm="dead-share>=50%")

    Then ``Trainer(..., callbacks=[callback])``.
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
        self._state: dict[str, Any] | None = None
        self._step = 0

    @property
    def monitor(self) -> IUAMonitor:
        """The monitor of this training, or of the last."""
        return self._driven.monitor

    @property
    def state_key(self) -> str:
        """By what its state is found in a checkpoint: two callbacks differ by their prefixes."""
        return str(self._generate_state_key(prefix=self._prefix))

    def state_dict(self) -> dict[str, Any]:
        """The history, for a checkpoint."""
        return self.monitor.state_dict() if self._driven.made else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the history of a checkpoint when training begins."""
        self._state = state_dict or None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Take up the history of the checkpoint, and look."""
        self._step, state, self._state = trainer.global_step, self._state, None
        is_first = trainer.is_global_zero
        with trainer.precision_plugin.forward_context():  # a look computes as training does
            self._driven.begin(pl_module, self._step, is_first=is_first, state=state)
        _send(trainer, self._driven.take_unlogged(), self._step)
        self._stop_by_alarm(trainer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Look where the optimizer has made a step at which it is time to."""
        before, self._step = self._step, trainer.global_step
        if not self._driven.looks_between(before, self._step):
            return
        with trainer.precision_plugin.forward_context():
            self._driven.look(self._step)
        figures = self._driven.take_unlogged()
        _send(trainer, figures, self._step)
        told = trainer.strategy.broadcast(figures)  # what a callback watches, all have to know
        pl_module.log_dict(told, logger=False, on_step=True, on_epoch=False)
        self._stop_by_alarm(trainer)

    def _stop_by_alarm(self, trainer: Any) -> None:
        stop = trainer.strategy.reduce_boolean_decision(self._driven.should_stop, all=False)
        trainer.should_stop = trainer.should_stop or stop


def _send(trainer: Any, figures: dict[str, float], step: int) -> None:
    """Send figures to the loggers at a step that need not be one at which Lightning logs."""
    for logger in trainer.loggers if figures else ():
        logger.log_metrics(figures, step)
