"""`Batch`, the named arrays that stages of a pipeline take and give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iua_widget.errors import ProducerError
from iua_widget.sources.dnikit import dnikit_batch, is_dnikit_batch, origins_in
from iua_widget.units.masked_arrays import unmasked
from iua_widget.units.rule import Origin


class Batch:
    """Arrays by name, the first axis of each counting the same probes.

    Parameters
    ----------
    fields : mapping of str to array_like or torch.Tensor
    origins : mapping, optional
        What a model told of the fields beside their values: `origins` of the batch they come from.
    probes : int, optional
        How many there are, where fields may have other lengths, as a model's may.
    base : dnikit.base.Batch, optional
        The batch of DNIKit's that it comes from, whose metadata and snapshots it keeps.

    Examples
    --------
    >>> import numpy as np
    >>> Batch({"image": np.zeros((8, 3, 4, 4))})
    Batch(8 probes: image (3, 4, 4))
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        origins: Mapping[str, Any] | None = None,
        probes: int | None = None,
        base: Any = None,
    ) -> None:
        self.fields = dict(fields)
        self.origins: dict[str, Origin] = dict(origins or {})
        self.probes = probes
        self.base = base

    @property
    def batch_size(self) -> int:
        """The number of probes."""
        if self.probes is not None:
            return self.probes
        return next((len(field) for field in self.fields.values()), 0)

    def to_dnikit(self) -> Any:
        """A batch of DNIKit's, with the metadata and snapshots of the one this one comes from.

        Returns
        -------
        dnikit.base.Batch

        Raises
        ------
        ProducerError
            If the fields are not as long as one another.

        Examples
        --------
        >>> import numpy as np
        >>> Batch({"image": np.zeros((8, 3, 4, 4))}).to_dnikit().batch_size
        8
        """
        return dnikit_batch(self.fields, self.origins, self.base)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name} {tuple(f.shape[1:])}" for name, f in self.fields.items())
        return f"Batch({self.batch_size} probes: {fields})"


class BatchFields(dict[str, Any]):
    """The mapping that a function of the user's returned, and the `Batch` that it stands for."""

    def __init__(self, fields: Mapping[str, Any], batch: Batch) -> None:
        super().__init__(fields)
        self.batch = batch


def as_batch(batch: Any) -> Batch:
    """A `Batch` of a batch of ours, of DNIKit's, or of a mapping.

    Raises
    ------
    ProducerError
        If it is none of these.
    """
    if isinstance(batch, Batch):
        return batch
    if isinstance(batch, BatchFields):
        return batch.batch
    fields = fields_of(batch)
    if fields is None:
        message = (
            f"this stage must be given named fields; got {type(batch).__name__}. Put a stage "
            "before it that names them: lambda batch: {'image': batch[0]}."
        )
        raise ProducerError(message)
    fields = {name: unmasked(array, f"field {name!r}") for name, array in fields.items()}
    if is_dnikit_batch(batch):
        return Batch(fields, origins_in(batch), base=batch)
    return Batch(fields)


def origins_and_probes(batch: Any) -> tuple[Mapping[str, Origin], int | None]:
    """What is known of the fields of any batch, and how many probes it says it has."""
    if isinstance(batch, (Batch, BatchFields)) or is_dnikit_batch(batch):
        known = as_batch(batch)
        return known.origins, known.probes
    return {}, None


def fields_of(batch: Any) -> Mapping[str, Any] | None:
    """The named arrays of a batch, a mapping or an object with `fields`; None where it has none."""
    fields = batch if isinstance(batch, Mapping) else getattr(batch, "fields", None)
    return fields if isinstance(fields, Mapping) else None
