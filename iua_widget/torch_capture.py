"""What a PyTorch model computes, layer by layer, leaving no trace on the model."""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from iua_widget.errors import LayerSelectionError, ProducerError
from iua_widget.producers import Record

ACTIVATIONS: Final[tuple[type[nn.Module], ...]] = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.RReLU,
    nn.Threshold,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Softplus,
    nn.Hardswish,
    nn.Hardtanh,
    nn.Tanh,
    nn.Sigmoid,
    nn.Hardsigmoid,
    nn.LogSigmoid,
    nn.Softsign,
    nn.Softshrink,
    nn.Hardshrink,
    nn.Tanhshrink,
)
"""The modules whose outputs are captured when no `layers` are named."""


class TorchSource:
    """The responses of chosen modules of a model, as it is fed by a loader.

    A response is handed on inside the module's own forward hook, before a later in-place operation
    could change it. Each call of a module that is called several times in one forward pass is a
    layer of its own: ``relu``, ``relu:1``, ``relu:2``. Hooks and evaluation mode are in place only
    while a batch passes through, in `torch.inference_mode`; between batches, and after an error,
    the model is as it was. Several runs take turns, batch by batch. Other use of the
    model on another thread meanwhile is not counted, but may find it in evaluation mode: pause the
    run before training.

    Parameters
    ----------
    model : torch.nn.Module
    loader : iterable, torch.utils.data.Dataset, torch.Tensor, numpy.ndarray or mapping
        Batches: tensors; tuples or lists, of which the first entry is the input; or mappings,
        passed as keyword arguments. A tensor, array, dataset, or one mapping of keyword arguments
        is cut into batches of `batch_size`.
    layers : str or iterable of str, optional
        Names of modules, or globs such as ``"encoder.*.relu"``. By default every activation
        module (`ACTIVATIONS`).
    batch_size : int
        Probes a batch, where we cut.

    Raises
    ------
    LayerSelectionError
        If a name or glob matches no module, or no `layers` are named and the model has no
        activation module.
    ProducerError
        If `loader` cannot be iterated over.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
    >>> source = TorchSource(model, torch.zeros(10, 4), batch_size=5)
    >>> list(source.batches(lambda layer, response: print(layer, tuple(response.shape))))
    1 (5, 8)
    1 (5, 8)
    [5, 5]
    """

    def __init__(
        self,
        model: nn.Module,
        loader: Any,
        *,
        layers: str | Iterable[str] | None = None,
        batch_size: int = 32,
    ) -> None:
        self._model = model
        self._modules = select_modules(model, layers)
        self._loader = _as_loader(loader, batch_size)
        self._kinds: dict[str, str] = {}
        self.label = type(model).__name__
        self.total = _total(self._loader)
        self.restartable = not isinstance(self._loader, Iterator)

    def kind(self, layer: str) -> str:
        """The class of the module that made a layer's responses."""
        return self._kinds.get(layer, "")

    def batches(self, record: Record) -> Generator[int]:
        """Feed the model once; see `Source.batches`."""
        called: set[str] = set()
        for number, batch in enumerate(self._loader):
            args, kwargs = _model_inputs(batch, number)
            args, kwargs = _to_device((args, kwargs), _device(self._model))
            with _evaluating(self._model), self._hooks(record, called), torch.inference_mode():
                self._model(*args, **kwargs)
            if not number:
                self._check_called(called)
            yield _batch_probes((args, kwargs))

    @contextlib.contextmanager
    def _hooks(self, record: Record, called: set[str]) -> Iterator[None]:
        calls: Counter[str] = Counter()
        thread = threading.get_ident()

        def hook(name: str, module: nn.Module, _inputs: Any, output: Any) -> None:
            if threading.get_ident() != thread:
                return  # the user's own use of the model, beside a background run
            layer = f"{name}:{calls[name]}" if calls[name] else name
            calls[name] += 1
            called.add(name)
            for path, tensor in _tensors(output):
                self._kinds[layer + path] = type(module).__name__
                record(layer + path, tensor)

        handles = [
            module.register_forward_hook(partial(hook, name))
            for name, module in self._modules.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _check_called(self, called: set[str]) -> None:
        if called:
            return
        names = ", ".join(map(repr, list(self._modules)[:5]))
        message = (
            f"none of the chosen modules ({names}) was called by the model's forward pass. "
            "Choose others with `layers=`."
        )
        raise ProducerError(message, batch=0)


def select_modules(model: nn.Module, layers: str | Iterable[str] | None) -> dict[str, nn.Module]:
    """The modules whose outputs are to be captured, by name, in the order they are defined.

    Parameters
    ----------
    model : torch.nn.Module
    layers : str or iterable of str, optional
        Names or globs; activation modules by default.

    Raises
    ------
    LayerSelectionError
        If nothing, or nothing for one of `layers`, is found.
    """
    modules = {name or type(model).__name__: module for name, module in model.named_modules()}
    if layers is None:
        chosen = {name: m for name, m in modules.items() if isinstance(m, ACTIVATIONS)}
        if not chosen:
            message = (
                f"{type(model).__name__} has no activation module (nn.ReLU, nn.GELU, ...), so "
                "there is nothing to capture by default. Name the modules whose outputs you want, "
                f"such as layers={list(modules)[-1:]!r} or layers='*'; the model has "
                f"{len(modules)}: {_some(list(modules))}."
            )
            raise LayerSelectionError(message)
        return chosen
    several = isinstance(layers, Iterable) and not isinstance(layers, str)
    patterns: list[Any] = list(layers) if several else [layers]
    if not patterns:
        message = "layers=[] chooses nothing. Leave it out to capture every activation module."
        raise LayerSelectionError(message)
    matched: set[str] = set()
    for pattern in patterns:
        found = _matching(pattern, list(modules))
        if not found:
            near = difflib.get_close_matches(str(pattern), list(modules), n=5, cutoff=0.4)
            message = (
                f"layers={pattern!r} matches no module of {type(model).__name__}. "
                f"Modules there are: {_some(near or list(modules))}."
            )
            raise LayerSelectionError(message)
        matched.update(found)
    return {name: module for name, module in modules.items() if name in matched}


def _matching(pattern: object, names: Sequence[str]) -> list[str]:
    if not isinstance(pattern, str):
        message = f"layers takes names and globs, which are strings, and {pattern!r} is not one."
        raise LayerSelectionError(message)
    return [name for name in names if name == pattern or fnmatch.fnmatchcase(name, pattern)]


def _some(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown}, ..." if len(names) > most else shown


def _as_loader(loader: Any, batch_size: int) -> Iterable[Any]:
    if loader is None:
        message = (
            "a model needs data: pass it as IUAWidget(model, loader) or "
            "IUA.introspect(model, loader), with a DataLoader, a tensor, or any iterable of "
            "batches."
        )
        raise ProducerError(message)
    loader = _as_tensor(loader)
    if isinstance(loader, torch.Tensor):
        return torch.split(loader, batch_size)
    if isinstance(loader, Mapping):
        return _cut(loader, batch_size)
    if isinstance(loader, torch.utils.data.Dataset) and not isinstance(
        loader, torch.utils.data.IterableDataset
    ):
        return torch.utils.data.DataLoader(loader, batch_size=batch_size)
    if isinstance(loader, (str, bytes)) or not isinstance(loader, Iterable):
        message = (
            f"the loader is {type(loader).__name__}, which gives no batches. Pass a DataLoader, a "
            "tensor, a dataset, or any iterable of batches."
        )
        raise ProducerError(message)
    return loader


def _cut(inputs: Mapping[str, Any], batch_size: int) -> list[dict[str, Any]]:
    """Cut keyword arguments of the model, such as a tokenizer's encoding, into batches."""
    _, arguments = _model_inputs(inputs, 0)
    probes = _batch_probes(arguments)
    if not probes:
        message = (
            f"the loader is a {type(inputs).__name__} without a tensor in it. A mapping is the "
            "model's keyword arguments, cut into batches along their first axis."
        )
        raise ProducerError(message)

    def rows(value: Any, start: int) -> Any:
        whole = isinstance(value, torch.Tensor) and value.ndim and len(value) == probes
        return value[start : start + batch_size] if whole else value

    return [
        {name: rows(value, start) for name, value in arguments.items()}
        for start in range(0, probes, batch_size)
    ]


def _total(loader: Iterable[Any]) -> int | None:
    if isinstance(loader, (tuple, list)):
        try:
            return sum(_batch_probes(_model_inputs(batch, 0)) for batch in loader)
        except ProducerError:
            return None
    if isinstance(loader, torch.utils.data.DataLoader):
        try:
            if loader.batch_size is not None and not loader.drop_last:
                return len(loader.sampler)  # type: ignore[arg-type]
            return len(loader) * (loader.batch_size or 1) if loader.batch_size else None
        except TypeError:
            return None
    return None


def _model_inputs(batch: Any, number: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(batch, Mapping):
        return (), {name: _as_tensor(value) for name, value in batch.items()}
    if isinstance(batch, (tuple, list)) and batch:
        batch = batch[0]
    batch = _as_tensor(batch)
    if not isinstance(batch, torch.Tensor):
        message = (
            f"batch {number} of the loader is {type(batch).__name__}. A batch is a tensor, a "
            "tuple or list with the input first, or a mapping of keyword arguments."
        )
        raise ProducerError(message, batch=number)
    return (batch,), {}


def _as_tensor(value: Any) -> Any:
    return torch.as_tensor(value) if isinstance(value, np.ndarray) else value


def _batch_probes(inputs: Any) -> int:
    for _, tensor in _tensors(inputs):
        if tensor.ndim:
            return int(tensor.shape[0])
    return 0


def _tensors(output: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(output, torch.Tensor):
        yield path, output
    elif isinstance(output, Mapping):
        for key, item in output.items():
            yield from _tensors(item, f"{path}.{key}")
    elif isinstance(output, (tuple, list)):
        for index, item in enumerate(output):
            yield from _tensors(item, f"{path}.{index}")


def _to_device(inputs: Any, device: torch.device | None) -> Any:
    if device is None:
        return inputs
    if isinstance(inputs, torch.Tensor):
        return inputs.to(device)
    if isinstance(inputs, dict):
        return {key: _to_device(item, device) for key, item in inputs.items()}
    if isinstance(inputs, (tuple, list)):
        return tuple(_to_device(item, device) for item in inputs)
    return inputs


def _device(model: nn.Module) -> torch.device | None:
    parameters: Callable[[], Iterator[torch.Tensor]]
    for parameters in (model.parameters, model.buffers):
        for parameter in parameters():
            return parameter.device
    return None


# One for all models: they may share modules, and a run on a part would save the whole's modes.
_evaluation = threading.RLock()


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Hold the model in evaluation mode, alone: a second run would save the first one's modes."""
    with _evaluation:
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
