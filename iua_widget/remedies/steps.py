"""The operations that may stand between two layers of a chain, and what each does to units."""

from __future__ import annotations

import enum
from typing import Any, Final

from torch import fx, nn

from iua_widget.capture.activations import ACTIVATION_FUNCTIONS, is_activation
from iua_widget.remedies.traced_model import Part, name_of_function
from iua_widget.remedies.weight_axes import axes_of, is_depthwise


class NotAChainError(Exception):
    """Why a layer is none whose units can be told from the weights before and after it."""


class Step(enum.Enum):
    """What an operation does to the units of the layer before it."""

    LAYER = "makes others of them"
    EACH = "takes each value by itself"
    DROPOUT = "leaves them, in evaluation"
    BY_UNIT = "has parameters for each"
    DEPTHWISE = "convolves each with a filter of its own"
    POOL = "pools positions of each"
    MEAN = "takes the mean over positions"
    FLATTEN = "makes a unit of each position"
    PRODUCT = "multiplies them by those of another layer"


_NORMS: Final = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_DROPOUTS: Final = (
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)  # fmt: skip
_MAX_POOLS: Final = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_AVERAGE_POOLS: Final = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_POOLS: Final = (
    *_MAX_POOLS, *_AVERAGE_POOLS, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)  # fmt: skip
_POOL_FUNCTIONS: Final = {
    f"{name}{axes}d"
    for name in ("max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool")
    for axes in (1, 2, 3)
}
_DROPOUT_FUNCTIONS: Final = {
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"),
}
_SUMS: Final = {"add", "iadd", "sub", "isub"}
_PRODUCTS: Final = {"mul", "imul", "multiply"}
_SCALAR: Final = {*_SUMS, *_PRODUCTS, "truediv", "itruediv", "div", "divide", "neg"}
_JOINED: Final = {"cat", "concat", "concatenate", "stack", "hstack", "vstack"}


def step_of(node: fx.Node, part: Part) -> Step:
    """What a node does to the units of the layer before it.

    Raises
    ------
    NotAChainError
        If it mixes them, joins them with others, or that is not known.
    """
    module = part.module(node)
    if module is not None:
        return _step_of_module(module, part.called(node))
    if node.op in ("call_function", "call_method"):
        return _step_of_function(node, part)
    if node.op == "output":
        if part.whole:
            reason = "it is what the model returns"
        else:
            reason = f"it is what {part.name!r} returns, and the model cannot be traced around that"
        raise NotAChainError(reason)
    what = "a parameter" if node.op == "get_attr" else "the input"
    reason = f"it comes from {what} {part.called(node)} through no Linear or Conv layer"
    raise NotAChainError(reason)


def _step_of_module(module: nn.Module, called: str) -> Step:
    kind = type(module).__name__
    if "forward" in vars(module):  # put in its place
        raise _not_known(called, kind)
    if is_depthwise(module) or axes_of(module) is not None:
        return Step.DEPTHWISE if is_depthwise(module) else Step.LAYER
    if isinstance(module, _NORMS):
        if module.running_mean is None:
            reason = f"{called} ({kind}) keeps no statistics, and normalizes by each batch"
            raise NotAChainError(reason)
        return Step.BY_UNIT
    if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
        return Step.FLATTEN
    if isinstance(module, (*_DROPOUTS, *_POOLS)) and not getattr(module, "return_indices", False):
        return Step.POOL if isinstance(module, _POOLS) else Step.DROPOUT
    if isinstance(module, nn.PReLU):
        return Step.BY_UNIT if module.num_parameters > 1 else Step.EACH
    tensors = (*module.parameters(), *module.buffers())
    fused = type(module).__module__.startswith("torch.ao.")
    if is_activation(module) and not fused and all(one.numel() == 1 for one in tensors):
        return Step.EACH
    raise _not_known(called, kind)


def _step_of_function(node: fx.Node, part: Part) -> Step:
    name, called = name_of_function(node), part.called(node)
    several = len(node.all_input_nodes) > 1
    if name in _JOINED:
        reason = f"it is joined with others by {called} ({name}), as in concatenations"
        raise NotAChainError(reason)
    if name in _SUMS and several:
        reason = (
            f"it is part of the sum {called}, as in residual blocks, and all that is added has the "
            "same units"
        )
        raise NotAChainError(reason)
    if name in _PRODUCTS and several:
        return Step.PRODUCT
    if name in _DROPOUT_FUNCTIONS:
        return Step.DROPOUT
    if (name in ACTIVATION_FUNCTIONS or name in _SCALAR) and not several:
        return Step.EACH
    if name in _POOL_FUNCTIONS and not node.kwargs.get("return_indices"):
        return Step.POOL
    if name == "mean":
        return Step.MEAN
    if name in ("flatten", "view", "reshape") and _flattens(node, name):
        return Step.FLATTEN
    raise _not_known(called, name)


def _not_known(called: str, kind: str) -> NotAChainError:
    return NotAChainError(f"{called} ({kind}) is not known to leave each unit by itself")


def _given(node: fx.Node, place: int, name: str, default: Any) -> Any:
    """An argument of a function, by place or by name."""
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def mean_axes(node: fx.Node) -> tuple[list[int], bool]:
    """The axes that a mean is taken over, and whether they stay."""
    axes: Any = _given(node, 1, "dim", ())
    return [axes] if isinstance(axes, int) else list(axes or ()), bool(
        _given(node, 2, "keepdim", default=False)
    )


def _flattens(node: fx.Node, name: str) -> bool:
    """Whether all axes but the first become one: ``x.flatten(1)``, ``x.view(x.size(0), -1)``."""
    if name == "flatten":
        return (_given(node, 1, "start_dim", 0), _given(node, 2, "end_dim", -1)) == (1, -1)
    sizes: Any = node.args[1] if len(node.args) == 2 else node.args[1:]  # noqa: PLR2004
    if not isinstance(sizes, (tuple, list)) or len(sizes) != 2 or sizes[1] != -1:  # noqa: PLR2004
        return False
    first = sizes[0]
    return isinstance(first, fx.Node) and axis_read(first) == 0


def axis_read(node: fx.Node) -> int | None:
    """The axis whose length a node reads of a response; None where it does something else."""
    name = name_of_function(node) if node.op in ("call_function", "call_method") else ""
    if name == "size" and len(node.args) > 1:
        return node.args[1] if isinstance(node.args[1], int) else None
    if name == "getitem" and isinstance(node.args[0], fx.Node) and is_shape(node.args[0]):
        return node.args[1] if isinstance(node.args[1], int) else None
    return None


def is_shape(node: fx.Node) -> bool:
    """Whether a node is the shape of a response."""
    if node.op == "call_method":
        return node.target == "size" and len(node.args) == 1
    return node.op == "call_function" and node.target is getattr and node.args[1] == "shape"


def keeps_constants(node: fx.Node, part: Part) -> bool:
    """Whether a pooling gives a constant where it is given one: not where it averages in padding.

    Functions are believed to do so where they are given neither padding nor a divisor.
    """
    module = part.module(node)
    if isinstance(module, _AVERAGE_POOLS):
        padding = module.padding if isinstance(module.padding, tuple) else (module.padding,)
        divides = getattr(module, "divisor_override", None) is not None
        return not divides and (not any(padding) or not module.count_include_pad)
    if module is None and name_of_function(node).startswith("avg_pool"):
        return (
            _given(node, 3, "padding", 0) in (0, (0, 0), (0, 0, 0))
            and _given(node, 6, "divisor_override", None) is None
        )
    return True
