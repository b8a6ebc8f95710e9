"""`TorchSource`: a model and its loader as a stream of responses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from typing import Any, Final

import torch
from torch import nn

from iua_widget.capture.fingerprint import fingerprint
from iua_widget.capture.loaders import as_loader, batches_of, draws_nothing, known_total
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.randomness import OwnRandomness
from iua_widget.capture.refusals import unwrapped
from iua_widget.capture.watched_model import WatchedModel
from iua_widget.common.interrupts import interrupts_held, interrupts_let_through
from iua_widget.common.layer_names import base_of
from iua_widget.errors import ProducerError
from iua_widget.options import DEFAULT_SOURCE_OPTIONS, SourceOptions
from iua_widget.sources.labels import Labels
from iua_widget.sources.position import Position
from iua_widget.sources.producers import at_most
from iua_widget.sources.source import Record

_END: Final = object()


class TorchSource:
    """The responses of a model to the batches of a loader.

    A response is handed on while it is made, before a later in-place operation could change it.
    Each call in one forward pass is a layer of its own: ``relu``, ``relu:1``, ``block/relu``; where
    calls are merged, those of one module are one.
    What is run is the model's shadow, so the model itself is never touched; other use of it on
    another thread is neither disturbed nor counted.

    Parameters
    ----------
    model : torch.nn.Module
    loader : iterable, torch.utils.data.Dataset, torch.Tensor, numpy.ndarray or mapping
    options : SourceOptions

    Raises
    ------
    LayerSelectionError
        If one of `layers` matches no module.
    ProducerError
        If the model cannot be watched, or `loader` cannot be iterated over.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
    >>> source = TorchSource(model, torch.zeros(10, 4), SourceOptions(batch_size=5))
    >>> list(source.batches(lambda layer, value, origin: print(layer, tuple(value.shape))))
    1 (5, 8)
    1 (5, 8)
    [5, 5]
    """

    steady = False
    whole_batches = False

    def __init__(
        self,
        model: nn.Module,
        loader: Any,
        options: SourceOptions = DEFAULT_SOURCE_OPTIONS,
        *,
        again: bool = False,
    ) -> None:
        self._model = unwrapped(model)
        self._names = ModuleNames(self._model)
        self._options = options
        self._watched = WatchedModel(self._names, options)
        self._again = again
        self._streamed = False
        self._loader = as_loader(loader, options.batch_size)
        with nullcontext() if draws_nothing(self._loader) else OwnRandomness().window():
            self._total = known_total(self._loader)
        self._randomness = OwnRandomness()
        ours = isinstance(self._loader, (list, tuple)) or isinstance(
            loader, torch.utils.data.Dataset
        )
        self.labels = Labels.asked(options, self._total, in_order=ours)
        self._watched.labels = self.labels
        self._singles = 0
        self.label = type(self._model).__name__
        self.restartable = not isinstance(self._loader, Iterator)

    @property
    def total(self) -> int | None:
        """Probes to come, where known; of a loader that only knows its batches, after the first."""
        return at_most(self._total, self._options.max_probes)

    @property
    def is_outdated(self) -> bool:
        """Whether the model has other modules than when this was made."""
        return not self._names.are_of_model

    @property
    def weights(self) -> str | None:
        """See `iua_widget.capture.fingerprint`; None where the model is counted again and again."""
        return None if self._again else fingerprint(self._model)

    @property
    def notes(self) -> list[str]:
        """Notes on the model's passes for whoever reads the counts."""
        return self._watched.notes

    def batches(
        self,
        record: Record,
        restart: Callable[[], None] = lambda: None,
        position: Position | None = None,
    ) -> Generator[int]:
        """Feed the model once; see `Source.batches`."""
        position = position or Position()
        watched = self._begin(position)
        randomness = OwnRandomness()
        most = self._options.max_probes
        left = None if most is None else most - position.probes
        counted, number = position.probes, position.batches
        first = True
        generators = [(one, one.get_state()) for one in _generators(self._loader)]
        stream: Generator[Any] | None = None
        quiet = draws_nothing(self._loader)
        try:
            while left is None or left > 0:
                with interrupts_held(), nullcontext() if quiet else randomness.batch():
                    loading = nullcontext() if quiet else randomness.window(always=True)
                    with loading, interrupts_let_through():
                        stream = stream or position.onward(_iterate(self._loader))
                        batch = _next(stream, number)
                    if batch is _END:
                        break
                    with randomness.window():
                        if self.labels is not None:
                            self.labels.read(batch, number, counted)
                        probes = watched.feed(batch, number, record, restart, left)
                if first:
                    watched.check_seen(first=True)
                    self._estimate_total(probes)
                first = False
                counted += probes
                number += 1
                left = None if left is None else max(left - probes, 0)
                yield probes
            self._total = counted
            if not first:
                watched.check_seen(first=False)
        finally:
            if not sys.is_finalizing():  # PyTorch aborts a process that ends and calls it
                with interrupts_held():
                    if self._again:
                        watched.pause()
                    else:
                        watched.end()
                    for generator, state in generators:
                        generator.set_state(state)
            if stream is not None:
                stream.close()

    def _begin(self, position: Position) -> WatchedModel:
        """What watches this run."""
        if self._again:
            self._watched.begin_anew()
        elif self._streamed or position.merged is not None:
            self._watched = WatchedModel(self._names, self._options, position.merged)
            self._watched.labels = self.labels
        self._streamed = True
        self._watched.counted_before = frozenset(map(base_of, position.layers))
        return self._watched

    def one_batch(self, batch: Any, record: Record, restart: Callable[[], None]) -> int:
        """Feed a single batch, without a loader, and return its probes.

        Raises
        ------
        LayerSelectionError
            If none of the chosen layers is called.
        ProducerError
            If the batch does not fit the model.
        """
        with interrupts_held(), self._randomness.window():
            probes = self._watched.feed(batch, self._singles, record, restart)
        self._watched.start_over()
        self._watched.check_seen(first=True)
        self._singles += 1
        return probes

    def _estimate_total(self, first: int) -> None:
        batches = batches_of(self._loader)
        if self._total is None and batches is not None:
            self._total = batches * first


def _generators(loader: Any) -> list[torch.Generator]:
    """A DataLoader's own generators, which are put back for the next run."""
    batches = getattr(loader, "batch_sampler", None)
    owners = (loader, batches, *(getattr(one, "sampler", None) for one in (loader, batches)))
    found = {id(g): g for g in (getattr(owner, "generator", None) for owner in owners)}
    return [one for one in found.values() if isinstance(one, torch.Generator)]


def _iterate(loader: Any) -> Iterator[Any]:
    try:
        return iter(loader)
    except Exception as error:
        message = f"the loader raised {type(error).__name__} before its first batch: {error}"
        raise ProducerError(message, batch=0) from error


def _next(stream: Iterator[Any], number: int) -> Any:
    """The next batch, or `_END`."""
    try:
        return next(stream, _END)
    except ProducerError:
        raise
    except Exception as error:
        kept = " What was counted before it is kept." if number else ""
        message = f"the loader raised {type(error).__name__} at batch {number}: {error}.{kept}"
        raise ProducerError(message, batch=number) from error
