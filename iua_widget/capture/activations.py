"""The modules and functions of PyTorch that are activations, and the kinds of layers."""

from __future__ import annotations

import re
from typing import Any, Final

from torch import nn

from iua_widget.sources.response_info import LIKE_AN_ACTIVATION, LayerKind

ACTIVATION_MODULES: Final[tuple[type[nn.Module], ...]] = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.Threshold, nn.ELU, nn.CELU, nn.SELU,
    nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Hardswish, nn.Hardtanh, nn.Tanh, nn.Sigmoid,
    nn.Hardsigmoid, nn.LogSigmoid, nn.Softsign, nn.Softshrink, nn.Hardshrink, nn.Tanhshrink,
)  # fmt: skip
"""PyTorch's own; `is_activation` knows more."""

FUSED: Final = {
    "add_relu", "add_scalar_relu", "mul_relu", "mul_scalar_relu", "linear_relu", "conv1d_relu",
    "conv2d_relu", "conv3d_relu", "conv2d_add_relu", "batch_norm2d_relu", "batch_norm3d_relu",
}  # fmt: skip
"""Activations of quantized nets, fused with what is before them."""

ACTIVATION_FUNCTIONS: Final = frozenset(
    {
        "relu", "relu6", "leaky_relu", "prelu", "rrelu", "threshold", "elu", "celu", "selu", "gelu",
        "silu", "mish", "softplus", "hardswish", "hardtanh", "tanh", "sigmoid", "hardsigmoid",
        "logsigmoid", "softsign", "softshrink", "hardshrink", "tanhshrink", *FUSED,
    }
)  # fmt: skip
"""Names as `function_name` gives them: `F.relu`, `torch.relu` and `x.relu_()` are all ``relu``."""

RECURRENT_FUNCTIONS: Final = frozenset(
    f"{prefix}{name}{suffix}"
    for prefix in ("", "quantized_")
    for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")
    for suffix in ("", "_cell", "_cell_dynamic")
)
"""Functions that have a nonlinearity inside, from one step of a sequence to the next."""

_SYNONYMS: Final = {"log_sigmoid": "logsigmoid", "special_expit": "sigmoid", "expit": "sigmoid"}
_RECURRENT: Final = re.compile(r"(LSTM|GRU|RNN)(Base|Cell|CellBase)?")
_GATED: Final = re.compile(r"glu|gate", re.IGNORECASE)
_BY_DIMENSION: Final = {
    "Conv": "CONV", "ConvTranspose": "CONV_TRANSPOSE",
    "MaxPool": "MAX_POOLING", "AdaptiveMaxPool": "MAX_POOLING",
    "AvgPool": "AVERAGE_POOLING", "AdaptiveAvgPool": "AVERAGE_POOLING",
}  # fmt: skip
_ACTIVATION_KINDS: Final = {
    name: LayerKind[name.upper()]
    for name in (
        "Softmax", "Sigmoid", "Tanh", "ReLU", "PReLU", "ELU", "ReLU6", "GELU", "SiLU", "SELU",
        "CELU", "Mish", "Softplus", "Hardtanh", "Hardswish", "Hardsigmoid",
    )
} | {"LeakyReLU": LayerKind.LEAKY_RELU, "MultiheadAttention": LayerKind.ATTENTION}  # fmt: skip
_KINDS: Final = {
    "Linear": LayerKind.LINEAR,
    "Bilinear": LayerKind.LINEAR,
    "Embedding": LayerKind.EMBEDDING,
    "EmbeddingBag": LayerKind.EMBEDDING,
    "BatchNorm1d": LayerKind.BATCH_NORM,
    "BatchNorm2d": LayerKind.BATCH_NORM_2D,
    "BatchNorm3d": LayerKind.BATCH_NORM_3D,
    "LayerNorm": LayerKind.LAYER_NORM,
    "GroupNorm": LayerKind.GROUP_NORM,
    "RMSNorm": LayerKind.RMS_NORM,
    "Dropout": LayerKind.DROPOUT,
    "Dropout1d": LayerKind.DROPOUT,
    "Dropout2d": LayerKind.DROPOUT_2D,
    "Dropout3d": LayerKind.DROPOUT_3D,
    **_ACTIVATION_KINDS,
    **{f"InstanceNorm{n}d": LayerKind.INSTANCE_NORM for n in (1, 2, 3)},
    **{
        f"{kind}{cell}": LayerKind[kind] for kind in ("RNN", "LSTM", "GRU") for cell in ("", "Cell")
    },
    **{f"{a}{n}d": LayerKind[f"{b}_{n}D"] for a, b in _BY_DIMENSION.items() for n in (1, 2, 3)},
}
_FUNCTION_KINDS: Final = {name.lower(): kind for name, kind in _ACTIVATION_KINDS.items()} | {
    "leaky_relu": LayerKind.LEAKY_RELU,
    "linear": LayerKind.LINEAR,
    "conv1d": LayerKind.CONV_1D,
    "conv2d": LayerKind.CONV_2D,
    "conv3d": LayerKind.CONV_3D,
    "scaled_dot_product_attention": LayerKind.ATTENTION,
}
_NAMED_KINDS: Final = (
    ("gelu", LayerKind.GELU),
    ("silu", LayerKind.SILU),
    ("swish", LayerKind.SILU),
    ("leakyrelu", LayerKind.LEAKY_RELU),
    ("prelu", LayerKind.PRELU),
    ("relu6", LayerKind.RELU6),
    ("relu", LayerKind.RELU),
    ("mish", LayerKind.MISH),
    ("sigmoid", LayerKind.SIGMOID),
    ("tanh", LayerKind.TANH),
)


