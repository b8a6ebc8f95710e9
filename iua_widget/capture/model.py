"""`TorchModel`: a PyTorch model as a stage of a pipeline, as DNIKit's models are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from iua_widget.capture.infos import response_infos
from iua_widget.capture.source import TorchSource
from iua_widget.common.arguments import known_arguments_only
from iua_widget.errors import ProducerError
from iua_widget.options import CallsOption, SourceOptions
from iua_widget.sources.batch import Batch, fields_of
from iua_widget.sources.dnikit import is_dnikit_batch
from iua_widget.sources.pipeline import PipelineStage
from iua_widget.sources.response_info import ResponseInfos
from iua_widget.units.expert_load import of_both
from iua_widget.units.masked_arrays import unmasked
from iua_widget.units.rule import UNKNOWN, Origin


class TorchModel:
    """A model whose responses are a stage of a pipeline.

    Parameters
    ----------
    model : torch.nn.Module
    example : Any, optional
        One batch, for `response_infos`.
    forward : callable, optional
        ``forward(model, batch)``, where ``model(batch)`` is not the way.
    calls : {"auto", "separate", "merge"}
        As for `IUA.introspect`.

    Examples
    --------
    >>> from iua_widget import IUA, LayerKind
    >>> from iua_widget.stages import pipeline
    >>> model = TorchModel(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()))
    >>> convs = [
    ...     info.name
    ...     for info in model.response_infos().values()
    ...     if info.layer.kind == LayerKind.CONV_2D
    ... ]
    >>> producer = pipeline(torch.zeros(10, 1, 6, 6), model(convs))
    >>> IUA.introspect(producer).layers
    ['0']
    """

    @known_arguments_only
    def __init__(
        self,
        model: nn.Module,
        example: Any = None,
        *,
        forward: Callable[[Any, Any], Any] | None = None,
        calls: CallsOption = "auto",
    ) -> None:
        self._model = model
        self._example = example
        self._options = SourceOptions(forward=forward, calls=calls)

    def response_infos(self, example: Any = None) -> ResponseInfos:
        """The model's responses; see `iua_widget.response_infos`.

        Parameters
        ----------
        example : Any, optional
            One batch, in place of the one that the class was given.

        Returns
        -------
        ResponseInfos

        Raises
        ------
        ProducerError
            If the model cannot be watched, or fails on the example.
        """
        example = self._example if example is None else example
        options = self._options
        return response_infos(self._model, example, forward=options.forward, calls=options.calls)

    def __call__(self, layers: Any = None) -> PipelineStage:
        """Make a stage that runs the model on each batch and returns the chosen responses.

        Parameters
        ----------
        layers : str, type, LayerKind, Module, callable, or iterable of these, optional
            As for `IUA.introspect`: the names of response infos, among others.

        Returns
        -------
        PipelineStage
            Takes a batch of inputs, of which a single field is given by position and several by
            name, and returns a `Batch` of responses; for `iua_widget.stages.pipeline` and DNIKit's.

        Raises
        ------
        LayerSelectionError
            If one of `layers` matches no module.
        """
        source = TorchSource(self._model, (), replace(self._options, layers=layers))

        def stage(batch: Any) -> Batch:
            parts: dict[str, list[torch.Tensor]] = {}
            origins: dict[str, Origin] = {}

            def record(layer: str, value: Any, origin: Origin = UNKNOWN, /) -> None:
                parts.setdefault(layer, []).append(value.detach().clone())
                before = origins.get(layer)
                origins[layer] = origin if before is None else _origin_of_both(before, origin)

            def restart() -> None:
                parts.clear()
                origins.clear()

            probes = source.one_batch(_inputs(batch), record, restart)
            fields = {name: _joined(name, tensors) for name, tensors in parts.items()}
            return Batch(fields, origins, probes, _base(batch))

        name = type(self._model).__name__
        return PipelineStage(stage, name, steady=False, notes=lambda: source.notes)


def _origin_of_both(before: Origin, origin: Origin) -> Origin:
    """The origin of several responses joined."""
    if origin.load is not None:  # which comes without a row
        return replace(before, load=of_both(before.load, origin.load))
    one, other = before.mask, origin.mask
    if one is None or other is None or one.shape[1:] != other.shape[1:]:
        return replace(origin, mask=None)
    return replace(origin, mask=np.concatenate([one, other]))


def _joined(name: str, parts: list[torch.Tensor]) -> torch.Tensor:
    """The responses of several passes, as `model.generate` makes them, joined."""
    try:
        return torch.cat(parts) if len(parts) > 1 else parts[0]
    except RuntimeError as error:
        message = (
            f"layer {name!r}: the passes of one batch give shapes "
            f"{sorted({tuple(part.shape) for part in parts})}, which are not one array. Count it "
            "with IUA.introspect(model, loader, forward=...) itself."
        )
        raise ProducerError(message, layer=name) from error


def _inputs(batch: Any) -> Any:
    fields = fields_of(batch)
    if fields is None:
        return batch
    if len(fields) == 1:
        name, only = next(iter(fields.items()))
        if isinstance(only, torch.Tensor) and (
            only.is_nested or only.is_sparse or only.is_sparse_csr
        ):
            return only  # a model may take what is not counted as it is
        only = unmasked(only, f"field {name!r}")
        return only if isinstance(only, torch.Tensor) else np.asarray(only)
    return dict(fields)


def _base(batch: Any) -> Any:
    """The batch of DNIKit's whose metadata and snapshots the responses keep."""
    return batch if is_dnikit_batch(batch) else getattr(batch, "base", None)
