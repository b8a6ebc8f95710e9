"""Running a model's forward pass so that the model is left as it was."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import ExitStack
from typing import Any, Final, Literal

import torch
from torch import nn

Mode = Literal["eval", "train"]

_COPIED_PARAMETERS: Final = 2**30
"""Bytes of parameters that are copied in the first batch, to put back what it changes."""
_COPIED_ENTRIES: Final = 10_000
"""Entries of a container that are compared before and after; larger ones are data or vocabulary."""
_REGISTRIES: Final = ("_buffers", "_parameters", "_modules")

# One for all models: they may share modules, and a run on a part would save the whole's modes.
_one_at_a_time = threading.RLock()


class Untouched:
    """Holds a model in one mode for a batch at a time, and puts back what the batch changed.

    Between batches the model is as its owner left it. Put back are every module's mode, buffers,
    plain attributes (a cache, a counter, a hidden state) and the parameters: all of them after the
    first batch, and after later ones what the first was seen to change. `finish` compares all once
    more, but on a thread beside the main one, where it may be the owner who has changed the rest.

    Parameters
    ----------
    model : torch.nn.Module
    mode : {"eval", "train"}
        ``"train"`` leaves a model that is in training as it is, frozen parts included.

    Attributes
    ----------
    changed_for_good : list of str
        Parameters that a batch changed in place and that were too large to copy beforehand.
    """

    def __init__(self, model: nn.Module, mode: Mode = "eval") -> None:
        self._model = model
        self._mode = mode
        self._first = True
        self._at_first: list[_Attributes | _Parameter] = []
        self._changed_attributes: dict[nn.Module, set[Hashable]] = {}
        self._changed_parameters: dict[nn.Parameter, str] = {}
        self.changed_for_good: list[str] = []

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Let one batch pass, without gradients, and alone."""
        with _one_at_a_time, ExitStack() as exits:
            snapshots = list(self._all() if self._first else self._seen_to_change())
            for snapshot in snapshots:
                exits.callback(snapshot.restore)
            if self._first and threading.current_thread() is threading.main_thread():
                self._at_first = snapshots
            self._set_modes(exits)
            exits.enter_context(_eager())
            exits.enter_context(torch.no_grad())
            yield
        self._first = False
        for snapshot in self._at_first:
            if isinstance(snapshot, _Parameter):
                snapshot.drop_copy()

    def finish(self) -> None:
        """Put back what a later batch was the first to change."""
        with _one_at_a_time:
            for snapshot in self._at_first:
                snapshot.restore()
        self._at_first = []

    def forget(self) -> None:
        """Let go of what the model was at first: there is no telling when the last batch comes."""
        self._at_first = []

    def _set_modes(self, exits: ExitStack) -> None:
        if self._mode == "train" and self._model.training:
            return
        training = self._mode == "train"
        others = [module for module in self._model.modules() if module.training != training]
        exits.callback(_set_training, others, not training)
        _set_training(others, training)

    def _all(self) -> Iterator[_Attributes | _Parameter]:
        for module in self._model.modules():
            yield _Attributes(self, module, None)
        parameters = dict(self._model.named_parameters())
        size = sum(p.numel() * p.element_size() for p in parameters.values())
        for name, parameter in parameters.items():
            yield _Parameter(self, name, parameter, copied=size <= _COPIED_PARAMETERS)

    def _seen_to_change(self) -> Iterator[_Attributes | _Parameter]:
        for module, names in self._changed_attributes.items():
            yield _Attributes(self, module, names)
        for parameter, name in self._changed_parameters.items():
            yield _Parameter(self, name, parameter, copied=name not in self.changed_for_good)

    def note_attribute(self, module: nn.Module, name: Hashable) -> None:
        """Remember that the forward pass changes an attribute, or ``("_buffers", name)``."""
        changed = self._changed_attributes.setdefault(module, set())
        changed.add(name)
        if isinstance(name, tuple):
            changed.add(name[0])

    def note_parameter(self, name: str, parameter: nn.Parameter, *, put_back: bool) -> None:
        """Remember that the forward pass changes a parameter."""
        self._changed_parameters[parameter] = name
        if not put_back and name not in self.changed_for_good:
            self.changed_for_good.append(name)


