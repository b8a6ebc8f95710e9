"""Watching one forward pass: every chosen response is handed on while it is still what it was."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np
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
from iua_widget.capture.experts import (
    AllExperts,
    ExpertRows,
    RealTokens,
    Routing,
    SortedExperts,
    Tokens,
    places_among,
    routing_of,
    rows_of,
    sizes_given,
)
from iua_widget.capture.mixtures import ListedExpert, Mixture
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.outputs import responses
from iua_widget.capture.selection import Selection
from iua_widget.capture.sequences import time_major
from iua_widget.capture.shadow import Shadow
from iua_widget.common.cell_context import plain_torch
from iua_widget.common.words import named
from iua_widget.errors import ProducerError
from iua_widget.sources.response_info import LayerInfo
from iua_widget.units.expert_load import ExpertLoad

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
    tokens : Tokens or None
        Where the rows are tokens picked from the batch: which.
    turned : bool or None
        Whether positions came before items in the latest result whose shape told.
    number : int
        Which pass of the batch it is of: `model.generate` makes one for each token.
    merged : bool
        Whether several calls of a pass are one layer.
    load : ExpertLoad or None
        What the expert whose layer it is got of the batch's tokens, where that is now told.
    """

    name: str
    tensor: torch.Tensor
    layer: LayerInfo
    channel_axis: int | None
    sequence: bool = True
    tokens: Tokens | None = None
    turned: bool | None = None
    number: int = 0
    merged: bool = False
    load: ExpertLoad | None = None


