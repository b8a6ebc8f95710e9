"""The stages `rename`, `transpose` and `pool`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np

from iua_widget.common.tensors import as_numpy, is_tensor
from iua_widget.common.words import did_you_mean
from iua_widget.errors import ProducerError
from iua_widget.sources.batch import Batch, as_batch
from iua_widget.sources.pipeline import PipelineStage
from iua_widget.units.masked_arrays import unmasked
from iua_widget.units.origins import pooled, settled, transposed
from iua_widget.units.rule import Origin

_HOW: Final = ("max", "mean")


def rename(names: Mapping[str, str]) -> PipelineStage:
    """Make a stage that renames fields.

    Parameters
    ----------
    names : mapping of str to str
        ``{old: new}``; other fields keep their names.

    Returns
    -------
    PipelineStage

    Raises
    ------
    ProducerError
        On use, if there is no such field, or two fields would have one name: name fields that the
        batch has, and give each a name of its own.

    Examples
    --------
    >>> rename({"old": "new"})(Batch({"old": np.zeros((8, 3))}))
    Batch(8 probes: new (3,))
    """

    def stage(given: Any) -> Batch:
        batch = as_batch(given)
        _check_names(names, batch.fields)
        renamed = {names.get(name, name): field for name, field in batch.fields.items()}
        if len(renamed) < len(batch.fields):
            message = (
                f"rename({dict(names)!r}) gives two fields of {list(batch.fields)} one name. Give "
                "each a name of its own."
            )
            raise ProducerError(message)
        told = {names.get(name, name): origin for name, origin in batch.origins.items()}
        return Batch(renamed, told, batch.probes, batch.base)

    return PipelineStage(stage, "rename")


def transpose(axes: Sequence[int], names: Iterable[str] | str | None = None) -> PipelineStage:
    """Make a stage that reorders axes, such as ``(0, 3, 1, 2)`` for channels last to first.

    What a model before it told of the channels moves with them.

    Parameters
    ----------
    axes : sequence of int
        As for `numpy.transpose`; the first must be 0, which counts the probes.
    names : str or iterable of str, optional
        The fields to transpose; by default those of as many axes.

    Returns
    -------
    PipelineStage

    Raises
    ------
    ProducerError
        If `axes` does not have every axis once and 0 first, or, on use, if a field named has
        another number of axes, or there is none of that name.

    Examples
    --------
    >>> transpose((0, 3, 1, 2))(Batch({"conv": np.zeros((8, 6, 6, 4))}))
    Batch(8 probes: conv (4, 6, 6))
    """
    if not isinstance(axes, Sequence):
        message = f"axes must be the order of the axes, such as (0, 3, 1, 2); got {axes!r}."
        raise ProducerError(message)
    order = tuple(axes)
    if not order or order[0] != 0 or sorted(order) != list(range(len(order))):
        message = f"axes must be every axis once, beginning with 0, of the probes; got {order!r}."
        raise ProducerError(message)

    def stage(given: Any) -> Batch:
        batch = as_batch(given)
        fields, origins = dict(batch.fields), dict(batch.origins)
        for name in _chosen(names, fields, lambda field: field.ndim == len(order)):
            field = fields[name]
            if field.ndim != len(order):
                message = (
                    f"transpose({order!r}) needs {len(order)} axes, and field {name!r} has shape "
                    f"{tuple(field.shape)}."
                )
                raise ProducerError(message)
            fields[name] = field.permute(order) if is_tensor(field) else np.transpose(field, order)
            if name in origins:
                origins[name] = transposed(origins[name], tuple(field.shape), order)
        return Batch(fields, origins, batch.probes, batch.base)

    return PipelineStage(stage, "transpose")


def pool(
    how: Literal["max", "mean"] = "max",
    axes: Sequence[int] | int | None = None,
    names: Iterable[str] | str | None = None,
) -> PipelineStage:
    """Make a stage that reduces positions to one value, so that a channel is one unit.

    Positions that are padding, as a model before it told, are left out.

    Parameters
    ----------
    how : {"max", "mean"}
        The value itself, not its magnitude. To count a channel as inactive where it is so at every
        position, whatever the sign, leave positions as they are and use ``units="channel"``.
    axes : int or sequence of int, optional
        The axes of the positions; by default all but the first, of the probes, and that of the
        channels: where a model before it told no other, the second.
    names : str or iterable of str, optional
        The fields to pool; by default those of three axes and more.

    Returns
    -------
    PipelineStage

    Raises
    ------
    ProducerError
        If `how` is neither, or, on use, if a field has no such axes, or there is none of a name
        given.

    Examples
    --------
    >>> pool("mean")(Batch({"conv": np.ones((8, 4, 6, 6))}))
    Batch(8 probes: conv (4,))
    """
    if how not in _HOW:
        message = f"how must be 'max' or 'mean'; got {how!r}.{did_you_mean(how, _HOW)}"
        raise ProducerError(message)

    def stage(given: Any) -> Batch:
        batch = as_batch(given)
        fields, origins = dict(batch.fields), dict(batch.origins)
        for name in _chosen(names, fields, lambda field: field.ndim > 2):  # noqa: PLR2004
            field = as_numpy(unmasked(fields[name], f"field {name!r}"))
            origin = origins.get(name)
            over = _positions(field.shape, origin) if axes is None else axes
            over = (over,) if isinstance(over, (int, np.integer)) else tuple(over)
            try:
                real = _without_padding(field, over, origin)
                fields[name] = np.asarray(getattr(real, how)(axis=over))
            except (ValueError, TypeError, np.exceptions.AxisError) as error:
                message = f"pool over axes {over}: field {name!r} has shape {field.shape}: {error}"
                raise ProducerError(message) from error
            if origin is not None:
                origins[name] = pooled(origin, field.shape, over)
        return Batch(fields, origins, batch.probes, batch.base)

    return PipelineStage(stage, "pool")


def _chosen(
    names: Iterable[str] | str | None, fields: Mapping[str, Any], default: Callable[[Any], bool]
) -> list[str]:
    if names is None:
        return [name for name, field in fields.items() if default(field)]
    chosen = [names] if isinstance(names, str) else list(names)
    _check_names(chosen, fields)
    return chosen


def _check_names(names: Iterable[str], fields: Mapping[str, Any]) -> None:
    for name in names:
        if name not in fields:
            message = f"there is no field {name!r} in the batch. Fields there are: {list(fields)}."
            raise ProducerError(message)


def _positions(shape: tuple[int, ...], origin: Origin | None) -> tuple[int, ...]:
    plan = None if origin is None else settled(origin, shape).settled
    channels = 1 if plan is None else plan.channel_axis
    return tuple(axis for axis in range(1, len(shape)) if axis != channels)


def _without_padding(field: np.ndarray, over: tuple[int, ...], origin: Origin | None) -> np.ndarray:
    """A field with its padding masked, where padding is among the positions pooled."""
    plan = None if origin is None else settled(origin, field.shape).settled
    mask = None if origin is None else origin.mask
    axis = None if plan is None else plan.channel_axis
    if mask is None or axis is None or axis in {one % field.ndim for one in over}:
        return field
    if np.moveaxis(field, axis, -1).shape[:-1] != mask.shape:
        return field
    some = mask.any(axis=1)
    padding = np.broadcast_to(np.expand_dims(~mask, axis), field.shape)
    return np.ma.masked_array(field[some], mask=padding[some])
