"""One layer's response of the batch at hand, from when it is recorded until it is counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np

from iua_widget.common.tensors import address, is_tensor
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import BatchCounts
from iua_widget.engines.threads import cores
from iua_widget.run.batch_evidence import batch_evidence
from iua_widget.run.device_slots import DeviceForm
from iua_widget.run.response_form import ResponseForm
from iua_widget.tally.tally import Tally
from iua_widget.tally.top_candidates import TopCandidates, finding_bytes
from iua_widget.tally.unit_evidence import BatchEvidence
from iua_widget.units.activation import Activation
from iua_widget.units.by_input import by_input
from iua_widget.units.masking import Masking
from iua_widget.units.parameters import Parameters
from iua_widget.units.response import Response
from iua_widget.units.rule import Origin, UnitPlan

_SINGLE: Final = 4
_WIDENED_AT_ONCE: Final = 2**12
"""Units of float16 that a thread makes float32 at a time; of maps, all are."""


@dataclass(slots=True)
class RecordedResponse:
    """A response, or the part of it that one call of several gave, and what is to be noted of it.

    Attributes
    ----------
    values : numpy.ndarray or torch.Tensor or None
        What is to be classified; None once it is.
    first : bool
        Whether it is the layer's first, or only, part of the batch.
    nbytes : int
        What it takes until it is counted.
    work : int
        What is held besides while it is classified.
    form : ResponseForm, DeviceForm or None
        What it is like, where its layer can be counted together with others.
    counts : BatchCounts, DeviceBatch or None
        What it comes to, once it is classified.
    top : TopCandidates or None
        Which inputs may be among the top probes of a unit, where these are kept and told.
    evidence : BatchEvidence or None
        What it tells of why units are dead or stuck, where that is asked for.
    activation : Activation or None
        What made it.
    parameters : Parameters or None
        Those of the module before.
    """

    tally: Tally
    values: Any
    shape: tuple[int | None, ...]
    dtype: str
    probes: int
    nbytes: int
    first: bool = True
    masked: int = 0
    zeroed: int = 0
    fits_mask: bool = True
    work: int = 0
    merged_calls: bool = False
    many_passes: bool = False
    form: ResponseForm | DeviceForm | None = None
    counts: BatchCounts | DeviceBatch | None = None
    top: TopCandidates | None = None
    evidence: BatchEvidence | None = None
    activation: Activation | None = None
    parameters: Parameters | None = None

    @classmethod
    def of_classified(cls, tally: Tally, counts: DeviceBatch) -> Self:
        """One that a slot on a device had taken, and of which dtype and shape are nothing new."""
        dtype, shape = next(iter(tally.dtypes)), tally.response_shape or ()
        return cls(tally, None, shape, dtype, len(counts.bins), counts.nbytes, counts=counts)

    @property
    def device(self) -> Any:
        """The device on which it is counted; None on the host."""
        return self.counts.bins.device if isinstance(self.counts, DeviceBatch) else None

    def classify(self) -> None:
        """Classify it by itself."""
        self.take(self.tally.classify(self.values, running=self.first))

    def find_top(self, values: Any, plan: UnitPlan, origin: Origin, call: int) -> None:
        """Find which inputs may be among the top probes, where these are kept: see `by_input`."""
        if self.tally.top is None:
            return
        response = by_input(values, plan, origin, call)
        if response is not None:
            self.top = self.tally.top.candidates(response)
            self.nbytes += self.top.nbytes
            self.work += 0 if is_tensor(values) else finding_bytes(values)

    def take(self, counts: BatchCounts | DeviceBatch) -> None:
        """Take what it comes to."""
        if self.zeroed:
            counts = replace(counts, entries=counts.entries - self.zeroed)
        self.counts, self.values = counts, None
        evidence = 0 if self.evidence is None else self.evidence.nbytes
        top = 0 if self.top is None else self.top.nbytes
        self.nbytes = max(self.nbytes, counts.nbytes + evidence + top)

    def note_evidence(
        self, response: Response, plan: UnitPlan, origin: Origin, masking: Masking, **place: Any
    ) -> None:
        """Take what it tells of why units are dead or stuck: see `batch_evidence`."""
        self.activation, self.parameters = origin.activation, origin.parameters
        self.evidence = batch_evidence(response, plan, origin, masking, **place)
        if self.evidence is not None:
            self.nbytes += self.evidence.nbytes

    def count(self, number: int, indices: np.ndarray) -> None:
        """Count it, as a part of the batch of this number, of the inputs of these places."""
        if self.evidence is not None:
            self.tally.add_evidence(self.evidence, self.activation, self.parameters)
        if self.counts is not None:
            self.tally.add(self.counts, number=number, masked=self.masked, among_others=True)
        self.tally.note_dtype_and_shape(self.dtype, self.shape)
        self.tally.mask_missed |= not self.fits_mask
        self.tally.merged_calls |= self.merged_calls
        self.tally.many_passes |= self.many_passes
        if self.probes:
            self.tally.add_top(self.top, indices)


def is_copy(values: Any, given: Any) -> bool:
    """Whether values had to be copied from what was given, to be compared or arranged."""
    given_in_memory = isinstance(given, np.ndarray) or is_tensor(given)
    return not given_in_memory or address(values) != address(given)


def work_bytes(values: Any, *, copied: bool) -> int:
    """What is held beside a batch of a layer, and beside what was given, while it is classified."""
    if is_tensor(values):
        return 0
    copies = int(copied) + (not values.flags.c_contiguous)
    wide = 0
    if values.dtype == np.float16:
        at_once = len(values) * _WIDENED_AT_ONCE * cores()
        wide = _SINGLE * (values.size if values.ndim > 2 else min(values.size, at_once))  # noqa: PLR2004
    return copies * int(values.nbytes) + wide
