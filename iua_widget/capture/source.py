"""A model and its loader as a stream of responses, leaving no trace on either."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

import torch
from torch import nn

from iua_widget.capture.batch_masks import batch_masks
from iua_widget.capture.calls import Calls
from iua_widget.capture.fingerprint import fingerprint
from iua_widget.capture.inputs import (
    Inputs,
    arguments,
    as_loader,
    batches_of,
    first_probes,
    known_total,
    read_batch,
    text_length,
)
from iua_widget.capture.mask_layout import MaskLayout
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.outputs import tensors
from iua_widget.capture.randomness import OwnRandomness
from iua_widget.capture.refusals import unwrapped
from iua_widget.capture.selection import Selection
from iua_widget.capture.sequences import time_major
from iua_widget.capture.shadow import Shadow
from iua_widget.capture.watch import Aside, Capture, Findings, LookAgain, Watch
from iua_widget.common.words import named
from iua_widget.errors import ProducerError
from iua_widget.options import DEFAULT_SOURCE_OPTIONS, SourceOptions
from iua_widget.sources.masks import Masks, asked_masks
from iua_widget.sources.position import Position
from iua_widget.sources.producers import at_most
from iua_widget.sources.source import Record
from iua_widget.units.rule import Origin

_END: Final = object()


class TorchSource:
    """The responses of a model, as it is fed by a loader.

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
        self, model: nn.Module, loader: Any, options: SourceOptions = DEFAULT_SOURCE_OPTIONS
    ) -> None:
        self._model = unwrapped(model)
        self._names = ModuleNames(self._model)
        self._options = options
        self._selection = Selection(self._model, self._names, options.layers)
        self._loader = as_loader(loader, options.batch_size)
        self._calls = self._new_calls()
        self._total = known_total(self._loader)
        self._findings = Findings()
        self._aside = Aside()
        self._layout = MaskLayout()
        self._shapes: set[str] = set()
        self._overshot = False
        self._batch_axis = 1 if options.forward is None and time_major(self._model) else 0
        self._shadow = Shadow(self._model, self._options.mode)
        self._drifted: list[str] = []
        self._randomness = OwnRandomness()
        self._singles = 0
        self.label = type(self._model).__name__
        self.restartable = not isinstance(self._loader, Iterator)

    @property
    def total(self) -> int | None:
        """Probes to come, where known: of a loader that knows its batches, after the first."""
        return at_most(self._total, self._options.max_probes)

    @property
    def weights(self) -> str | None:
        """See `iua_widget.capture.fingerprint`."""
        return fingerprint(self._model)

    @property
    def notes(self) -> list[str]:
        """What the reader of the figures should know about the model's passes."""
        findings = self._findings
        experts = (
            one.layer.name for of in findings.mixtures.values() for _, one in of.layers.values()
        )
        notes = self._selection.unseen(list(findings.responses), findings.calls.union(experts))
        if self._options.mode == "train":
            notes.append(
                "Counted in training mode: what dropout drops counts as inactive, and BatchNorm "
                "normalizes by each batch, so figures depend on the batches."
            )
        if findings.together:
            notes.append(
                f"{named(sorted(findings.together))}: of which expert of a mixture a response is "
                "is not known there, so experts are not told apart, and a unit stands for the "
                "units of that number of several."
            )
        notes += [*self._calls.notes, *self._aside.notes, *self._layout.notes]
        if self._overshot:
            notes.append(
                f"The last batch could not be cut to max_probes={self._options.max_probes}, and is "
                "counted as a whole."
            )
        if findings.elsewhere:
            notes.append(
                f"Calls of {named(sorted(findings.elsewhere))} on another thread were not counted."
            )
        return notes + (self._drifted or self._shadow.notes())

    def batches(
        self,
        record: Record,
        restart: Callable[[], None] = lambda: None,
        position: Position | None = None,
    ) -> Generator[int]:
        """Feed the model once; see `Source.batches`."""
        position = position or Position()
        self._selection = Selection(self._model, self._names, self._options.layers)
        self._findings = Findings()
        self._aside = Aside()
        self._calls = self._new_calls(position)
        self._layout = MaskLayout()
        self._shapes = set()
        self._shadow, self._drifted = Shadow(self._model, self._options.mode), []
        randomness = OwnRandomness()
        most = self._options.max_probes
        left = None if most is None else most - position.probes
        counted, number = position.probes, position.batches
        first = True
        generators = [(one, one.get_state()) for one in _generators(self._loader)]
        with randomness.window(always=True):
            iterator = position.onward(_iterate(self._loader))
        try:
            while left is None or left > 0:
                with randomness.window(always=True):
                    batch = self._next(iterator, number)
                if batch is _END:
                    break
                with randomness.window():
                    probes = self._pass(batch, number, left, record, restart)
                if first:
                    self._check_seen(first=True)
                    self._estimate_total(probes)
                first = False
                counted += probes
                number += 1
                left = None if left is None else max(left - probes, 0)
                yield probes
            self._total = counted
            if not first:
                self._check_seen()
        finally:
            self._drifted = self._shadow.notes(thorough=True)
            self._shadow = Shadow(self._model, self._options.mode)
            for generator, state in generators:
                generator.set_state(state)
            iterator.close()

    def one_batch(self, batch: Any, record: Record, restart: Callable[[], None]) -> int:
        """Feed a single batch, for which there need be no loader, and return its probes.

        Raises
        ------
        LayerSelectionError
            If none of the chosen layers is called.
        ProducerError
            If the batch does not fit the model.
        """
        with self._randomness.window():
            probes = self._pass(batch, self._singles, None, record, restart)
        self._shadow.each_first()
        self._check_seen(first=True)
        self._singles += 1
        return probes

    def _check_seen(self, *, first: bool = False) -> None:
        if first and self._selection.may_come_later:
            return
        self._selection.check_seen(
            list(self._findings.responses), elsewhere=sorted(self._findings.elsewhere)
        )

    def _new_calls(self, position: Position | None = None) -> Calls:
        option = self._options.calls
        if option == "auto" and self._selection.names_calls:
            option = "separate"
        return Calls(option, None if position is None else position.merged)

    def _pass(
        self,
        batch: Any,
        number: int,
        left: int | None,
        record: Record,
        restart: Callable[[], None],
    ) -> int:
        shapes = str([tuple(tensor.shape) for _, tensor in tensors(batch)])
        functions = shapes not in self._shapes
        self._shapes.add(shapes)
        while True:
            try:
                probes = self._watched_pass(batch, number, left, record, functions=functions)
                if not self._calls.decide():
                    return probes
                self._findings = Findings()
            except LookAgain:
                pass
            restart()
            functions = True

    def _watched_pass(
        self, batch: Any, number: int, left: int | None, record: Record, *, functions: bool
    ) -> int:
        masks = self._masks(batch, number)
        device, dtype = place(self._model)
        axis = self._batch_axis
        inputs = read_batch(batch, number, device=device, dtype=dtype, axis=axis)
        if left is not None and inputs.probes > left:
            inputs = first_probes(inputs, left, axis)
            masks = masks.rows(inputs.probes)
            self._overshot |= inputs.probes > left

        length = text_length(inputs.batch)

        def take(capture: Capture) -> None:
            laid = self._layout.lay(capture, masks.of(capture.name))
            origin = Origin(
                kind=capture.layer.typename,
                traced=capture.sequence,
                channel_axis=laid.channel_axis,
                mask=laid.mask,
                tokens=capture.tokens is not None,
                length=length,
                merged_calls=capture.merged,
                many_passes=capture.number > 0,
                load=capture.load,
            )
            record(capture.name, laid.tensor, origin)

        aside = self._aside if functions and self._selection.default else None
        functions = functions or self._findings.functions or self._calls.need_functions
        if functions and masks.both_ways and inputs.probes > 1:
            again = read_batch(batch, number, device=device, dtype=dtype, axis=axis)
            self._learn_layout(again, inputs.probes - 1, masks, number)
        watch = self._watch(inputs, number, take, masks, functions=functions, aside=aside)
        if watch.failure is not None:
            raise watch.failure  # the model has swallowed it
        for capture in watch.loads():
            take(capture)
        if not number and self._options.mask is not None:
            masks.check_used(list(self._findings.responses), batch=number)
        return inputs.probes

    def _learn_layout(self, inputs: Inputs, count: int, masks: Masks, number: int) -> None:
        """Learn how responses lie from the first items, which are not as many as positions.

        Nothing is counted, and where the model cannot take them nothing is learnt.
        """
        fewer, masks = first_probes(inputs, count, self._batch_axis), masks.rows(count)

        def learn(capture: Capture) -> None:
            self._layout.learn(capture, masks.of(capture.name))

        with contextlib.suppress(Exception), OwnRandomness.undone():
            self._watch(fewer, number, learn, masks, functions=True)

    def _watch(
        self,
        inputs: Inputs,
        number: int,
        take: Callable[[Capture], None],
        masks: Masks,
        *,
        functions: bool,
        aside: Aside | None = None,
    ) -> Watch:
        """Run the model on one batch, and give `take` what comes."""
        watch = Watch(
            self._names,
            self._selection,
            take,
            self._findings,
            functions=functions,
            lengths=masks.shapes,
            shadow=self._shadow,
            calls=self._calls,
            aside=aside,
            real=lambda layer, tokens, turned, number: self._layout.real(
                masks.of(layer), layer, tokens, turned=turned, number=number
            ),
        )
        with self._shadow.batch(), watch:
            self._call(inputs, number)
        return watch

    def _call(self, inputs: Inputs, number: int) -> None:
        try:
            if self._options.forward is not None:
                self._shadow.bound(self._options.forward)(self._shadow.model, inputs.batch)
            else:
                args, kwargs = arguments(self._model, inputs.batch, number)
                self._shadow.model(*args, **kwargs)
        except (RuntimeError, TypeError) as error:
            hint = _hint(str(error), inputs, place(self._model)[1])
            if not hint:
                raise
            message = (
                f"{self.label} raised {type(error).__name__} in batch {number}: {error}. {hint}"
            )
            raise ProducerError(message, batch=number) from error

    def _next(self, iterator: Iterator[Any], number: int) -> Any:
        try:
            return next(iterator, _END)
        except ProducerError:
            raise
        except Exception as error:
            kept = " What was counted before it is kept." if number else ""
            message = f"the loader raised {type(error).__name__} at batch {number}: {error}.{kept}"
            raise ProducerError(message, batch=number) from error

    def _estimate_total(self, first: int) -> None:
        batches = batches_of(self._loader)
        if self._total is None and batches is not None:
            self._total = batches * first

    def _masks(self, batch: Any, number: int) -> Masks:
        if self._options.mask is not None:
            return asked_masks(self._options.mask, batch, number)
        return batch_masks(batch, self._names, number)


