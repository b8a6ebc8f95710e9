"""Running a model's forward pass so that the model is left as it was."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final, Literal

import torch
from torch import nn

from iua_widget.capture.held import Held, HeldTensor, hold, version

Mode = Literal["eval", "train"]

_COPIED_AT_FIRST: Final = 2**30
"""Bytes of parameters that are copied for the first batch, to put back what it changes."""
_COPIED_THROUGHOUT: Final = 2**26
"""Bytes of parameters that are copied for a whole run."""
_NORMALISERS: Final = (nn.modules.batchnorm._NormBase,)  # noqa: SLF001

# One for all models: they may share modules, and a run on a part would save the whole's modes.
_one_at_a_time = threading.RLock()


class Untouched:
    """Holds a model in one mode for a batch at a time, and puts back what the batch changed.

    Between batches the model is as its owner left it. Put back are every module's mode, buffers and
    attributes (a cache, a counter, a hidden state), and the parameters: all of them after the first
    batch, and after later ones what the first was seen to change. `finish` looks at all once more.
    On a thread beside the main one, where it may be the owner who has changed the rest, it then
    only tells of it.

    Parameters
    ----------
    model : torch.nn.Module
    mode : {"eval", "train"}
        ``"train"`` leaves a model that is in training as it is, frozen parts included.

    Attributes
    ----------
    left_changed : list of str
        What has changed meanwhile and was not put back.
    """

    def __init__(self, model: nn.Module, mode: Mode = "eval") -> None:
        self._model = model
        self._mode = mode
        self._first = True
        self._parameter_bytes = 0
        self._at_first: list[_Attributes | _Parameter] = []
        self._attributes: dict[nn.Module, set[str]] = {}
        self._parameters: dict[nn.Parameter, str] = {}
        self._expect_changes()
        self.left_changed: list[str] = []

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Let one batch pass, without gradients, and alone."""
        with _one_at_a_time, ExitStack() as exits:
            if self._first:
                self._parameter_bytes = _parameter_bytes(self._model)
            snapshots = list(self._all() if self._first else self._known_to_change())
            for snapshot in snapshots:
                exits.callback(snapshot.restore)
            if self._first:
                self._at_first = snapshots
            self._set_modes(exits)
            exits.enter_context(_eager())
            exits.enter_context(torch.no_grad())
            yield
        self._first = False
        if self._parameter_bytes > _COPIED_THROUGHOUT:
            for snapshot in self._at_first:
                snapshot.drop_copy()

    def finish(self) -> None:
        """Put back, or tell of, what a later batch was the first to change."""
        alone = threading.current_thread() is threading.main_thread()
        with _one_at_a_time:
            for snapshot in self._at_first:
                if alone:
                    snapshot.restore()
                elif name := snapshot.changed():
                    self.left_changed.append(name)
        self._at_first = []

    def start_again(self) -> None:
        """Take the next batch for the first: there is no telling which will be the last."""
        self._first = True
        self._at_first = []

    def expect(self, module: nn.Module, name: str) -> None:
        """Remember that the forward pass changes an attribute."""
        self._attributes.setdefault(module, set()).add(name)

    def expect_parameter(self, parameter: nn.Parameter, name: str) -> None:
        """Remember that the forward pass changes a parameter."""
        self._parameters[parameter] = name

    def _expect_changes(self) -> None:
        """What PyTorch's own modules change, whichever batch is the first to reach them."""
        for name, module in self._model.named_modules():
            if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.max_norm is not None:
                weight = module.weight
                if isinstance(weight, nn.Parameter):  # and not a parametrisation's product
                    self.expect_parameter(weight, f"{name}.weight")
            if self._mode == "train" and isinstance(module, _NORMALISERS):
                self.expect(module, "_buffers")

    def _set_modes(self, exits: ExitStack) -> None:
        if self._mode == "train" and self._model.training:
            return
        training = self._mode == "train"
        others = [module for module in self._model.modules() if module.training != training]
        exits.callback(_set_training, others, not training)
        _set_training(others, training)

    def _elsewhere(self) -> set[int]:
        """Ids of what is looked at module by module, and not wherever it is referred to."""
        return {id(held) for held in (*self._model.modules(), *self._model.parameters())}

    def _all(self) -> Iterator[_Attributes | _Parameter]:
        seen = self._elsewhere()
        for name, module in self._model.named_modules():
            yield _Attributes(self, name, module, None, seen)
        copied = self._parameter_bytes <= _COPIED_AT_FIRST
        for name, parameter in self._model.named_parameters():
            always = parameter in self._parameters
            yield _Parameter(self, name, parameter, copied=copied or always)

    def _known_to_change(self) -> Iterator[_Attributes | _Parameter]:
        seen = self._elsewhere() if self._attributes else set()
        for module, names in self._attributes.items():
            yield _Attributes(self, type(module).__name__, module, frozenset(names), seen)
        for parameter, name in self._parameters.items():
            yield _Parameter(self, name, parameter, copied=True)


