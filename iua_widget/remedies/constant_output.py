"""What dead units still give the layer that takes them, and whether its bias can give that."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from iua_widget.remedies.layer_chain import LayerChain
from iua_widget.remedies.steps import Step, keeps_constants, step_of
from iua_widget.remedies.weight_axes import pads_with_constant


def constants_of(chain: LayerChain) -> tuple[torch.Tensor, dict[int, str]]:
    """What each input of the last layer is where the unit behind it gives zero.

    Returns
    -------
    constants : torch.Tensor of float64, shape (units * positions,)
    kept : dict of int to str
        Units that must stay because what they give cannot be a part of a bias, and why.
    """
    parameter = next(chain.module(chain.nodes[0]).parameters())
    flat = chain.measured >= chain.flat_from
    values = parameter.new_zeros(chain.units * (chain.positions if flat else 1))
    kept: dict[int, str] = {}
    for place in range(chain.measured + 1, len(chain.nodes) - 1):
        node = chain.nodes[place]
        step = step_of(node, chain.part)
        if step in (Step.EACH, Step.BY_UNIT):
            axes = 0 if place >= chain.flat_from else chain.axes(chain.nodes[0]).positions
            values = _computed(chain, node, values.reshape(1, -1, *[1] * axes)).reshape(-1)
        elif step is Step.DEPTHWISE:
            module: Any = chain.module(node)
            if pads_with_constant(module):
                _keep(kept, values, f"{chain.part.called(node)} pads it")
            values = values * module.weight.detach().flatten(1).sum(dim=1)
            values = values if module.bias is None else values + module.bias.detach()
        elif step is Step.FLATTEN and not flat:
            values = values.repeat_interleave(chain.positions)
        elif (step is Step.POOL and not keeps_constants(node, chain.part)) or step is Step.PRODUCT:
            _keep(kept, values, f"{chain.part.called(node)} makes no constant of it")
        flat |= place >= chain.flat_from
    consumer: Any = chain.module(chain.consumer)
    if chain.axes(chain.consumer).positions and pads_with_constant(consumer):
        _keep(kept, values, f"{chain.part.called(chain.consumer)} pads it")
    return values.double(), kept


def _keep(kept: dict[int, str], values: torch.Tensor, why: str) -> None:
    for unit in values.nonzero().flatten().tolist():
        kept.setdefault(unit, f"it gives a constant {values[unit].item():.3g}, and {why}")


def _computed(chain: LayerChain, node: fx.Node, values: torch.Tensor) -> torch.Tensor:
    """What an operation makes of values that it is given."""
    called: Any = chain.part.module(node) or node.target
    if node.op == "call_method":
        called = getattr(torch.Tensor, str(node.target))
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda _: values)
    with torch.no_grad():
        result: torch.Tensor = called(*args, **kwargs)
    return result


def fold(consumer: nn.Module, into: int, inputs: torch.Tensor, constants: torch.Tensor) -> None:
    """Add to a layer's bias what these constant inputs give.

    Parameters
    ----------
    consumer : torch.nn.Module
    into : int
        The axis of its weight that counts its inputs.
    inputs : torch.Tensor of int64
    constants : torch.Tensor of float64
        Theirs.
    """
    weight: Any = consumer.weight
    chosen = weight.detach().index_select(into, inputs.to(weight.device))
    folded = chosen.double().movedim(into, -1) @ constants.to(weight.device)
    folded = folded.reshape(len(folded), -1).sum(dim=1)
    bias: Any = consumer.bias
    before: Any = 0 if bias is None else bias.detach().double()
    requires_grad = weight.requires_grad if bias is None else bias.requires_grad
    made = (before + folded).to(weight.dtype)
    consumer.bias = nn.Parameter(made, requires_grad=requires_grad)
