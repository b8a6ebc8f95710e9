"""The exceptions and warnings of the package."""

from __future__ import annotations

from typing import Any


class IUAError(Exception):
    """Base of every error this package raises on purpose.

    Attributes
    ----------
    partial : IUA or None
        What had been counted before a run broke off: whole batches only, ready to show, merge or
        read.

    Examples
    --------
    >>> import numpy as np
    >>> from iua_widget import IUA
    >>> def responses():
    ...     yield {"relu": np.zeros((8, 3))}
    ...     yield {"relu": np.zeros((8, 4))}
    >>> try:
    ...     IUA.introspect(responses())
    ... except IUAError as error:
    ...     print(type(error).__name__, error.partial.probes)
    ProducerError 8
    """

    partial: Any = None


class ToleranceError(IUAError, ValueError):
    """A tolerance, or a list of stops, that cannot be used.

    Raised by whatever takes tolerances, such as `IUA`, `IUA.at`, `IUAWidget`, `Tolerances` and
    `default_stops`, and by `LayerResult.inactive` at a threshold where the list was not kept.
    """


class LayerSelectionError(IUAError, ValueError):
    """A choice of layers that matches nothing in the model or in the results.

    Raised by `IUA.introspect`, `IUAWidget` and `TorchModel`, which choose layers of a model, and by
    what shows some of those counted, such as `IUA.show`, `IUA.units` and `Reading.to_pandas`.
    """


class UnitsError(IUAError, ValueError):
    """A choice of what a unit is that is unknown, or does not fit a layer's responses.

    Raised by `IUA`, `IUA.introspect` and `IUAWidget`, which take `units` and `channel_axis`.
    """


class DistributedError(IUAError, RuntimeError):
    """Ranks of a distributed job that cannot be counted together: one is not there, or failed.

    Raised by `IUA.all_reduce`, and with `distributed` by `IUA.introspect`, `IUAWidget` and
    `IUAMonitor`. What was counted on this rank is kept.
    """


class EngineError(IUAError, ValueError):
    """A counting engine that there is not, or not here.

    Raised by `IUA`, `IUA.introspect`, `IUA.load`, `IUA.from_bytes` and `IUAWidget`, which take
    `engine`.
    """


class FileError(IUAError, ValueError):
    """A file that cannot be written or read, or that holds no run that can be used.

    Raised by `IUA.save`, `IUA.load` and `IUA.from_bytes`, by runs with `resume`, and by
    `IUAWidget.to_html`.
    """


class MemoryBudgetError(IUAError, ValueError):
    """An amount of memory that is none, or that is not enough for the layers to be counted.

    Raised by `IUA`, `IUA.introspect` and `IUAWidget`, which take `memory`.

    Attributes
    ----------
    layer : str or None
        The largest layer, where layers are the trouble.
    """

    def __init__(self, message: str, *, layer: str | None = None) -> None:
        super().__init__(message)
        self.layer = layer


class GroupError(IUAError, ValueError):
    """A group of probes that there is not, or a layer that is not counted by group.

    Raised by `IUA.group` and `IUA.by_group`.
    """


class IUAWarning(UserWarning):
    """Something about a run that its figures alone do not tell, such as a layer never called.

    Given by `IUA.introspect`, `IUAWidget` and `IUA.merge`; `IUA.notes` keeps it.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from iua_widget import IUA
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", IUAWarning)
    ...     iua = IUA.introspect({"relu": np.array([[0.0, np.nan]])})
    >>> len(iua.notes)
    1
    """


class AlarmError(IUAError, ValueError):
    """A rule of an alarm that compares nothing, or what cannot be compared.

    Raised by `IUAMonitor`, which takes `alarm` and `on_alarm`.
    """


class ComparisonError(IUAError, ValueError):
    """Results that cannot be compared: not of one architecture, or of several models together.

    Raised by `IUA.compare`.
    """


class MergeError(IUAError, ValueError):
    """Results that do not describe the same layers, units and stops.

    Raised by `IUA.merge`.
    """


class NoProbesError(IUAError, ValueError):
    """A statistic was asked for before any probe had been counted.

    Raised by what reads an `IUA` without probes, such as `IUA.results`, `IUA.at` and `IUA.show`.
    """


class ProducerError(IUAError, ValueError):
    """The stream of responses broke off, or gave something that cannot be counted.

    Raised by `IUA.introspect`, `IUA.recount`, `response_infos` and stages of pipelines;
    `IUAWidget.error` holds it.

    Attributes
    ----------
    layer : str or None
        The layer concerned, where there is one.
    batch : int or None
        The batch concerned, counted from 0, where there is one.
    """

    def __init__(self, message: str, *, layer: str | None = None, batch: int | None = None) -> None:
        super().__init__(message)
        self.layer = layer
        self.batch = batch


class RemedyError(IUAError, ValueError):
    """Dead units that cannot be removed, or not without another output, or initialized anew.

    Raised by `prune` and `reinitialize`.

    Attributes
    ----------
    difference : float or None
        The largest difference between outputs, where these were compared.
    """

    def __init__(self, message: str, *, difference: float | None = None) -> None:
        super().__init__(message)
        self.difference = difference


class NoBatchError(ProducerError):
    """A stream that came to its end without a response: a rank may have no part of the data."""
