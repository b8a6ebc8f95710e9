"""`Counter`: counts one model again and again, without beginning anew each time."""

from __future__ import annotations

from typing import Any

from iua_widget.options import DEFAULT_SOURCE_OPTIONS, CountOptions, SourceOptions
from iua_widget.run.layer_groups import LayerGroups
from iua_widget.run.loop import count
from iua_widget.run.open import open_again
from iua_widget.run.progress import drive
from iua_widget.run.run import Run


class Counter:
    """Counts one model again and again, such as every hundred steps of its training.

    What takes time at the beginning of a run is done once: choosing layers, the model's shadow,
    planning memory, learning what comes. Each time the tallies are cleared, not made anew: a layer
    that is not reached this time has no probes. Where memory is short, how many stops are held
    depends on the times before.

    Parameters
    ----------
    model : torch.nn.Module
    loader : iterable
        As for `IUA.introspect`; iterated over each time.
    count_options : CountOptions
    source_options : SourceOptions, optional

    Attributes
    ----------
    options : CountOptions

    Raises
    ------
    IUAError
        As for `IUA.introspect`.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
    >>> counter = Counter(model, [torch.zeros(5, 4)], CountOptions())
    >>> [counter.count().probes for _ in range(3)]
    [5, 5, 5]
    """

    def __init__(
        self,
        model: Any,
        loader: Any,
        count_options: CountOptions,
        source_options: SourceOptions = DEFAULT_SOURCE_OPTIONS,
    ) -> None:
        self._given = model, loader, source_options
        self.options = count_options
        self._begin()

    def _begin(self) -> None:
        self._source = open_again(*self._given)
        self._run = Run(self.options)
        self._groups = LayerGroups()

    def count(self) -> Run:
        """Count all batches of the loader, with the model as it is now.

        Returns
        -------
        Run
            The same object each time, which the next call clears: copy what is to last.

        Raises
        ------
        IUAError
            As for `IUA.introspect`.
        """
        if self._source.is_outdated:
            self._begin()
        run, source = self._run, self._source
        run.clear()
        self._groups.begin_anew()
        drive(count(run, source, groups=self._groups), source, progress=False)
        return run
