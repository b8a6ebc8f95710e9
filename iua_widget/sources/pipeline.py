"""`pipeline`, a producer made of a dataset and stages, as in DNIKit."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from iua_widget.common.tensors import is_tensor
from iua_widget.common.words import named
from iua_widget.errors import IUAError, ProducerError
from iua_widget.sources.batch import Batch, BatchFields, as_batch, fields_of
from iua_widget.sources.dnikit import (
    dnikit_stage,
    is_dnikit_batch,
    is_dnikit_stage,
    through_dnikit_stage,
)
from iua_widget.units.origins import followed, layout_of, settled
from iua_widget.units.rule import Origin


class PipelineStage:
    """A stage of ours, such as `rename` or a model; DNIKit's `pipeline` takes it, too.

    Parameters
    ----------
    function : callable
        Given a `Batch`, returns one that tells what is known of its fields.
    name : str
        For errors.
    steady : bool
        Whether every batch has the same fields.
    notes : callable, optional
        Gives notes for whoever reads the counts.

    Examples
    --------
    >>> halve = PipelineStage(lambda batch: Batch({"half": batch.fields["x"] / 2}), "halve")
    >>> halve(Batch({"x": np.ones((8, 3))}))
    Batch(8 probes: half (3,))
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
        """Notes for whoever reads the counts."""
        return self._notes()

    def __call__(self, batch: Any) -> Batch:
        """Process one batch.

        Parameters
        ----------
        batch : Any
            As its function takes it.

        Returns
        -------
        Batch
        """
        return self._function(batch)

    def __iter__(self) -> Iterator[Any]:
        """A stage of DNIKit's, whose `pipeline` takes an iterable of stages in place of one."""
        yield dnikit_stage(lambda batch: self(batch).to_dnikit())


class Pipeline:
    """A dataset followed by stages; made by `pipeline`.

    Parameters
    ----------
    dataset, stages
        As for `pipeline`.

    Examples
    --------
    >>> producer = pipeline({"x": np.ones((10, 3))}, lambda batch: {"half": batch.fields["x"] / 2})
    >>> [batch["half"].shape for batch in producer(batch_size=8)]
    [(8, 3), (2, 3)]
    """

    def __init__(self, dataset: Any, stages: Sequence[Callable[[Any], Any]]) -> None:
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
        """Notes on its stages for whoever reads the counts."""
        notes = [note for stage in self._stages for note in getattr(stage, "notes", [])]
        return notes + [
            f"{stage} changed {named(list(layers))} so that what the model told of it (kind, "
            "channels, padding) is no longer known: units=, channel_axis= and mask= can say it."
            for lost in self._lost
            for stage, layers in lost.items()
        ]

    def __call__(self, batch_size: int) -> Iterator[Any]:
        """Stream the dataset through the stages.

        Parameters
        ----------
        batch_size : int
            For a dataset that is cut into batches, and for a producer.

        Returns
        -------
        iterator of Any
            What the last stage returns of each batch.
        """
        for passing in self._stream(batch_size):
            value, known = passing.value, passing.known
            if known is None:
                yield value
            else:
                yield BatchFields(value, known) if isinstance(value, Mapping) else known


def pipeline(dataset: Any, *stages: Callable[[Any], Any]) -> Pipeline:
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
    >>> from iua_widget.stages import pool, rename
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
                f"stage {place} of the pipeline must be a callable that takes a batch and returns "
                f"one; got {type(stage).__name__}."
            )
            raise ProducerError(message)
    return Pipeline(dataset, flat)


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
            "a pipeline must begin with a mapping {name: array}, an array, a DataLoader, a "
            f"producer or another iterable of batches; got {type(dataset).__name__}."
        )
        raise ProducerError(message)
    return dataset


def _is_torch_dataset(dataset: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(dataset, torch.utils.data.Dataset)


class _Passing:
    """A batch on its way between two stages, and what is known of its fields."""

    def __init__(self, value: Any, known: Batch | None = None) -> None:
        self.value = value
        self.known = known
        if known is None and (isinstance(value, Batch) or is_dnikit_batch(value)):
            self.known = as_batch(value)


_Stream = Callable[[int], Iterator[_Passing]]
"""Given a batch size."""


_Lost = dict[str, dict[str, None]]
"""The layers of which a stage lost what the model told, by that stage."""


def _through(stage: Callable[[Any], Any], stream: _Stream, place: int, lost: _Lost) -> _Stream:
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
                given = batch.to_dnikit()
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
    """The batch that a stage of DNIKit's was given last, and what is known of it."""

    number: int = -1
    sent: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Origin] = field(default_factory=dict)
    upstream: Exception | None = None

    def told_of(self, given: Any) -> Batch:
        """What is known of the batch that came of it, and of fields that were only renamed."""
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
    """What is known of a batch that a function of the user's made of another."""
    fields = fields_of(value)
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
    """Whether what was known of a field is lost, and that may change its figures."""
    origin = known.origins.get(name)
    if origin is None or name in now.origins:
        return False
    plan = settled(origin, tuple(before[name].shape)).settled
    whole = plan is None or plan.choice == "element"
    return not whole or origin.mask is not None or np.ndim(now.fields[name]) > 2  # noqa: PLR2004
