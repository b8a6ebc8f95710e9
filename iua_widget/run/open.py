"""Opens a stream of responses from what a user gives: a model with its loader, or any producer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from iua_widget.errors import ProducerError
from iua_widget.options import DEFAULT_SOURCE_OPTIONS, SourceOptions
from iua_widget.run.run import Run
from iua_widget.sources.producers import as_source
from iua_widget.sources.source import Source

if TYPE_CHECKING:
    from iua_widget.capture.source import TorchSource


def open_source(
    producer: Any, loader: Any = None, options: SourceOptions = DEFAULT_SOURCE_OPTIONS
) -> Source:
    """Make a source of a model with its loader, or of any other producer.

    Parameters
    ----------
    producer, loader
        As in `IUA.introspect`.
    options : SourceOptions

    Raises
    ------
    ProducerError, LayerSelectionError
        If they do not fit together.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(producer, torch.nn.Module):
        from iua_widget.capture.source import TorchSource

        return TorchSource(producer, loader, options)
    if isinstance(getattr(producer, "_run", None), Run):
        message = (
            "producer must give responses to count; got an IUA, which is counted: show it with "
            "iua.show() or IUAWidget(iua)."
        )
        raise ProducerError(message)
    if isinstance(producer, type):
        message = f"producer must be an instance; got the class {producer.__name__} itself."
        raise ProducerError(message)
    for name in ({} if loader is None else {"loader": loader}) | options.of_models:
        message = (
            f"`{name}` goes with a torch.nn.Module as the producer; got "
            f"{type(producer).__name__}. Pass the model first, or leave `{name}` out."
        )
        raise ProducerError(message)
    return as_source(producer, options)


def open_again(model: Any, loader: Any, options: SourceOptions) -> TorchSource:
    """Make a source of a model that can be streamed again and again, and keeps what it learns.

    Raises
    ------
    ProducerError, LayerSelectionError
        If they do not fit together, the model is none of PyTorch's, or the loader can be iterated
        over only once.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        message = f"the model must be a torch.nn.Module; got {type(model).__name__}."
        raise ProducerError(message)
    from iua_widget.capture.source import TorchSource

    source = TorchSource(model, loader, options, again=True)
    if not source.restartable:
        message = (
            f"the loader must give its batches each time; got {type(loader).__name__}, which gives "
            "them only once. Give a list of batches, a Dataset or a DataLoader."
        )
        raise ProducerError(message)
    return source
