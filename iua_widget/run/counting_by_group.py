"""Counting by group: the rows of each group of a batch's probes, in a run of the group's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import numpy as np

from iua_widget.common.amounts import format_bytes
from iua_widget.common.labels import Label, with_type
from iua_widget.common.tensors import is_tensor
from iua_widget.common.words import listed
from iua_widget.errors import ProducerError
from iua_widget.memory.budget import LayerBatch, top_bytes
from iua_widget.run.run import Run, held_name
from iua_widget.sources.labels import LabelledBatch, Labels
from iua_widget.tally.tally import Tally
from iua_widget.units.response import Response
from iua_widget.units.rule import Origin

MOST_GROUPS: Final = 1000
"""More are no classes, but what a model is to predict, by mistake."""

_SEQUENCE: Final = 3
"""Axes of a sequence."""


@dataclass(slots=True)
class GroupStream:
    """What must be known of a group's part of a stream to count it: see `Stream`."""

    label: str
    steady: bool = False
    whole_batches: bool = False
    labels: None = None
    total: None = None
    notes: list[str] = field(default_factory=list)
    weights: None = None


class GroupBatch(Protocol):
    """What counts the rows of one group of the batch at hand."""

    def restart(self) -> None:
        """Forget what was recorded of the batch at hand."""

    def record_rows(self, layer: str, response: Response, origin: Origin) -> None:
        """Record the rows of a layer's response."""

    def leave(self, layer: str) -> None:
        """Forget what was recorded of a layer."""

    def layer_batches(self) -> dict[str, LayerBatch]:
        """What it brings for each layer, once all has been checked."""
        ...

    def reserve(self, batches: Mapping[str, LayerBatch]) -> None:
        """Make room for it, the last that could fail."""

    def count(self, batches: Mapping[str, LayerBatch], places: np.ndarray) -> dict[str, Tally]:
        """Count it, of the inputs of these places in the stream, and return all tallies."""
        ...

    def close(self) -> None:
        """Free what is kept for the next batch only."""


