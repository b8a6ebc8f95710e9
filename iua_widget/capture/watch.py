"""Watching one forward pass: every chosen response is handed on while it is still what it was."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from iua_widget.capture.activations import (
    ACTIVATION_FUNCTIONS,
    RECURRENT_FUNCTIONS,
    function_kind,
    function_name,
    is_recurrent,
    module_kind,
)
from iua_widget.capture.calls import Call, Calls
from iua_widget.capture.cuts import RELUS, Cuts
from iua_widget.capture.experts import Routing, routing_of
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.outputs import responses
from iua_widget.capture.selection import Selection
from iua_widget.capture.sequences import time_major
from iua_widget.capture.shadow import Shadow
from iua_widget.cell_context import plain_torch
from iua_widget.errors import ProducerError
from iua_widget.response_info import LayerInfo
from iua_widget.wording import named

_CHANNELS_LAST: Final = {
    "linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "bilinear", "embedding",
    "layer_norm", "rms_norm", "lstm", "gru", "rnn_tanh", "rnn_relu", "grouped_mm",
}  # fmt: skip
_CHANNELS_SECOND: Final = {
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "batch_norm", "instance_norm", "group_norm",
}  # fmt: skip
_POSITION_AXES: Final = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}


@dataclass(frozen=True, slots=True)
class Capture:
    """One response, as it was made.

    Attributes
    ----------
    name : str
        ``"layer1.0.relu:1[0]"``: the module (or module/function), the call, the part.
    tensor : torch.Tensor
        Probes first, where the model says which axis counts them. To be read at once: a later
        in-place operation may change it.
    layer : LayerInfo
    channel_axis : int or None
        Where the operations before it tell.
    sequence : bool
        False where it is known to be none, such as the last state of a recurrent net.
    tokens : torch.Tensor of int64, shape (rows,), or None
        Where the rows are tokens picked from the batch: which, flattened over items and positions.
    turned : bool or None
        Whether positions came before items in the latest result whose shape told.
    number : int
        Which pass of the batch it is of: `model.generate` makes one for each token.
    merged : bool
        Whether several calls of a pass are one layer.
    """

    name: str
    tensor: torch.Tensor
    layer: LayerInfo
    channel_axis: int | None
    sequence: bool = True
    tokens: torch.Tensor | None = None
    turned: bool | None = None
    number: int = 0
    merged: bool = False


@dataclass(slots=True)
class _Frame:
    module: nn.Module
    name: str
    caller: _Frame | None
    inside_activation: bool = False
    own_leaf: bool = False
    time_major: bool = False
    routing: Routing | None = None

    def experts(self) -> _Frame | None:
        """The module of experts that this call is part of, itself included."""
        frame: _Frame | None = self
        while frame is not None and frame.routing is None:
            frame = frame.caller
        return frame


@dataclass(slots=True)
class Findings:
    """What is known of a model's passes so far, beyond the responses.

    Attributes
    ----------
    calls : set of str
        Modules called.
    responses : dict of str to None
        Responses of activations and of chosen modules, in the order they came.
    functions : bool
        Whether a wanted function was called: whether to intercept them in later batches.
    elsewhere : set of str
        Chosen modules called on another thread meanwhile.
    experts : dict of str to set of int
        The experts of each module of experts that no token has been routed to.
    channel_axes : dict of str to int or None
        By response, as the first batch told.
    """

    calls: set[str] = field(default_factory=set)
    responses: dict[str, None] = field(default_factory=dict)
    functions: bool = False
    elsewhere: set[str] = field(default_factory=set)
    experts: dict[str, set[int]] = field(default_factory=dict)
    channel_axes: dict[str, int | None] = field(default_factory=dict)


@dataclass(slots=True)
class Aside:
    """What the default, the outputs of activations, leaves out of what a model computes.

    Attributes
    ----------
    recurrent : dict of str to None
        Recurrent layers, which have their nonlinearity inside.
    cuts : Cuts
    """

    recurrent: dict[str, None] = field(default_factory=dict)
    cuts: Cuts = field(default_factory=Cuts)

    @property
    def notes(self) -> list[str]:
        """What the reader of the figures should know."""
        notes = []
        if self.recurrent:
            names = list(self.recurrent)
            notes.append(
                f"{named(names)} have their nonlinearity inside, where the default, the outputs of "
                f"activations, does not look. Count what they give with layers={names[:5]!r}, or "
                "layers='*' for every module."
            )
        for layer, cut in self.cuts.found.items():
            left = f" Count what is left with layers={cut.response!r}." if cut.response else ""
            notes.append(
                f"What {layer!r} gives is cut by {' and '.join(cut.functions)} before anything "
                f"uses it, so that more is inactive than is counted there.{left}"
            )
        return notes


class LookAgain(BaseException):
    """A response came that no batch before had: functions must be intercepted to judge it."""


_watching = threading.local()


class Watch:
    """A context in which a model's forward pass is watched, on this thread.

    Parameters
    ----------
    names : ModuleNames
    selection : Selection
    take : callable
        Given each `Capture`.
    findings : Findings
        Added to.
    functions : bool
        Whether to intercept functions, too. It costs a few microseconds for each that is called,
        and tells where channels are.
    lengths : set of tuple of int
        Items and positions of the masks, to tell which axis is which.
    shadow : Shadow, optional
        What is watched, where it is not the model itself that `names` and `selection` speak of.
    calls : Calls, optional
        How calls are named; by default each is a layer.
    aside : Aside, optional
        Added to: what passes by the activations. It takes `functions`.

    Attributes
    ----------
    failure : Exception or None
        What was wrong with a response, even where the model has swallowed that error.
    """

    def __init__(
        self,
        names: ModuleNames,
        selection: Selection,
        take: Callable[[Capture], None],
        findings: Findings,
        *,
        functions: bool,
        lengths: Iterable[tuple[int, ...]] = (),
        shadow: Shadow | None = None,
        calls: Calls | None = None,
        aside: Aside | None = None,
    ) -> None:
        self._shadow = shadow or Shadow(names.model)
        self._names = names
        self._selection = selection
        self._take = take
        self._findings = findings
        self._functions = functions
        self._thread = threading.get_ident()
        self._frames: list[_Frame] = []
        self._wanted = {id(module) for module in selection.modules}
        self._calls = calls or Calls("separate")
        self._last_channels: tuple[int, int] | None = None
        straight = {shape for shape in lengths if shape[0] != shape[1]}
        self._orders = {shape[::-1]: True for shape in straight} | dict.fromkeys(straight, False)
        self._turned: bool | None = None
        self._passes = 0
        self._aside = aside
        self._cutting: Counter[str] = Counter()
        self.failure: Exception | None = None
        self._outer: Watch | None = None
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        self._outer = getattr(_watching, "innermost", None)
        _watching.innermost = self
        self._calls.begin()
        for module in dict.fromkeys(map(self._shadow.of, self._watched())):
            # Last of all hooks, so that what the user's own hooks change is seen as changed.
            if not isinstance(module, torch.jit.ScriptModule):
                enter = module.register_forward_pre_hook(self._enter_module, with_kwargs=True)
                self._exits.callback(enter.remove)
                leave = module.register_forward_hook(self._leave_module, always_call=True)
                self._exits.callback(leave.remove)
            elif id(self._shadow.original(module)) in self._wanted:
                # By the class: a ScriptModule refuses, though it would call it.
                seen = nn.Module.register_forward_hook(module, self._see_script)
                self._exits.callback(seen.remove)
        if self._functions:
            self._exits.enter_context(_FunctionMode(self._see_function, self._check_arguments))
        return self

    def _watched(self) -> Iterable[nn.Module]:
        """Every module where a call is named by its callers, and otherwise what is wanted."""
        if self._functions or self._selection.by_caller:
            return self._selection.watchable
        return {self._names.model, *self._selection.modules}

    def __exit__(self, *error: object) -> None:
        self._exits.close()
        _watching.innermost = self._outer

    @property
    def _here(self) -> bool:
        """Whether what happens is this watch's: not another thread's, nor a nested run's."""
        return getattr(_watching, "innermost", None) is self

    def _enter_module(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if not self._here:
            return
        module = self._shadow.original(module)
        caller = self._frames[-1] if self._frames else None
        if caller is None and module is self._names.model:
            self._calls.begin()  # one more pass, as each token of model.generate takes
            self._cutting.clear()
            self._passes += 1
        name = self._names.called_from(module, caller.name if caller else self._names.root)
        self._findings.calls.add(name)
        inside = id(module) in self._selection.activations or (
            caller is not None and caller.inside_activation
        )
        time = time_major(module, inherited=caller is not None and caller.time_major)
        routing = routing_of(module, args, kwargs)
        if routing is not None:
            self._findings.experts.setdefault(name, set(range(routing.experts)))
        self._frames.append(
            _Frame(module, name, caller, inside, _is_own_leaf(module), time, routing)
        )

    def _leave_module(self, module: nn.Module, _args: Any, output: Any) -> None:
        module = self._shadow.original(module)
        if not self._here:
            if threading.get_ident() != self._thread and module in self._selection.modules:
                self._findings.elsewhere.add(self._names.of(module)[0])
            return
        if not any(frame.module is module for frame in self._frames):
            return  # a hook before ours raised
        while (frame := self._frames.pop()).module is not module:
            pass  # a module that raised, and whose error was caught
        _check_batched(frame.name, module, output)
        if id(module) in self._wanted:
            self._see_module(frame, module, output)

    def _see_script(self, module: nn.Module, _args: Any, output: Any) -> None:
        """A ScriptModule takes no other hook: it is one step, by its first name."""
        if self._here:
            module = self._shadow.original(module)
            caller = self._frames[-1] if self._frames else None
            name = self._names.called_from(module, caller.name if caller else self._names.root)
            self._findings.calls.add(name)
            self._see_module(_Frame(module, name, caller, own_leaf=True), module, output)

    def _see_module(self, frame: _Frame, module: nn.Module, output: Any) -> None:
        layer = LayerInfo(frame.name, module_kind(module), type(module).__name__)
        found = responses(output)
        apart = frame.experts() is not None
        call = self._calls.next(frame.name, _shape(found), module=module, apart=apart)
        for path, tensor in found:
            self._findings.responses[call.name + path] = None
            if not self._selection.wants_call(module, call.name + path):
                continue
            second = path.startswith("[1]")
            state = isinstance(module, nn.RNNBase) and second
            weights = isinstance(module, nn.MultiheadAttention) and second
            if tensor.ndim == 3 and (state or (frame.time_major and not weights)):  # noqa: PLR2004
                tensor = tensor.transpose(0, 1)  # noqa: PLW2901
            self._hand_on(call, path, tensor, layer, frame, sequence=not state)

    def _check_arguments(self, arguments: tuple[Any, ...]) -> None:
        """Refuse a model that is called itself, by a way that leads around its shadow."""
        if self._here and any(map(self._shadow.is_of_the_original, arguments)):
            self.failure = ProducerError(
                f"{self._names.root} was called itself, where a stand-in for it is watched, which "
                "has its weights. In forward= use the model that is given: forward=lambda model, "
                "batch: model(batch). In a hook or a patched method use the module that is given."
            )
            raise self.failure

    def _see_function(self, function: Any, args: Iterable[Any], result: Any) -> None:
        if not self._here:
            return
        name = function_name(function)
        self._calls.uses(args)
        if self._aside is not None:
            self._note_aside(self._aside, name, args, result)
        self._note_axes(name, result)
        if not self._selection.may_want(name):
            return
        frame = self._frames[-1] if self._frames else None
        if frame is not None and frame.own_leaf:
            return  # the module is the layer
        caller = frame.name if frame else self._names.root
        inside = frame is not None and frame.inside_activation
        base = f"{caller}/{name}"
        found = responses(result) if isinstance(result, (torch.Tensor, tuple, list)) else []
        if not found:
            return
        apart = frame is not None and frame.experts() is not None
        call = self._calls.next(base, _shape(found), module=None, apart=apart)
        wanted = [
            (path, tensor)
            for path, tensor in found
            if self._selection.wants_function(name, call.name + path, inside=inside)
        ]
        if name in ACTIVATION_FUNCTIONS and not inside:
            self._findings.responses[call.name] = None
        layer = LayerInfo(base, function_kind(name), name)
        for path, tensor in wanted:
            self._findings.functions = True
            if tensor.ndim == 3 and frame is not None and frame.time_major:  # noqa: PLR2004
                tensor = tensor.transpose(0, 1)  # noqa: PLW2901
            self._hand_on(call, path, tensor, layer, frame)

    def _note_aside(self, aside: Aside, name: str, args: Iterable[Any], result: Any) -> None:
        frame = self._frames[-1] if self._frames else None
        caller = frame.name if frame else self._names.root
        base = f"{caller}/{name}"
        inside = frame is not None and (frame.own_leaf or frame.inside_activation)
        if name in RECURRENT_FUNCTIONS:
            own = frame is not None and is_recurrent(frame.module)
            aside.recurrent[caller if own else base] = None
        number = self._cutting[base]
        self._cutting[base] += isinstance(result, (torch.Tensor, tuple, list))
        aside.cuts.see(name, f"{base}:{number}" if number else base, args, result)
        if name in RELUS:
            layer = caller if inside else base
            call = 0 if self._calls.is_merged(layer) else self._calls.number(layer)
            aside.cuts.made(f"{layer}:{call}" if call else layer, result)

    def _hand_on(
        self,
        call: Call,
        path: str,
        tensor: torch.Tensor,
        layer: LayerInfo,
        frame: _Frame | None,
        *,
        sequence: bool = True,
    ) -> None:
        if not self._calls.takes(call):
            return
        name = call.name + path
        _check_whole(name, tensor)
        axes = self._findings.channel_axes
        if name not in axes:
            if not self._functions:
                raise LookAgain
            axes[name] = self._channel_axis(tensor)
        before = getattr(_watching, "innermost", None)
        _watching.innermost = None  # what counting itself calls is not the model's
        try:
            by_expert = self._by_expert(name, tensor, layer, frame.experts() if frame else None)
            captures = by_expert or [Capture(name, tensor, layer, axes[name], sequence)]
            turned, number = self._turned, max(self._passes - 1, 0)
            with plain_torch():
                for one in captures:
                    self._take(replace(one, turned=turned, number=number, merged=call.merged))
        except Exception as error:
            self.failure = error
            raise
        finally:
            _watching.innermost = before

    def _by_expert(
        self, name: str, tensor: torch.Tensor, layer: LayerInfo, experts: _Frame | None
    ) -> list[Capture]:
        """One capture for each expert, named as if it were a module of its own."""
        if experts is None or experts.routing is None or layer.name == experts.name:
            return []
        part = name[len(layer.name) :]
        call = re.match(r":(\d+)", part)
        rows = experts.routing.split(tensor, int(call[1]) if call else 0)
        if rows is None:
            return []
        captures = []
        for of in rows:
            self._findings.experts[experts.name].discard(of.expert)
            inner = f"{experts.name}.{of.expert}{layer.name[len(experts.name) :]}"
            captures.append(
                Capture(
                    inner,
                    of.tensor,
                    replace(layer, name=inner),
                    channel_axis=of.tensor.ndim - 1,
                    tokens=of.tokens,
                )
            )
        return captures

    def _note_axes(self, name: str, result: Any) -> None:
        if self._orders and isinstance(result, torch.Tensor) and result.ndim == 3:  # noqa: PLR2004
            self._turned = self._orders.get(tuple(result.shape[:2]), self._turned)
        axis = -1 if name in _CHANNELS_LAST else 1 if name in _CHANNELS_SECOND else None
        if axis is None:
            return
        output = result[0] if isinstance(result, tuple) and result else result
        if isinstance(output, torch.Tensor) and output.ndim > 1:
            self._last_channels = (axis, output.shape[axis])

    def _channel_axis(self, tensor: torch.Tensor) -> int | None:
        """Where the channels are that the last convolution, linear layer or the like made."""
        if self._last_channels is None or tensor.ndim < 3:  # noqa: PLR2004
            return None
        axis, channels = self._last_channels
        if tensor.shape[axis] == channels:
            return axis % tensor.ndim
        same = [place for place in range(1, tensor.ndim) if tensor.shape[place] == channels]
        if len(same) == 1:
            return same[0]
        part = tensor.shape[axis] and channels % tensor.shape[axis] == 0  # half of it, in a gate
        return axis % tensor.ndim if part else None


class _FunctionMode(TorchFunctionMode):
    """Tells of every function of PyTorch that is called, with what it takes and gives."""

    def __init__(
        self,
        see: Callable[[Any, Iterable[Any], Any], None],
        check: Callable[[tuple[Any, ...]], None],
    ) -> None:
        super().__init__()
        self._see = see
        self._check = check

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and func.__name__ != "__get__":
            self._check(args)
        self._see(func, (*args, *(kwargs or {}).values()), result)
        return result


def _check_batched(name: str, module: nn.Module, output: Any) -> None:
    axes = next((n for kind, n in _POSITION_AXES.items() if isinstance(module, kind)), None)
    if axes is not None and isinstance(output, torch.Tensor) and output.ndim == axes + 1:
        message = (
            f"{name!r} ({type(module).__name__}) was given one input without a batch axis, and "
            f"returned {tuple(output.shape)}. Feed batches: add an axis with x.unsqueeze(0), or "
            "pass the dataset or a DataLoader."
        )
        raise ProducerError(message, layer=name)


def _check_whole(name: str, tensor: torch.Tensor) -> None:
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):  # noqa: SLF001
        message = (
            f"{name!r} is computed inside torch.func (vmap, grad, ...), where a tensor stands for "
            "a part of a batch and has no values of its own to count. Choose layers outside with "
            "`layers=`, or use a forward pass without the transform: forward=lambda model, batch: "
            "..."
        )
        raise ProducerError(message, layer=name)


def _shape(found: list[tuple[str, torch.Tensor]]) -> tuple[int, ...]:
    """Of one probe's response, by the first tensor of an output."""
    return tuple(found[0][1].shape[1:]) if found else ()


def _is_own_leaf(module: nn.Module) -> bool:
    """Whether a module is PyTorch's own and has no children: one function, given a name."""
    own = type(module).__module__.startswith("torch.nn.modules.")
    return own and next(module.children(), None) is None
