"""`WatchedModel`: runs a model's shadow on batches, and records responses as they are made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import torch

from iua_widget.capture.activation_inputs import ActivationInputs
from iua_widget.capture.batch_masks import batch_masks
from iua_widget.capture.calls import Calls
from iua_widget.capture.captured_response import CapturedResponse
from iua_widget.capture.findings import Findings, RepeatBatch
from iua_widget.capture.forward_watcher import ForwardWatcher
from iua_widget.capture.inputs import (
    Inputs,
    arguments,
    first_probes,
    form_of,
    placement,
    read_batch,
    text_length,
)
from iua_widget.capture.left_out import LeftOut
from iua_widget.capture.mask_layout import MaskLayout
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.randomness import OwnRandomness
from iua_widget.capture.selection import Selection
from iua_widget.capture.sequences import time_major
from iua_widget.capture.shadow import Shadow
from iua_widget.capture.steady_pass import SteadyPass, Step, Steps
from iua_widget.common.interrupts import interrupts_let_through
from iua_widget.common.words import named
from iua_widget.errors import ProducerError
from iua_widget.options import SourceOptions
from iua_widget.sources.labels import Labels
from iua_widget.sources.masks import Masks, asked_masks
from iua_widget.sources.source import Record

_MOST_FORMS: Final = 64
"""Shapes of inputs for which it is kept what a pass gives."""
_CAREFUL_AGAIN: Final = 8
"""Passes that are watched with care after one that went otherwise; twice as many each time."""


@dataclass(slots=True)
class _Known:
    """What is known of passes with inputs of some shapes."""

    steps: list[Step] | None
    """What came of the latest that was watched with care; None where more must be seen."""

    careful: int = 0
    """Passes that are to be watched with care, before one is expected to go as those before."""

    careful_next: int = _CAREFUL_AGAIN


@dataclass(frozen=True, slots=True)
class _Pass:
    """A pass of a batch: what to record it with, and what is known of it."""

    number: int
    record: Record
    left: int | None
    functions: bool
    steps: list[Step] | None
    """What will come if it goes as one before; None where that is not known."""

    told: Steps
    """Added to."""


class WatchedModel:
    """Runs a model's shadow on batches, and keeps what is known of its passes.

    Parameters
    ----------
    names : ModuleNames
        Of the model.
    options : SourceOptions
    merged : iterable of str, optional
        The modules and functions whose calls an earlier run has merged.

    Attributes
    ----------
    counted_before : frozenset of str
        Modules and functions that an earlier run has counted, which goes on.
    labels : Labels or None
        Those of the probes, where these are counted by group.

    Raises
    ------
    LayerSelectionError
        If one of `options.layers` matches no module.
    """

    def __init__(
        self, names: ModuleNames, options: SourceOptions, merged: Iterable[str] | None = None
    ) -> None:
        self._model = names.model
        self._names = names
        self._options = options
        self._selection = Selection(names, options.layers)
        separate = options.calls == "auto" and self._selection.names_calls
        self._calls = Calls("separate" if separate else options.calls, merged)
        self._findings = Findings()
        self._left_out = LeftOut()
        self._layout = MaskLayout()
        self._inputs = ActivationInputs() if options.causes else None
        self._known: dict[str, _Known] = {}
        self.counted_before: frozenset[str] = frozenset()
        self.labels: Labels | None = None
        self._overshot = False
        self._probe_axis = 1 if options.forward is None and time_major(self._model) else 0
        self._shadow = Shadow(self._model, options.mode, has_forward=options.forward is not None)
        self._weight_notes: list[str] | None = None

    @property
    def notes(self) -> list[str]:
        """Notes on the model's passes for whoever reads the counts."""
        findings = self._findings
        experts = (
            one.layer.name for of in findings.mixtures.values() for _, one in of.layers.values()
        )
        notes = []
        if self._known or not self.counted_before:
            calls = findings.calls.union(experts, self.counted_before)
            notes += self._selection.unseen(list(findings.responses), calls)
        if self._options.mode == "train":
            notes.append(
                "Counted in training mode: what dropout drops counts as inactive, and BatchNorm "
                "normalizes by each batch, so figures depend on the batches."
            )
        if findings.unsplit:
            notes.append(
                f"{named(sorted(findings.unsplit))}: of which expert of a mixture a response is "
                "is not known there, so experts are not told apart, and a unit stands for the "
                "units of that number of several."
            )
        notes += [*self._calls.notes, *self._left_out.notes, *self._layout.notes]
        if self._overshot:
            notes.append(
                f"The last batch could not be cut to max_probes={self._options.max_probes}, and is "
                "counted as a whole."
            )
        if findings.other_threads:
            notes.append(
                f"Calls of {named(sorted(findings.other_threads))} on another thread were not "
                "counted."
            )
        ended = self._weight_notes
        return notes + (self._shadow.notes() if ended is None else ended)

    def feed(
        self,
        batch: Any,
        number: int,
        record: Record,
        restart: Callable[[], None],
        left: int | None = None,
    ) -> int:
        """Run the model on a batch, in several passes if need be, and return its probes.

        Parameters
        ----------
        batch : Any
            As the loader gives it.
        number : int
            Its place in the stream.
        record : Record
        restart : callable
            Called before the batch passes once more: forgets what was recorded of it.
        left : int, optional
            Probes after which to cut it.

        Raises
        ------
        ProducerError
            If the batch does not fit the model.
        """
        form = form_of(batch)
        known, functions = self._known.get(form), form not in self._known
        steps = None if known is None or known.careful else known.steps
        rewind = OwnRandomness.rewind()
        while True:
            told = Steps()
            try:
                batch_pass = _Pass(number, record, left, functions, steps, told)
                probes = self._pass(batch, batch_pass)
                if not self._calls.decide():
                    if steps is None:
                        self._learn(form, told.steps)
                    return probes
                self._findings = Findings()
            except RepeatBatch:
                pass
            restart()
            rewind()
            functions = True
            if steps is not None and known is not None:
                steps, known.careful = None, known.careful_next
                known.careful_next *= 2

    def _learn(self, form: str, steps: list[Step] | None) -> None:
        """Learn from a pass that was watched with care."""
        known = self._known.get(form)
        if known is None:
            few = len(self._known) < _MOST_FORMS
            self._known[form] = _Known(steps or None if few else None)
        elif known.careful:
            known.steps = steps or None
            known.careful -= 1

    def check_seen(self, *, first: bool) -> None:
        """Check, after the first batch or the last, that a chosen layer has been called.

        Raises
        ------
        LayerSelectionError
            If none has.
        """
        if first and self._selection.may_come_later:
            return
        self._selection.check_seen(
            list(self._findings.responses), other_threads=sorted(self._findings.other_threads)
        )

    def start_over(self) -> None:
        """Treat the next batch as the first of a run: any may be the last."""
        self._shadow.start_over()

    def begin_anew(self) -> None:
        """Begin another run of the same model, with what is known of its passes."""
        self._overshot = False
        self._weight_notes = None
        self._shadow.begin_anew()

    def pause(self) -> None:
        """End a run after which there may be another."""
        self._weight_notes = self._shadow.notes(thorough=True)

    def end(self) -> None:
        """Free the shadow, after the last batch."""
        self._weight_notes = self._shadow.notes(thorough=True)
        self._shadow.free()

    def _pass(self, batch: Any, one: _Pass) -> int:
        masks = self._masks(batch, one.number)
        inputs = read_batch(batch, one.number, self._model, self._probe_axis)
        given = inputs.probes
        left = given if one.left is None else one.left
        if left < given:
            inputs = first_probes(inputs, left, self._probe_axis)
            masks = masks.rows(inputs.probes)
            self._overshot |= inputs.probes > left
        if self.labels is not None:
            self.labels.take(given, one.number, inputs.probes)
        if one.steps is not None and left >= given and not masks.shapes:
            with self._shadow.batch():
                steady = SteadyPass(one.steps, self._selection.modules, self._shadow, one.record)
                with steady:
                    self._call(inputs, one.number)
            steady.check()
            return inputs.probes
        self._careful_pass(batch, inputs, masks, one)
        return inputs.probes

    def _careful_pass(self, batch: Any, inputs: Inputs, masks: Masks, one: _Pass) -> None:
        """Watch a pass that may be like none before."""
        number, length = one.number, text_length(inputs.batch)
        if self._inputs is not None:
            one.told.steps = None  # outputs alone do not do

        def take(captured: CapturedResponse) -> None:
            mask = masks.of(captured.name)
            tensor, origin = self._layout.lay(
                captured, mask, length, inputs.probes, self._probe_axis
            )
            one.told.note(captured, tensor, origin)
            one.record(captured.name, tensor, origin)

        left_out = self._left_out if one.functions and self._selection.default else None
        functions = one.functions or self._findings.functions or self._calls.need_functions
        if functions and masks.both_ways and inputs.probes > 1:
            again = read_batch(batch, number, self._model, self._probe_axis)
            self._learn_layout(again, inputs.probes - 1, masks, number)
        watcher = self._watch(inputs, number, take, masks, functions=functions, left_out=left_out)
        if watcher.failure is not None:
            raise watcher.failure  # the model has swallowed it
        for captured in watcher.loads():
            take(captured)
        if not number and self._options.mask is not None:
            masks.check_used(list(self._findings.responses), batch=number)
        special = masks.shapes or self._findings.other_threads or self._selection.shared
        if self._options.mode != "eval" or special:
            one.told.steps = None

    def _learn_layout(self, inputs: Inputs, count: int, masks: Masks, number: int) -> None:
        """Learn which axis counts items from fewer of them, so that they differ from positions.

        Nothing is counted, and where the model cannot take them nothing is learnt.
        """
        fewer, masks = first_probes(inputs, count, self._probe_axis), masks.rows(count)

        def learn(captured: CapturedResponse) -> None:
            self._layout.learn(captured, masks.of(captured.name))

        with contextlib.suppress(Exception), OwnRandomness.undone():
            self._watch(fewer, number, learn, masks, functions=True)

    def _watch(
        self,
        inputs: Inputs,
        number: int,
        take: Callable[[CapturedResponse], None],
        masks: Masks,
        *,
        functions: bool,
        left_out: LeftOut | None = None,
    ) -> ForwardWatcher:
        """Run the model on one batch, and call `take` with its responses."""
        watcher = ForwardWatcher(
            self._names,
            self._selection,
            take,
            self._findings,
            functions=functions,
            mask_shapes=masks.shapes,
            shadow=self._shadow,
            calls=self._calls,
            left_out=left_out,
            inputs=self._inputs,
            real=lambda layer, tokens, positions_first, number: self._layout.real(
                masks.of(layer), layer, tokens, positions_first=positions_first, number=number
            ),
        )
        with self._shadow.batch(), watcher:
            self._call(inputs, number)
        return watcher

    def _call(self, inputs: Inputs, number: int) -> None:
        try:
            if self._options.forward is not None:
                forward = self._shadow.bound(self._options.forward)
                with interrupts_let_through():
                    forward(self._shadow.model, inputs.batch)
            else:
                args, kwargs = arguments(self._model, inputs.batch, number)
                with interrupts_let_through():
                    self._shadow.model(*args, **kwargs)
        except (RuntimeError, TypeError) as error:
            hint = _hint(str(error), inputs, placement(self._model)[1])
            if not hint:
                raise
            message = (
                f"{type(self._model).__name__} raised {type(error).__name__} in batch {number}: "
                f"{error}. {hint}"
            )
            raise ProducerError(message, batch=number) from error

    def _masks(self, batch: Any, number: int) -> Masks:
        if self._options.mask is not None:
            return asked_masks(self._options.mask, batch, number)
        return batch_masks(batch, self._names, number)


def _hint(message: str, inputs: Inputs, dtype: torch.dtype | None) -> str:
    """What may help with an error of the model's."""
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
