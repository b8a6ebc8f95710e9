"""`prune`: a new model without the units that are dead."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from iua_widget.capture.fingerprint import fingerprint
from iua_widget.capture.refusals import unwrapped
from iua_widget.common.arguments import known_arguments_only
from iua_widget.common.words import listed
from iua_widget.errors import IUAWarning, RemedyError
from iua_widget.iua import IUA
from iua_widget.remedies.chosen_units import (
    ChosenUnits,
    check_iua,
    check_none,
    choose_units,
    warn_of,
)
from iua_widget.remedies.compared_outputs import compare_outputs
from iua_widget.remedies.constant_output import constants_of, fold
from iua_widget.remedies.traced_model import TracedModel, copied
from iua_widget.tolerances import Scale, Tolerances, check_dead_at, check_tolerance


@dataclass(frozen=True)
class Pruned:
    """What `prune` gives: the smaller model, and what was done.

    Attributes
    ----------
    model : torch.nn.Module
        Of the class of the model that was pruned, its modules by the same names.
    removed : mapping of str to numpy.ndarray of int64
        Units that a Linear or Conv layer has no longer, by the layer's name in the model.
    kept : mapping of str to str
        Why dead units are still there, by the name of the layer counted.
    parameters_before, parameters_after : int
        Numbers in all parameters.
    difference : float or None
        The largest difference between the outputs of both models on `check`; None without it.
    within : float or None
        Which was allowed.
    checked : int
        Inputs on which outputs were compared.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> with torch.no_grad():
    ...     _ = model[0].weight.fill_(1), model[0].bias.copy_(torch.tensor([0.0, -9.0, -9.0]))
    >>> data = torch.rand(50, 2)
    >>> prune(model, IUA.introspect(model, data)).removed
    {'0': array([1, 2])}
    """

    model: nn.Module = field(repr=False)
    removed: Mapping[str, np.ndarray]
    kept: Mapping[str, str]
    parameters_before: int
    parameters_after: int
    difference: float | None = None
    within: float | None = None
    checked: int = 0


@known_arguments_only
def prune(
    model: nn.Module,
    iua: IUA,
    *,
    check: Any = None,
    within: float | None = None,
    layers: str | Iterable[str] | None = None,
    dead_share: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    scale: Scale | None = None,
    batch_size: int = 32,
    forward: Callable[[Any, Any], Any] | None = None,
) -> Pruned:
    """A new model without its dead units, which gives the same outputs; the old one stays.

    Of chains of Linear and Conv layers, with activations, BatchNorm, Dropout, pooling, depthwise
    convolutions and Flatten between, and gated products (``down(act(gate(x)) * up(x))``): the layer
    that makes a dead unit loses its row, what is between its entry, and the layer that takes it its
    column. A dead unit is taken for zero. What follows from that up to the next layer, such as
    BatchNorm's shift, goes into that layer's bias. Nothing else changes, not by a bit.

    **Dead on the probes is not dead on the data** (`IUA.dead_units` says how rarely such a unit can
    be active). Give held-out inputs as `check`: both models are run on them, and outputs that
    differ by more than `within` are an error that names the units active there.

    What shares its units with others stays as it is, with a warning: residual sums,
    concatenations, branches, grouped convolutions, shared and tied layers, and what `torch.fx` does
    not see. Torch-Pruning prunes such groups: see the page *What to do about dead units*.

    Parameters
    ----------
    model : torch.nn.Module
        That was counted. It is copied, and not changed.
    iua : IUA
        What was counted of it.
    check : iterable, Dataset, Tensor or numpy.ndarray, optional
        Held-out inputs, as `IUA.introspect` takes them; nothing is checked where left out.
    within : float, optional
        The largest difference between outputs that is allowed; by default ``eps ** 0.75`` times the
        largest ``abs`` of an output, with the eps of its dtype (6.4e-6 in float32): sums of fewer
        terms are rounded otherwise.
    layers : str or iterable of str, optional
        Names of layers counted, or globs; by default all, but for those that cannot be pruned.
    dead_share, atol, rtol, scale
        As for `IUA.dead_units`.
    batch_size : int
        Of `check`, where that comes in no batches.
    forward : callable, optional
        ``forward(model, batch)`` runs the model on `check`, as for `IUA.introspect`.

    Returns
    -------
    Pruned
        With the new `model`, what was `removed` of each layer, and the largest `difference`.

    Raises
    ------
    RemedyError
        If outputs differ by more than `within`; or layers that were asked for cannot be pruned, or
        none of those with dead units, which the message names with the reasons.
    ToleranceError, LayerSelectionError, NoProbesError
        As for `IUA.dead_units`.
    ProducerError
        If `model` is no model that can be watched, or `check` does not fit it.

    Warns
    -----
    IUAWarning
        If units stay that are dead, with the reasons, or other weights were counted.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> with torch.no_grad():
    ...     _ = model[0].weight.fill_(1), model[0].bias.copy_(torch.tensor([0.0, -9.0, -9.0]))
    >>> pruned = prune(model, IUA.introspect(model, torch.rand(50, 2)), check=torch.rand(9, 2))
    >>> pruned.model[0], pruned.removed
    (Linear(in_features=2, out_features=1, bias=True), {'0': array([1, 2])})
    >>> pruned.difference <= pruned.within
    True
    """
    model = unwrapped(model)
    check_iua(iua)
    allowed = None if within is None else check_tolerance("within", within)
    dead_at = None if dead_share is None else check_dead_at(dead_share, "dead_share")
    at = iua.tolerances.but(dead_at=dead_at, atol=atol, rtol=rtol, scale=scale)
    found = iua.dead_units(
        dead_share=at.dead_at, layers=layers, atol=at.atol, rtol=at.rtol, scale=at.scale
    )
    if iua.weights and fingerprint(model) not in iua.weights:
        message = "The model has other weights than were counted: what is dead may be none of it."
        warnings.warn(message, IUAWarning, stacklevel=3)
    chosen, refused = choose_units(TracedModel(model), iua, found)
    if layers is not None or not chosen:
        check_none(refused, "pruned")
    cuts = _cuts(chosen)
    kept = refused | {cut.layer: why for cut in cuts if (why := cut.why_kept)}
    warn_of(kept, "pruned")
    smaller = copied(model)
    for cut in cuts:
        cut.fold(smaller)
    for cut in cuts:
        cut.remove(smaller)
    difference, checked = None, 0
    if check is not None:
        compared = compare_outputs(
            model, smaller, check, within=allowed, batch_size=batch_size, forward=forward
        )
        difference, allowed, checked = compared.largest, compared.within, compared.probes
        if not difference <= allowed:
            active = _active(model, iua, chosen, check, at, batch_size=batch_size, forward=forward)
            message = (
                f"the outputs of the pruned model differ by up to {difference:.3g} on {checked:,} "
                f"inputs of `check`, and {allowed:.3g} is allowed. Dead on the probes is not dead "
                f"on the data: {active}. Count more data, at a smaller atol, with dead_share=1, or "
                "allow more by `within`."
            )
            raise RemedyError(message, difference=difference)
    return Pruned(
        smaller,
        {name: cut.units for cut in cuts if len(cut.units) for name in cut.producers},
        kept,
        _size(model),
        _size(smaller),
        difference,
        allowed if check is not None else None,
        checked,
    )


class _Cut:
    """What is removed of a chain: units that are dead wherever between its layers they are.

    Parameters
    ----------
    chosen : sequence of ChosenUnits
        Of layers counted between the same two layers of the model.
    """

    def __init__(self, chosen: Sequence[ChosenUnits]) -> None:
        self.chain = chain = chosen[0].chain
        self.layer = chosen[-1].layer
        self._dead = np.zeros(chain.units, bool)
        self._constants = torch.zeros(chain.units, chain.positions, dtype=torch.float64)
        self._kept: dict[int, str] = {}
        for one in sorted(chosen, key=lambda one: one.chain.measured):
            constants, kept = constants_of(one.chain)
            units = [unit for unit in one.units.tolist() if unit not in kept]
            self._kept |= {unit: kept[unit] for unit in one.units.tolist() if unit in kept}
            self._dead[units] = True
            self._constants[units] = constants.reshape(self._constants.shape)[units].cpu()
        if self._dead.all():
            self._dead[0] = False
            self._kept[0] = "the layer would have none left"

    @property
    def producers(self) -> list[str]:
        """Names of the layers that make the units."""
        return [self.chain.part.path_of(node) for node in self.chain.producers]

    @property
    def units(self) -> np.ndarray:
        """The units that are removed."""
        return np.flatnonzero(self._dead).astype(np.int64)

    @property
    def why_kept(self) -> str:
        """Why dead units stay; empty where none does."""
        kept = {unit: why for unit, why in self._kept.items() if not self._dead[unit]}
        return listed([f"unit {unit}: {why}" for unit, why in sorted(kept.items())], most=3)

    def fold(self, model: nn.Module) -> None:
        """Put what the units give into the bias of the layer that takes them."""
        given = self._constants[self.units]
        if given.any():
            consumer = self._module(model, self.chain.consumer)
            inputs = torch.from_numpy(_entries(self._dead, self.chain.positions))
            fold(consumer, self.chain.axes(self.chain.consumer).into, inputs, given.flatten())

    def remove(self, model: nn.Module) -> None:
        """Remove the units from the layers that make them, all between, and what takes them."""
        chain, alive = self.chain, ~self._dead
        for node in chain.producers:
            axes, module = chain.axes(node), self._module(model, node)
            _select(module, "weight", axes.out, _entries(alive))
            _select(module, "bias", 0, _entries(alive))
            setattr(module, axes.out_name, int(alive.sum()))
        for node, positions in chain.by_unit:
            module, entries = self._module(model, node), _entries(alive, positions)
            for name in ("weight", "bias", "running_mean", "running_var"):
                _select(module, name, 0, entries)
            for name in ("num_features", "num_parameters", "groups", "in_channels", "out_channels"):
                if hasattr(module, name):
                    setattr(module, name, len(entries))
        axes, module = chain.axes(chain.consumer), self._module(model, chain.consumer)
        entries = _entries(alive, chain.positions)
        _select(module, "weight", axes.into, entries)
        setattr(module, axes.into_name, len(entries))

    def _module(self, model: nn.Module, node: Any) -> nn.Module:
        return model.get_submodule(self.chain.part.path_of(node))


def _cuts(chosen: Iterable[ChosenUnits]) -> list[_Cut]:
    """One for each chain of the model."""
    together: dict[frozenset[str], list[ChosenUnits]] = {}
    for one in chosen:
        names = frozenset(one.chain.part.path_of(node) for node in one.chain.producers)
        together.setdefault(names, []).append(one)
    return [_Cut(several) for several in together.values()]


def _entries(units: np.ndarray, positions: int = 1) -> np.ndarray:
    """The entries of units that are marked, where each has several."""
    return np.flatnonzero(np.repeat(units, positions))


def _select(module: nn.Module, name: str, axis: int, entries: np.ndarray) -> None:
    """Leave a parameter or buffer only some of its entries."""
    tensor = getattr(module, name, None)
    if tensor is None:
        return
    chosen = torch.from_numpy(entries).to(tensor.device)
    selected = tensor.detach().index_select(axis, chosen)
    if isinstance(tensor, nn.Parameter):
        selected = nn.Parameter(selected, requires_grad=tensor.requires_grad)
    setattr(module, name, selected)


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _active(
    model: nn.Module,
    iua: IUA,
    chosen: Sequence[ChosenUnits],
    check: Any,
    at: Tolerances,
    *,
    batch_size: int,
    forward: Callable[[Any, Any], Any] | None,
) -> str:
    """Which of the units that were removed are active on held-out inputs, in words."""
    if isinstance(check, Iterator):
        return "which units were active there is not known, because `check` can be read only once"
    layers = {one.layer: iua[one.layer].unit for one in chosen}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IUAWarning)
        held_out = IUA.introspect(
            model,
            check,
            layers=list(layers),
            units=layers,
            batch_size=batch_size,
            forward=forward,
            keep_inactive=False,
            **{name: getattr(at, name) for name in ("atol", "rtol", "scale", "dead_at")},
        )
    dead, refused = choose_units(TracedModel(model), held_out, held_out.dead_units())
    still = {one.layer: one.units for one in dead}
    active = {
        one.layer: np.setdiff1d(one.units, still.get(one.layer, one.units[:0]))
        for one in chosen
        if one.layer not in refused
    }
    told = [
        f"active there of {layer!r}: {listed(list(map(str, units)))}"
        for layer, units in active.items()
        if len(units)
    ]
    return "; ".join(told) or "no unit is active there, but they give more than nothing"
