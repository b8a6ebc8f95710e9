"""A shadow's tensors: aliases of parameters and copies of buffers, and whether they changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import torch
from torch import nn

_SMALL: Final = 2**20
"""Bytes of a tensor that is copied for each batch without asking whether it has changed."""
_CORNER: Final = 4
_WORD: Final = 8
_INTEGERS: Final = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class _Copy:
    """A tensor of the owner's, and the shadow's in its place."""

    def __init__(self, original: Any, made: Any) -> None:
        self.original: Any = original
        self.copy: Any = made
        self.begin_anew()

    def begin_anew(self) -> None:
        """Take the owner's as it is now for how it was at the beginning."""
        self._seen = version(self.original)
        self._place = self.original.data_ptr()
        self._moved = False

    def has_changed(self) -> bool:
        """Whether the owner's had changed since the beginning, when it was last compared."""
        return self._moved

    def has_changed_by_now(self) -> bool:
        """Whether it has; also by `data`, where that can be told."""
        self._compare()
        return self._moved

    def stale(self) -> tuple[Any, Any] | None:
        """The copy and the tensor to copy to it, if it is out of date."""
        raise NotImplementedError

    def settle(self) -> None:
        """Note that the copy is up to date."""

    def _compare(self) -> None:
        if not self._moved:
            original, seen = self.original, self._seen
            written = seen is not None and original._version != seen  # noqa: SLF001
            self._moved = written or original.data_ptr() != self._place


class TensorCopy(_Copy):
    """A buffer, or another tensor that a module holds: the shadow has a copy.

    Parameters
    ----------
    original : torch.Tensor
    made : torch.Tensor, optional
        The copy, where there is one already.
    """

    def __init__(self, original: torch.Tensor, made: torch.Tensor | None = None) -> None:
        if made is None:
            made = original.detach().clone()
            made.requires_grad_(original.requires_grad and original.is_leaf)
        super().__init__(original, made)
        self._small = original.numel() * original.element_size() <= _SMALL
        self._then = self._versions()

    def stale(self) -> tuple[Any, Any] | None:
        """The copy and the original, unless it is large and neither has changed."""
        self._compare()
        if self._small or None in self._then or self._versions() != self._then:
            return self.copy, self.original.detach()
        return None

    def settle(self) -> None:
        """Note that the copy is up to date."""
        self._then = self._versions()

    def _versions(self) -> tuple[int | None, int | None]:
        return version(self.original), version(self.copy)


class ParameterAlias(_Copy):
    """A parameter, over the same storage or, where batches change it in place, over a copy.

    Parameters
    ----------
    original : torch.nn.Parameter
    made : torch.nn.Parameter, optional
        The shadow's, where there is one already.

    Attributes
    ----------
    always_copied : bool
        Whether batches are known to change it in place.
    begun : bool
        Whether it was decided what the first batch runs on.
    """

    def __init__(self, original: nn.Parameter, made: nn.Parameter | None = None) -> None:
        if made is None:
            # By `data`, and not `detach`: with a version of its own.
            made = nn.Parameter(original.data, requires_grad=original.requires_grad)
            vars(made).update(vars(original))
        super().__init__(original, made)
        self.bytes = original.numel() * original.element_size()
        self.always_copied = self.begun = False
        self._copied = self._is_first = False
        self._made = 0
        self._before = self._seen

    def begin_anew(self) -> None:
        """Take the owner's as it is now for how it was at the beginning."""
        super().begin_anew()
        self._corner = _corner(self.original)

    def begin(self, *, throughout: bool, at_first: bool) -> None:
        """Decide whether the first batch runs on a copy, and whether all do."""
        self.begun = self._is_first = True
        self.always_copied |= throughout
        self._copied |= at_first or self.always_copied

    def has_changed_by_now(self) -> bool:
        """Whether the owner's has changed since the beginning."""
        now = _corner(self.original)
        return super().has_changed_by_now() or not _same_corner(now, self._corner)

    def stale(self) -> tuple[Any, Any] | None:
        """The copy and the original's values, if it is a copy; an alias is updated at once."""
        self._compare()
        original, made = self.original, self.copy
        if made.requires_grad != original.requires_grad:
            made.requires_grad_(original.requires_grad)
        if made.grad is not None:
            made.grad = None
        if self._copied:
            if made.data_ptr() == original.data_ptr():
                made.data = original.data.clone()
                self.settle()
                return None
            return made, original.data
        moved = made.data_ptr() != original.data_ptr() or made.dtype != original.dtype
        if moved or made.shape != original.shape or made.stride() != original.stride():
            made.data = original.data
        return None

    def settle(self) -> None:
        """Note that it is up to date."""
        self._made = self.copy._version  # noqa: SLF001
        self._before = version(self.original)

    def look_back(self) -> bool:
        """Decide after a batch whether to copy; whether the batch changed the owner's in place."""
        first, self._is_first = self._is_first, False
        written = self.copy._version != self._made  # noqa: SLF001
        if not self._copied:
            if written and self.copy.data_ptr() == self.original.data_ptr():
                self._copied = self.always_copied = True
                return True
            return False
        if first and not self.always_copied:
            unmoved = version(self.original) == self._before
            differs = written or not same_bits(self.copy.data, self.original.data)
            self.always_copied = written or (unmoved and differs)
            self._copied = self.always_copied
        return False