def is_activation(module: nn.Module) -> bool:
    """Whether a module's output is the output of an activation.

    PyTorch's activation modules; those it has fused with a layer before them, quantized or not
    (``LinearReLU``); those of `transformers.activations`; and modules without children and without
    weights whose class is named like one (timm's, or the user's ``Swish``). Gated products (GLU and
    its kin) are not: what they multiply is.

    Examples
    --------
    >>> is_activation(nn.ReLU()), is_activation(nn.Linear(2, 2)), is_activation(nn.GLU())
    (True, False, False)
    """
    kind = type(module)
    if isinstance(module, ACTIVATION_MODULES):
        return True
    if kind.__module__ == "transformers.activations":
        return kind.__name__ != "LinearActivation"
    named = LIKE_AN_ACTIVATION.search(kind.__name__) and not _GATED.search(kind.__name__)
    if named and any(base.__module__.startswith("torch.ao.nn.") for base in kind.__mro__):
        return not any(isinstance(child, ACTIVATION_MODULES) for child in module.children())
    leaf = next(module.children(), None) is None
    return bool(named) and leaf and all(weight.ndim < 2 for weight in module.parameters())  # noqa: PLR2004


def is_recurrent(module: nn.Module) -> bool:
    """Whether a module is one of PyTorch's recurrent layers or cells, quantized or not.

    Examples
    --------
    >>> is_recurrent(nn.GRUCell(2, 2)), is_recurrent(nn.Linear(2, 2))
    (True, False)
    """
    kinds = [base for base in type(module).__mro__ if base.__module__.startswith("torch.")]
    return any(_RECURRENT.fullmatch(base.__name__) for base in kinds)


def function_name(function: Any) -> str:
    """The name of a PyTorch function, the same for its in-place, method and operator forms.

    Examples
    --------
    >>> import torch
    >>> function_name(torch.relu_), function_name(torch.nn.functional.gelu)
    ('relu', 'gelu')
    """
    name = str(getattr(function, "__name__", "")).split(".", 1)[0]
    if not name.startswith("__"):
        name = name.strip("_")
    return _SYNONYMS.get(name, name)


def module_kind(module: nn.Module) -> LayerKind:
    """The kind of a module, by its class or the nearest class it is made from."""
    for kind in type(module).__mro__:
        if kind.__module__.startswith("torch.nn.modules") and kind.__name__ in _KINDS:
            return _KINDS[kind.__name__]
    if type(module).__module__ == "transformers.pytorch_utils":
        return LayerKind.LINEAR  # its Conv1D, a linear layer with its weight turned round
    if is_activation(module):
        name = type(module).__name__.lower()
        return next((k for part, k in _NAMED_KINDS if part in name), LayerKind.ACTIVATION)
    return LayerKind.UNKNOWN


def function_kind(name: str) -> LayerKind:
    """The kind of a function, by its name as `function_name` gives it."""
    if name in _FUNCTION_KINDS:
        return _FUNCTION_KINDS[name]
    return LayerKind.ACTIVATION if name in ACTIVATION_FUNCTIONS else LayerKind.UNKNOWN
