"""A model's shadow: copies of its modules that share its parameters, for passes without a trace."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook

from iua_widget.capture.copies import Copier
from iua_widget.capture.eager import eager
from iua_widget.capture.refusals import is_sharded, wrapped_in
from iua_widget.capture.tensor_copies import ParameterAlias, TensorCopy, refresh
from iua_widget.capture.twins import Twin, Unchanging, state
from iua_widget.common.cell_context import plain_torch
from iua_widget.common.forks import free_in_child
from iua_widget.common.words import named
from iua_widget.errors import ProducerError
from iua_widget.options import Mode

_COPIED_AT_FIRST: Final = 2**30
"""Bytes of parameters that are copied for the first batch, to see which it changes."""
_COPIED_THROUGHOUT: Final = 2**20
"""Bytes of parameters that are copied for every batch, which takes no longer than comparing."""
_STALE_TENSORS: Final = 16
"""How many tensors that the owner has replaced may be remembered before all copies are dropped."""
_BASE: Final = frozenset(vars(nn.Module()))


class Shadow:
    """Copies of a model's modules, with modes, hooks, buffers and attributes of their own.

    A pass through the shadow leaves no trace on the model, and works whatever its owner does to the
    model meanwhile, training included. Parameters are shared, so that updates are seen at once;
    only those that a forward pass changes in place are copied. Everything else is brought up to
    date before each batch. What cannot be copied (a lock, a file) is shared, too.

    Parameters
    ----------
    model : torch.nn.Module
    mode : {"eval", "train"}
        ``"train"`` leaves a model that is in training as it is, frozen parts included.
    has_forward : bool
        Whether a function of the user's runs it, given by `bound`, which may change it.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    >>> shadow = Shadow(model)
    >>> with shadow.batch():
    ...     output = shadow.model(torch.ones(1, 2))
    >>> shadow.model.training, model.training
    (False, True)
    """

    def __init__(self, model: nn.Module, mode: Mode = "eval", *, has_forward: bool = False) -> None:
        self._original = model
        self._mode = mode
        self._lock = free_in_child(threading.RLock())
        self._sharded = is_sharded(model)
        self._first = True
        self._twins: dict[int, Twin] = {}
        self._originals: dict[int, nn.Module] = {}
        self._parameters: dict[int, ParameterAlias] = {}
        self._tensors: dict[int, TensorCopy] = {}
        self._storages: set[int] = set()
        self._copier = Copier(self._stand_in)
        self._written: list[ParameterAlias] = []
        self._changed = self._begun = False
        self._most_tensors = 0
        self._names: dict[int, str] = {}
        self._has_forward = has_forward
        self._hooked = self._of_torch = False
        self._unchanging: Unchanging | None = None
        self._changing: list[Twin] = []

    @property
    def model(self) -> nn.Module:
        """The shadow of the model itself."""
        return self.of(self._original)

    def of(self, module: nn.Module) -> nn.Module:
        """The shadow of one of the model's modules; other modules themselves."""
        twin = self._twins.get(id(module))
        return module if twin is None else twin.shadow

    def original(self, module: nn.Module) -> nn.Module:
        """The module that a shadow stands for; other modules themselves."""
        return self._originals.get(id(module), module)

    def is_original_parameter(self, value: object) -> bool:
        """Whether a value is a parameter of the model itself, and not the shadow's alias of it."""
        return id(value) in self._parameters

    def bound(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The user's function, with the shadow in place of the model wherever it refers to it."""
        rebound: Callable[..., Any] = self._copier.rebound(function)
        return rebound

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Run one batch without gradients, on a shadow that is up to date.

        Raises
        ------
        ProducerError
            If the model cannot have a shadow, and this is not the main thread.
        """
        with self._lock, ExitStack() as exits:
            if self._sharded:
                self._set_modes(exits)
            else:
                with _unrecorded():
                    self._follow()
            exits.enter_context(eager())
            exits.enter_context(torch.no_grad())
            yield
            with _unrecorded():
                self._note_written()

    def start_over(self) -> None:
        """Treat the next batch as the first of a run: parameters are copied and compared anew."""
        self._first = True

    def begin_anew(self) -> None:
        """Forget what the model's owner has changed until now."""
        self._changed = self._begun = False
        self._written = []
        for one in (*self._parameters.values(), *self._tensors.values()):
            one.begin_anew()

    def notes(self, *, thorough: bool = False) -> list[str]:
        """Whether the model's weights changed during the run, as sentences.

        Parameters
        ----------
        thorough : bool
            Compare them once more, values included: there are changes that no version counter
            tells of. Otherwise they are as the last batch found them.
        """
        names, notes = self._names, []
        with _unrecorded() if thorough else contextlib.nullcontext():
            weights, buffers = (
                [
                    names[key]
                    for key, one in copies.items()
                    if (one.has_changed_by_now() if thorough else one.has_changed())
                    and key in names
                    and one not in self._written
                ]
                for copies in (self._parameters, self._tensors)
            )
        if weights or buffers or self._changed:
            what = "weights" if weights or self._changed else "buffers"
            which = f" ({named(weights + buffers)})" if weights or buffers else ""
            notes.append(
                f"The {what} changed while counting{which}: the figures mix what the model "
                "computed before and after. Pause the run before you train."
            )
        if self._written:
            written = [names.get(id(one.original), "a parameter") for one in self._written]
            notes.append(
                f"The forward pass changed {named(written)} of the model in place, when others of "
                "its batches had not, and the first such change was left."
            )
        return notes

    def _follow(self) -> None:
        """Bring the shadow up to date with the model, and undo what the last batch did to it."""
        self._copier.forget()
        if len(self._parameters) + len(self._tensors) > self._most_tensors:
            self._drop_copies()
        begins = not self._twins
        if begins:
            self._make(self._original)
            tensors = (*self._original.named_parameters(), *self._original.named_buffers())
            self._names = {id(tensor): name for name, tensor in tensors}
            self._most_tensors = len(self._parameters) + len(self._tensors) + _STALE_TENSORS
        hooked = self._hooked
        self._hooked = _has_any_global_hook()  # type: ignore[no-untyped-call]
        as_seen = (
            self._unchanging is not None
            and hooked == self._hooked
            and self._unchanging.are_as_seen()
        )
        known = len(self._twins)
        for twin in self._changing if as_seen else list(self._twins.values()):
            if twin.follows and not begins:
                self._follow_module(twin)
        if not as_seen or len(self._twins) > known:
            twins = self._twins.values()
            of_user = self._has_forward or self._hooked
            self._of_torch = not of_user and all(map(Twin.is_of_torch, twins))
            self._changing = [twin for twin in twins if twin.mutable]
            self._unchanging = Unchanging(
                [one for one in twins if one.follows and not one.mutable], of_torch=self._of_torch
            )
        if not self._of_torch:  # PyTorch's own modules change no parameters
            self._begin_parameters()
        refresh([*self._parameters.values(), *self._tensors.values()])

    def _begin_parameters(self) -> None:
        """Decide whether a batch runs on copies of parameters, which is the first for them."""
        aliases = self._parameters.values()
        begins = [alias for alias in aliases if self._first or not alias.begun]
        if not begins:
            return
        self._copy_what_is_known_to_change()
        total = sum(alias.bytes for alias in aliases)
        for alias in begins:
            alias.begin(throughout=total <= _COPIED_THROUGHOUT, at_first=total <= _COPIED_AT_FIRST)

    def _drop_copies(self) -> None:
        """Drop copies of tensors that the owner has replaced, as some do in every step."""
        self._changed |= any(one.has_changed_by_now() for one in self._parameters.values())
        self.free()
        self._copier = Copier(self._stand_in)

    def free(self) -> None:
        """Let go of all copies, after the last batch."""
        del self._copier  # which refers back
        for known in (self._twins, self._originals, self._parameters, self._tensors):
            known.clear()
        self._storages.clear()
        self._changing.clear()
        self._unchanging = None
        self._first = True

    def _note_written(self) -> None:
        """Note which parameters the batch has changed in place."""
        for alias in self._parameters.values():
            if alias.look_back():
                self._written.append(alias)
        self._first, self._begun = False, True

    def _copy_what_is_known_to_change(self) -> None:
        for module in self._original.modules():
            if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.max_norm is not None:
                alias = self._parameters.get(id(module.weight))
                if alias is not None:  # and not a parametrization's product
                    alias.always_copied = True

    def _set_modes(self, exits: ExitStack) -> None:
        """Set the modes of a model that can have no shadow, until `exits` puts them back."""
        if threading.current_thread() is not threading.main_thread():
            message = (
                f"{type(self._original).__name__} is sharded by FSDP, and can only be watched on "
                "the main thread: count it with IUA.introspect, or with background=False."
            )
            raise ProducerError(message)
        for module in self._original.modules():
            training = self._mode_of(module)
            if module.training != training:
                exits.callback(setattr, module, "training", module.training)
                module.training = training

    def _mode_of(self, module: nn.Module) -> bool:
        if self._mode == "train" and self._original.training:
            return module.training
        return self._mode == "train"

    # The copies:

    def _stand_in(self, value: Any) -> Any:
        if isinstance(value, nn.Module):
            return self._make(value)
        if isinstance(value, nn.Parameter):
            return self._parameter(value)
        return self._tensor(value) if isinstance(value, torch.Tensor) else value

    def _make(self, module: nn.Module) -> nn.Module:
        twin = self._twins.get(id(module))
        if twin is not None:
            return twin.shadow
        inner = wrapped_in(module)
        if inner is not None:  # a wrapper, whose place the module takes that the user wrote
            shadow = self._make(inner)
            self._twins[id(module)] = Twin(module, shadow, follows=False)
            return shadow
        if isinstance(module, torch.jit.ScriptModule):
            return self._make_script(module)
        try:
            shadow = object.__new__(type(module))
        except TypeError:  # a module that is a dict or the like as well
            shadow = copy.copy(module)
        twin = self._remember(module, shadow)
        self._fill(twin)
        return shadow

    def _make_script(self, module: torch.jit.ScriptModule) -> nn.Module:
        try:
            shadow = copy.deepcopy(module)
        except Exception:  # noqa: BLE001  (of classes and packed weights that cannot be copied)
            shadow = module
        for one, other in zip(module.modules(), shadow.modules(), strict=True):
            self._remember(one, other).follows = False
            if shadow is not module:
                other.training = self._mode_of(one)
        if shadow is not module:
            for parameter, alias in zip(module.parameters(), shadow.parameters(), strict=True):
                self._parameters[id(parameter)] = ParameterAlias(parameter, alias)
            for buffer, copied in zip(module.buffers(), shadow.buffers(), strict=True):
                self._tensors[id(buffer)] = TensorCopy(buffer, copied)
        return shadow

    def _remember(self, module: nn.Module, shadow: nn.Module) -> Twin:
        twin = self._twins[id(module)] = Twin(module, shadow)
        self._originals[id(shadow)] = module
        return twin

    def _parameter(self, parameter: nn.Parameter) -> Any:
        known = self._parameters.get(id(parameter))
        if known is not None:
            return known.copy
        own_ways = type(parameter) is not nn.Parameter or parameter.is_inference()
        if own_ways or parameter.is_meta:
            return parameter
        alias = ParameterAlias(parameter)
        self._changed |= self._begun and not self._first
        self._parameters[id(parameter)] = alias
        with contextlib.suppress(RuntimeError, NotImplementedError):  # of what has no storage
            self._storages.add(parameter.untyped_storage().data_ptr())
        return alias.copy

    def _tensor(self, tensor: torch.Tensor) -> Any:
        known = self._tensors.get(id(tensor))
        if known is not None:
            return known.copy
        try:
            if tensor.untyped_storage().data_ptr() in self._storages and tensor.numel():
                return tensor.detach()  # a view of a parameter
            made = TensorCopy(tensor)
        except Exception:  # noqa: BLE001  (tensors of other kinds, on other devices)
            return tensor
        self._tensors[id(tensor)] = made
        return made.copy

    def _follow_module(self, twin: Twin) -> None:
        if not twin.is_as_seen():
            self._fill(twin)
        for name in twin.mutable:
            value = vars(twin.original).get(name)
            vars(twin.shadow)[name] = self._copier.copied(value)
        if twin.mutable:
            twin.made = state(twin.shadow)

    def _fill(self, twin: Twin) -> None:
        module = twin.original
        mine: dict[str, Any] = {}
        twin.seen = state(module)
        twin.mutable = []
        for name, value in dict(vars(module)).items():
            if name == "training":
                mine[name] = self._mode_of(module)
            elif name in ("_parameters", "_buffers", "_modules"):
                mine[name] = {key: self._stand_in(one) for key, one in dict(value).items()}
            elif name == "_compiled_call_impl" or value is None:
                mine[name] = None
            elif name in _BASE and isinstance(value, dict):
                mine[name] = made = type(value)()
                if value:
                    rebound = self._copier.rebound
                    made.update([(key, rebound(hook)) for key, hook in list(value.items())])
            else:
                self._copier.mutable = False
                mine[name] = self._copier.copied(value)
                if self._copier.mutable and name not in _BASE and not twin.settles(name):
                    twin.mutable.append(name)
        vars(twin.shadow).clear()
        vars(twin.shadow).update(mine)
        twin.made = state(twin.shadow)


@contextlib.contextmanager
def _unrecorded() -> Iterator[None]:
    """Without the user's modes, and without gradients: tensors that do not concern them."""
    with plain_torch(), torch.inference_mode(mode=False), torch.no_grad():
        yield
