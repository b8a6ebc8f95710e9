"""`CapturedResponse`: one response of a model, with what its forward pass told of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from iua_widget.capture.routing import Tokens
from iua_widget.sources.response_info import LayerInfo
from iua_widget.units.activation import Activation
from iua_widget.units.expert_load import ExpertLoad
from iua_widget.units.parameters import Parameters


@dataclass(frozen=True, slots=True)
class CapturedResponse:
    """One response, as the model made it.

    Attributes
    ----------
    name : str
        ``"layer1.0.relu:1[0]"``: the module (or module/function), the call, the part.
    tensor : torch.Tensor
        Probes first, where the model says which axis counts them. To be read at once: a later
        in-place operation may change it.
    layer : LayerInfo
    channel_axis : int or None
        Where the operations before it tell.
    sequence : bool
        False where it is known to be none, such as the last state of a recurrent net.
    tokens : Tokens or None
        Where the rows are tokens picked from the batch: which.
    positions_first : bool or None
        Whether positions came before items in the latest result whose shape told.
    number : int
        Which pass of the batch it is of: `model.generate` makes one for each token.
    merged : bool
        Whether several calls of a pass are one layer.
    load : ExpertLoad or None
        What the expert whose layer it is got of the batch's tokens, where that is now told.
    before : torch.Tensor or None
        The input of the activation whose output it is, laid out like that, where it was asked for.
    activation : Activation or None
        What is known of that activation.
    parameters : Parameters or None
        Those of the module that made `before`.
    routed : bool
        Whether it is of experts, which are given some of the tokens, or these in another order.
    module : torch.nn.Module or None
        Whose output it is, as it was returned; None where it is a part of it, or changed, or what
        a function gave.
    """

    name: str
    tensor: torch.Tensor
    layer: LayerInfo
    channel_axis: int | None
    sequence: bool = True
    tokens: Tokens | None = None
    positions_first: bool | None = None
    number: int = 0
    merged: bool = False
    load: ExpertLoad | None = None
    before: torch.Tensor | None = None
    activation: Activation | None = None
    parameters: Parameters | None = None
    routed: bool = False
    module: nn.Module | None = None
