"""The loop that sums the inactive units of each probe, of layers that lie side by side."""

from __future__ import annotations

import numpy as np

from iua_widget.engines.cpu.kernels import compiled

_AT_ONCE = 64
"""Probes whose histograms stay in the cache, and are added up once all have been found."""


@compiled
def sum_probes(  # noqa: PLR0917  (numba takes no keywords cheaply)
    bins: np.ndarray,
    ends: np.ndarray,
    kept: int,
    inactive_sum: np.ndarray,
    square_sum: np.ndarray,
    inactive: np.ndarray,
    first: int,
    last: int,
) -> None:
    """Count each probe's bins, and add up what is in bins up to each column.

    Parameters
    ----------
    bins : numpy.ndarray of uint8 or uint16, shape (probes, units of all layers)
    ends : numpy.ndarray of int64, shape (layers + 1,)
    kept : int
    inactive_sum, square_sum : numpy.ndarray of int64, shape (layers, columns)
        Added to.
    inactive : numpy.ndarray of int64, shape (layers, probes)
        Written.
    first, last : int
        The layers to work on.
    """
    probes, columns = bins.shape[0], inactive_sum.shape[1]
    histogram = np.zeros((min(probes, _AT_ONCE), columns + 1), np.uint32)
    for layer in range(first, last):
        total, squares = inactive_sum[layer], square_sum[layer]
        for start in range(0, probes, _AT_ONCE):
            end = min(start + _AT_ONCE, probes)
            for probe in range(start, end):
                found, row = histogram[probe - start], bins[probe, ends[layer] : ends[layer + 1]]
                for i in range(len(row)):
                    found[row[i]] += np.uint32(1)
            for probe in range(start, end):
                found, up_to = histogram[probe - start], np.uint32(0)
                for column in range(columns):
                    up_to += found[column]
                    found[column] = up_to
                inactive[layer, probe] = found[kept]
                for column in range(columns):
                    many = np.int64(found[column])
                    total[column] += many
                    squares[column] += many * many
                    found[column] = 0
                found[columns] = 0