class _Attributes:
    """What a module holds beside its parameters: all of it, or only what is named."""

    def __init__(self, owner: Untouched, module: nn.Module, keep: set[Hashable] | None) -> None:
        self._owner = owner
        self._module = module
        self._keep = None if keep is None else frozenset(keep)
        self._values = {
            name: value
            for name, value in _attributes(module).items()
            if keep is None or name in keep
        }
        self._contents = {
            name: copied
            for name, value in self._values.items()
            if (copied := _contents(name, value)) is not None
        }
        buffers = {
            ("_buffers", name): value
            for name, value in module._buffers.items()  # noqa: SLF001
            if value is not None and (keep is None or ("_buffers", name) in keep)
        }
        plain = {n: v for n, v in self._values.items() if isinstance(v, torch.Tensor)}
        self._tensors: list[tuple[Hashable, torch.Tensor, torch.Tensor]] = [
            (name, value, value.detach().clone())
            for name, value in (buffers | plain).items()
            if not value.is_meta
        ]

    def restore(self) -> None:
        now = _attributes(self._module)
        for attribute, value in self._values.items():
            if now.get(attribute, _MISSING) is not value:
                vars(self._module)[attribute] = value
                self._changed(attribute)
        for added in now:
            if added not in self._values and (self._keep is None or added in self._keep):
                del vars(self._module)[added]
                self._changed(added)
        for held, content in self._contents.items():
            if not _same(self._values[held], content):
                _refill(self._values[held], content)
                self._changed(held)
        for name, tensor, copied in self._tensors:
            if not _equal(tensor, copied):
                with torch.no_grad():
                    tensor.detach().copy_(copied)
                self._changed(name)

    def _changed(self, name: Hashable) -> None:
        self._owner.note_attribute(self._module, name)


class _Parameter:
    """A parameter: its values where they were copied, its flags, its gradient."""

    def __init__(
        self, owner: Untouched, name: str, parameter: nn.Parameter, *, copied: bool
    ) -> None:
        self._owner = owner
        self._name = name
        self._parameter = parameter
        self._data = parameter.data
        self._version = parameter._version  # noqa: SLF001
        self._copy = parameter.detach().clone() if copied and not parameter.is_meta else None
        self._requires_grad = parameter.requires_grad
        self._grad = parameter.grad

    def drop_copy(self) -> None:
        """Keep the parameter's version only: a copy of all for a whole run is too much."""
        self._copy = None
        self._version = self._parameter._version  # noqa: SLF001

    def restore(self) -> None:
        parameter = self._parameter
        if parameter.requires_grad != self._requires_grad:
            parameter.requires_grad_(self._requires_grad)
        if parameter.grad is not self._grad:
            parameter.grad = self._grad
        if parameter.data_ptr() != self._data.data_ptr():
            parameter.data = self._data
            self._owner.note_parameter(self._name, parameter, put_back=True)
        if self._copy is not None:
            if not _equal(parameter, self._copy):
                with torch.no_grad():
                    parameter.detach().copy_(self._copy)
                self._owner.note_parameter(self._name, parameter, put_back=True)
        elif parameter._version != self._version:  # noqa: SLF001
            self._owner.note_parameter(self._name, parameter, put_back=False)


_MISSING: Final = object()


def _attributes(module: nn.Module) -> dict[str, Any]:
    """What a module holds, its mode left out; a ScriptModule keeps all of it elsewhere."""
    if isinstance(module, torch.jit.ScriptModule):
        return {}
    return {name: value for name, value in vars(module).items() if name != "training"}


def _set_training(modules: list[nn.Module], training: bool) -> None:  # noqa: FBT001
    for module in modules:
        # Not module.train(): what a class makes of that may change weights.
        module.training = training


def _contents(name: str, value: Any) -> Any:
    """A copy of what a container holds, one level deep; None where it is none, or a huge one."""
    if name in _REGISTRIES:
        return dict(value)
    if not isinstance(value, (dict, list, deque, set)) or len(value) > _COPIED_ENTRIES:
        return None
    if isinstance(value, dict):
        return dict(value)
    return set(value) if isinstance(value, set) else list(value)


def _same(value: Any, copied: Any) -> bool:
    if len(value) != len(copied):
        return False
    if isinstance(value, dict):
        pairs = zip(value.items(), copied.items(), strict=True)
        return all(k is l and v is w for (k, v), (l, w) in pairs)  # noqa: E741
    if isinstance(value, set):
        return bool(value == copied)
    return all(one is other for one, other in zip(value, copied, strict=True))


def _refill(value: Any, copied: Any) -> None:
    value.clear()
    if isinstance(value, (dict, set)):
        value.update(copied)
    else:
        value.extend(copied)


def _equal(tensor: torch.Tensor, copied: torch.Tensor) -> bool:
    if tensor.shape != copied.shape or tensor.dtype != copied.dtype:
        return False
    try:
        return bool(torch.equal(tensor.detach(), copied))
    except (RuntimeError, NotImplementedError):  # a sparse or exotic layout
        return False


@contextlib.contextmanager
def _eager() -> Iterator[None]:
    """Run what was compiled as it was written, and fused layers step by step.

    A compiled module calls no hook that came after its first call, and a fused encoder layer does
    not call its activation at all.
    """
    mha = getattr(torch.backends, "mha", None)
    fast = mha is not None and mha.get_fastpath_enabled()
    with ExitStack() as exits:
        if mha is not None and fast:
            mha.set_fastpath_enabled(value=False)
            exits.callback(mha.set_fastpath_enabled, value=True)
        if "torch._dynamo" in sys.modules:
            exits.enter_context(torch.compiler.set_stance("force_eager"))
        yield
