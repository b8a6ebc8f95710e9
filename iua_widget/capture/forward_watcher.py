"""Watching a forward pass with hooks: each response is handed on before it can be overwritten."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Final, Self

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from iua_widget.capture.activation_inputs import ActivationInputs, Before
from iua_widget.capture.activations import (
    ACTIVATION_FUNCTIONS,
    function_kind,
    function_name,
    is_activation,
    module_kind,
)
from iua_widget.capture.axes import Axes
from iua_widget.capture.calls import Call, Calls
from iua_widget.capture.captured_response import CapturedResponse
from iua_widget.capture.expert_tracker import ExpertTracker
from iua_widget.capture.findings import Findings, RepeatBatch
from iua_widget.capture.frame import Frame
from iua_widget.capture.innermost import Innermost, innermost
from iua_widget.capture.left_out import LeftOut
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.outputs import responses
from iua_widget.capture.selection import Selection
from iua_widget.capture.sequences import time_major
from iua_widget.capture.shadow import Shadow
from iua_widget.capture.unseeing import Unseeing
from iua_widget.common.cell_context import plain_torch
from iua_widget.errors import ProducerError
from iua_widget.sources.response_info import LayerInfo

_POSITION_AXES: Final = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
_OUTSIDE: Final = nn.Module()
"""Stands for what calls the model."""


class ForwardWatcher:
    """A context in which a model's forward pass is watched, on this thread.

    Parameters
    ----------
    names : ModuleNames
    selection : Selection
    take : callable
        Given each `CapturedResponse`.
    findings : Findings
        Added to.
    functions : bool
        Whether to intercept functions, too. It costs a few microseconds for each that is called,
        and tells where channels are.
    mask_shapes : iterable of tuple of int
        Items and positions of the masks, to tell which axis is which.
    shadow : Shadow, optional
        What is watched, where it is not the model itself that `names` and `selection` speak of.
    calls : Calls, optional
        How calls are named; by default each is a layer.
    left_out : LeftOut, optional
        Added to: what passes by the activations. It takes `functions`.
    real : callable, optional
        Given a layer's name, how many tokens it has, and `positions_first` and `number` as of a
        `CapturedResponse`: which of them are no padding.

    inputs : ActivationInputs, optional
        Keeps what activations are given, for `CapturedResponse.before`.

    Attributes
    ----------
    failure : Exception or None
        What was wrong with a response, even where the model has swallowed that error.
    """

    def __init__(
        self,
        names: ModuleNames,
        selection: Selection,
        take: Callable[[CapturedResponse], None],
        findings: Findings,
        *,
        functions: bool,
        mask_shapes: Iterable[tuple[int, ...]] = (),
        shadow: Shadow | None = None,
        calls: Calls | None = None,
        left_out: LeftOut | None = None,
        real: Callable[[str, int, bool | None, int], np.ndarray | None] = lambda *_: None,
        inputs: ActivationInputs | None = None,
    ) -> None:
        self._names = names
        self._selection = selection
        self._take = take
        self._findings = findings
        self._functions = functions
        self._shadow = shadow or Shadow(names.model)
        self._calls = calls or Calls("separate")
        self._left_out = left_out
        self._real = real
        self._inputs = inputs
        self._wanted = {id(module) for module in selection.modules}
        self._axes = Axes(mask_shapes)
        # Weakly, so that what a run leaves is freed at once.
        real_tokens = functools.partial(ForwardWatcher._real_tokens, weakref.proxy(self))
        self._experts = ExpertTracker(names, selection, findings, real_tokens)
        self._thread = threading.get_ident()
        self._frames = [Frame(_OUTSIDE, names.root)]
        self._passes = 0
        self._exits = ExitStack()
        self.failure: Exception | None = None

    def __enter__(self) -> Self:
        self._exits.enter_context(self._innermost())
        self._begin_pass()
        for module in dict.fromkeys(map(self._shadow.of, self._watched())):
            # Last of all hooks, so that what the user's own hooks change is seen as changed.
            if not isinstance(module, torch.jit.ScriptModule):
                self._exits.callback(self._unhook, module)
                self._hook(module)
            elif id(self._shadow.original(module)) in self._wanted:
                # By the class: a ScriptModule refuses, though it would call it.
                seen = nn.Module.register_forward_hook(module, self._see_script)
                self._exits.callback(seen.remove)
        if self._functions:
            self._enter_mode(FunctionMode(self))
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()
        if self._inputs is not None:
            self._inputs.begin_pass()  # nothing of this one is kept

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """One that sees nothing, for copies that the model makes of its modules."""
        copied = object.__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    def __reduce__(self) -> tuple[type[Unseeing], tuple[()]]:
        return Unseeing, ()

    def _innermost(self) -> Innermost:
        return Innermost(self)

    def _enter_mode(self, mode: FunctionMode) -> None:
        self._exits.enter_context(mode)

    def loads(self) -> Iterator[CapturedResponse]:
        """After the pass, what each expert got of its tokens; see `ExpertTracker.loads`."""
        return self._experts.loads()

    def _watched(self) -> Iterable[nn.Module]:
        """Every module if calls are named by their callers, else the model and those wanted."""
        if self._functions or self._selection.by_caller:
            return self._selection.watchable
        return {self._names.model, *self._selection.modules}

    @property
    def _here(self) -> bool:
        """Whether this watcher is active here: not on another thread, nor in a nested run."""
        return innermost() is self

    @property
    def _number(self) -> int:
        """How many passes of the batch came before this one."""
        return max(self._passes - 1, 0)

    def _real_tokens(self, layer: str, tokens: int) -> np.ndarray | None:
        return self._real(layer, tokens, self._axes.positions_first, self._number)

    def _begin_pass(self) -> None:
        self._calls.begin()
        self._experts.begin_pass()
        if self._inputs is not None:
            self._inputs.begin_pass()
        if self._left_out is not None:
            self._left_out.begin_pass()

    # The hooks:

    def _enter_module(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if not self._here:
            return
        module, caller = self._shadow.original(module), self._frames[-1]
        if caller.module is _OUTSIDE and module is self._names.model:
            self._begin_pass()  # one more, as each token of model.generate takes
            self._passes += 1
        frame = self._frame(module, caller)
        frame.inside_activation |= id(module) in self._selection.activations
        frame.own_leaf = _is_own_leaf(module)
        frame.time_major = time_major(module, inherited=caller.time_major)
        frame.given = args, kwargs
        if self._inputs is not None and id(module) in self._wanted and is_activation(module):
            frame.before = self._inputs.of_module(module, frame.name, frame.given)
        self._calls.note_module(module)
        if id(module) in self._selection.of_experts or frame.name in self._names.experts:
            with Innermost(None), plain_torch():
                self._experts.enter(frame)
        self._frames.append(frame)

    def _leave_module(self, module: nn.Module, _args: Any, output: Any) -> None:
        module = self._shadow.original(module)
        if not self._here:
            if threading.get_ident() != self._thread and module in self._selection.modules:
                self._findings.other_threads.add(self._names.of(module)[0])
            return
        if not any(frame.module is module for frame in self._frames):
            return  # a hook before ours raised
        while (frame := self._frames.pop()).module is not module:
            pass  # a module that raised, and whose error was caught
        with plain_torch():  # what is asked of a tensor here is no function of the model's
            _check_batched(frame.name, module, output)
            if frame.routing is not None or id(module) in self._selection.of_experts:
                with Innermost(None):
                    self._experts.leave(frame)
            if id(module) in self._wanted:
                self._see_module(frame, output)

    def _hook(self, module: Any) -> None:
        """Do as `register_forward_pre_hook` and `register_forward_hook`, in a third of the time."""
        module._forward_pre_hooks[self] = self._enter_module  # noqa: SLF001
        module._forward_pre_hooks_with_kwargs[self] = True  # noqa: SLF001
        module._forward_hooks[self] = self._leave_module  # noqa: SLF001
        module._forward_hooks_always_called[self] = True  # noqa: SLF001

    def _unhook(self, module: Any) -> None:
        for hooks in (
            module._forward_pre_hooks,  # noqa: SLF001
            module._forward_pre_hooks_with_kwargs,  # noqa: SLF001
            module._forward_hooks,  # noqa: SLF001
            module._forward_hooks_always_called,  # noqa: SLF001
        ):
            hooks.pop(self, None)

    def _see_script(self, module: nn.Module, _args: Any, output: Any) -> None:
        """See a ScriptModule, which takes no other hook, as one step."""
        if self._here:
            self._see_module(self._frame(self._shadow.original(module), self._frames[-1]), output)

    def _frame(self, module: nn.Module, caller: Frame) -> Frame:
        name = self._names.called_from(module, caller.name)
        self._findings.calls.add(name)
        return Frame(module, name, caller, caller.inside_activation)

    def _see_module(self, frame: Frame, output: Any) -> None:
        module = frame.module
        layer = LayerInfo(frame.name, module_kind(module), type(module).__name__)
        found = responses(output)
        apart = frame.is_for_several()
        call = self._calls.next(frame.name, _shape(found), module=module, apart=apart)
        for path, tensor in found:
            self._findings.responses[call.name + path] = None
            if not self._selection.wants_call(module, call.name + path):
                continue
            second = path.startswith("[1]")
            state = isinstance(module, nn.RNNBase) and second
            weights = isinstance(module, nn.MultiheadAttention) and second
            whole = module if tensor is output else None
            before = self._before(frame.before, tensor, call, path) if whole is not None else None
            if tensor.ndim == 3 and (state or (frame.time_major and not weights)):  # noqa: PLR2004
                tensor, before = _items_first(tensor, before)  # noqa: PLW2901
                whole = None
            self._hand_on(
                call, path, tensor, layer, frame, sequence=not state, module=whole, before=before
            )

    # The functions of PyTorch:

    def check_arguments(self, arguments: tuple[Any, ...]) -> None:
        """Refuse a call of the model itself in place of its shadow."""
        if self._here and any(map(self._shadow.is_original_parameter, arguments)):
            self.failure = ProducerError(
                f"{self._names.root} was called itself, where a stand-in for it is watched, which "
                "has its weights. In forward= use the model that is given: forward=lambda model, "
                "batch: model(batch). In a hook or a patched method use the module that is given."
            )
            raise self.failure

    def before_function(self, function: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        """What an activation is given, where that is asked for, before it can write over it."""
        if self._inputs is None or not self._here or self._frames[-1].own_leaf:
            return None
        name = str(getattr(function, "__name__", ""))
        return self._inputs.of_function(name, self._frames[-1].name, args, kwargs or {})

    def see_function(
        self, function: Any, args: Iterable[Any], result: Any, kept: Any = None
    ) -> None:
        """Take what is wanted of the result of a function; `kept` is of `before_function`."""
        if not self._here:
            return
        name, frame = function_name(function), self._frames[-1]
        self._calls.note_arguments(args)
        if self._left_out is not None:
            self._left_out.note_call(name, args, result, frame, self._calls)
        self._axes.note_result(name, result)
        if not self._selection.may_want(name) or frame.own_leaf:
            return  # of an own leaf, the module is the layer
        found = responses(result) if isinstance(result, (torch.Tensor, tuple, list)) else []
        if not found:
            return
        base, inside = f"{frame.name}/{name}", frame.inside_activation
        apart = frame.is_for_several()
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
            before = self._before(kept, tensor, call, path) if tensor is result else None
            if tensor.ndim == 3 and frame.time_major:  # noqa: PLR2004
                tensor, before = _items_first(tensor, before)  # noqa: PLW2901
            self._hand_on(call, path, tensor, layer, frame, before=before)

    def _before(self, kept: Any, made: torch.Tensor, call: Call, path: str) -> Before | None:
        """The input of which a response was made, and what is known of that."""
        return None if self._inputs is None else self._inputs.taken(kept, made, call, path)

    def note_made(self, function: Any, args: tuple[Any, ...], kwargs: Any, result: Any) -> None:
        """Note what a function has made, which may be an activation's input."""
        if self._inputs is not None and self._here:
            name, caller = str(getattr(function, "__name__", "")), self._frames[-1].name
            self._inputs.note(name, caller, args, kwargs or {}, result)

    def _hand_on(
        self,
        call: Call,
        path: str,
        tensor: torch.Tensor,
        layer: LayerInfo,
        frame: Frame,
        *,
        sequence: bool = True,
        module: nn.Module | None = None,
        before: Before | None = None,
    ) -> None:
        if not self._calls.counts(call):
            return
        name = call.name + path
        _check_whole(name, tensor)
        channel_axes = self._findings.channel_axes
        if name not in channel_axes:
            if not self._functions:
                raise RepeatBatch
            channel_axes[name] = self._axes.channel_axis(tensor)
        try:
            captured = CapturedResponse(
                name,
                tensor,
                layer,
                channel_axes[name],
                sequence,
                positions_first=self._axes.positions_first,
                number=self._number,
                merged=call.merged,
                before=None if before is None else before.tensor,
                activation=None if before is None else before.activation,
                parameters=None if before is None else before.parameters,
                module=module,
            )
            with Innermost(None), plain_torch():
                for one in self._experts.split(captured, frame):
                    self._take(one)
        except Exception as error:
            self.failure = error
            raise


class FunctionMode(TorchFunctionMode):
    """Reports every call of a function of PyTorch, with arguments and result."""

    def __init__(self, watcher: ForwardWatcher) -> None:
        super().__init__()
        self._watcher = watcher

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kept = self._watcher.before_function(func, args, kwargs)
        result = func(*args, **(kwargs or {}))
        with plain_torch():
            if isinstance(result, torch.Tensor) and func.__name__ != "__get__":
                self._watcher.check_arguments(args)
            given = (*args, *(kwargs or {}).values())
            self._watcher.note_made(func, args, kwargs, result)
            self._watcher.see_function(func, given, result, kept)
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
    """The shape of one probe's response, by the first tensor of an output."""
    return tuple(found[0][1].shape[1:]) if found else ()


def _items_first(tensor: torch.Tensor, before: Before | None) -> tuple[torch.Tensor, Before | None]:
    """A response of which positions come first, and the input it was made of, items first."""
    return tensor.transpose(0, 1), None if before is None else before.items_first()


def _is_own_leaf(module: nn.Module) -> bool:
    """Whether a module is PyTorch's own and has no children, so that it is one function."""
    own = type(module).__module__.startswith("torch.nn.modules.")
    return own and next(module.children(), None) is None
