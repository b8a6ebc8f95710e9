"""Slots on a device: a response that comes as before is classified at once, in one launch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from iua_widget.common.tensors import dtype_name, is_tensor
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.run.group import AnySlot, Group, Taken
from iua_widget.tally.tally import Tally
from iua_widget.units.arrange import arrange
from iua_widget.units.rule import Origin

if TYPE_CHECKING:
    import torch

    from iua_widget.engines.device.blocks import Blocks
    from iua_widget.tally.device_together import DeviceLayersTogether

_DTYPES: Final = {"float16", "bfloat16", "float32", "float64"}
_ALIGNED: Final = 16
"""Bytes: what is compiled for such an address cannot do with another."""


@dataclass(frozen=True, slots=True)
class DeviceForm:
    """What the responses of a layer are like, of one that is counted where they lie.

    Attributes
    ----------
    device : torch.device
    dtype : torch.dtype
    shape, strides : tuple of int
        As they come.
    blocks : Blocks
        As they are arranged, without being copied.
    """

    device: torch.device
    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    blocks: Blocks

    @classmethod
    def of(cls, value: Any, origin: Origin, tally: Tally, arranged: Any) -> DeviceForm | None:
        """That of a response, which has been arranged; None where it is counted by itself."""
        import torch

        if (
            type(value) is not torch.Tensor
            or not is_tensor(arranged)
            or not origin.tells_only_units
            or value.layout is not torch.strided
            or dtype_name(value.dtype) not in _DTYPES
            or not arranged.numel()
        ):
            return None
        from iua_widget.engines.device.blocks import Blocks

        if value.dtype is torch.bfloat16:  # what was arranged is a copy
            arranged = arrange(value.detach(), tally.plan).values
        address = value.data_ptr()
        if arranged.data_ptr() != address or address % _ALIGNED:
            return None
        blocks = Blocks.of(arranged if arranged.ndim == 3 else arranged[:, None])  # noqa: PLR2004
        blocks = replace(blocks, dtype=value.dtype)
        return cls(value.device, value.dtype, tuple(value.shape), value.stride(), blocks)


class DeviceSlot(AnySlot):
    """What takes the responses of one layer, as long as they come as before.

    Parameters
    ----------
    group : Group
    together : DeviceLayersTogether
    place : int
        Of the layer in it.
    tally : Tally
    form : DeviceForm
    """

    __slots__ = (
        "_as_bits", "_device", "_dtype", "_form", "_kind", "_launches", "_layout", "_place",
        "_seen", "_shape", "_store", "_stream", "_strides", "_tally", "_together",
    )  # fmt: skip

    waits: ClassVar = True

    def __init__(
        self,
        group: Group[Any],
        together: DeviceLayersTogether,
        place: int,
        tally: Tally,
        form: DeviceForm,
    ) -> None:
        import torch

        from iua_widget.engines.device.bits import as_bits

        super().__init__(group)
        self._as_bits = as_bits
        self._kind, self._layout = torch.Tensor, torch.strided
        self._together, self._place, self._form = together, place, form
        self._device, self._dtype = form.device, form.dtype
        self._shape, self._strides = form.shape, form.strides
        self._launches = together.launches(place)
        self._tally, self._store = tally, tally.store
        self._stream = together.stream
        self._seen = -1

    def take(self, value: Any, origin: Origin) -> bool:
        """Classify a response, if it is as before and the first of its batch; or do nothing.

        What is launched is all that refers to it afterwards.
        """
        group = self._group
        if (
            type(value) is not self._kind
            or value.dtype is not self._dtype
            or self._seen == group.batch
            or value.shape != self._shape
            or value.layout is not self._layout
            or value.stride() != self._strides
            or value.device != self._device
            or not (origin is self._origin or origin.tells_only_units)
            or self._tally.store is not self._store  # it was counted elsewhere meanwhile
        ):
            return False
        address, stream = value.data_ptr(), self._stream()
        if stream or address % _ALIGNED:  # of another stream, or in the midst of another tensor
            return False
        launch = self._launches[self._together.slot]
        try:
            launch(address, stream=stream, tensors=lambda: (self._as_bits(value.detach()),))
        except Exception:  # noqa: BLE001  (a compiler's, a driver's: by itself it may yet do)
            self._shape = ()
            return False
        self._batch = self._seen = group.batch
        self._origin = origin
        group.taken += 1
        return True

    def give_back(self) -> Taken | None:
        """What was taken in the batch at hand, which then was not; no more of it is."""
        self._seen = self._group.batch
        return super().give_back()

    def note_dtype_and_shape(self) -> None:
        """Note in the tally those of the responses, which are always the same."""
        self._tally.note_dtype_and_shape(dtype_name(self._dtype), self._form.shape[1:])

    def _response(self) -> DeviceBatch:
        return self._together.give_back(self._place)