class CountingByGroup:
    """Counts the probes of each group of a stream's batches, beside all of them.

    Parameters
    ----------
    run : Run
        That of all probes.
    labels : Labels
    begin : callable
        Given the run of a group, what counts into it.

    Raises
    ------
    ProducerError
        If probes were counted before without telling them apart.
    """

    def __init__(self, run: Run, labels: Labels, begin: Callable[[Run], GroupBatch]) -> None:
        self._run, self._labels, self._begin = run, labels, begin
        if run.groups is None:
            run.groups = {}
        self._batches: dict[str, GroupBatch] = {}
        self._runs: dict[str, Run] = {}
        self.restart()

    def restart(self) -> None:
        """Forget what was recorded of the batch at hand."""
        self._open: dict[str, GroupBatch] | None = None
        self._brought: dict[str, dict[str, LayerBatch]] = {}
        self._left: dict[str, None] = {}
        self._masks: dict[tuple[int, str], tuple[np.ndarray, np.ndarray]] = {}

    def record(self, layer: str, response: Response, origin: Origin, tally: Tally) -> None:
        """Record the rows of each group of a layer's response.

        Parameters
        ----------
        layer : str
        response : Response
        origin : Origin
        tally : Tally
            What the response of all probes is counted in.

        Raises
        ------
        ProducerError
            If there are too many groups.
        """
        at_hand = self._labels.at_hand
        if layer in self._run.not_by_group or layer in self._left:
            return
        if not _rows_are_probes(response, origin, at_hand.probes):
            self.leave(layer)
            return
        if self._open is None:
            self._open = self._opened(at_hand, layer, tally)
        origin = replace(origin, settled=tally.plan, positions_first=False)
        for name, group in self._open.items():
            places = at_hand.places[name]
            mask = origin.mask
            if mask is not None:
                mask = self._rows_of_mask(mask, name, places)
            rows = Response(_rows(response.values, places), response.dtype)
            before = None if origin.before is None else _rows(origin.before, places)
            part = replace(origin, mask=mask, before=before, inputs=len(places))
            group.record_rows(layer, rows, part)

    def leave(self, layer: str) -> None:
        """Count a layer as a whole only, from the batch at hand on and of those before."""
        self._left[layer] = None
        for group in (self._open or {}).values():
            group.leave(layer)

    def layer_batches(self) -> dict[str, LayerBatch]:
        """What the batch brings for each layer of each group, once all has been checked."""
        if self._open is None and self._labels.at_hand.probes:
            self._open = self._opened(self._labels.at_hand)
        self._brought = {name: one.layer_batches() for name, one in (self._open or {}).items()}
        return {
            held_name(layer, name): batch
            for name, brought in self._brought.items()
            for layer, batch in brought.items()
        }

    def held(self) -> dict[str, Tally]:
        """The tallies that there are once the batch is counted, but for those it brings."""
        return {
            held_name(layer, name): tally
            for name, group in (self._run.groups or {}).items()
            for layer, tally in group.tallies.items()
            if layer not in self._left
        }

    def reserve(self) -> None:
        """Make room for what the batch brings, the last that could fail."""
        for name, brought in self._brought.items():
            self._batches[name].reserve(brought)

    def count(self, passed: int) -> None:
        """Count what the batch brings, after so many inputs of the stream."""
        run, at_hand = self._run, self._labels.at_hand
        run.not_by_group |= self._left
        for name, brought in self._brought.items():
            group = self._runs[name]
            places = at_hand.places[name]
            group.tallies = self._batches[name].count(brought, passed + places)
            group.probes += len(places)
            group.labels = group.labels | at_hand.labels[name]
            group.recount = group.tally_notes = None
        run.add_groups({name: self._runs[name] for name in self._brought})
        if self._left:
            for group in (run.groups or {}).values():
                kept = {name: one for name, one in group.tallies.items() if name not in self._left}
                group.tallies = kept

    def close(self) -> None:
        """Free what is kept for the next batch only."""
        for batch in self._batches.values():
            batch.close()

    def _opened(
        self, at_hand: LabelledBatch, layer: str = "", tally: Tally | None = None
    ) -> dict[str, GroupBatch]:
        """What counts each group of the batch at hand."""
        groups = self._run.groups or {}
        many = len(groups.keys() | at_hand.places.keys())
        if many > MOST_GROUPS:
            raise self._too_many(many, at_hand, layer, tally)
        opened = {}
        for name in at_hand.places:
            self._check_labels(name, at_hand.labels[name])
            if name not in self._batches:
                self._runs[name] = groups.get(name) or self._run.new_group(set())
                self._batches[name] = self._begin(self._runs[name])
            self._batches[name].restart()
            opened[name] = self._batches[name]
        return opened

    def _check_labels(self, name: str, labels: set[Label]) -> None:
        """Check that labels are of one group: names may be others than in a file."""
        for other, group in (self._run.groups or {}).items():
            both = {*map(with_type, group.labels)} & {*map(with_type, labels)}
            if other != name and both:
                message = (
                    f"the label {next(iter(both))[1]!r} is of the group {other!r} in what was "
                    f"counted before, and of {name!r} now: give the same group_names."
                )
                raise ProducerError(message)

    def _rows_of_mask(self, mask: np.ndarray, name: str, places: np.ndarray) -> np.ndarray:
        """The rows of a mask, the same array for all layers of a batch."""
        if len(mask) != self._labels.at_hand.probes:
            return mask[:0]  # it belongs to no layer
        key = id(mask), name
        if key not in self._masks:
            self._masks[key] = mask, mask[places]
        return self._masks[key][1]

    def _too_many(
        self, many: int, at_hand: LabelledBatch, layer: str, tally: Tally | None
    ) -> ProducerError:
        known = self._run.tallies or ({} if tally is None else {layer: tally})
        least = sum(self._run.budget.least(one.units, 1, top_bytes(one)) for one in known.values())
        layers = "its layers" if len(known) > 1 else "its first layer"
        message = (
            f"groups= has given {many:,} different labels so far, such as "
            f"{listed([repr(name) for name in at_hand.places], 3)}, and at most {MOST_GROUPS:,} "
            f"groups are counted: each takes {format_bytes(least)} for {layers} at the very least, "
            f"all {format_bytes(many * least)}. Give classes, not values to be predicted: "
            "groups=lambda batch: (batch[1] > 0).long(), or numpy.digitize(batch[1], edges)."
        )
        return ProducerError(message)


def _rows_are_probes(response: Response, origin: Origin, probes: int) -> bool:
    """Whether a row of a response is a probe of the batch, in order."""
    if origin.routed or origin.load is not None or response.shape[0] != probes:
        return False
    # Sequences are laid items first.
    ambiguous = origin.positions_first and len(response.shape) > _SEQUENCE
    return not ambiguous or response.shape[1] != probes


def _rows(values: Any, places: np.ndarray) -> Any:
    """Some rows of an array or tensor, on its device."""
    if not is_tensor(values):
        return values[places]
    import torch

    return values[torch.from_numpy(places).to(values.device)]
