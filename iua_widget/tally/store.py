"""Stores of one layer's counts: on the host, or on a device until they are read."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np

from iua_widget.engines.cpu import buffers
from iua_widget.engines.engine import BatchCounts, Engine
from iua_widget.tally.probe_moments import ProbeMoments
from iua_widget.tally.unit_counts import UnitCounts
from iua_widget.tally.unit_evidence import BatchEvidence, UnitEvidence
from iua_widget.tally.unit_magnitudes import UnitMagnitudes

if TYPE_CHECKING:
    import torch

_JOINED_BYTES: Final = 2**16
"""Of arrays that are joined; below it, one has no memory of its own."""


Optional = Literal["", "non_finite", "evidence", "pre_activation", "before"]


@dataclass(frozen=True, slots=True)
class State:
    """An array of what is counted: where it is, what it is like, and how two of it become one.

    Attributes
    ----------
    part, name : str
        What of a `HostStore` has it, and its name there and in files.
    axes : tuple of {"units", "columns", "stops"}
        Of its shape: "columns" are those at which units are counted, "stops" all.
    dtype : numpy scalar type
        The widest it can have.
    both : numpy.ufunc
        What makes one of those of two streams.
    optional : {"", "non_finite", "evidence", "pre_activation", "before"}
        Of one that is None as long as there is nothing in it, what such are told by together.
    empty : float
        What it is where nothing has come.
    """

    part: Literal["counts", "magnitudes", "moments", "evidence"]
    name: str
    axes: tuple[Literal["units", "columns", "stops"], ...]
    dtype: type[np.generic]
    both: np.ufunc = np.add
    optional: Optional = ""
    empty: float = 0

    def of(self, store: HostStore) -> np.ndarray | None:
        """The array of a store."""
        array: np.ndarray | None = getattr(getattr(store, self.part), self.name)
        return array

    def absorb(self, part: Any, other: Any) -> None:
        """Add the array of another part of that kind to the array of a part."""
        here, there = getattr(part, self.name), getattr(other, self.name)
        if here is None and there is not None:
            setattr(part, self.name, there.copy())
        elif there is not None:
            self.both(here, there, out=here, casting="unsafe")


def _evidence(
    name: str,
    optional: Optional,
    both: np.ufunc = np.add,
    dtype: type[np.generic] = np.float64,
    empty: float = 0,
) -> State:
    return State("evidence", name, ("units",), dtype, both, optional, empty)


_EVIDENCE: Final = (
    _evidence("highest", "evidence", np.maximum, empty=-np.inf),
    _evidence("lowest", "evidence", np.minimum, empty=np.inf),
    _evidence("at_lower", "evidence", dtype=np.int64),
    _evidence("at_upper", "evidence", dtype=np.int64),
    _evidence("pre_highest", "pre_activation", np.maximum, empty=-np.inf),
    _evidence("pre_lowest", "pre_activation", np.minimum, empty=np.inf),
    _evidence("pre_sum", "pre_activation"),
    _evidence("pre_finite", "pre_activation", dtype=np.int64),
    # Those of two streams are the same, or are not read: see `Tally.parameters`.
    *(
        _evidence(name, "before", np.maximum, empty=-np.inf)
        for name in ("weight_max", "bias", "gain", "shift", "at_zero")
    ),
)

STATES: Final = (
    State("counts", "counts", ("units", "columns"), np.uint64),
    State("magnitudes", "abs_sum", ("units",), np.float64),
    State("magnitudes", "square_sum", ("units",), np.float64),
    State("magnitudes", "abs_max", ("units",), np.float64, np.maximum),
    State("magnitudes", "highest_bin", ("units",), np.uint16, np.maximum),
    State("moments", "inactive_sum", ("stops",), np.int64),
    State("moments", "square_low", ("stops",), np.int64),
    State("moments", "square_high", ("stops",), np.int64),
    State("magnitudes", "nan_count", ("units",), np.int64, optional="non_finite"),
    State("magnitudes", "infinite_count", ("units",), np.int64, optional="non_finite"),
    *_EVIDENCE,
)
"""All that is counted, in the order of files; beside it there is the list `HostStore.inactive`."""

EVIDENCE_BYTES: Final = sum(np.dtype(state.dtype).itemsize for state in _EVIDENCE)
"""Bytes of a unit's evidence, where that is asked for."""

