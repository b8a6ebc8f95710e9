"""Producers made of stages, as in DNIKit: a dataset, what is done to its batches, a model."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from iua_widget.common.tensors import as_numpy, is_tensor
from iua_widget.common.words import named
from iua_widget.errors import IUAError, ProducerError
from iua_widget.sources.dnikit_stages import (
    as_dnikit_batch,
    as_dnikit_stage,
    is_dnikit_batch,
    is_dnikit_stage,
    origins_in,
    through_dnikit_stage,
)
from iua_widget.units.masked_arrays import unmasked
from iua_widget.units.origins import followed, layout_of, pooled, settled, transposed
from iua_widget.units.rule import Origin

Stage = Callable[[Any], Any]
"""Takes a batch and returns one: any callable."""


class Batch:
    """Arrays by name, the first axis of each counting the same probes.

    Parameters
    ----------
    fields : mapping of str to array_like or torch.Tensor
    origins : mapping of str to Origin, optional
        What a model told of the fields beside their values.
    probes : int, optional
        How many there are, where fields may have other lengths, as a model's may.
    base : dnikit.base.Batch, optional
        The batch of DNIKit's that it comes from, whose metadata and snapshots it keeps.

    Examples
    --------
    >>> Batch({"image": np.zeros((8, 3, 4, 4))})
    Batch(8 probes: image (3, 4, 4))
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        origins: Mapping[str, Origin] | None = None,
        probes: int | None = None,
        base: Any = None,
    ) -> None:
        self.fields = dict(fields)
        self.origins = dict(origins or {})
        self.probes = probes
        self.base = base

    @property
    def batch_size(self) -> int:
        """Probes."""
        if self.probes is not None:
            return self.probes
        return next((len(field) for field in self.fields.values()), 0)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name} {tuple(f.shape[1:])}" for name, f in self.fields.items())
        return f"Batch({self.batch_size} probes: {fields})"


class _ToldFields(dict[str, Any]):
    """The mapping that a function of the user's returned, and what is known of it besides."""

    def __init__(self, fields: Mapping[str, Any], known: Batch) -> None:
        super().__init__(fields)
        self.known = known


class PipelineStage:
    """A stage of ours: `rename`, `transpose`, `pool`, a model. DNIKit's `pipeline` takes it, too.

    Parameters
    ----------
    function : callable
        Given a `Batch`, returns one that tells what is known of its fields.
    name : str
        For errors.
    steady : bool
        Whether every batch has the same fields.
    notes : callable, optional
        What the reader of the figures should know.
    """

    def __init__(
        self,
        function: Callable[[Batch], Batch],
        name: str,
        *,
        steady: bool = True,
        notes: Callable[[], list[str]] = list,
    ) -> None:
        self._function = function
        self._notes = notes
        self.__name__ = name
        self.steady = steady

    @property
    def notes(self) -> list[str]:
        """What the reader of the figures should know."""
        return self._notes()

    def __call__(self, batch: Any) -> Batch:
        """Do it to one batch."""
        return self._function(batch)

    def __iter__(self) -> Iterator[Any]:
        """Itself as DNIKit has stages, whose `pipeline` takes several in place of one."""
        yield as_dnikit_stage(self)


@runtime_checkable
class Producer(Protocol):
    """Anything that gives batches when called with a batch size (DNIKit's protocol)."""

    def __call__(self, batch_size: int) -> Iterable[Any]:
        """Give the stream anew."""
        ...


