"""Which units a remedy is for, by the chains they are in; and which layers have none."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from iua_widget.errors import IUAWarning, RemedyError
from iua_widget.iua import IUA
from iua_widget.remedies.layer_chain import LayerChain, find_chain
from iua_widget.remedies.steps import NotAChainError
from iua_widget.remedies.traced_model import TracedModel


@dataclass(frozen=True, slots=True)
class ChosenUnits:
    """Units of a layer of a run.

    Attributes
    ----------
    layer : str
    chain : LayerChain
        In which the layer is.
    units : numpy.ndarray of int64
        Of the layer that makes them, ascending.
    """

    layer: str
    chain: LayerChain
    units: np.ndarray


def choose_units(
    traced: TracedModel, iua: IUA, found: Mapping[str, np.ndarray]
) -> tuple[list[ChosenUnits], dict[str, str]]:
    """The units that were found in layers of a run, and why those of other layers cannot be told.

    Parameters
    ----------
    traced : TracedModel
    iua : IUA
    found : mapping of str to numpy.ndarray of int64
        By layer of the run; layers without any are passed over.
    """
    chosen, refused = [], {}
    for layer, indices in found.items():
        if not len(indices):
            continue
        try:
            chain = find_chain(traced, layer)
            units = _of_producer(chain, layer, indices, iua)
        except NotAChainError as reason:
            refused[layer] = str(reason)
        else:
            chosen.append(ChosenUnits(layer, chain, units))
    return chosen, refused


def _of_producer(chain: LayerChain, layer: str, indices: np.ndarray, iua: IUA) -> np.ndarray:
    """The units of the layer that makes them, of indices that a run has."""
    result = iua[layer]
    counted = result.units if result.channels is None else result.channels
    positions = chain.positions if chain.measured >= chain.flat_from else 1
    if counted != chain.units * positions:
        made = chain.part.called(chain.nodes[0])
        reason = f"{counted} units were counted, and {made} makes {chain.units * positions}"
        raise NotAChainError(reason)
    dead = np.zeros(counted, bool)
    dead[indices] = True
    whole = np.all(dead.reshape(chain.units, positions), axis=1)
    return np.flatnonzero(whole).astype(np.int64)


def check_iua(iua: object) -> None:
    """Check that what was counted is an `IUA`.

    Raises
    ------
    TypeError
        If it is not.
    """
    if not isinstance(iua, IUA):
        message = (
            f"iua must be the IUA of what was counted of the model; got {type(iua).__name__}. Of a "
            "widget `w` give `w.iua`, of a monitor `m` give `m.iua()`, of a file IUA.load(path)."
        )
        raise TypeError(message)


def check_none(refused: Mapping[str, str], done: str) -> None:
    """Check that no layer was refused, by name with the reason.

    Parameters
    ----------
    refused : mapping of str to str
        Why, by layer.
    done : str
        What was to be done, such as ``"pruned"``.

    Raises
    ------
    RemedyError
        If one was.
    """
    if refused:
        message = f"cannot be {done}: {_told(refused)}."
        raise RemedyError(message)


def warn_of(kept: Mapping[str, str], done: str) -> None:
    """Warn of layers that keep units, with the reasons."""
    if kept:
        warnings.warn(f"Not {done}: {_told(kept)}.", IUAWarning, stacklevel=4)


def _told(layers: Mapping[str, str]) -> str:
    return "; ".join(f"{layer!r}: {why}" for layer, why in layers.items())
