"""From what a user gives to a stream of responses: a model with its loader, or any producer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from iua_widget.errors import ProducerError
from iua_widget.sources.calls_option import checked_calls
from iua_widget.sources.masks import MaskOption, check_mask_option
from iua_widget.sources.producers import as_source, check_count
from iua_widget.sources.source import Source


def open_source(
    producer: Any,
    loader: Any = None,
    *,
    layers: Any = None,
    batch_size: int = 32,
    mask: MaskOption | None = None,
    forward: Callable[[Any, Any], Any] | None = None,
    max_probes: int | None = None,
    mode: str = "eval",
    calls: str = "auto",
) -> Source:
    """Make a source of a model with its loader, or of any other producer.

    Parameters
    ----------
    producer, loader, layers, batch_size, mask, forward, max_probes, mode, calls
        As in `IUA.introspect`.

    Returns
    -------
    Source

    Raises
    ------
    ProducerError, LayerSelectionError
        If they do not fit together.
    """
    batch_size = check_count("batch_size", batch_size)
    max_probes = None if max_probes is None else check_count("max_probes", max_probes, 1000)
    check_mask_option(mask)
    checked_calls(calls)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(producer, torch.nn.Module):
        from iua_widget.capture.source import TorchSource

        return TorchSource(
            producer,
            loader,
            layers=layers,
            batch_size=batch_size,
            mask=mask,
            forward=forward,
            max_probes=max_probes,
            mode=mode,
            calls=calls,
        )
    if isinstance(producer, type):
        message = f"the class {producer.__name__} was given: give an instance of it."
        raise ProducerError(message)
    model_only = {"loader": loader, "layers": layers, "forward": forward}
    model_only |= {"mode": None if mode == "eval" else mode}
    model_only |= {"calls": None if calls == "auto" else calls}
    for name, value in model_only.items():
        if value is not None:
            message = (
                f"`{name}` goes with a torch.nn.Module, and {type(producer).__name__} is none. "
                "Pass the model first, or leave it out and give responses."
            )
            raise ProducerError(message)
    return as_source(producer, batch_size, max_probes=max_probes, mask=mask)