class Pipeline:
    """A dataset followed by stages; made by `pipeline`."""

    def __init__(self, dataset: Any, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self.steady = all(getattr(stage, "steady", True) for stage in stages)
        self.__name__ = "the pipeline"

        def entering(batch_size: int) -> Iterator[_Passing]:
            return iter(map(_Passing, _batches(dataset, batch_size)))

        self._stream: _Stream = entering
        self._lost: list[_Lost] = []
        for place, stage in enumerate(stages):
            if is_dnikit_stage(stage):
                self._stream = _through_dnikit(stage, self._stream, place)
            else:
                self._lost.append({})
                self._stream = _through(stage, self._stream, place, self._lost[-1])

    @property
    def notes(self) -> list[str]:
        """What the reader of the figures should know of its stages."""
        notes = [note for stage in self._stages for note in getattr(stage, "notes", [])]
        return notes + [
            f"{stage} changed {named(list(layers))} so that what the model told of it (kind, "
            "channels, padding) is no longer known: units=, channel_axis= and mask= can say it."
            for lost in self._lost
            for stage, layers in lost.items()
        ]

    def __call__(self, batch_size: int) -> Iterator[Any]:
        """Stream the dataset through the stages."""
        for passing in self._stream(batch_size):
            value, known = passing.value, passing.known
            if known is None:
                yield value
            else:
                yield _ToldFields(value, known) if isinstance(value, Mapping) else known


def pipeline(dataset: Any, *stages: Stage) -> Pipeline:
    """Make a producer of a dataset and what is done to each of its batches.

    Parameters
    ----------
    dataset : Producer, mapping, array, Tensor, Dataset or iterable of batches
        A mapping ``{name: array}``, an array, a tensor or a `torch.utils.data.Dataset` is cut into
        batches of the size asked for; a producer is called with it; other batches, such as a
        DataLoader's, come as they are.
    *stages : callable or dnikit.base.PipelineStage
        Each takes what the one before returned: `rename`, `transpose`, `pool`,
        ``TorchModel(model)(names)``, a processor of DNIKit's, or any function of a batch. Lists
        and tuples of stages are taken apart.

    Returns
    -------
    Pipeline
        A producer, for `IUA.introspect` and `IUAWidget`.

    Raises
    ------
    ProducerError
        If a stage cannot be called.

    Examples
    --------
    >>> from iua_widget import IUA
    >>> maps = {"conv": np.ones((10, 4, 6, 6))}
    >>> producer = pipeline(maps, pool("max"), rename({"conv": "conv1"}))
    >>> IUA.introspect(producer, batch_size=5).results["conv1"].unit_inactive_count
    array([0, 0, 0, 0])
    """
    flat = [
        one for stage in stages for one in (stage if isinstance(stage, (tuple, list)) else [stage])
    ]
    for place, stage in enumerate(flat):
        if not callable(stage) and not is_dnikit_stage(stage):
            message = (
                f"stage {place} of the pipeline is {type(stage).__name__}, which cannot be called: "
                "a stage takes a batch and returns one."
            )
            raise ProducerError(message)
    return Pipeline(dataset, flat)


def rename(names: Mapping[str, str]) -> PipelineStage:
    """A stage that renames fields: ``{old: new}``; others keep their names.

    Raises
    ------
    ProducerError
        On use, if there is no such field, or two fields would have one name.
    """

    def stage(given: Any) -> Batch:
        batch = as_batch(given)
        _check_names(names, batch.fields)
        renamed = {names.get(name, name): field for name, field in batch.fields.items()}
        if len(renamed) < len(batch.fields):
            message = f"rename({dict(names)!r}) gives two fields of {list(batch.fields)} one name."
            raise ProducerError(message)
        told = {names.get(name, name): origin for name, origin in batch.origins.items()}
        return Batch(renamed, told, batch.probes, batch.base)

    return PipelineStage(stage, "rename")


def transpose(axes: Sequence[int], names: Iterable[str] | str | None = None) -> PipelineStage:
    """A stage that reorders axes, such as ``(0, 3, 1, 2)`` for channels last to channels first.

    What a model before it told of the channels moves with them.

    Parameters
    ----------
    axes : sequence of int
        As for `numpy.transpose`; the first must be 0, which counts the probes.
    names : str or iterable of str, optional
        The fields to transpose; by default those of as many axes.

    Raises
    ------
    ProducerError
        If `axes` moves the first, or, on use, if a field named has not as many axes.
    """
    if not isinstance(axes, Sequence):
        message = f"transpose({axes!r}): give the order of the axes, such as (0, 3, 1, 2)."
        raise ProducerError(message)
    order = tuple(axes)
    if not order or order[0] != 0 or sorted(order) != list(range(len(order))):
        message = f"transpose({order!r}): give every axis once, the first, of the probes, first."
        raise ProducerError(message)

    def stage(given: Any) -> Batch:
        batch = as_batch(given)
        fields, origins = dict(batch.fields), dict(batch.origins)
        for name in _chosen(names, fields, lambda field: field.ndim == len(order)):
            field = fields[name]
            if field.ndim != len(order):
                message = f"transpose({order!r}): field {name!r} has shape {tuple(field.shape)}."
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
    """A stage that reduces positions to one value, so that a channel is one unit.

    Positions that a model before it told to be padding are left out.

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

    Raises
    ------
    ProducerError
        If `how` is neither, or, on use, if a field has no such axes.
    """
    if how not in ("max", "mean"):
        message = f"pool({how!r}): pools by 'max' or 'mean'."
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


def as_batch(batch: Any) -> Batch:
    """A `Batch` of what is one, of DNIKit's, or of a mapping.

    Raises
    ------
    ProducerError
        If it is none of these.
    """
    if isinstance(batch, Batch):
        return batch
    if isinstance(batch, _ToldFields):
        return batch.known
    fields = _fields_in(batch)
    if fields is None:
        message = (
            f"this stage works on named fields, and was given {type(batch).__name__}. Put a stage "
            "before it that names them: lambda batch: {'image': batch[0]}."
        )
        raise ProducerError(message)
    told = origins_in(batch) if is_dnikit_batch(batch) else {}
    fields = {name: unmasked(array, f"field {name!r}") for name, array in fields.items()}
    return Batch(fields, told, base=batch if is_dnikit_batch(batch) else None)


def told(batch: Any) -> tuple[Mapping[str, Origin], int | None]:
    """What is known of the fields of a batch of any sort, and how many probes it is said to be."""
    if isinstance(batch, (Batch, _ToldFields)) or is_dnikit_batch(batch):
        known = as_batch(batch)
        return known.origins, known.probes
    return {}, None


def _fields_in(batch: Any) -> Mapping[str, Any] | None:
    fields = batch if isinstance(batch, Mapping) else getattr(batch, "fields", None)
    return fields if isinstance(fields, Mapping) else None


def _batches(dataset: Any, batch_size: int) -> Iterable[Any]:
    if isinstance(dataset, Mapping):
        fields = {
            name: field if hasattr(field, "shape") else np.asarray(field)
            for name, field in dataset.items()
        }
        rows = min((len(field) for field in fields.values()), default=0)
        return (
            Batch({name: field[start : start + batch_size] for name, field in fields.items()})
            for start in range(0, rows, batch_size)
        )
    if hasattr(dataset, "shape"):
        return (dataset[start : start + batch_size] for start in range(0, len(dataset), batch_size))
    if _is_torch_dataset(dataset):
        from torch.utils.data import DataLoader

        return DataLoader(dataset, batch_size=batch_size)
    if callable(dataset):
        dataset = dataset(batch_size)
    if not isinstance(dataset, Iterable) or isinstance(dataset, (str, bytes)):
        message = (
            f"a pipeline begins with a dataset, and {type(dataset).__name__} gives no batches. "
            "Give a mapping {name: array}, an array, a DataLoader or another iterable of batches."
        )
        raise ProducerError(message)
    return dataset


def _is_torch_dataset(dataset: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(dataset, torch.utils.data.Dataset)


class _Passing:
    """A batch as the stage before left it, and what is known of it that it does not say."""

    def __init__(self, value: Any, known: Batch | None = None) -> None:
        self.value = value
        self.known = known
        if known is None and (isinstance(value, Batch) or is_dnikit_batch(value)):
            self.known = as_batch(value)


_Stream = Callable[[int], Iterator[_Passing]]
"""Given a batch size."""


_Lost = dict[str, dict[str, None]]
"""The layers of which something told was lost, by the stage that lost it."""


def _through(stage: Stage, stream: _Stream, place: int, lost: _Lost) -> _Stream:
    ours = isinstance(stage, PipelineStage)

    def through(batch_size: int) -> Iterator[_Passing]:
        for number, passing in enumerate(stream(batch_size)):
            known = passing.known
            fields = {} if known is None else dict(known.fields)  # the stage may change the batch
            try:
                value = stage(known if ours and known is not None else passing.value)
            except IUAError:
                raise
            except Exception as error:
                raise _error_of(stage, error, place, number, passing.value) from error
            now = None if ours or known is None else _followed(value, fields, known)
            if now is not None and known is not None:
                layers = [name for name in now.fields if _is_lost(name, now, known, fields)]
                if layers:
                    lost.setdefault(_named(stage, place), {}).update(dict.fromkeys(layers))
            yield _Passing(value, now)

    return through


def _through_dnikit(stage: Any, stream: _Stream, place: int) -> _Stream:
    local = threading.local()

    def producer(batch_size: int) -> Iterator[Any]:
        run: _DNIKitRun = local.run
        try:
            for passing in stream(batch_size):
                batch = as_batch(passing.value if passing.known is None else passing.known)
                given = as_dnikit_batch(batch)
                run.number, run.sent, run.told = run.number + 1, given.fields, batch.origins
                yield given
        except Exception as error:
            run.upstream = error
            raise

    theirs = through_dnikit_stage(stage, producer)  # once: a Cacher takes one producer

    def through(batch_size: int) -> Iterator[_Passing]:
        run = _DNIKitRun()
        local.run = run  # for `producer`, which begins with the first batch
        try:
            for batch in theirs(batch_size):
                yield _Passing(batch, run.told_of(batch))
                local.run = run
        except Exception as error:
            if error is run.upstream:
                raise
            raise _error_of(stage, error, place, max(run.number, 0), None) from error

    return through


@dataclass(slots=True)
class _DNIKitRun:
    """The batch that a stage of DNIKit's was given last."""

    number: int = -1
    sent: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Origin] = field(default_factory=dict)
    upstream: Exception | None = None

    def told_of(self, given: Any) -> Batch:
        """A batch that came of it; a field that has only another name is known as before."""
        batch = as_batch(given)
        for name, array in batch.fields.items():
            same = next((old for old, sent in self.sent.items() if sent is array), None)
            if same is not None and same in self.told:
                batch.origins[name] = self.told[same]
        return batch


def _named(stage: Any, place: int) -> str:
    return f"stage {place} of the pipeline ({getattr(stage, '__name__', type(stage).__name__)})"


def _error_of(stage: Any, error: Exception, place: int, number: int, batch: Any) -> ProducerError:
    what = "" if batch is None else f", which is {type(batch).__name__}"
    message = (
        f"{_named(stage, place)} raised {type(error).__name__} on batch {number}{what}: {error}"
    )
    return ProducerError(message, batch=number)


def _followed(value: Any, before: Mapping[str, Any], known: Batch | None) -> Batch | None:
    """What is known of a batch that a function of the user's has made of another."""
    fields = _fields_in(value)
    if fields is None or known is None:
        return None
    stated = getattr(value, "origins", {})
    origins = {}
    for name, array in fields.items():
        source = next((old for old, given in before.items() if given is array), name)
        origin = known.origins.get(source)
        if name in stated and all(stated[name] is not one for one in known.origins.values()):
            origins[name] = stated[name]
        elif origin is not None:
            old, new = before[source], array if is_tensor(array) else np.asanyarray(array)
            found = followed(origin, tuple(old.shape), layout_of(old), new, old)
            if found is not None:
                origins[name] = found
    as_long = all(len(fields[name]) == len(before[name]) for name in before.keys() & fields.keys())
    base = value if is_dnikit_batch(value) else known.base if as_long else None
    probes = getattr(value, "probes", None) or (known.probes if as_long else None)
    return Batch(fields, origins, probes, base)


def _is_lost(name: str, now: Batch, known: Batch, before: Mapping[str, Any]) -> bool:
    """Whether a field of a name that was known is no more, where that may change its figures."""
    origin = known.origins.get(name)
    if origin is None or name in now.origins:
        return False
    plan = settled(origin, tuple(before[name].shape)).settled
    whole = plan is None or plan.choice == "element"
    return not whole or origin.mask is not None or np.ndim(now.fields[name]) > 2  # noqa: PLR2004


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
    """A field with its padding masked, where that is among what is pooled over."""
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
