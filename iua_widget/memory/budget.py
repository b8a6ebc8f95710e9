"""`MemoryBudget`: keeps a run within its memory, with a plan renewed when its needs change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from iua_widget.common.amounts import device_budget, format_bytes, memory_budget
from iua_widget.engines.cpu import buffers
from iua_widget.errors import MemoryBudgetError
from iua_widget.memory.plan import (
    FEWEST_STOPS,
    LayerNeed,
    LayerPlan,
    fixed_bytes,
    plan_memory,
    top_probes_hint,
    with_waiting,
)
from iua_widget.options import CountOptions
from iua_widget.tally.store import BYTES_PER_UNIT, EVIDENCE_BYTES
from iua_widget.tally.tally import Tally
from iua_widget.tally.unit_counts import counter_bytes

if TYPE_CHECKING:
    import torch

_NARROWEST: Final = counter_bytes(0)
_KEPT: Final = 32
"""The part of the memory that one run may leave for the next."""

_WORTH_SPARING: Final = 2**20
"""Below it nothing is kept, nor is there work for threads."""

_KEPT_BYTES: Final = 8
"""Of the number of inactive units of a probe, where these are kept."""

_ON_DEVICE: Final = 4 + _NARROWEST
"""Bytes of a counter there, and of that on the host to which it is moved."""


@dataclass(frozen=True, slots=True)
class LayerBatch:
    """What a batch brings for one layer.

    Attributes
    ----------
    tally : Tally
        That it will be counted in.
    probes : int
    nbytes : int
        What it takes until it is counted.
    work : int
        What is held besides while it is classified.
    device : torch.device or None
        Where it is counted; None on the host.
    """

    tally: Tally
    probes: int
    nbytes: int
    work: int = 0
    device: torch.device | None = None


class MemoryBudget:
    """The memory of one run, and how its layers share it.

    Parameters
    ----------
    options : CountOptions
        Of which `memory` is used, the grid of stops, and `atol`, a stop that no layer gives up.

    Attributes
    ----------
    plans : list of LayerPlan
        What each layer takes; empty before the first batch.
    asked : str, int or None
        What was asked for.
    """

    def __init__(self, options: CountOptions) -> None:
        self.plans: list[LayerPlan] = []
        self._planned = self._least = 0
        self._stops = options.grid
        self._always = (options.tolerances.atol,)
        self.asked = options.memory
        self._unit_bytes = BYTES_PER_UNIT + (EVIDENCE_BYTES if options.causes else 0)
        # What is free is asked for when the run begins: the model may not be loaded yet.
        self._bytes = None if self.asked is None else memory_budget(self.asked)
        self._devices: set[torch.device] = set()

    @property
    def bytes(self) -> int:
        """What the run may hold."""
        if self._bytes is None:
            self._bytes = memory_budget(None)
        return self._bytes

    @property
    def _spare(self) -> int:
        """What is left to what one run leaves for the next, and to threads to work in."""
        return 2 * (self.bytes // _KEPT) if self.bytes >= _WORTH_SPARING else 0

    @property
    def words(self) -> str:
        """The same as it was asked for, or to read."""
        return self.asked if isinstance(self.asked, str) else format_bytes(self.bytes)

    def counts_on(self, device: torch.device) -> None:
        """Take note of a device that counts: what is free there bounds the default, too."""
        if self.asked is None and device not in self._devices:
            self._devices.add(device)
            self._bytes = min(self.bytes, device_budget(device))

    def least(self, units: int, probes: int, top: int = 0) -> int:
        """What the tally of a layer takes at least, when so many probes are counted.

        `top` are the bytes of its top probes.
        """
        columns = min(len(self._stops), FEWEST_STOPS) + 1
        of_counts = columns * counter_bytes(probes)
        return units * (of_counts + self._unit_bytes) + self.fixed + top

    @property
    def fixed(self) -> int:
        """What a layer takes whatever its units."""
        return fixed_bytes(len(self._stops))

    def check_room(self, layer: str, tally: Tally, *, pending: int, new: int) -> None:
        """Check that a batch of a layer can be taken in, before it is.

        Parameters
        ----------
        layer : str
        tally : Tally
            Of the layer.
        pending : int
            Bytes of the batch with this layer in it.
        new : int
            What the tallies of layers that came with this batch take at least.

        Raises
        ------
        MemoryBudgetError
            If the budget cannot hold it.
        """
        # What is held now, and what must be once the tallies there are have been thinned.
        tallies = max(self._planned, self._least + new) + self._spare
        if pending + tallies > self.bytes:
            fewer = "" if tally.top is None else top_probes_hint(tally.units, tally.top.k)
            message = (
                f"layer {layer!r} has {tally.units:,} units: with the tallies, which take "
                f"{format_bytes(tallies)} at least, a batch up to this layer takes "
                f"{format_bytes(pending + tallies)}, and memory= allows "
                f"{self.words}. Choose a smaller batch_size, units='channel' for "
                f"it, fewer layers (layers=){fewer}, or a larger budget (memory=)."
            )
            raise MemoryBudgetError(message, layer=layer)

    def has_room(self, more: int, *, grows: bool = False) -> bool:
        """Whether so many bytes more can be held beside what is planned, or twice that."""
        batches = sum(plan.batch_bytes for plan in self.plans)
        work = max((plan.need.work for plan in self.plans), default=0)
        planned = self._planned * (1 + grows)
        return planned + batches + work + self._spare + more <= self.bytes

    def fit(
        self,
        tallies: Mapping[str, Tally],
        coming: Mapping[str, LayerBatch],
        *,
        inputs: int,
        total: int | None,
    ) -> None:
        """Thin what must be thinned, so that a batch and all that follow it fit.

        Parameters
        ----------
        tallies : mapping of str to Tally
            All layers counted so far.
        coming : mapping of str to LayerBatch
            The batch to be counted next.
        inputs, total : int, int or None
            Inputs with this batch counted, and to be counted in all, where known.

        Raises
        ------
        MemoryBudgetError
            If not even three stops a layer fit; nothing has changed then.
        """
        share = Fraction(max(total or 0, inputs), inputs or 1)
        known = {plan.need.layer: plan.need for plan in self.plans}
        merged = {**tallies, **{layer: one.tally for layer, one in coming.items()}}
        needs = [
            _need(
                known.get(layer),
                layer,
                tally,
                coming.get(layer),
                share,
                self.fixed,
                self._unit_bytes,
            )
            for layer, tally in merged.items()
        ]
        if [_demand(need) for need in needs] == [_demand(need) for need in known.values()]:
            return
        plans = plan_memory(needs, self.bytes, self._stops.values, self._always, self._spare)
        waits = {layer: one.probes for layer, one in coming.items() if one.device is None}
        self.plans = with_waiting(plans, waits, self.bytes - self._spare)
        buffers.keep_at_most(self.bytes // _KEPT)
        self._planned, self._least = (
            sum(
                plan.need.bytes_with(min(len(plan.columns), most)) + plan.need.fixed
                for plan in self.plans
            )
            for most in (len(self._stops) + 1, FEWEST_STOPS + 1)
        )
        for plan in self.plans:
            tally = merged[plan.need.layer]
            tally.thin(plan.columns)
            tally.most_waiting = plan.waiting


def top_bytes(tally: Tally) -> int:
    """What the top probes of a layer take."""
    return 0 if tally.top is None else tally.top.nbytes


def _need(  # noqa: PLR0917
    known: LayerNeed | None,
    layer: str,
    tally: Tally,
    coming: LayerBatch | None,
    share: Fraction,
    fixed: int,
    unit_bytes: int,
) -> LayerNeed:
    # A layer of tokens, or one called now and then, has other probes than inputs.
    probes = tally.probes + (coming.probes if coming else 0)
    to_come = tally.to_come = -(-probes * share.numerator // share.denominator)
    narrowest = _NARROWEST if coming is None or coming.device is None else _ON_DEVICE
    width = max(counter_bytes(tally.probes), narrowest)
    # A list of one number a probe; when its length is not known, it is planned for as it doubles.
    kept = 0 if tally.inactive_at is None else _KEPT_BYTES << max(to_come - 1, 0).bit_length()
    return LayerNeed(
        layer,
        tally.units,
        tally.columns,
        width,
        max(counter_bytes(to_come), width, known.final_width if known else 0),
        max(coming.nbytes if coming else 0, known.batch_bytes if known else 0),
        begun=tally.probes > 0,
        fixed=fixed + kept,
        work=max(coming.work if coming else 0, known.work if known else 0),
        top_probes=0 if tally.top is None else tally.top.k,
        unit_bytes=unit_bytes,
    )


def _demand(need: LayerNeed) -> tuple[str, int, int, int, int]:
    return need.layer, need.final_width, need.batch_bytes, need.work, need.fixed
