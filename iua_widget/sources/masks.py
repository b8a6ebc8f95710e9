"""Padding masks: which positions of a batch are real."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from iua_widget.common.layer_names import matches, try_one_of, unmatched
from iua_widget.common.tensors import as_numpy
from iua_widget.errors import ProducerError
from iua_widget.options import MaskOption
from iua_widget.units.masked_arrays import unmasked


class Masks:
    """The masks of one batch, by layer.

    Parameters
    ----------
    by_glob : mapping of str to array_like or torch.Tensor
        The first name or glob that matches a layer decides; None means no mask.
    batch : int
        For the errors.

    Raises
    ------
    ProducerError
        If one is not an array of shape (items, positions).

    Examples
    --------
    >>> masks = Masks({"decoder.*": None, "*": [[1, 1, 0]]}, batch=0)
    >>> masks.of("encoder.0.relu"), masks.of("decoder.0.relu")
    (array([[ True,  True, False]]), None)
    """

    def __init__(self, by_glob: Mapping[str, Any], *, batch: int) -> None:
        self._by_glob = {
            glob: None if mask is None else _as_mask(mask, batch) for glob, mask in by_glob.items()
        }

    def of(self, layer: str) -> np.ndarray | None:
        """The mask of a layer: bool, shape (items, positions), or None."""
        for glob, mask in self._by_glob.items():
            if matches(glob, layer):
                return mask
        return None

    def check_used(self, layers: Iterable[str], *, batch: int) -> None:
        """Check that every name and glob of the user's matches a layer.

        Raises
        ------
        ProducerError
            If one matches none.
        """
        layers = list(layers)
        if (glob := unmatched(self._by_glob, layers)) is not None:
            hint = try_one_of(glob, layers)
            message = f"mask= names {glob!r}, which matches no layer. {hint}"
            raise ProducerError(message, batch=batch)

    @property
    def shapes(self) -> set[tuple[int, ...]]:
        """Their shapes: (items, positions)."""
        return {mask.shape for mask in self._by_glob.values() if mask is not None}

    @property
    def both_ways(self) -> bool:
        """Whether one is square and not symmetric, so that its axes matter but do not show."""
        masks = [mask for mask in self._by_glob.values() if mask is not None]
        return any(len(mask) == mask.shape[1] and (mask != mask.T).any() for mask in masks)

    def rows(self, count: int) -> Masks:
        """The masks of the first items of the batch."""
        first = Masks({}, batch=0)
        first._by_glob = {
            glob: None if mask is None else mask[:count] for glob, mask in self._by_glob.items()
        }
        return first


def asked_masks(option: MaskOption, batch: Any, number: int) -> Masks:
    """The masks of a batch, by the user's `mask=`.

    Raises
    ------
    ProducerError
        If it raises, or gives something else.
    """
    try:
        masks = option(batch)
    except Exception as error:
        message = (
            f"mask= raised {type(error).__name__} on batch {number}, which is "
            f"{type(batch).__name__}: {error}. It is called with the batch as the loader gives it."
        )
        raise ProducerError(message, batch=number) from error
    return Masks(masks if isinstance(masks, Mapping) else {"*": masks}, batch=number)


def _as_mask(value: Any, batch: int) -> np.ndarray:
    value = unmasked(value, f"the mask of batch {batch}", batch=batch)
    try:
        mask = as_numpy(value)
        real: np.ndarray = mask.astype(bool)
    except (TypeError, ValueError) as error:
        message = f"the mask of batch {batch} cannot be made an array: {error}"
        raise ProducerError(message, batch=batch) from error
    if real.ndim != 2 or mask.dtype.kind not in "biuf":  # noqa: PLR2004
        message = (
            f"the mask of batch {batch} must be numbers of shape (items, positions), 1 where a "
            f"token is real and 0 where it is padding; got shape {mask.shape}, dtype {mask.dtype}."
        )
        raise ProducerError(message, batch=batch)
    if mask.dtype.kind == "f" and (mask < 0).any():  # to be added to scores: -inf for padding
        real = mask == 0
    return real
