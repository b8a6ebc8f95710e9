"""The position of a run in its stream, from which another run can go on."""

from __future__ import annotations

import dataclasses
import sys
import zlib
from collections.abc import Generator, Iterator, Mapping
from typing import Any, Final

import numpy as np

from iua_widget.errors import ProducerError

_SAMPLES: Final = 4096
_SAMPLE_BLOCKS: Final = 64
"""Entries of an array that are looked at: so many in all, in blocks spread over all of it, since
each block is fetched from memory as a whole."""


@dataclasses.dataclass
class Position:
    """A place in a stream, between two batches.

    Attributes
    ----------
    batches, probes : int
        Counted before it.
    checksum : int
        CRC-32 over samples of the batches before it, to tell whether a stream is the same again;
        of rows that are counted elsewhere the sum of their CRC-32.
    row : int or None
        The number of the last row before it, where rows are counted elsewhere.
    merged : frozenset of str or None
        The modules and functions whose calls are merged; None where that is not decided yet.
    layers : frozenset of str
        Those that were counted before it.

    Examples
    --------
    >>> import numpy as np
    >>> batches = [{"x": np.zeros(2)}, {"x": np.ones(2)}, {"x": np.ones(3)}]
    >>> position = Position()
    >>> for batch in position.onward(iter(batches[:2])):
    ...     position.counted(2)
    >>> [len(batch["x"]) for batch in position.onward(iter(batches))]
    [3]
    """

    batches: int = 0
    probes: int = 0
    checksum: int = 0
    row: int | None = None
    merged: frozenset[str] | None = dataclasses.field(default=None, compare=False)
    layers: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)
    _ahead: int = dataclasses.field(default=0, init=False, repr=False, compare=False)

    def counted(self, probes: int) -> None:
        """Move past the batch that was given last."""
        self.batches += 1
        self.probes += probes
        self.checksum = self._ahead

    def onward(self, stream: Iterator[Any]) -> Generator[Any]:
        """The batches of a stream after this position; call `counted` after each.

        Raises
        ------
        ProducerError
            If the stream does not begin with the batches that were counted before.
        """
        try:
            checksum = 0
            for number in range(self.batches):
                try:
                    checksum = add_to_checksum(checksum, next(stream))
                except StopIteration:
                    raise self._mismatch(number) from None
            if checksum != self.checksum:
                raise self._mismatch(self.batches)
            for batch in stream:
                self._ahead = add_to_checksum(self.checksum, batch)
                yield batch
        finally:
            close = getattr(stream, "close", None)
            if callable(close):
                close()

    def _mismatch(self, given: int) -> ProducerError:
        what = "gave others" if given == self.batches else f"gave only {given}"
        message = (
            f"{self.batches} batches had been counted when the file was saved, and now the stream "
            f"{what}: to go on, it must begin with the same batches, in the same order. Give a "
            "DataLoader that shuffles a seeded generator, or save to another file to begin anew."
        )
        return ProducerError(message)


def add_to_checksum(checksum: int, batch: Any) -> int:
    """Add a batch of any sort to a CRC-32.

    Arrays and CPU tensors enter by shape, dtype and a sample of their entries; what lies on another
    device by shape and dtype only, since to look would be to wait for it.

    Examples
    --------
    >>> import numpy as np
    >>> one, other = (add_to_checksum(0, (np.zeros(3), label)) for label in "ab")
    >>> one != other
    True
    """
    if isinstance(batch, Mapping):
        for key, value in batch.items():
            checksum = add_to_checksum(zlib.crc32(repr(key).encode(), checksum), value)
        return checksum
    if isinstance(batch, (tuple, list)):
        for value in batch:
            checksum = add_to_checksum(checksum, value)
        return checksum
    if batch is None or isinstance(batch, (str, bytes, int, float, complex)):
        return zlib.crc32(repr(batch).encode(), checksum)
    fields = getattr(batch, "fields", None)
    if isinstance(fields, Mapping):
        return add_to_checksum(checksum, fields)
    shape = f"{type(batch).__name__} {_shape(batch)} {getattr(batch, 'dtype', '')}"
    checksum = zlib.crc32(shape.encode(), checksum)
    sample = _sample(batch)
    return checksum if sample is None else zlib.crc32(sample, checksum)


def _shape(batch: Any) -> Any:
    try:
        return getattr(batch, "shape", "")
    except RuntimeError:  # a nested tensor has none
        return [part.shape for part in batch.unbind()]


def _sample(batch: Any) -> bytes | None:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(batch, torch.Tensor):
        if batch.device.type != "cpu" or batch.layout is not torch.strided or batch.is_nested:
            return None
        masked = isinstance(batch, torch.masked.MaskedTensor)
        if masked or batch.is_quantized or batch.is_conj() or batch.is_neg():
            return None
        spread = _spread(batch.detach().reshape(-1)).clone(memory_format=torch.contiguous_format)
        return bytes(spread.view(torch.uint8).numpy().tobytes())
    if isinstance(batch, np.ndarray) and not batch.dtype.hasobject:
        return bytes(_spread(batch.ravel()).tobytes())
    return None


def _spread(flat: Any) -> Any:
    """A sample of the entries of a flat array or tensor; all of a small one."""
    if len(flat) <= _SAMPLES:
        return flat
    apart = len(flat) // _SAMPLE_BLOCKS
    blocks = flat[: apart * _SAMPLE_BLOCKS].reshape(_SAMPLE_BLOCKS, apart)
    return blocks[:, -(_SAMPLES // _SAMPLE_BLOCKS) :]
