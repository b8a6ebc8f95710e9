"""The layers whose units can be told from their weights, and which axis of those counts what."""

from __future__ import annotations

import warnings
import weakref
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from torch import fx, nn

_CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_PADDING: Final = (
    *(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d),
    *(nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d),
)


@dataclass(frozen=True, slots=True)
class WeightAxes:
    """The axes of a layer's weight.

    Attributes
    ----------
    out, into : int
        Which counts the layer's units, and which its inputs.
    positions : int
        Axes of positions that its responses have: none where units come last.
    out_name, into_name : str
        The layer's own names of their lengths.
    """

    out: int
    into: int
    positions: int
    out_name: str
    into_name: str


def axes_of(module: nn.Module) -> WeightAxes | None:
    """The axes of Linear, Conv1d to Conv3d and the Conv1D of transformers; None of others.

    A depthwise convolution makes no units of others, and has none.

    Examples
    --------
    >>> axes_of(nn.Conv2d(3, 8, 5)).positions, axes_of(nn.ReLU())
    (2, None)
    """
    kind = type(module)
    if "forward" in vars(module):  # put in its place
        return None
    if isinstance(module, nn.Linear) and kind.forward is nn.Linear.forward:
        return WeightAxes(0, 1, 0, "out_features", "in_features")
    if isinstance(module, _CONVOLUTIONS) and convolves(module) and not is_depthwise(module):
        return WeightAxes(0, 1, module.weight.ndim - 2, "out_channels", "in_channels")
    if kind.__module__ == "transformers.pytorch_utils" and kind.__name__ == "Conv1D":
        return WeightAxes(1, 0, 0, "nf", "nx")
    return None


def is_depthwise(module: nn.Module) -> bool:
    """Whether a module is a convolution of each channel by itself.

    Examples
    --------
    >>> is_depthwise(nn.Conv2d(8, 8, 3, groups=8)), is_depthwise(nn.Conv2d(8, 8, 3))
    (True, False)
    """
    if not isinstance(module, _CONVOLUTIONS) or module.groups == 1 or not convolves(module):
        return False
    return module.groups == module.in_channels == module.out_channels


def convolves(module: Any) -> bool:
    """Whether a convolution computes what PyTorch's do, or a user's does but for padding first."""
    return _pads_itself(module) is not None


def pads_with_constant(module: Any) -> bool:
    """Whether a convolution pads with a constant, so that its responses differ at the border."""
    if _pads_itself(module):
        return True
    if module.padding_mode != "zeros" or module.padding == "valid":
        return False
    if module.padding == "same":
        return any(length > 1 for length in module.kernel_size)
    return any(module.padding)


_known: Final[weakref.WeakKeyDictionary[nn.Module, bool | None]] = weakref.WeakKeyDictionary()


def _pads_itself(module: Any) -> bool | None:
    """Whether a forward of the user's own pads, and then convolves; None if it does else.

    Such are the convolutions with TensorFlow's padding of several libraries.
    """
    if "forward" in vars(module):
        return None
    if any(type(module).forward is one.forward for one in _CONVOLUTIONS):
        return False
    if module not in _known:
        _known[module] = _padding_in(module)
    return _known[module]


def _padding_in(module: nn.Module) -> bool | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = fx.Tracer().trace(module)
    except Exception:  # noqa: BLE001  (whatever the user's forward does of a proxy)
        return None
    nodes = [node for node in graph.nodes if node.op != "get_attr"]
    if [node.op for node in nodes[-2:]] != ["call_function", "output"]:
        return None
    before, convolution = nodes[1:-2], nodes[-2]
    first = [module.get_submodule(str(one.target)) for one in before if one.op == "call_module"]
    known = (
        len(first) == len(before)
        and all(isinstance(one, (nn.Identity, *_PADDING)) for one in first)
        and all(after.args[:1] == (one,) for one, after in pairwise(nodes))
        and getattr(convolution.target, "__name__", "") in {"conv1d", "conv2d", "conv3d"}
        and [str(one.target) for one in convolution.all_input_nodes[1:]]
        == [name for name, _ in module.named_parameters()]
    )
    return any(not isinstance(one, nn.Identity) for one in first) if known else None
