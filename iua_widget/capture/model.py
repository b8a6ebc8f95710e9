"""A PyTorch model as a stage of a pipeline, as DNIKit's models are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from iua_widget.capture.infos import response_infos
from iua_widget.capture.source import TorchSource
from iua_widget.response_info import ResponseInfos
from iua_widget.stages import Batch, Stage
from iua_widget.units import UNKNOWN, Origin


class TorchModel:
    """A model whose responses are a stage of a pipeline.

    Parameters
    ----------
    model : torch.nn.Module
    example : Any, optional
        One batch, for `response_infos`.
    forward : callable, optional
        ``forward(model, batch)``, where ``model(batch)`` is not the way.

    Examples
    --------
    >>> from iua_widget import IUA, LayerKind, pipeline
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

    def __init__(
        self,
        model: nn.Module,
        example: Any = None,
        *,
        forward: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        self._model = model
        self._example = example
        self._forward = forward

    def response_infos(self, example: Any = None) -> ResponseInfos:
        """What responses the model has; see `iua_widget.response_infos`."""
        example = self._example if example is None else example
        return response_infos(self._model, example, forward=self._forward)

    def __call__(self, layers: Any = None) -> Stage:
        """A stage that runs the model on each batch, and returns the responses asked for.

        Parameters
        ----------
        layers : str, type, LayerKind, Module, callable, or iterable of these, optional
            As for `IUA.introspect`: the names of response infos, among others.

        Returns
        -------
        callable
            Takes a batch of inputs, of which a single field is given by position and several by
            name, and returns a `Batch` of responses.

        Raises
        ------
        LayerSelectionError
            If one of `layers` matches no module.
        """
        source = TorchSource(self._model, (), layers=layers, forward=self._forward)

        def stage(batch: Any) -> Batch:
            fields: dict[str, Any] = {}

            def record(layer: str, value: Any, _origin: Origin = UNKNOWN, /) -> None:
                fields[layer] = value.detach().clone()

            source.one_batch(_inputs(batch), record)
            return Batch(fields)

        stage.__name__ = type(self._model).__name__
        return stage


def _inputs(batch: Any) -> Any:
    fields = batch if isinstance(batch, Mapping) else getattr(batch, "fields", None)
    if not isinstance(fields, Mapping):
        return batch
    if len(fields) == 1:
        only = next(iter(fields.values()))
        return only if isinstance(only, torch.Tensor) else np.asarray(only)
    return dict(fields)
