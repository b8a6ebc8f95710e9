"""`reinitialize`: dead or dormant units begin anew, as ReDo has it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from iua_widget.capture.refusals import unwrapped
from iua_widget.common.arguments import known_arguments_only
from iua_widget.errors import RemedyError
from iua_widget.iua import IUA
from iua_widget.remedies.chosen_units import (
    ChosenUnits,
    check_iua,
    check_none,
    choose_units,
    warn_of,
)
from iua_widget.remedies.optimizer_moments import check_moments, clear_moments
from iua_widget.remedies.traced_model import TracedModel
from iua_widget.remedies.weight_axes import axes_of
from iua_widget.tolerances import Scale


@dataclass(frozen=True)
class Reinitialized:
    """What `reinitialize` gives: which units began anew.

    Attributes
    ----------
    units : mapping of str to numpy.ndarray of int64
        Units of a Linear or Conv layer, by the layer's name in the model.
    kept : mapping of str to str
        Why units of other layers stay as they are, by the name of the layer counted.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> with torch.no_grad():
    ...     _ = model[0].weight.fill_(1), model[0].bias.copy_(torch.tensor([0.0, -9.0, -9.0]))
    >>> reinitialize(model, IUA.introspect(model, torch.rand(50, 2)))
    Reinitialized(units={'0': array([1, 2])}, kept={})
    """

    units: Mapping[str, np.ndarray]
    kept: Mapping[str, str]


@known_arguments_only
def reinitialize(
    model: nn.Module,
    iua: IUA,
    optimizer: torch.optim.Optimizer | None = None,
    *,
    tau: float | None = None,
    layers: str | Iterable[str] | None = None,
    dead_share: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    scale: Scale | None = None,
    initialize: Callable[[nn.Module], Any] | None = None,
    generator: torch.Generator | None = None,
) -> Reinitialized:
    """Have dead units begin anew, in place, as ReDo does with dormant ones.

    Of each unit the incoming weights are drawn anew, as its layer was initialized; its outgoing
    weights are set to zero, so that the output does not move but by what the unit gave before; and
    the optimizer's moments of all these entries are cleared. Everything else stays, bit for bit:
    the count of steps, too.

    That is the algorithm of Sokar et al., and as in their code a feature map is one unit, and the
    moments of its weights are cleared. There biases become 0, which is how these layers begin; here
    they become what their layer begins with, a draw for PyTorch's own, and their moments are
    cleared, too. Where BatchNorm or a depthwise convolution is between, what it has of the unit
    begins anew: the paper has neither. Layers are those that `prune` takes; the others stay, with a
    warning.

    Parameters
    ----------
    model : torch.nn.Module
        That was counted; it is changed.
    iua : IUA
        What was counted of it: lately, for a unit that fires again is dead no longer.
    optimizer : torch.optim.Optimizer, optional
        That trains it: Adam and its kin, SGD, RMSprop.
    tau : float, optional
        Choose the dormant units, not the dead ones: those whose mean ``abs(x)`` is at most `tau`
        times that of their layer, as in the paper.
    layers : str or iterable of str, optional
        Names of layers counted, or globs; by default all, but for those that have no such chain.
    dead_share, atol, rtol, scale
        As for `IUA.dead_units`; not with `tau`.
    initialize : callable, optional
        ``initialize(layer)`` initializes a copy of a layer, in place, from which the units'
        incoming weights are taken; by default ``layer.reset_parameters()``. Give your own where the
        model's layers were initialized in another way.
    generator : torch.Generator, optional
        What weights are drawn from; PyTorch's own where left out. With one, PyTorch's is left as it
        was. The ranks of a job need one each, of the same seed.

    Returns
    -------
    Reinitialized
        Which `units` began anew.

    Raises
    ------
    RemedyError
        If layers that were asked for cannot be initialized anew, or none of those with such units,
        which the message names with the reasons; or what the optimizer remembers is not known, or
        it trains none of these parameters. Nothing was changed then.
    ToleranceError, LayerSelectionError, NoProbesError
        As for `IUA.dead_units`.
    ProducerError
        If `model` is no model that can be watched.

    Warns
    -----
    IUAWarning
        If some units stay as they are, with the reasons.

    References
    ----------
    Sokar et al., "The Dormant Neuron Phenomenon in Deep Reinforcement Learning" (2023).

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> with torch.no_grad():
    ...     _ = model[0].weight.fill_(1), model[0].bias.copy_(torch.tensor([0.0, -9.0, -9.0]))
    >>> optimizer = torch.optim.Adam(model.parameters())
    >>> reinitialize(model, IUA.introspect(model, torch.rand(50, 2)), optimizer).units
    {'0': array([1, 2])}
    >>> model[0].bias.abs().max().item() < 1, model[2].weight[0, 1:].tolist()
    (True, [0.0, 0.0])
    """
    model = unwrapped(model)
    check_iua(iua)
    if tau is not None and any(one is not None for one in (dead_share, atol, rtol, scale)):
        message = (
            "tau chooses dormant units, in which dead_share, atol, rtol and scale have no part: "
            "leave out either."
        )
        raise RemedyError(message)
    found = iua.dead_units(dead_share=dead_share, layers=layers, atol=atol, rtol=rtol, scale=scale)
    if tau is not None:
        found = {layer: _dormant(iua, layer, tau) for layer in found}
    chosen, refused = choose_units(TracedModel(model), iua, found)
    if layers is not None or not chosen:
        check_none(refused, "initialized anew")
    warn_of(refused, "initialized anew")
    with torch.no_grad():
        entries = _entries(model, chosen, _Fresh(initialize, generator))
        if optimizer is not None:
            check_moments(optimizer, [one.tensor for one in entries])
        for one in entries:
            one.begin_anew()
            if optimizer is not None:
                clear_moments(optimizer, one.tensor, one.axis, one.places)
    units: dict[str, np.ndarray] = {}
    for chosen_here in chosen:
        for node in chosen_here.chain.producers:
            name, more = chosen_here.chain.part.path_of(node), chosen_here.units
            units[name] = np.union1d(units.get(name, more[:0]), more)
    return Reinitialized(units, refused)


@dataclass(frozen=True, slots=True)
class _Entries:
    """Entries of a parameter or buffer that begin anew, or as zeros.

    Attributes
    ----------
    tensor : torch.Tensor
    axis : int
    places : torch.Tensor of int64
        Along the axis.
    anew : torch.Tensor or None
        Of the same shape: what they become; zero where None.
    """

    tensor: torch.Tensor
    axis: int
    places: torch.Tensor
    anew: torch.Tensor | None

    def begin_anew(self) -> None:
        """Write them."""
        if self.anew is None:
            self.tensor.index_fill_(self.axis, self.places, 0)
        else:
            chosen = self.anew.index_select(self.axis, self.places)
            self.tensor.index_copy_(self.axis, self.places, chosen)


class _Fresh:
    """Copies of layers as they begin, one of each."""

    def __init__(
        self, initialize: Callable[[nn.Module], Any] | None, generator: torch.Generator | None
    ) -> None:
        self._initialize = initialize
        self._generator = generator
        self._made: dict[int, nn.Module] = {}

    def of(self, module: nn.Module) -> nn.Module:
        """A layer like this one, as it begins."""
        if id(module) not in self._made:
            with _drawing_from(self._generator, next(module.parameters()).device):
                self._made[id(module)] = self._begun(module)
        return self._made[id(module)]

    def _begun(self, module: nn.Module) -> nn.Module:
        fresh: Any = copy.deepcopy(module)
        if self._initialize is not None and axes_of(module) is not None:
            self._initialize(fresh)
        elif hasattr(fresh, "reset_parameters"):
            fresh.reset_parameters()
        else:  # the Conv1D of transformers
            fresh = type(fresh)(fresh.nf, fresh.nx).to(fresh.weight)
        made: nn.Module = fresh
        return made


def _entries(model: nn.Module, chosen: Iterable[ChosenUnits], fresh: _Fresh) -> list[_Entries]:
    """What begins anew of these units; what is zero comes last, and so holds where both meet."""
    anew: list[_Entries] = []
    zero: list[_Entries] = []
    for one in chosen:
        chain = one.chain
        modules = [(node, chain.axes(node).out, 1) for node in chain.producers]
        modules += [(node, 0, positions) for node, positions in chain.by_unit]
        for node, axis, positions in modules:
            module = model.get_submodule(chain.part.path_of(node))
            begun = fresh.of(module)
            for name in ("weight", "bias", "running_mean", "running_var"):
                tensor = getattr(module, name, None)
                if tensor is not None:
                    places = _places(one.units, positions, tensor)
                    along = axis if name == "weight" else 0
                    anew.append(_Entries(tensor, along, places, getattr(begun, name)))
        weight: Any = model.get_submodule(chain.part.path_of(chain.consumer)).weight
        places = _places(one.units, chain.positions, weight)
        zero.append(_Entries(weight, chain.axes(chain.consumer).into, places, None))
    return [*anew, *zero]


def _places(units: np.ndarray, positions: int, tensor: torch.Tensor) -> torch.Tensor:
    """The entries of units, of which each has several."""
    places = (units[:, None] * positions + np.arange(positions)).ravel()
    return torch.from_numpy(places).to(tensor.device)


@contextlib.contextmanager
def _drawing_from(generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """Have PyTorch's random numbers follow from a generator, and put its own back afterwards."""
    if generator is None:
        yield
        return
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    cuda = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        yield


def _dormant(iua: IUA, layer: str, tau: float) -> np.ndarray:
    """The channels or units of a layer that are dormant."""
    return np.flatnonzero(iua.channels(layer, tau=tau)["dormant"]).astype(np.int64)