BYTES_PER_UNIT: Final = (
    sum(np.dtype(state.dtype).itemsize for state in STATES if state.axes == ("units",))
    - EVIDENCE_BYTES
)
"""Bytes that a unit takes beside its counts, at the most, but for evidence."""


class CountStore(Protocol):
    """Where batches are added to the counts of one layer, and from where these are read.

    Attributes
    ----------
    device : torch.device or None
        Where it is; None on the host.
    probes : int
        Probes added so far.
    columns : tuple of int
        Columns at which units are counted.
    nbytes : int
        Bytes that the counts of the units take on the host, once they are read.
    evidence : UnitEvidence
        On the host.
    """

    @property
    def device(self) -> torch.device | None: ...  # noqa: D102  (above)
    @property
    def probes(self) -> int: ...  # noqa: D102
    @property
    def columns(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def nbytes(self) -> int: ...  # noqa: D102
    @property
    def evidence(self) -> UnitEvidence: ...  # noqa: D102

    def reserve(self, probes: int, to_come: int) -> None:
        """Make room for this many further probes; `to_come` are expected in all."""

    def add(self, batch: Any, number: int) -> None:
        """Add a batch that was classified where the store is, once there is room for it."""

    def add_evidence(self, batch: BatchEvidence) -> None:
        """Add what a batch tells of units, and bring that to the host."""

    def thin(self, columns: Sequence[int]) -> None:
        """Count units at these columns only from now on, some of those until now."""

    def clear(self) -> None:
        """Forget what was counted, and keep all that was made for it."""

    def read(self) -> HostStore:
        """Everything, on the host. As all of the following it waits for the device."""
        ...

    def read_counts(self) -> UnitCounts:
        """Only the counts of the units."""
        ...

    def read_magnitudes(self) -> UnitMagnitudes:
        """Only the magnitudes of the units."""
        ...

    def read_moments(self) -> ProbeMoments:
        """Only the sums over the probes."""
        ...

    def read_inactive(self) -> list[np.ndarray] | None:
        """Only the inactive units of each probe, batch by batch; None where they are not kept."""
        ...


class HostStore:
    """The counts of one layer in NumPy's arrays.

    Parameters
    ----------
    units : int
    columns : int
        Of the tally: its stops, and "any finite value".
    engine : Engine
        What counts.
    inactive_column : int, optional
        At which the inactive units of each probe are kept; None keeps none.

    Attributes
    ----------
    units, all_columns, inactive_column
        As given.
    counts : UnitCounts
    magnitudes : UnitMagnitudes
    moments : ProbeMoments
    inactive : list of numpy.ndarray of int64, or None
        Inactive units of each probe, batch by batch.
    evidence : UnitEvidence
    probes : int
        Probes added so far.
    """

    device: None = None

    def __init__(
        self, units: int, columns: int, engine: Engine, inactive_column: int | None = None
    ) -> None:
        self.units = units
        self.all_columns = columns
        self.inactive_column = inactive_column
        self.probes = 0
        self.counts = UnitCounts(units, range(columns), engine)
        self.moments = ProbeMoments(columns)
        self.inactive: list[np.ndarray] | None = None if inactive_column is None else []
        self.evidence = UnitEvidence()
        self._apart = self._apart_bytes = 0

    @functools.cached_property
    def magnitudes(self) -> UnitMagnitudes:
        """How large the responses of each unit were: allocated when they are first needed."""
        return UnitMagnitudes(self.units, self.all_columns)

    @property
    def columns(self) -> tuple[int, ...]:
        """Columns at which units are counted."""
        return self.counts.columns

    @property
    def nbytes(self) -> int:
        """Bytes that the counts of the units take, and what waits."""
        of_units = self.units * BYTES_PER_UNIT + self.evidence.nbytes
        return self.counts.bytes_for(self.probes) + of_units

    def reserve(self, probes: int, to_come: int = 0) -> None:
        """Make room for this many further probes: adding them then needs no more memory."""
        self.counts.reserve(self.probes + probes, to_come)

    def add(self, batch: BatchCounts, number: int) -> None:
        """Add a classified batch, whose bins wait in `counts` until these are read."""
        self.counts.add(batch.bins)
        self.magnitudes.add(batch, number)
        self.moments.add(batch.inactive)
        if self.inactive is not None:
            self.keep_inactive(batch.inactive[:, self.inactive_column].copy())
        self.probes += len(batch.bins)

    def keep_inactive(self, inactive: np.ndarray) -> None:
        """Keep the inactive units of each probe of a batch, where these are kept.

        Many small arrays that stay are joined: among those that come and go, they would keep what
        lies between them from being given back.
        """
        kept = self.inactive
        if kept is None:
            return
        kept.append(inactive)
        self._apart += 1
        self._apart_bytes += inactive.nbytes
        if self._apart_bytes < _JOINED_BYTES:
            return
        with contextlib.suppress(MemoryError):
            latest = kept[-self._apart :]
            joined = buffers.empty((sum(map(len, latest)),), np.int64)
            kept[-self._apart :] = [np.concatenate(latest, out=joined)]
        self._apart = self._apart_bytes = 0

    def thin(self, columns: Sequence[int]) -> None:
        """Count units at these columns only from now on, some of those until now."""
        self.counts.thin(columns)

    def clear(self) -> None:
        """Forget what was counted, and keep the arrays."""
        self.probes = 0
        self.counts.clear()
        self.magnitudes.clear()
        self.moments.clear()
        self.inactive = None if self.inactive is None else []
        self.evidence = UnitEvidence()
        self._apart = self._apart_bytes = 0

    def read(self) -> HostStore:
        """Itself, once nothing waits to be counted."""
        self.counts.count_waiting()
        return self

    def read_counts(self) -> UnitCounts:
        """The counts of the units, once nothing waits to be counted."""
        return self.read().counts

    def read_magnitudes(self) -> UnitMagnitudes:
        """The magnitudes of the units."""
        return self.magnitudes

    def read_moments(self) -> ProbeMoments:
        """The sums over the probes."""
        return self.moments

    def read_inactive(self) -> list[np.ndarray] | None:
        """The inactive units of each probe, batch by batch; None where they are not kept."""
        return self.inactive

    def absorb(self, other: HostStore) -> None:
        """Add the counts of another part of the stream, once there is room for them.

        Parameters
        ----------
        other : HostStore
            Of the same units, read, and counted at these columns at least.
        """
        if self.magnitudes.all_finite:
            self.magnitudes.first_non_finite = other.magnitudes.first_non_finite
        parts = vars(other) | {"counts": other.counts.thinned(self.columns)}
        for state in STATES:
            state.absorb(getattr(self, state.part), parts[state.part])
        self.moments.carry()
        self.probes += other.probes
        if self.inactive is not None and other.inactive is not None:
            self.inactive += other.inactive

    def add_evidence(self, batch: BatchEvidence) -> None:
        """Add what a batch tells."""
        found = batch.read()
        for state in _EVIDENCE:
            state.absorb(self.evidence, found)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of all `STATES` by name, without those that are None."""
        found = {state.name: state.of(self) for state in STATES}
        return {name: array for name, array in found.items() if array is not None}

    def restore(self, arrays: Mapping[str, np.ndarray], probes: int) -> None:
        """Take arrays as `arrays` gives them as its own, of so many probes."""
        for state in STATES:
            if state.name in arrays:
                setattr(getattr(self, state.part), state.name, arrays[state.name])
        self.magnitudes.highest_bin = self._highest_finite()
        self.probes = probes

    def _highest_finite(self) -> np.ndarray:
        """The highest bins of finite probes: in older files those of NaN stand in their place."""
        highest = self.magnitudes.highest_bin
        odd = np.flatnonzero(highest >= self.all_columns)
        if not odd.size:
            return highest
        occurs = self.counts.counts[odd] > 0
        last = occurs.shape[1] - 1 - occurs[:, ::-1].argmax(axis=1)
        known = highest.copy()
        known[odd] = np.where(occurs.any(axis=1), np.array(self.columns)[last], 0)
        return known