@dataclass(slots=True)
class _Frame:
    module: nn.Module
    name: str
    caller: _Frame | None
    inside_activation: bool = False
    own_leaf: bool = False
    time_major: bool = False
    routing: Routing | None = None
    given: tuple[Any, Any] = ((), {})
    """The arguments it is called with, by place and by name."""

    listed: ListedExpert | None = None
    tokens: Tokens | None = None
    number: int = 0
    """How many calls of this module of experts came before in the pass."""

    calls: Counter[str] = field(default_factory=Counter)
    """Calls within it of what computes for several experts, by response."""

    @property
    def rows(self) -> torch.Tensor | None:
        """What it is given, one row a token."""
        return rows_of(*self.given)

    def experts(self) -> _Frame | None:
        """The expert, or the module of experts, that this call is part of, itself included."""
        frame: _Frame | None = self
        while frame is not None and frame.routing is None and frame.listed is None:
            frame = frame.caller
        return frame

    def is_for_several(self) -> bool:
        """Whether what is called here may compute for several experts."""
        experts = self.experts()
        return experts is not None and experts.listed is None


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
    mixtures : dict of str to Mixture
        By the module of experts.
    experts_last : dict of str to bool
        By layer: see `AllExperts`.
    together : set of str
        Layers that compute for several experts at once, in an order that is not known.
    channel_axes : dict of str to int or None
        By response, as the first batch told.
    """

    calls: set[str] = field(default_factory=set)
    responses: dict[str, None] = field(default_factory=dict)
    functions: bool = False
    elsewhere: set[str] = field(default_factory=set)
    mixtures: dict[str, Mixture] = field(default_factory=dict)
    experts_last: dict[str, bool | None] = field(default_factory=dict)
    together: set[str] = field(default_factory=set)
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
                f"The nonlinearity of {named(names)} is inside, where the default, the outputs of "
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
    """The batch must be passed once more: what came before its end is to be judged otherwise.

    A response came that no batch before had, so that functions must be intercepted; or what was
    taken for the experts' responses one by one is not.
    """


_watching = threading.local()


class _Unwatched:
    """What is called within is not the model's, but counting itself."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = getattr(_watching, "innermost", None)
        _watching.innermost = None

    def __exit__(self, *error: object) -> None:
        _watching.innermost = self._before


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
    real : callable, optional
        Given a layer's name, how many tokens it has, and `turned` and `number` as of a `Capture`:
        which of them are no padding.

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
        real: Callable[[str, int, bool | None, int], np.ndarray | None] = lambda *_: None,
    ) -> None:
        self._shadow = shadow or Shadow(names.model)
        self._names = names
        self._real = real
        self._routed: dict[str, torch.Tensor] = {}
        self._routings: Counter[str] = Counter()
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
            self._routings.clear()
            self._passes += 1
        name = self._names.called_from(module, caller.name if caller else self._names.root)
        self._findings.calls.add(name)
        self._calls.enters(module)
        inside = id(module) in self._selection.activations or (
            caller is not None and caller.inside_activation
        )
        time = time_major(module, inherited=caller is not None and caller.time_major)
        frame = _Frame(module, name, caller, inside, _is_own_leaf(module), time)
        frame.given = args, kwargs
        if id(module) in self._selection.of_experts or name in self._names.experts:
            with _Unwatched(), plain_torch():
                self._begin_routing(frame)
        self._frames.append(frame)

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
        if frame.routing is not None or id(module) in self._selection.of_experts:
            with _Unwatched(), plain_torch():
                self._end_routing(frame)
                self._sort_for(frame)
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
        apart = frame.is_for_several()
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
        apart = frame is not None and frame.is_for_several()
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
        try:
            turned, number = self._turned, max(self._passes - 1, 0)
            capture = Capture(
                name, tensor, layer, axes[name], sequence,
                turned=turned, number=number, merged=call.merged,
            )  # fmt: skip
            with _Unwatched(), plain_torch():
                for one in self._by_expert(capture, frame.experts() if frame else None):
                    self._take(one)
        except Exception as error:
            self.failure = error
            raise

    def _by_expert(self, capture: Capture, experts: _Frame | None) -> list[Capture]:
        """A response, or one for each expert, named as if it were a module of its own."""
        layer = capture.layer
        within = None if experts is None else self._within(experts.name, layer.name)
        if experts is None or within is None:
            return [capture]
        if experts.listed is not None:
            listed, tokens = experts.listed, experts.tokens
            if tokens is not None and len(tokens.index) != len(capture.tensor):
                tokens = None
            one = replace(capture, tokens=tokens)
            self._mixture(listed.module).met(listed.expert, one)
            return [one]
        if experts.routing is None or not within or layer.name in self._findings.together:
            return [capture]
        part = capture.name[len(layer.name) :]
        path = re.sub(r"^:\d+", "", part)
        found = self._split(experts, experts.routing, capture, path)
        if found is None:
            return [capture]
        if experts.routing.eager:
            part = f":{experts.number}{path}" if experts.number else path
        mixture = self._mixture(experts.name, experts.routing.experts)
        captures = []
        for of in found:
            inner = mixture.experts[of.expert] + within
            one = replace(
                capture,
                name=inner + part,
                tensor=of.tensor,
                layer=replace(layer, name=inner),
                channel_axis=of.tensor.ndim - 1,
                tokens=of.tokens,
            )
            mixture.met(of.expert, one)
            captures.append(one)
        return captures

    def _split(
        self, frame: _Frame, routing: Routing, capture: Capture, path: str
    ) -> list[ExpertRows] | None:
        """The rows of each expert; None where a response is not one of several experts."""
        layer = capture.layer.name
        call = frame.calls[layer + path]
        frame.calls[layer + path] += 1
        if isinstance(routing, AllExperts):
            routing.last = self._findings.experts_last.get(layer)
        found = routing.split(capture.tensor, call)
        if isinstance(routing, AllExperts) and found is not None:
            self._findings.experts_last[layer] = routing.last
        if found is None and routing.sure:
            self._findings.together.add(layer)
            raise LookAgain
        return found

    def _within(self, module: str, layer: str) -> str | None:
        """What follows a module's name in that of a layer within it; None where it is not within.

        Empty for the module itself.
        """
        if layer == module or layer.startswith((f"{module}.", f"{module}/")):
            return layer[len(module) :]
        return f".{layer}" if module == self._names.root else None

    def _mixture(self, module: str, experts: int = 0) -> Mixture:
        mixtures = self._findings.mixtures
        if module not in mixtures:
            listed = [name for name, of in self._names.experts.items() if of.module == module]
            names = listed or [f"{module}.{expert}" for expert in range(experts)]
            mixtures[module] = Mixture(module, tuple(names))
        return mixtures[module]

    def _begin_routing(self, frame: _Frame) -> None:
        """Note where tokens go, when an expert or a module of experts is called."""
        frame.routing = routing_of(frame.module, *frame.given)
        if frame.routing is not None:
            frame.number = self._routings[frame.name]
            self._routings[frame.name] += 1
        frame.listed = self._names.experts.get(frame.name)
        if frame.listed is not None:
            self._route_to(frame, frame.listed)

    def _route_to(self, frame: _Frame, listed: ListedExpert) -> None:
        """Note which tokens an expert that is a module of its own is given."""
        caller = frame.caller
        if caller is not None and caller.routing is not None and caller.name == listed.module:
            frame.tokens = caller.routing.tokens(listed.expert)
            return  # the others are counted with it
        rows, counted = frame.rows, 0
        if rows is not None:
            counted = len(rows)
            frame.tokens, real = self._tokens_of(rows, caller, frame.name)
            if real is None:
                real = self._real_tokens(frame.name)(len(rows))
            if real is not None:
                counted = int(real.sum())
        experts = len(self._mixture(listed.module).experts)
        counts = torch.zeros(experts, dtype=torch.int64, device="cpu")
        counts[listed.expert] = counted
        self._count(listed.module, counts)

    def _real_tokens(self, layer: str) -> RealTokens:
        turned, number = self._turned, max(self._passes - 1, 0)
        return lambda tokens: self._real(layer, tokens, turned, number)

    def _tokens_of(
        self, rows: torch.Tensor, caller: _Frame | None, layer: str
    ) -> tuple[Tokens | None, np.ndarray | None]:
        """Which of the caller's tokens these rows are, and which of the rows are no padding.

        Only where there is padding is that worth its time.
        """
        among = None if caller is None else caller.rows
        real = None if among is None else self._real_tokens(layer)(len(among))
        if among is None or real is None:
            return None, None
        places = places_among(rows, among, real)
        if places is None:
            return None, None
        return Tokens(places, len(among)), real[places.cpu().numpy()]

    def _end_routing(self, frame: _Frame) -> None:
        """Note how many tokens each expert was given, when a module of experts has ended."""
        routing = frame.routing
        if routing is None:
            return
        wrong = [
            base.partition("[")[0]
            for base, calls in frame.calls.items()
            if routing.eager and calls != len(routing.hit())
        ]
        if not self._findings.together.issuperset(wrong):
            self._findings.together.update(wrong)
            raise LookAgain
        counts = routing.counts(self._real_tokens(frame.name))
        if counts is not None:
            self._mixture(frame.name, routing.experts)
            self._count(frame.name, counts)

    def _sort_for(self, frame: _Frame) -> None:
        """Note that the caller has sorted tokens by expert: it has given them to this module so."""
        caller = frame.caller
        sizes = None if caller is None else sizes_given(frame.module, *frame.given)
        if caller is not None and caller.routing is None and sizes is not None:
            rows = frame.rows
            tokens = None if rows is None else self._tokens_of(rows, caller, caller.name)[0]
            caller.routing = SortedExperts(sizes, tokens)
            caller.number = self._routings[caller.name]
            self._routings[caller.name] += 1

    def _count(self, module: str, counts: torch.Tensor) -> None:
        before = self._routed.get(module)
        self._routed[module] = counts if before is None else before + counts

    def loads(self) -> Iterator[Capture]:
        """After the pass, what each expert got of its tokens, with each of the expert's layers.

        An expert that no token was routed to has the layers that the others have.
        """
        for module, counts in self._routed.items():
            mixture = self._findings.mixtures[module]
            mixture.complete(self._has)
            yield from mixture.loads(counts)

    def _has(self, expert: str, capture: Capture, like: Capture) -> bool:
        """Whether an expert that lacks a layer would have had it, had it been called."""
        if expert not in self._names.experts:
            return True  # all are computed by one module
        if expert in self._findings.calls:
            return False
        modules, name = self._names.modules, capture.layer.name
        if name in modules:
            return self._selection.wants_call(modules[name], capture.name)
        caller, _, function = name.rpartition("/")
        same = type(modules.get(caller)) is type(modules.get(like.layer.name.rpartition("/")[0]))
        return same and self._selection.wants_function(function, capture.name, inside=False)

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
