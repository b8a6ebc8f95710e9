"""`ResponseInfo` and `LayerKind`: what is known of a response before it is counted."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from iua_widget.common.text_column import text_column

if TYPE_CHECKING:
    import pandas as pd

LIKE_AN_ACTIVATION: Final = re.compile(
    r"relu|gelu|elu|silu|swish|mish|softplus|softsign|sigmoid|tanh|shrink", re.IGNORECASE
)
"""What the names of activations contain, of classes and of functions."""


class LayerKind(enum.Enum):
    """The kind of a layer: one is an entry of `layers`, and each `ResponseInfo` has one.

    Names and values are DNIKit's, where it has them, and a kind equals DNIKit's of the same value.
    ``DENSE`` is ``LINEAR`` by its other name, ``PLACEHOLDER`` an input of the model, ``ACTIVATION``
    an activation without a kind of its own, and ``UNKNOWN`` any other layer.

    Examples
    --------
    >>> LayerKind.CONV_2D, LayerKind.DENSE
    (<LayerKind.CONV_2D: 2001>, <LayerKind.LINEAR: 1000>)
    """

    UNKNOWN = 0

    LINEAR = 1000
    DENSE = 1000  # noqa: PIE796  (two names for one kind)
    PLACEHOLDER = 1001
    EMBEDDING = 1002

    CONV_1D = 2000
    CONV_2D = 2001
    CONV_3D = 2002
    CONV_TRANSPOSE_1D = 2003
    CONV_TRANSPOSE_2D = 2004
    CONV_TRANSPOSE_3D = 2005

    MAX_POOLING_1D = 3000
    MAX_POOLING_2D = 3001
    MAX_POOLING_3D = 3003
    AVERAGE_POOLING_1D = 3004
    AVERAGE_POOLING_2D = 3005
    AVERAGE_POOLING_3D = 3006

    RNN = 4000
    LSTM = 4001
    GRU = 4002

    BATCH_NORM = 5000
    BATCH_NORM_2D = 5001
    BATCH_NORM_3D = 5002
    LAYER_NORM = 5003
    GROUP_NORM = 5004
    INSTANCE_NORM = 5005
    RMS_NORM = 5006

    DROPOUT = 6000
    DROPOUT_2D = 6001
    DROPOUT_3D = 6002

    SIGMOID = 8000
    TANH = 8001
    RELU = 8002
    LEAKY_RELU = 8003
    PRELU = 8004
    ELU = 8005
    SOFTMAX = 8006
    ATTENTION = 8007
    RELU6 = 8008
    GELU = 8009
    SILU = 8010
    SELU = 8011
    CELU = 8012
    MISH = 8013
    SOFTPLUS = 8014
    HARDTANH = 8015
    HARDSWISH = 8016
    HARDSIGMOID = 8017
    ACTIVATION = 8099
    """An activation that has no kind of its own."""

    def __eq__(self, other: object) -> bool:
        return self is as_layer_kind(other)

    def __hash__(self) -> int:
        return hash(self.name)


def as_layer_kind(value: object) -> LayerKind | None:
    """The kind that a value is, ours or DNIKit's; None for other values.

    Examples
    --------
    >>> as_layer_kind(LayerKind.RELU), as_layer_kind("RELU")
    (<LayerKind.RELU: 8002>, None)
    """
    if not isinstance(value, enum.Enum) or type(value).__name__ != LayerKind.__name__:
        return None
    return next((kind for kind in LayerKind if kind.value == value.value), None)


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """The layer that gives a response.

    Attributes
    ----------
    name : str
        The module, or the module and the function it calls: ``"layer1.0.relu"``, ``"block/relu"``.
    kind : LayerKind
    typename : str
        The module's class, or the function's name.

    Examples
    --------
    >>> LayerInfo("layer1.0.relu", LayerKind.RELU, "ReLU").kind
    <LayerKind.RELU: 8002>
    """

    name: str
    kind: LayerKind
    typename: str


@dataclass(frozen=True, slots=True)
class ResponseInfo:
    """One response of a model, as DNIKit describes it.

    Attributes
    ----------
    name : str
        As it appears in results: a second call is ``"relu:1"``, a part of an output ``"lstm[0]"``.
    dtype : numpy.dtype or None
        float32 for bfloat16, which NumPy has not; None where no example was given.
    shape : tuple of int or None, or None
        The first axis, which counts the probes, is None. None where no example was given.
    layer : LayerInfo

    Examples
    --------
    >>> layer = LayerInfo("fc", LayerKind.LINEAR, "Linear")
    >>> ResponseInfo("fc", np.dtype("float32"), (None, 10), layer).shape
    (None, 10)
    """

    LayerKind: ClassVar = LayerKind
    Layer: ClassVar = LayerInfo

    name: str
    dtype: np.dtype | None
    shape: tuple[int | None, ...] | None
    layer: LayerInfo


class ResponseInfos(Mapping[str, ResponseInfo]):
    """All responses of a model by name, in the order of the network; a notebook shows a table.

    Parameters
    ----------
    infos : mapping of str to ResponseInfo

    Examples
    --------
    >>> layer = LayerInfo("relu", LayerKind.RELU, "ReLU")
    >>> infos = ResponseInfos({"relu": ResponseInfo("relu", None, (None, 8), layer)})
    >>> infos["relu"].shape, infos["relu"].layer.kind
    ((None, 8), <LayerKind.RELU: 8002>)
    """

    def __init__(self, infos: Mapping[str, ResponseInfo]) -> None:
        self._infos = dict(infos)

    def __getitem__(self, name: str) -> ResponseInfo:
        return self._infos[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)

    def __repr__(self) -> str:
        return f"ResponseInfos({list(self._infos)!r})"

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(max_rows=60, notebook=True))

    def to_pandas(self) -> pd.DataFrame:
        """One row a response.

        Returns
        -------
        pandas.DataFrame
            Columns ``name``, ``kind``, ``typename``, ``shape``, ``dtype``.

        Examples
        --------
        >>> layer = LayerInfo("fc", LayerKind.LINEAR, "Linear")
        >>> infos = ResponseInfos({"fc": ResponseInfo("fc", None, (None, 10), layer)})
        >>> infos.to_pandas()
          name    kind typename       shape dtype
        0   fc  LINEAR   Linear  (None, 10)  None
        """
        import pandas as pd

        infos = self._infos.values()
        return pd.DataFrame(
            {
                "name": text_column([info.name for info in infos]),
                "kind": [info.layer.kind.name for info in infos],
                "typename": [info.layer.typename for info in infos],
                "shape": [info.shape for info in infos],
                "dtype": [None if info.dtype is None else info.dtype.name for info in infos],
            }
        )
