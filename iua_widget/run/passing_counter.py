"""`PassingCounter`: counts the batches of a model's training as they pass."""

from __future__ import annotations

from typing import Any

from iua_widget.errors import IUAError, NoProbesError, ProducerError
from iua_widget.options import CountOptions, SourceOptions
from iua_widget.run.counting import Counting
from iua_widget.run.layer_groups import LayerGroups
from iua_widget.run.run import Run
from iua_widget.sources.source import Record


class PassingCounter:
    """Counts what a model computes in training mode, from one `count` to the next.

    It makes no pass of its own. Of more than `max_probes` inputs the first are counted, whole
    batches of them. What cannot be counted is left out, and noted; it never reaches the pass.

    Parameters
    ----------
    model : torch.nn.Module
    count_options : CountOptions
    source_options : SourceOptions

    Attributes
    ----------
    options : CountOptions

    Raises
    ------
    IUAError
        As for `IUA.introspect`, or if the model cannot be watched in passing.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
    >>> counter = PassingCounter(model, CountOptions(), SourceOptions())
    >>> for _ in range(3):
    ...     loss = model(torch.ones(5, 4)).sum()
    >>> counter.count().probes
    15
    >>> counter.close()
    """

    steady = False
    whole_batches = False
    total: None = None
    weights: None = None
    labels: None = None

    def __init__(
        self, model: Any, count_options: CountOptions, source_options: SourceOptions
    ) -> None:
        from iua_widget.capture.passing import PassingWatcher

        self._most = source_options.max_probes
        self.options = count_options
        self._run = Run(count_options)
        self._groups = LayerGroups()
        self._counting: Counting | None = None
        self._errors: list[str] = []
        self._watcher = PassingWatcher(
            model, source_options, self._begin, self._commit, self._failed
        )
        self.label = type(self._watcher.model).__name__

    @property
    def notes(self) -> list[str]:
        """Notes on the passes since the last `count`, for whoever reads the counts."""
        training = (
            "Counted of the batches of training, as they passed: each by the weights of its own "
            "step, what dropout drops counts as inactive, and BatchNorm normalizes by the batch."
        )
        notes = [training, *self._watcher.notes]
        if self._errors:
            distinct = "; ".join(dict.fromkeys(self._errors))
            several = "batches were" if len(self._errors) > 1 else "batch was"
            notes.append(f"{len(self._errors)} {several} not counted: {distinct}")
        return notes

    def count(self) -> Run:
        """What has passed since the last call.

        Returns
        -------
        Run
            The same object each time, which the next batch clears: copy what is to last.

        Raises
        ------
        IUAError
            If no batch has passed, or none of them could be counted.
        """
        self._watcher.abandon()
        counting, self._counting = self._counting, None
        if counting is not None:
            try:
                if self._run.probes:
                    counting.finish()
                    self._errors = []
                    return self._run
            finally:
                counting.close()
        errors, self._errors = self._errors, []
        if errors:
            raise ProducerError(errors[-1])
        message = (
            f"no batch has passed through {self.label} in training mode since the look before: "
            "call step() after each step of training, or look at probes."
        )
        raise NoProbesError(message)

    def close(self) -> None:
        """Take the hooks off the model."""
        self._watcher.close()

    def _begin(self) -> Record | None:
        if self._counting is None:
            self._run.clear()
            self._groups.begin_anew()
            self._counting = Counting(self._run, self, groups=self._groups)
        if self._most is not None and self._run.probes >= self._most:
            return None
        self._counting.restart()
        return self._counting.record

    def _commit(self, probes: int) -> None:
        if self._counting is not None:
            self._counting.commit(probes)

    def _failed(self, error: Exception | None) -> None:
        if self._counting is not None:
            self._counting.restart()
        if error is not None:
            is_ours = isinstance(error, IUAError)
            self._errors.append(str(error) if is_ours else f"{type(error).__name__}: {error}")
