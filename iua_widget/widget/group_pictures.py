"""Small multiples: a picture of a layer for each group of the probes."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Final

from iua_widget.common.words import from_to
from iua_widget.reading.bounds import read_bounds
from iua_widget.run.run import Run
from iua_widget.tolerances import Tolerances
from iua_widget.widget.layer_picture import layer_picture

MOST: Final = 200
"""Pictures that are drawn: the first."""


def group_pictures(run: Run, layers: Iterable[str], tolerances: Tolerances) -> list[dict[str, Any]]:
    """What the page is told of layers in each group whose probes have reached them.

    Parameters
    ----------
    run : Run
        Of all probes.
    layers : iterable of str
        Each once, in this order, whether it is there or not.
    tolerances : Tolerances

    Returns
    -------
    list of dict
        ``layer``; ``group``, its name; ``words``, its figures; ``picture``, a data URI.
    """
    pictures: list[dict[str, Any]] = []
    with run.lock:
        for layer in dict.fromkeys(layers):
            for name, group in (run.groups or {}).items():
                tally = group.tallies.get(layer)
                picture = None if tally is None else layer_picture(tally, tolerances)
                if tally is None or picture is None:
                    continue
                if len(pictures) == MOST:
                    return pictures
                bounds = read_bounds(tally, tolerances)
                mean, mean_upper = (
                    100 * of / tally.units for of in (bounds.mean, bounds.mean_upper)
                )
                share = from_to(mean, mean_upper, ".1f")
                dead = from_to(int(bounds.dead.sum()), int(bounds.dead_upper.sum()), ",d")
                coded = base64.b64encode(picture.png).decode()
                pictures.append(
                    {
                        "layer": layer,
                        "group": name,
                        "words": f"{share} % inactive, {dead} dead",
                        "picture": f"data:image/png;base64,{coded}",
                    }
                )
    return pictures
