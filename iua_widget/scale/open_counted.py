"""Opens a stream of what a user gives: counted here, or on Ray's workers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from iua_widget.errors import ProducerError
from iua_widget.options import SourceOptions
from iua_widget.run.gathering import CountedSource
from iua_widget.run.open import open_source
from iua_widget.scale.ray_options import is_ray_dataset
from iua_widget.sources.source import Source


def open_counted(
    producer: Any,
    loader: Any,
    options: SourceOptions,
    ray_options: Mapping[str, Any] | None = None,
) -> Source | CountedSource:
    """Make a source of a model with its loader, which may be a Ray dataset, or of a producer.

    Parameters
    ----------
    producer, loader, ray_options
        As in `IUA.introspect`.
    options : SourceOptions

    Raises
    ------
    ProducerError, LayerSelectionError
        If they do not fit together.
    """
    torch = sys.modules.get("torch")
    if is_ray_dataset(loader) and torch is not None and isinstance(producer, torch.nn.Module):
        from iua_widget.scale.ray_source import RaySource

        if options.groups is not None:
            message = (
                "the batches of a Ray dataset are not counted by group: leave groups= out, or give "
                "the batches themselves, such as dataset.iter_torch_batches()."
            )
            raise ProducerError(message)
        return RaySource(producer, loader, options, ray_options)
    if ray_options is not None:
        message = (
            "`ray_options` goes with a model and a ray.data.Dataset as its loader; got "
            f"{type(producer).__name__} and {type(loader).__name__}. Leave it out."
        )
        raise ProducerError(message)
    return open_source(producer, loader, options)