class _Attributes:
    """What a module holds beside its parameters: all of it, or only what is named."""

    def __init__(
        self,
        owner: Untouched,
        name: str,
        module: nn.Module,
        only: frozenset[str] | None,
        seen: set[int],
    ) -> None:
        self._owner = owner
        self._name = name or type(module).__name__
        self._module = module
        self._only = only
        self._values = {n: v for n, v in self._now().items() if only is None or n in only}
        self._held: dict[str, list[Held]] = {
            n: list(hold(v, seen)) for n, v in self._values.items()
        }

    def drop_copy(self) -> None:
        """Attributes are small: they are kept for the run."""

    def restore(self) -> None:
        now = self._now()
        for name, value in self._values.items():
            if now.get(name, _MISSING) is not value:
                vars(self._module)[name] = value
                self._owner.expect(self._module, name)
        for name in self._added(now):
            del vars(self._module)[name]
            self._owner.expect(self._module, name)
        for name, held in self._held.items():
            if any([one.restore() for one in held]):  # noqa: C419  (all of them)
                self._owner.expect(self._module, name)

    def changed(self) -> str | None:
        now = self._now()
        replaced = [n for n, value in self._values.items() if now.get(n, _MISSING) is not value]
        names = [*replaced, *self._added(now)]
        return f"{self._name}.{names[0]}" if names else None

    def _added(self, now: dict[str, Any]) -> list[str]:
        return [n for n in now if n not in self._values and (self._only is None or n in self._only)]

    def _now(self) -> dict[str, Any]:
        """What the module holds, its mode left out; a ScriptModule keeps all of it elsewhere."""
        if isinstance(self._module, torch.jit.ScriptModule):
            return {}
        return {name: value for name, value in vars(self._module).items() if name != "training"}


class _Parameter:
    """A parameter: its values where they were copied, its flag, its gradient."""

    def __init__(
        self, owner: Untouched, name: str, parameter: nn.Parameter, *, copied: bool
    ) -> None:
        self._owner = owner
        self._name = name
        self._parameter = parameter
        self._data = parameter.data
        self._version = version(parameter)
        self._requires_grad = parameter.requires_grad
        self._grad = parameter.grad
        whole = [parameter] if parameter.grad is None else [parameter, parameter.grad]
        self._held = [HeldTensor(tensor) for tensor in whole if copied and not tensor.is_meta]

    def drop_copy(self) -> None:
        """Keep the version only: a copy of all for a whole run is too much."""
        self._held = []
        self._version = version(self._parameter)

    def restore(self) -> None:
        parameter, changed = self._parameter, False
        if parameter.requires_grad != self._requires_grad:
            parameter.requires_grad_(self._requires_grad)
            changed = True
        if parameter.grad is not self._grad:
            parameter.grad = self._grad
            changed = True
        if parameter.data_ptr() != self._data.data_ptr():
            parameter.data = self._data
            changed = True
        changed |= any([held.restore() for held in self._held])  # noqa: C419  (all of them)
        if changed:
            self._owner.expect_parameter(parameter, self._name)
        elif not self._held and version(parameter) != self._version:
            self._version = version(parameter)
            self._owner.left_changed.append(self._name)

    def changed(self) -> str | None:
        moved = self._parameter.data_ptr() != self._data.data_ptr()
        return self._name if moved or version(self._parameter) != self._version else None


_MISSING: Final = object()


def _parameter_bytes(model: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters())


def _set_training(modules: list[nn.Module], training: bool) -> None:  # noqa: FBT001
    for module in modules:
        # Not module.train(): what a class makes of that may change weights.
        module.training = training


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
