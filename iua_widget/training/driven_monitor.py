"""A monitor that a trainer drives: made when the model is known, at the trainer's own steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from torch import distributed

from iua_widget.common.words import did_you_mean
from iua_widget.errors import IUAError, ProducerError
from iua_widget.options import check_count
from iua_widget.training.monitor import IUAMonitor
from iua_widget.training.tracked_look import TrackedLook

Processes = Literal["first", "each"]
"""Which of several processes look."""


class DrivenMonitor:
    """What the callbacks of Trainer and of Lightning share: see these for the arguments.

    Raises
    ------
    ProducerError
        If `processes` is unknown.
    TypeError
        If an option is none of `IUAMonitor`, or is given beside a monitor that is made.
    """

    def __init__(
        self,
        probes: Any,
        options: dict[str, Any],
        processes: Processes,
        prefix: str,
        on_look: Callable[[IUAMonitor, int], object] | None,
    ) -> None:
        if processes not in get_args(Processes):
            hint = did_you_mean(processes, get_args(Processes))
            message = f"processes must be 'first' or 'each'; got {processes!r}.{hint}"
            raise ProducerError(message)
        self._given = probes if isinstance(probes, IUAMonitor) else None
        known = list(inspect.signature(IUAMonitor).parameters)[2:]
        for name in options.keys() - known:
            message = (
                f"IUACallback() got an unexpected argument {name!r}.{did_you_mean(name, known)}"
            )
            raise TypeError(message)
        if options and self._given is not None:
            message = (
                f"{next(iter(options))} is an option of IUAMonitor, which is made already: give "
                "options there, or give the probes here in place of the monitor."
            )
            raise TypeError(message)
        self._probes, self._options = probes, options
        together = options.get("distributed") if self._given is None else self._given.distributed
        self._processes: Processes = "each" if together else processes
        self._prefix, self._on_look = prefix, on_look
        self._every = (
            self._given.every
            if self._given is not None
            else check_count("every", options.get("every", 100))
        )
        self._monitor = self._given
        self._model: Any = None
        self._looks_here = True
        self._unlogged: dict[str, float] = {}

    @property
    def monitor(self) -> IUAMonitor:
        """The monitor of this training, or of the last.

        Raises
        ------
        IUAError
            If there is none yet, or it is in another process.
        """
        if self._monitor is None:
            message = (
                "there is no monitor yet: it is made when training begins, in the first process. "
                "Give the callback an IUAMonitor of the model to have it before."
            )
            raise IUAError(message)
        return self._monitor

    @property
    def made(self) -> bool:
        """Whether this process looks, and has begun to."""
        return self._monitor is not None and self._looks_here

    def begin(
        self,
        model: Any,
        step: int,
        *,
        is_first: bool,
        file: Path | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin a training, or go on with one, and look.

        Parameters
        ----------
        model : torch.nn.Module
        step : int
            Steps of training that were made before.
        is_first : bool
            Whether this is the first process, or the only one.
        file, state : optional
            What was saved of the monitor with the checkpoint that training goes on from.

        Raises
        ------
        ProducerError
            If the first process alone is to look at a model that is split among several.
        """
        if self._processes == "first" and _is_split(model):
            message = (
                "the model is split among the processes that train it (FSDP, tensor parallelism, "
                "DeepSpeed ZeRO 3), and a pass takes them all: have each look, at the same probes, "
                "by processes='each'."
            )
            raise ProducerError(message)
        self._looks_here = self.looks_in(is_first=is_first)
        if not self._looks_here:
            return
        if self._given is not None:
            state = state if file is None else IUAMonitor.load(file).state_dict()
        elif file is not None:
            self._monitor = IUAMonitor.load(file, model, self._probes, **self._options)
        elif step == 0 or state is not None or model is not self._model:
            self._monitor = IUAMonitor(model, self._probes, **self._options)
        self._model = model
        if state is not None:
            self.monitor.load_state_dict(state)
        if self.monitor.on == "probes" and (step == 0 or not self.monitor.steps):
            self.look(step)

    def looks_in(self, *, is_first: bool) -> bool:
        """Whether a process looks: the first, or another."""
        return is_first or self._processes == "each"

    def looks_between(self, before: int, step: int) -> bool:
        """Whether it is time to look after these steps, in whichever process."""
        return step // self._every > before // self._every

    def look(self, step: int) -> None:
        """Look, where this process does."""
        if self._looks_here and self.monitor.look(step) is not None:
            figures = {"step": step, **TrackedLook.of(self.monitor, step).scalars()}
            self._unlogged = {f"{self._prefix}/{name}": float(figures[name]) for name in figures}
            if self._on_look is not None:
                self._on_look(self.monitor, step)

    def take_unlogged(self) -> dict[str, float]:
        """Figures of the last look, which are given once."""
        taken, self._unlogged = self._unlogged, {}
        return taken

    @property
    def should_stop(self) -> bool:
        """Whether an alarm ends training, as this process knows."""
        return self.made and self.monitor.should_stop


def _is_split(model: Any) -> bool:
    """Whether processes have a part each of a model: as DTensors, or as FSDP or DeepSpeed do."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return False
    marks = "device_mesh", "_is_flat_param", "ds_id"
    return distributed.get_world_size() > 1 and any(
        hasattr(parameter, mark) for parameter in model.parameters() for mark in marks
    )
