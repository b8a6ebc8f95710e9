"""Producers made of stages, as in DNIKit: a dataset, what is done to its batches, a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from iua_widget.errors import IUAError, ProducerError
from iua_widget.masked_arrays import unmasked
from iua_widget.units import Origin

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
    ) -> None:
        self.fields = dict(fields)
        self.origins = dict(origins or {})
        self._probes = probes

    @property
    def batch_size(self) -> int:
        """Probes."""
        if self._probes is not None:
            return self._probes
        return next((len(field) for field in self.fields.values()), 0)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name} {tuple(f.shape[1:])}" for name, f in self.fields.items())
        return f"Batch({self.batch_size} probes: {fields})"


@runtime_checkable
class Producer(Protocol):
    """Anything that gives batches when called with a batch size (DNIKit's protocol)."""

    def __call__(self, batch_size: int) -> Iterable[Any]:
        """Give the stream anew."""
        ...


class Pipeline:
    """A dataset followed by stages; made by `pipeline`."""

    def __init__(self, dataset: Any, stages: Sequence[Stage]) -> None:
        self._dataset = dataset
        self._stages = stages
        self.steady = all(getattr(stage, "steady", True) for stage in stages)
        self.__name__ = "the pipeline"

    def __call__(self, batch_size: int) -> Iterator[Any]:
        """Stream the dataset through the stages."""
        for number, batch in enumerate(_batches(self._dataset, batch_size)):
            given = batch
            for place, stage in enumerate(self._stages):
                given = _through(stage, given, place, number)
            yield given


def pipeline(dataset: Any, *stages: Stage) -> Pipeline:
    """Make a producer of a dataset and what is done to each of its batches.

    Parameters
    ----------
    dataset : Producer, mapping, array, Tensor, Dataset or iterable of batches
        A mapping ``{name: array}``, an array, a tensor or a `torch.utils.data.Dataset` is cut into
        batches of the size asked for; a producer is called with it; other batches, such as a
        DataLoader's, come as they are.
    *stages : callable
        Each takes what the one before returned: `rename`, `transpose`, `pool`,
        ``TorchModel(model)(names)``, or any function of a batch.

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
    for place, stage in enumerate(stages):
        if not callable(stage):
            message = (
                f"stage {place} of the pipeline is {type(stage).__name__}, which cannot be called: "
                "a stage takes a batch and returns one."
            )
            raise ProducerError(message)
    return Pipeline(dataset, stages)


def rename(names: Mapping[str, str]) -> Stage:
    """A stage that renames fields: ``{old: new}``; others keep their names.

    Raises
    ------
    ProducerError
        On use, if there is no such field, or two fields would have one name.
    """

    def stage(batch: Any) -> Batch:
        fields = fields_of(batch)
        _check_names(names, fields)
        renamed = {names.get(name, name): field for name, field in fields.items()}
        if len(renamed) < len(fields):
            message = f"rename({dict(names)!r}) gives two fields of {list(fields)} one name."
            raise ProducerError(message)
        origins = getattr(batch, "origins", {})
        told = {names.get(name, name): origin for name, origin in origins.items()}
        return Batch(renamed, told, _probes_of(batch))

    return stage


def transpose(axes: Sequence[int], names: Iterable[str] | str | None = None) -> Stage:
    """A stage that reorders axes, such as ``(0, 3, 1, 2)`` for channels last to channels first.

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
    axes = tuple(axes)
    if not axes or axes[0] != 0 or sorted(axes) != list(range(len(axes))):
        message = f"transpose({axes!r}): give every axis once, the first, of the probes, first."
        raise ProducerError(message)

    def stage(batch: Any) -> Batch:
        fields = fields_of(batch)
        chosen = _chosen(names, fields, lambda field: field.ndim == len(axes))
        for name in chosen:
            if fields[name].ndim != len(axes):
                message = (
                    f"transpose({axes!r}): field {name!r} has shape {tuple(fields[name].shape)}."
                )
                raise ProducerError(message)
        moved = {name: _permuted(fields[name], axes) for name in chosen}
        return Batch(fields | moved, _others(batch, moved), _probes_of(batch))

    return stage


def pool(
    how: Literal["max", "mean"] = "max",
    axes: Sequence[int] | int | None = None,
    names: Iterable[str] | str | None = None,
) -> Stage:
    """A stage that reduces positions to one value, so that a channel is one unit.

    Parameters
    ----------
    how : {"max", "mean"}
        The value itself, not its magnitude. To count a channel as inactive where it is so at every
        position, whatever the sign, leave positions as they are and use ``units="channel"``.
    axes : int or sequence of int, optional
        The axes of the positions; by default all but the first two, which are PyTorch's probes and
        channels.
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

    def stage(batch: Any) -> Batch:
        fields = fields_of(batch)
        chosen = _chosen(names, fields, lambda field: field.ndim > 2)  # noqa: PLR2004
        pooled = {}
        for name in chosen:
            field = _as_numpy(fields[name])
            over = tuple(range(2, field.ndim)) if axes is None else axes
            try:
                pooled[name] = field.max(axis=over) if how == "max" else field.mean(axis=over)
            except (ValueError, np.exceptions.AxisError) as error:
                message = f"pool over axes {over}: field {name!r} has shape {field.shape}: {error}"
                raise ProducerError(message) from error
        return Batch(fields | pooled, _others(batch, pooled), _probes_of(batch))

    return stage


def fields_of(batch: Any) -> dict[str, Any]:
    """The fields of a `Batch`, of DNIKit's, or of a mapping.

    Raises
    ------
    ProducerError
        If it is none of these.
    """
    fields = batch if isinstance(batch, Mapping) else getattr(batch, "fields", None)
    if not isinstance(fields, Mapping):
        message = (
            f"this stage works on named fields, and was given {type(batch).__name__}. Put a stage "
            "before it that names them: lambda batch: {'image': batch[0]}."
        )
        raise ProducerError(message)
    return {name: unmasked(field, f"field {name!r}") for name, field in fields.items()}


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
    import sys

    torch = sys.modules.get("torch")
    return torch is not None and isinstance(dataset, torch.utils.data.Dataset)


def _through(stage: Stage, batch: Any, place: int, number: int) -> Any:
    try:
        return stage(batch)
    except IUAError:
        raise
    except Exception as error:
        name = getattr(stage, "__name__", type(stage).__name__)
        message = (
            f"stage {place} of the pipeline ({name}) raised {type(error).__name__} on batch "
            f"{number}, which is {type(batch).__name__}: {error}"
        )
        raise ProducerError(message, batch=number) from error


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


def _others(batch: Any, changed: Mapping[str, Any]) -> dict[str, Origin]:
    """What was told of fields that a stage has left as they were."""
    origins = getattr(batch, "origins", {})
    return {name: origin for name, origin in origins.items() if name not in changed}


def _probes_of(batch: Any) -> int | None:
    return batch.batch_size if isinstance(batch, Batch) and batch.origins else None


def _permuted(field: Any, axes: tuple[int, ...]) -> Any:
    return field.permute(axes) if hasattr(field, "permute") else np.transpose(field, axes)


def _as_numpy(field: Any) -> np.ndarray:
    if hasattr(field, "detach"):
        field = field.detach().float().cpu().numpy() if field.is_floating_point() else field.cpu()
    return np.asarray(field)
