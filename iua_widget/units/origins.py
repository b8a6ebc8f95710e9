"""Tracks a response's kind and channel axis through the stages of a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations, permutations
from typing import Any, Final

import numpy as np

from iua_widget.common.tensors import address, as_numpy, is_tensor
from iua_widget.units.rule import Origin, UnitPlan, UnitRule

_RULE: Final = UnitRule()
_MOST_AXES: Final = 6
"""Of how many axes all orders are tried."""


def settled(origin: Origin, shape: tuple[int, ...]) -> Origin:
    """Decide what a unit is while the axes are as the model has them.

    Examples
    --------
    >>> settled(Origin("ReLU", traced=True, channel_axis=1), (8, 32, 16, 16)).settled
    UnitPlan(choice='element', channel_axis=1)
    """
    return replace(origin, settled=origin.settled or _RULE.plan("", shape, origin))


def transposed(origin: Origin, shape: tuple[int, ...], axes: Iterable[int]) -> Origin:
    """What is known of a response after `numpy.transpose` with `axes`, of which the first is 0.

    Examples
    --------
    >>> origin = Origin("ReLU", traced=True, channel_axis=1)
    >>> transposed(origin, (8, 32, 16, 16), (0, 2, 3, 1)).settled
    UnitPlan(choice='element', channel_axis=3)
    """
    return _moved(settled(origin, shape), {old: new for new, old in enumerate(axes)})


def pooled(origin: Origin, shape: tuple[int, ...], over: Iterable[int]) -> Origin:
    """What is known of a response after the axes `over` were reduced, which has no mask.

    Examples
    --------
    >>> origin = Origin("ReLU", traced=True, channel_axis=2)
    >>> pooled(origin, (8, 16, 32), [1]).settled
    UnitPlan(choice='element', channel_axis=1)
    """
    gone = {axis % len(shape) for axis in over}
    kept = [axis for axis in range(len(shape)) if axis not in gone]
    origin = _moved(settled(origin, shape), {old: new for new, old in enumerate(kept)})
    return replace(origin, mask=None, length=None)


def followed(
    origin: Origin, shape: tuple[int, ...], layout: Sequence[int], after: Any, before: Any = None
) -> Origin | None:
    """What is known of a response after an unknown function, as far as it can be inferred.

    Parameters
    ----------
    origin : Origin
    shape : tuple of int
        Before the function, the probes' axis included.
    layout : sequence of int
        How it lay in memory: see `layout_of`.
    after : numpy.ndarray or torch.Tensor
        The response.
    before : numpy.ndarray or torch.Tensor, optional
        The response before the function, where it is still there.

    Returns
    -------
    Origin or None
        The axes in another order, as their sizes, their place in memory and the values tell; of
        other shapes, only the kind of what is all there; otherwise None.
    """
    if after is before:
        return origin
    sizes = tuple(after.shape)
    part = _part_of(before, after)
    if part is not None:
        return _told_of_part(origin, shape, part)
    if sizes[1:] == tuple(shape[1:]) and len(set(sizes[1:])) == len(sizes) - 1:
        return origin
    orders = [
        (0, *order)
        for order in permutations(range(1, len(shape)))
        if len(shape) <= _MOST_AXES and tuple(shape[axis] for axis in order) == sizes[1:]
    ]
    order = _order(orders, layout, after, before)
    if order is None and _same_values(after, before):
        return Origin(kind=origin.kind)
    if order is None:
        plan = settled(origin, shape).settled
        axis = None if plan is None else plan.channel_axis
        agreed = {order.index(axis) for order in orders} if axis else set()
        if len(agreed) != 1:
            return None
        order = orders[0]
    return origin if list(order) == sorted(order) else transposed(origin, shape, order)


def reduced(origin: Origin, shape: tuple[int, ...], after: tuple[int, ...]) -> Origin | None:
    """What is known after some axes were reduced, inferred from the sizes of the others.

    Examples
    --------
    >>> origin = Origin("ReLU", traced=True, channel_axis=1)
    >>> reduced(origin, (8, 32, 16, 16), (8, 32, 16)).channel_axis
    1
    """
    places = range(1, len(shape))
    ways = [
        pooled(origin, shape, set(places) - set(kept))
        for kept in combinations(places, len(after) - 1)
        if tuple(shape[axis] for axis in kept) == after[1:]
    ]
    agreed = len({way.channel_axis for way in ways}) == 1
    return ways[0] if agreed else Origin(kind=origin.kind) if ways else None


def _moved(origin: Origin, places: dict[int, int]) -> Origin:
    """What is known after each axis that is left was moved to its place."""
    assert origin.settled is not None  # noqa: S101  (callers settle)
    axis = places.get(origin.settled.channel_axis or 0)
    positions = axis and len(places) > 2  # noqa: PLR2004
    choice = origin.settled.choice if positions else "element"
    return replace(origin, channel_axis=axis or None, settled=UnitPlan(choice, axis or None))


def layout_of(values: Any) -> tuple[int, ...]:
    """The axes of an array or tensor, as they lie in memory, those far apart first.

    Examples
    --------
    >>> layout_of(np.zeros((2, 3, 4)).transpose(0, 2, 1))
    (0, 2, 1)
    """
    strides = _strides(values)
    return tuple(sorted(range(values.ndim), key=lambda axis: (-abs(strides[axis]), axis)))


def _order(
    orders: Sequence[tuple[int, ...]], layout: Sequence[int], after: Any, before: Any
) -> tuple[int, ...] | None:
    """Which of `orders` the axes were brought to, by their values or their place in memory."""
    pairs = dict(zip(layout_of(after), layout, strict=False))
    by_memory = tuple(pairs.get(axis, 0) for axis in range(after.ndim))
    if orders and before is not None and address(after) != address(before):
        old, new = as_numpy(before[:1]), as_numpy(after[:1])
        for order in orders:
            if np.array_equal(np.transpose(old, order), new):
                return order
    return by_memory if by_memory in orders else None


def _part_of(before: Any, after: Any) -> tuple[slice, ...] | None:
    """The slice of each axis of `before` that a view of a part of it has.

    Examples
    --------
    >>> values = np.zeros((4, 6))
    >>> _part_of(values, values[1:, ::2])
    (slice(1, 4, 1), slice(0, 5, 2))
    """
    if before is None or after.ndim != before.ndim or not all(after.shape):
        return None
    old, new = _strides(before), _strides(after)
    left, part = address(after) - address(before), [slice(0)] * before.ndim
    for axis in layout_of(before):
        length = after.shape[axis]
        step, wrong = divmod(new[axis], old[axis]) if length > 1 and old[axis] > 0 else (1, 0)
        start, left = divmod(left, old[axis]) if old[axis] > 0 else (0, left)
        end = start + (length - 1) * step + 1
        if wrong or step < 1 or not 0 <= start < end <= before.shape[axis]:
            return None
        part[axis] = slice(start, end, step)
    return None if left else tuple(part)


def _told_of_part(origin: Origin, shape: tuple[int, ...], part: tuple[slice, ...]) -> Origin:
    told = settled(origin, shape)
    mask, channels = origin.mask, told.settled and told.settled.channel_axis
    positions = [axis for axis in range(len(shape)) if axis != channels]
    if mask is not None and mask.shape == tuple(shape[axis] for axis in positions):
        mask = mask[tuple(part[axis] for axis in positions)]
    return replace(told, mask=mask)


def _strides(values: Any) -> tuple[int, ...]:
    if is_tensor(values):
        return tuple(stride * values.element_size() for stride in values.stride())
    return tuple(values.strides)


def _same_values(after: Any, before: Any) -> bool:
    if before is None:
        return False
    return np.array_equal(as_numpy(before[:1]).ravel(), as_numpy(after[:1]).ravel())
