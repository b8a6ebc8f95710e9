"""What can go wrong, told to the person who can mend it."""

from __future__ import annotations

from typing import Any


class IUAError(Exception):
    """Base of every error this package raises on purpose.

    Attributes
    ----------
    partial : IUA or None
        What had been counted before a run broke off: whole batches only, ready to show, merge or
        read.
    """

    partial: Any = None


class ToleranceError(IUAError, ValueError):
    """A tolerance, or a list of stops, that cannot be used."""


class LayerSelectionError(IUAError, ValueError):
    """A choice of layers that matches nothing in the model or in the results."""


class UnitsError(IUAError, ValueError):
    """A choice of what a unit is that is unknown, or does not fit a layer's responses."""


class EngineError(IUAError, ValueError):
    """A counting engine that there is not, or not here."""


class FileError(IUAError, ValueError):
    """A file that cannot be written or read, or that holds no run that can be used."""


class MemoryBudgetError(IUAError, ValueError):
    """An amount of memory that is none, or that is not enough for the layers to be counted.

    Attributes
    ----------
    layer : str or None
        The largest layer, where layers are the trouble.
    """

    def __init__(self, message: str, *, layer: str | None = None) -> None:
        super().__init__(message)
        self.layer = layer


class IUAWarning(UserWarning):
    """Something about a run that its figures alone do not tell, such as a layer never called."""


class MergeError(IUAError, ValueError):
    """Two tallies or results that do not describe the same layers, units and stops."""


class NoProbesError(IUAError, ValueError):
    """A statistic was asked for before any probe had been counted."""


class ProducerError(IUAError, ValueError):
    """The stream of responses broke off, or gave something that cannot be counted.

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