def refresh(copies: Iterable[_Copy]) -> None:
    """Bring every copy up to date."""
    stale = [(one, pair) for one in copies if (pair := one.stale()) is not None]
    alike: list[tuple[Any, Any]] = []
    for _, (made, now) in stale:
        if _alike(made, now):
            alike.append((made, now))
        else:
            made.data = now.clone()
    if alike:
        torch._foreach_copy_([made.data for made, _ in alike], [now for _, now in alike])
    for one, _ in stale:
        one.settle()


def version(tensor: torch.Tensor) -> int | None:
    """A tensor's version counter; None for one made in inference mode, which has none."""
    return None if tensor.is_inference() else tensor._version  # noqa: SLF001


def same_bits(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are equal to the last bit: NaN equals itself, and -0 is not 0."""
    if tensor.shape != other.shape or tensor.dtype != other.dtype:
        return False
    try:
        one, two = _as_integers(tensor.detach()), _as_integers(other.detach())
        if one.is_cpu and two.is_cpu and one.layout is two.layout is torch.strided:
            # Faster than `torch.equal`.
            return np.array_equal(*_in_words(one.numpy(), two.numpy()))
        return torch.equal(one, two)
    except (RuntimeError, NotImplementedError):  # a sparse or exotic layout
        return False


def _in_words(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Arrays of integers in words of 64 bits, where they can be: compared in half the time."""
    if one.nbytes % _WORD or not (one.flags.c_contiguous and two.flags.c_contiguous):
        return one, two
    return one.reshape(-1).view(np.int64), two.reshape(-1).view(np.int64)


def _alike(made: torch.Tensor, now: torch.Tensor) -> bool:
    return (
        made.shape == now.shape
        and made.dtype == now.dtype
        and made.device == now.device
        and made.layout is now.layout is torch.strided
        and not made.is_quantized
    )


def _corner(tensor: torch.Tensor) -> Any:
    """The corner of a tensor, a few values: as bytes where NumPy can read them, the faster way."""
    part = tensor.detach()
    real = part.is_floating_point() and not part.is_neg()
    if real and part.is_cpu and part.layout is torch.strided:
        values = _as_integers(part).numpy()[(slice(_CORNER),) * part.ndim]
        return part.dtype, values.shape, values.tobytes()
    for axis in range(part.ndim):
        part = part.narrow(axis, 0, min(_CORNER, part.shape[axis]))
    return part.clone()


def _same_corner(one: Any, other: Any) -> bool:
    tensors = isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
    return same_bits(one, other) if tensors else bool(type(one) is type(other) and one == other)


def _as_integers(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    if tensor.is_floating_point() and tensor.layout is torch.strided:
        return tensor.view(_INTEGERS[tensor.element_size()])
    return tensor
