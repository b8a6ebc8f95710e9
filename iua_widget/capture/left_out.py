"""Finds what the default leaves out: nonlinearities in recurrent layers, and cuts after ReLUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from iua_widget.capture.activations import RECURRENT_FUNCTIONS, is_recurrent
from iua_widget.capture.calls import Calls
from iua_widget.capture.frame import Frame
from iua_widget.common.words import named

_RELUS: Final = {"relu", "relu6"}
_SAME: Final = {
    "__get__", "__getitem__", "alias", "alpha_dropout", "as_strided", "bfloat16", "clone",
    "contiguous", "cpu", "cuda", "detach", "double", "dropout", "dropout1d", "dropout2d",
    "dropout3d", "expand", "expand_as", "feature_alpha_dropout", "flatten", "float", "half",
    "movedim", "narrow", "permute", "reshape", "reshape_as", "select", "squeeze", "swapaxes", "t",
    "to", "transpose", "type", "type_as", "unflatten", "unsqueeze", "view", "view_as",
}  # fmt: skip
"""Functions whose result is their first argument in another form."""
_KEEPS_MASKS: Final = _SAME | {"sum", "amax"}
_CHANCE: Final = {"rand", "rand_like", "randn", "randn_like", "bernoulli", "uniform"}
_FINITE: Final = {"isnan", "isinf", "isposinf", "isneginf", "isfinite"}
_NO_USE: Final = {
    "all", "amax", "amin", "any", "argmax", "argsort", "count_nonzero", "empty_like", "eq",
    "full_like", "ge", "gt", "isclose", "kthvalue", "le",
    "linalg_norm", "linalg_vector_norm", "lt", "max", "mean", "median", "min", "ne", "new_empty",
    "new_ones", "new_zeros", "nonzero", "norm", "ones_like", "quantile", "sort", "std", "sum",
    "var", "zeros_like", *_CHANCE, *_FINITE,
}  # fmt: skip
"""Functions that look at a tensor, or tell a figure of it; besides those that give no tensor."""
_PLACES: Final = {"scatter", "scatter_add", "scatter_reduce", "index_put", "index_copy"}


class LeftOut:
    """Recurrent layers, and ReLUs whose result is cut, in the passes so far."""

    def __init__(self) -> None:
        self._recurrent: dict[str, None] = {}
        self._cuts = _Cuts()
        self._calls: Counter[str] = Counter()

    def begin_pass(self) -> None:
        """Count calls anew."""
        self._calls.clear()

    def note_call(
        self, function: str, args: Iterable[Any], result: Any, frame: Frame, calls: Calls
    ) -> None:
        """Note the call of a function within a module, by its name as `function_name` gives it."""
        base = f"{frame.name}/{function}"
        if function in RECURRENT_FUNCTIONS:
            self._recurrent[frame.name if is_recurrent(frame.module) else base] = None
        number = self._calls[base]
        self._calls[base] += isinstance(result, (torch.Tensor, tuple, list))
        self._cuts.note_call(function, f"{base}:{number}" if number else base, args, result)
        if function in _RELUS:
            layer = frame.name if frame.own_leaf or frame.inside_activation else base
            call = 0 if calls.is_merged(layer) else calls.number(layer)
            self._cuts.note_relu(f"{layer}:{call}" if call else layer, result)

    @property
    def notes(self) -> list[str]:
        """Notes for whoever reads the counts."""
        notes = []
        if self._recurrent:
            names = list(self._recurrent)
            notes.append(
                f"The nonlinearity of {named(names)} is inside, where the default, the outputs of "
                f"activations, does not look. Count what they give with layers={names[:5]!r}, or "
                "layers='*' for every module."
            )
        for layer, cut in self._cuts.found.items():
            left = f" Count what is left with layers={cut.response!r}." if cut.response else ""
            notes.append(
                f"What {layer!r} gives is cut by {' and '.join(cut.functions)} before anything "
                f"uses it, so that more is inactive than is counted there.{left}"
            )
        return notes


@dataclass(frozen=True, slots=True)
class _Cut:
    """How a ReLU's result is cut.

    Attributes
    ----------
    functions : tuple of str
        In order: ``("topk", "scatter")``.
    response : str
        The name of what is left, ``"encoder/scatter"``; empty where it has none.
    """

    functions: tuple[str, ...] = ()
    response: str = ""


class _Cuts:
    """Follows the results of ReLUs through the functions of one pass.

    Attributes
    ----------
    found : dict of str to _Cut
        By the ReLU's layer.
    """

    def __init__(self) -> None:
        self._traces = WeakTensorKeyDictionary()
        self._masks = WeakTensorKeyDictionary()
        self._others = WeakTensorKeyDictionary()
        self._used_whole: set[str] = set()
        self._pending: dict[str, _Cut] = {}
        self._used_cut: dict[str, _Cut] = {}

    @property
    def found(self) -> dict[str, _Cut]:
        """ReLUs of which only what a cut left was used."""
        found = {
            layer: cut for layer, cut in self._pending.items() if layer not in self._used_whole
        }
        return found | self._used_cut

    def note_relu(self, layer: str, result: Any) -> None:
        """Note the result of a ReLU."""
        if isinstance(result, torch.Tensor):
            self._traces[result] = layer, _Cut()

    def note_call(self, name: str, response: str, args: Iterable[Any], result: Any) -> None:
        """Note the call of a function.

        Parameters
        ----------
        name : str
            As `function_name` gives it.
        response : str
            The name of its result.
        args : iterable
            Its arguments.
        result : Any
        """
        inputs = list(_tensors(args))
        traced = next((t for t in inputs if t in self._traces), None)
        self._note_mask(name, inputs, result)
        gives = name == "__setitem__" or any(True for _ in _tensors([result]))
        if traced is None or name.strip("_") in _NO_USE or not gives:
            return
        layer, cut = self._traces[traced]
        first = result[0] if name == "topk" and isinstance(result, tuple) else result
        if name in _SAME and inputs[0] is traced and isinstance(first, torch.Tensor):
            if cut.functions and first.shape[:1] != traced.shape[:1]:
                cut = self._pending[layer] = _Cut(cut.functions, response)  # in rows again
            self._traces[first] = layer, cut
        elif self._cuts(name, inputs, traced):
            part = "[0]" if first is not result else ""
            left = "" if result is None else response + part
            further = _Cut((*cut.functions, name), left)
            self._pending[layer] = further
            self._traces[traced if first is None else first] = layer, further
        elif cut.functions:
            if layer not in self._used_whole:
                self._used_cut[layer] = cut
        else:
            self._used_whole.add(layer)

    def _note_mask(self, name: str, inputs: Sequence[torch.Tensor], result: Any) -> None:
        if not isinstance(result, torch.Tensor):
            return
        if name in _CHANCE | _FINITE or any(t in self._others for t in inputs):
            self._others[result] = True  # of dropout, or of what is no number
        elif (
            result.dtype is torch.bool
            or name == "ones_like"
            or (name in _KEEPS_MASKS and inputs and inputs[0] in self._masks)
            or (
                name in {"scatter", "heaviside", "one_hot"}
                and not any(t in self._traces for t in inputs)
            )
        ):
            self._masks[result] = True

    def _cuts(self, name: str, inputs: Sequence[torch.Tensor], traced: torch.Tensor) -> bool:
        if name == "topk":
            return True
        if name in _PLACES:
            return inputs[0] is not traced
        if name in {"mul", "multiply", "masked_fill", "where", "__setitem__"}:
            # Of every unit, as the padding of items is not.
            shapes = (traced.shape, traced.shape[1:], (1, *traced.shape[1:]))
            return any(t in self._masks and t.shape in shapes for t in inputs)
        return False


def _tensors(args: Iterable[Any]) -> Iterator[torch.Tensor]:
    for arg in args:
        if isinstance(arg, torch.Tensor):
            yield arg
        elif isinstance(arg, (tuple, list)):
            yield from (one for one in arg if isinstance(one, torch.Tensor))
