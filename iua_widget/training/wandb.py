"""`log_to_wandb`: a look as histograms and scalars of Weights & Biases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from iua_widget.training.tracked_look import TrackedLook


def log_to_wandb(
    run: Any,
    looked: Any,
    step: int | None = None,
    *,
    layers: str | Iterable[str] | None = None,
    prefix: str = "iua",
) -> None:
    """Log a look to Weights & Biases: a histogram a layer, and six scalars of the whole network.

    All are drawn over the steps of training, which are logged beside them as ``iua/step``: a run
    counts steps of its own, which cannot go back.

    Parameters
    ----------
    run : wandb.Run
        What `wandb.init` returns.
    looked : IUAMonitor or IUA
        A monitor's look, or one result.
    step : int, optional
        Of a monitor the step of the look, by default of the last one; of a result the step to log
        it at.
    layers : str or iterable of str, optional
        Whose histograms to log: by default those of the first 50 layers.
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
    >>> import wandb  # doctest: +SKIP
    >>> with wandb.init() as run:  # doctest: +SKIP
    ...     log_to_wandb(run, monitor)
    """
    import wandb

    look = TrackedLook.of(looked, step)
    logged: dict[str, Any] = {f"{prefix}/step": look.step}
    logged |= {f"{prefix}/{name}": value for name, value in look.scalars().items()}
    for layer, histogram in look.histograms(layers):
        edges = np.concatenate([[0.0], histogram.limits])
        edges[1] = np.nextafter(0.0, 1.0)  # exact zeros have a bin, and bins a width
        bins = histogram.counts, edges
        logged[f"{prefix}/|x|/{layer}"] = wandb.Histogram(np_histogram=bins)
    run.define_metric(f"{prefix}/*", step_metric=f"{prefix}/step")
    run.log(logged)
