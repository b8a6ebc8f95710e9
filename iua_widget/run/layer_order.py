"""The order of layers: that of the network, as far as batches and runs have told it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from iua_widget.tally.tally import Tally


def merged_order(known: Iterable[str], batch: Iterable[str]) -> list[str]:
    """The known layers, with new ones after that which came before them in this batch.

    Examples
    --------
    >>> merged_order(["conv", "head"], ["conv", "relu", "head"])
    ['conv', 'relu', 'head']
    """
    order, batch = list(known), list(batch)
    if set(order).issuperset(batch):
        return order
    first_known = next((layer for layer in batch if layer in order), None)
    place = 0 if first_known is None else order.index(first_known)
    for layer in batch:
        if layer in order:
            place = order.index(layer) + 1
        else:
            order.insert(place, layer)
            place += 1
    return order


def by_expert(tallies: Mapping[str, Tally]) -> list[str]:
    """The layers, those of a mixture's experts together, where the first of them is, in order."""
    places = {layer: place for place, layer in enumerate(tallies)}
    first: dict[str, int] = {}
    for layer, tally in tallies.items():
        if tally.load is not None:
            first.setdefault(tally.load.module, places[layer])

    def key(layer: str) -> tuple[int, int, int]:
        load = tallies[layer].load
        if load is None:
            return places[layer], 0, 0
        return first[load.module], load.expert, places[layer]

    return sorted(tallies, key=key)
