"""`log_to_tensorboard`: a look as TensorBoard's histograms and scalars."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from iua_widget.training.tracked_look import TrackedLook


def log_to_tensorboard(
    writer: Any,
    looked: Any,
    step: int | None = None,
    *,
    layers: str | Iterable[str] | None = None,
    prefix: str = "iua",
) -> None:
    """Write a look to TensorBoard: a histogram a layer, and six scalars of the whole network.

    The histograms are the counts as they are, at all stops: nothing is counted or binned again.

    Parameters
    ----------
    writer : torch.utils.tensorboard.SummaryWriter
        Or another with its `add_histogram_raw` and `add_scalar`.
    looked : IUAMonitor or IUA
        A monitor's look, or one result.
    step : int, optional
        Of a monitor the step of the look, by default of the last one; of a result the step to write
        it at.
    layers : str or iterable of str, optional
        Whose histograms to write: by default those of the first 50 layers.
    prefix : str
        Before the names: ``iua/dead_share``, ``iua/|x|/layer1.relu``.

    Raises
    ------
    IUAError
        If there is no look, or none at the step.
    LayerSelectionError
        If there is no such layer.

    Examples
    --------
    >>> import numpy as np
    >>> from iua_widget import IUA
    >>> class Writer:
    ...     def add_scalar(self, name, value, step):
    ...         print(name, value, step)
    ...
    ...     def add_histogram_raw(self, name, *, bucket_counts, **rest):
    ...         print(name, bucket_counts)
    >>> iua = IUA.introspect({"relu": np.array([[0.0, 1.0], [0.0, 0.0]])}, stops=[0.5, 1])
    >>> log_to_tensorboard(Writer(), iua, step=300)
    iua/dead_share 0.5 300
    iua/dead_units 1 300
    iua/inactive_share 0.75 300
    iua/worst_layer_dead_share 0.5 300
    iua/|x|/relu [3, 0, 0, 1]
    """
    look = TrackedLook.of(looked, step)
    for name, value in look.scalars().items():
        writer.add_scalar(f"{prefix}/{name}", value, look.step)
    for layer, histogram in look.histograms(layers):
        filled = histogram.counts.nonzero()[0]
        if len(filled):
            limits = histogram.limits.tolist()
            below = filled[0] - 1
            writer.add_histogram_raw(
                f"{prefix}/|x|/{layer}",
                min=limits[below] if below >= 0 else 0.0,
                max=limits[-1],
                num=int(histogram.counts.sum()),
                sum=float(histogram.mean * histogram.counts.sum()),
                sum_squares=0.0,  # not kept, and TensorBoard shows nothing of it
                bucket_limits=limits,
                bucket_counts=histogram.counts.tolist(),
                global_step=look.step,
            )