def _generators(loader: Any) -> list[torch.Generator]:
    """The generators of a DataLoader's own, which another run is to find as this one did."""
    batches = getattr(loader, "batch_sampler", None)
    holders = (loader, batches, *(getattr(one, "sampler", None) for one in (loader, batches)))
    found = {id(g): g for g in (getattr(holder, "generator", None) for holder in holders)}
    return [one for one in found.values() if isinstance(one, torch.Generator)]


def _iterate(loader: Any) -> Iterator[Any]:
    try:
        return iter(loader)
    except Exception as error:
        message = f"the loader raised {type(error).__name__} before its first batch: {error}"
        raise ProducerError(message, batch=0) from error


def place(model: nn.Module) -> tuple[torch.device | None, torch.dtype | None]:
    """Where a model's inputs go: the device of its first parameter or buffer, and its precision."""
    device: torch.device | None = None
    for group in (model.parameters(), model.buffers()):
        for tensor in group:
            device = device or tensor.device
            if tensor.is_floating_point():
                return device, tensor.dtype
    return device, None


def _hint(message: str, inputs: Inputs, dtype: torch.dtype | None) -> str:
    """What may help, where the model's own message does not say."""
    if "dtype" in message or "same type" in message or "should be the same" in message:
        return (
            f"The model's parameters are {dtype}: convert the inputs in the loader, or with "
            "forward=lambda model, batch: model(batch.to(...))."
        )
    if "does not require grad" in message:
        return (
            "The model runs without gradients. Where it takes some itself, as an energy does, let "
            "it do so in torch.enable_grad()."
        )
    if "positional argument" in message or "keyword argument" in message:
        return (
            f"The batch is {type(inputs.batch).__name__}; say how the model takes it: "
            "forward=lambda model, batch: model(...)."
        )
    return ""
