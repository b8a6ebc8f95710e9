"""`response_infos`: names, kinds, shapes and dtypes of a model's responses, before counting."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from iua_widget.capture.activations import module_kind
from iua_widget.capture.calls import Calls
from iua_widget.capture.captured_response import CapturedResponse
from iua_widget.capture.findings import Findings, RepeatBatch
from iua_widget.capture.forward_watcher import ForwardWatcher
from iua_widget.capture.inputs import arguments, read_batch
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.outputs import tensors
from iua_widget.capture.randomness import OwnRandomness
from iua_widget.capture.refusals import unwrapped
from iua_widget.capture.selection import Selection
from iua_widget.capture.shadow import Shadow
from iua_widget.common.arguments import known_arguments_only
from iua_widget.common.tensors import dtype_name
from iua_widget.errors import IUAError, ProducerError
from iua_widget.options import CallsOption, SourceOptions
from iua_widget.sources.response_info import LayerInfo, LayerKind, ResponseInfo, ResponseInfos

_Forward = Callable[[Any, Any], Any] | None

_FAKE_LOG: Final = logging.getLogger("torch._subclasses.fake_tensor")


@known_arguments_only
def response_infos(
    model: nn.Module,
    example: Any = None,
    *,
    forward: Callable[[Any, Any], Any] | None = None,
    calls: CallsOption = "auto",
) -> ResponseInfos:
    """Every response that a model gives, by name, in the order of the network.

    The outputs of all modules, and of the activations that are plain functions. With an example
    the model is run on shapes alone (PyTorch's fake tensors: so on the meta device, too), or, where
    its course depends on the values, once in earnest, leaving no trace. Without an example the
    modules are listed as they are defined, with no shapes.

    Parameters
    ----------
    model : torch.nn.Module
    example : torch.Tensor, tuple, mapping or Any, optional
        One batch, as a loader gives it.
    forward : callable, optional
        ``forward(model, batch)``, where ``model(batch)`` is not the way.
    calls : {"auto", "separate", "merge"}
        As for `IUA.introspect`.

    Returns
    -------
    ResponseInfos
        A mapping of name to `ResponseInfo`; a notebook shows it as a table.

    Raises
    ------
    ProducerError
        If the model cannot be watched, or fails on the example.

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    >>> infos = response_infos(model, torch.zeros(8, 1, 6, 6))
    >>> [info.name for info in infos.values() if info.layer.kind == LayerKind.CONV_2D]
    ['0']
    >>> infos["1"].shape
    (None, 4, 4, 4)
    """
    model = unwrapped(model, values=False)
    names = ModuleNames(model)
    named = Calls(SourceOptions(forward=forward, calls=calls).calls)
    if example is None:
        return ResponseInfos({name: _of_module(name, m) for name, m in names.modules.items()})
    # What fails without values: a course that data decide, or a model of more than tensors.
    with suppress(Exception), OwnRandomness().window(), _silenced(_FAKE_LOG):
        return _without_computing(model, example, forward, named)
    try:
        model = unwrapped(model)
        return _by_one_batch(model, example, forward, named)
    except IUAError:
        raise
    except Exception as error:
        message = (
            f"{names.root} raised {type(error).__name__} on the example, which is "
            f"{type(example).__name__}: {error}. Give one batch as the loader gives it, or say how "
            "the model takes it: forward=lambda model, batch: ..."
        )
        raise ProducerError(message) from error


def _without_computing(
    model: nn.Module, example: Any, forward: _Forward, calls: Calls
) -> ResponseInfos:
    """Watch a copy of the model that has shapes but no values."""
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    batch = torch.utils._pytree.tree_map_only(  # noqa: SLF001
        torch.Tensor, fake.from_tensor, read_batch(example, 0, model).batch
    )
    attributes = [value for module in model.modules() for value in vars(module).values()]
    values = [*model.parameters(), *model.buffers(), *attributes]
    shapes = {id(v): fake.from_tensor(v) for v in values if isinstance(v, torch.Tensor)}
    model = copy.deepcopy(model, shapes).eval()
    with fake, torch.no_grad():
        return _watched(model, batch, forward, calls)


def _by_one_batch(model: nn.Module, example: Any, forward: _Forward, calls: Calls) -> ResponseInfos:
    shadow = Shadow(model, has_forward=forward is not None)
    with OwnRandomness().window(), shadow.batch():
        return _watched(model, read_batch(example, 0, model).batch, forward, calls, shadow)


@contextmanager
def _silenced(log: logging.Logger) -> Iterator[None]:
    """Disable a log during an attempt that may fail."""
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _watched(
    model: nn.Module, batch: Any, forward: _Forward, calls: Calls, shadow: Shadow | None = None
) -> ResponseInfos:
    infos: dict[str, ResponseInfo] = {}

    def take(captured: CapturedResponse) -> None:
        info = _info(captured.name, captured.tensor, captured.layer)
        infos.setdefault(captured.name, info)

    names = ModuleNames(model)
    selection = Selection(names, everything=True)
    called = model
    if shadow is not None:
        called, forward = shadow.model, forward and shadow.bound(forward)
    findings, again = Findings(), True
    while again:
        infos.clear()
        infos |= _inputs(batch)
        watcher = ForwardWatcher(
            names, selection, take, findings, functions=True, shadow=shadow, calls=calls
        )
        try:
            with watcher:
                if forward is not None:
                    forward(called, batch)
                else:
                    args, kwargs = arguments(model, batch, 0)
                    called(*args, **kwargs)
        except RepeatBatch:
            continue
        for captured in watcher.loads():
            take(captured)
        if again := calls.decide():
            findings = Findings()
    return ResponseInfos(infos)


def _inputs(batch: Any) -> dict[str, ResponseInfo]:
    named = {f"input{path}": tensor for path, tensor in tensors(batch)}
    return {
        name: _info(name, tensor, LayerInfo(name, LayerKind.PLACEHOLDER, "input"))
        for name, tensor in named.items()
    }


def _info(name: str, tensor: torch.Tensor, layer: LayerInfo) -> ResponseInfo:
    dtype = np.dtype(getattr(np, dtype_name(tensor.dtype), np.float32))
    return ResponseInfo(name, dtype, (None, *tensor.shape[1:]), layer)


def _of_module(name: str, module: nn.Module) -> ResponseInfo:
    layer = LayerInfo(name, module_kind(module), type(module).__name__)
    return ResponseInfo(name, None, None, layer)
