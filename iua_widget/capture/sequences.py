"""Tells whether a module counts time on its first axis, as PyTorch's sequence layers do."""

from __future__ import annotations

from torch import nn

_TRANSFORMER_LAYERS = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


def time_major(module: nn.Module, *, inherited: bool = False) -> bool:
    """Whether the first axis of a module's input counts time, as in PyTorch's sequence layers.

    Parameters
    ----------
    module : torch.nn.Module
    inherited : bool
        The answer for modules that do not say.

    Examples
    --------
    >>> time_major(nn.LSTM(2, 2)), time_major(nn.LSTM(2, 2, batch_first=True))
    (True, False)
    """
    if isinstance(module, _TRANSFORMER_LAYERS):
        return not module.self_attn.batch_first
    if isinstance(module, (nn.TransformerEncoder, nn.TransformerDecoder)):
        return time_major(module.layers[0], inherited=inherited)
    if isinstance(module, (nn.RNNBase, nn.MultiheadAttention, nn.Transformer)):
        return not module.batch_first
    return inherited
