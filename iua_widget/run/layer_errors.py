"""The errors of layers that do not come as they came in the batches before."""

from __future__ import annotations

from iua_widget.errors import ProducerError
from iua_widget.tally.tally import Tally


def vanished(missing: list[str], batch: int) -> ProducerError:
    """That of layers which came before and do not come in a batch."""
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    message = (
        f"layer {missing[0]!r}{more} vanished: batch {batch} has no response of it, and the "
        "batches before had one. Every batch must give the same layers."
    )
    return ProducerError(message, layer=missing[0], batch=batch)


def came_twice(layer: str, batch: int) -> ProducerError:
    """That of a layer which comes a second time in a batch."""
    message = (
        f"layer {layer!r} comes twice in batch {batch}. Give each response of a batch a name of "
        "its own."
    )
    return ProducerError(message, layer=layer, batch=batch)


def came_late(layer: str, batch: int) -> ProducerError:
    """That of a layer which no batch before had."""
    message = (
        f"layer {layer!r} appears late: batch {batch} has a response of it, and the batches before "
        "had none. Every batch must give the same layers."
    )
    return ProducerError(message, layer=layer, batch=batch)


def other_shape(
    layer: str, tally: Tally, shape: tuple[int | None, ...], batch: int
) -> ProducerError:
    """That of a layer whose probes have a response of another shape than before."""
    if tally.plan.choice == "element":
        advice = (
            "Every entry is a unit here, and can be followed only where the shape stays. For "
            f"sequences or images of several sizes count by channel: units={{{layer!r}: "
            "'token'} (each position is a probe) or 'channel' (inactive at every position); "
            "or crop or pad the inputs to one size."
        )
    else:
        advice = (
            "The number of channels must stay; say which axis counts them with "
            f"channel_axis={{{layer!r}: ...}}."
        )
    message = (
        f"layer {layer!r}: a probe's response has shape {shape} in batch {batch} and "
        f"had {tally.response_shape} before. {advice}"
    )
    return ProducerError(message, layer=layer, batch=batch)
