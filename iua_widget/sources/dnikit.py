"""DNIKit's batches and stages in our pipelines, and ours in DNIKit's."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from iua_widget.common.tensors import as_numpy
from iua_widget.errors import ProducerError
from iua_widget.units.masked_arrays import unmasked
from iua_widget.units.origins import followed, layout_of, reduced, settled
from iua_widget.units.rule import Origin

_KEY: Final = "iua_widget.origins"
"""The metadata in which a batch of DNIKit's keeps what a model told of its fields."""


def is_dnikit_batch(batch: Any) -> bool:
    """Whether this is a batch of DNIKit's; it is not imported for that.

    Examples
    --------
    >>> is_dnikit_batch({"image": np.zeros((8, 3, 4, 4))})
    False
    """
    dnikit = sys.modules.get("dnikit.base")
    return dnikit is not None and isinstance(batch, dnikit.Batch)


def is_dnikit_stage(stage: Any) -> bool:
    """Whether this is a stage of DNIKit's: a processor, a model with its responses.

    Examples
    --------
    >>> is_dnikit_stage(len)
    False
    """
    dnikit = sys.modules.get("dnikit.base")
    return dnikit is not None and isinstance(stage, dnikit.PipelineStage)


def _dnikit() -> Any:
    return importlib.import_module("dnikit.base")


def through_dnikit_stage(
    stage: Any, producer: Callable[[int], Iterator[Any]]
) -> Callable[[int], Iterable[Any]]:
    """A producer that puts the batches of another through a stage of DNIKit's."""
    made: Callable[[int], Iterable[Any]] = _dnikit().pipeline(producer, stage)
    return made


def dnikit_stage(process: Callable[[Any], Any]) -> Any:
    """A stage of DNIKit's, made of a function from batch to batch."""

    class Stage(_dnikit().PipelineStage):  # type: ignore[misc]
        def _get_batch_processor(self) -> Callable[[Any], Any]:
            return process

    return Stage()


def dnikit_batch(fields: Mapping[str, Any], origins: Mapping[str, Origin], base: Any) -> Any:
    """A batch of DNIKit's, with the metadata and snapshots of `base`, the one it comes from.

    Raises
    ------
    ProducerError
        If the fields are not as long as one another.
    """
    # The array of a user's would be made read-only; a view of it is.
    fields = {
        name: as_numpy(unmasked(field, f"field {name!r}")).view() for name, field in fields.items()
    }
    lengths = {name: len(field) for name, field in fields.items()}
    if len(set(lengths.values())) > 1:
        message = (
            f"the fields of a batch of DNIKit's must be equally long, and these have {lengths} "
            "rows: choose layers that are as long as the batch, or use iua_widget.stages.pipeline "
            "without stages of DNIKit's behind the model."
        )
        raise ProducerError(message)
    as_long = base is not None and base.batch_size == next(iter(lengths.values()), None)
    theirs = _dnikit().Batch
    builder = theirs.Builder(base=base) if as_long else theirs.Builder()
    builder.fields = fields
    key = theirs.DictMetaKey(_KEY)
    if origins:
        builder.metadata[key] = {
            name: _by_row(origins[name], field) for name, field in fields.items() if name in origins
        }
    elif key in builder.metadata:
        del builder.metadata[key]
    return builder.make_batch()


def origins_in(batch: Any) -> dict[str, Origin]:
    """The origins of the fields of a batch of DNIKit's, as far as they are still known."""
    key = type(batch).DictMetaKey(_KEY)
    if key not in batch.metadata:
        return {}
    told: Mapping[str, Any] = batch.metadata[key]
    found = {
        name: _of_rows(told[name], field)
        for name, field in batch.fields.items()
        if name in told and len(told[name])
    }
    return {name: origin for name, origin in found.items() if origin is not None}


_Row = tuple[Origin, tuple[int, ...], tuple[int, ...], Any]
"""Without its mask, the field's shape and layout when it was told, and the row of the mask."""


def _by_row(origin: Origin, field: np.ndarray) -> list[_Row]:
    """An origin for every row, because rows may be left out or joined with other batches."""
    told = replace(settled(origin, field.shape), mask=None)
    mask = origin.mask
    if mask is not None and len(mask) != len(field):
        mask = mask.ravel() if mask.size == len(field) else None
    rows = [None] * len(field) if mask is None else list(mask)
    layout = layout_of(field)
    return [(told, field.shape, layout, row) for row in rows]


def _of_rows(rows: list[_Row], field: np.ndarray) -> Origin | None:
    origin, shape, layout, row = rows[0]
    mask = None if row is None else np.stack([row for *_, row in rows])
    origin = replace(origin, mask=mask)
    found = followed(origin, shape, layout, field)
    if found is None and math.prod(shape[1:]) == math.prod(field.shape[1:]):
        return Origin(kind=origin.kind)
    return found or reduced(origin, shape, field.shape)
