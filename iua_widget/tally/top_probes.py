"""`TopProbes`: of each unit of a layer the inputs with its largest responses, and where."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from iua_widget.engines.threads import UNIT_ALIGNMENT, in_parallel
from iua_widget.tally.top_candidates import TopCandidates

BYTES_EACH: Final = 24
"""What a probe of a unit takes: its value, its index, its position."""

_FLUSHED: Final = 1e-30
"""What a largest response may lack where threads of PyTorch's flush small numbers to zero."""
_POSITION_BITS: Final = 63
_WORK: Final = 16
"""How many responses take as long to be compared as one that is kept takes to be ranked."""
NONE: Final = -1
"""Stands for no probe, and for no position."""
_NAMES: Final = ("values", "probes", "positions")
ARRAYS: Final[Mapping[str, type[np.generic]]] = {
    "top_values": np.float64,
    "top_probes": np.int64,
    "top_positions": np.int64,
}
"""Its arrays in files, each of shape (units, k), and their dtypes."""


class TopProbes:
    """Of each unit the k inputs with its largest responses, by magnitude, the largest first.

    Each input is there at most once a unit, at the position of its largest response. Only finite
    responses other than zero are; of equals the earlier input, and the earlier position. It is the
    same however the stream is cut into batches, and merges in any grouping.

    Parameters
    ----------
    units, k : int

    Attributes
    ----------
    k : int
    values : numpy.ndarray of float64, shape (units, k)
        Signed; zero where there is none.
    probes : numpy.ndarray of int64, shape (units, k)
        Places in the stream of inputs, from 0; -1 where there is none.
    positions : numpy.ndarray of int64, shape (units, k)
        The indices along the axes of positions, each in ``63 // axes`` bits, the first axis in the
        highest; -1 where units are entries, or it is not known.
    lengths : tuple of (int or None)
        Of the axes of positions, None where they vary; empty where there are none.
    latest : int
        The last of all that were added; -1 for none.
    missed : bool
        Whether there were responses of which it is not known which input they are of.

    Examples
    --------
    >>> from iua_widget.units.by_input import ResponseByInput
    >>> top = TopProbes(units=1, k=2)
    >>> responses = ResponseByInput(np.array([1.0, -3.0, 2.0]).reshape(3, 1, 1))
    >>> top.add(top.candidates(responses), np.arange(3))
    >>> top.probes, top.values
    (array([[1, 2]]), array([[-3.,  2.]]))
    """

    def __init__(self, units: int, k: int) -> None:
        self.k = k
        self._shape = units, k
        self.lengths: tuple[int | None, ...] = ()
        self.missed = False
        self.latest = NONE

    @functools.cached_property
    def values(self) -> np.ndarray:
        """The responses, allocated when they are first needed, as all of these."""
        return np.zeros(self._shape)

    @functools.cached_property
    def probes(self) -> np.ndarray:
        """Which inputs."""
        return np.full(self._shape, NONE)

    @functools.cached_property
    def positions(self) -> np.ndarray:
        """Where."""
        return np.full(self._shape, NONE)

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return BYTES_EACH * math.prod(self._shape)

    def reserve(self) -> None:
        """Make room: what `add` then does needs little more memory."""
        for name in _NAMES:
            getattr(self, name)

    def clear(self) -> None:
        """Forget all."""
        for name in _NAMES:
            vars(self).pop(name, None)
        self.lengths, self.missed, self.latest = (), False, NONE

    def candidates(self, response: Any) -> TopCandidates:
        """What of a `ResponseByInput` may be among the largest; nothing is added yet."""
        none_yet = self.latest == NONE
        floor = np.zeros(self._shape[0]) if none_yet else np.abs(self.values[:, -1])
        return TopCandidates.of(response, self.k, floor)

    def add(self, found: TopCandidates, indices: np.ndarray) -> None:
        """Add what `candidates` has found.

        Parameters
        ----------
        found : TopCandidates
        indices : numpy.ndarray of int64, shape (inputs,)
            The place in the stream of each input of the batch, ascending.
        """
        if found.inputs != len(indices):
            self.missed = True
            return
        positions = self._packed(found.positions, found.lengths)
        self._add(found.units, indices[found.rows], found.values, positions)

    def absorb(self, other: TopProbes, before: int) -> None:
        """Add those of another part of the stream, which so many inputs came before."""
        there = other.probes != NONE
        units = np.nonzero(there)[0]
        agree = self._note_lengths(other.lengths)
        positions = other.positions[there] if agree else np.full(len(units), NONE)
        self.missed |= other.missed
        self._add(units, other.probes[there] + before, other.values[there], positions)

    def indices_of(self, positions: np.ndarray) -> tuple[np.ndarray, ...]:
        """The indices along each axis of some of `positions`."""
        axes = len(self.lengths)
        bits = _POSITION_BITS // max(axes, 1)
        shifts = [bits * axis for axis in reversed(range(axes))]
        return tuple(positions >> shift & (1 << bits) - 1 for shift in shifts)

    @property
    def facts(self) -> dict[str, Any]:
        """What there is beside arrays."""
        return {"k": self.k, "lengths": self.lengths, "missed": self.missed}

    def arrays(self) -> dict[str, np.ndarray]:
        """Its arrays, by their names in files."""
        return {f"top_{name}": getattr(self, name) for name in _NAMES}

    @classmethod
    def of(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> TopProbes:
        """What has such facts and arrays, which become its own."""
        top = cls(len(arrays["top_values"]), facts["k"])
        for name in _NAMES:
            setattr(top, name, arrays[f"top_{name}"])
        top.lengths, top.missed = tuple(facts["lengths"]), facts["missed"]
        top.latest = int(top.probes.max(initial=NONE))
        return top

    def _packed(self, positions: np.ndarray, lengths: tuple[int, ...]) -> np.ndarray:
        """Positions, flattened over axes of some lengths, as they are kept."""
        if not lengths:
            return positions
        bits = _POSITION_BITS // len(lengths)
        if not self._note_lengths(lengths) or max(lengths) > 1 << bits:
            return np.full(len(positions), NONE)
        packed = np.zeros(len(positions), np.int64)
        for index in np.unravel_index(positions, lengths):
            packed = packed << bits | index
        return packed

    def _note_lengths(self, lengths: tuple[int | None, ...]) -> bool:
        """Note the lengths of axes of further positions; whether there are as many axes."""
        if not self.lengths or not lengths:
            self.lengths = self.lengths or lengths
            return True
        if len(lengths) != len(self.lengths):
            return False
        pairs = zip(self.lengths, lengths, strict=True)
        self.lengths = tuple(one if one == other else None for one, other in pairs)
        return True

    def _add(
        self, units: np.ndarray, probes: np.ndarray, values: np.ndarray, positions: np.ndarray
    ) -> None:
        """Add entries, sorted by unit, of which no two are of one unit and one probe."""
        if not len(units):
            return
        may_repeat = int(probes.min()) <= self.latest
        counts = np.bincount(units, minlength=self._shape[0])
        first = np.cumsum(counts) - counts
        affected = np.flatnonzero(counts)

        def add(start: int, stop: int) -> None:
            some = affected[start:stop]
            entries = slice(first[some[0]], first[some[-1]] + counts[some[-1]])
            place = np.cumsum(counts[some]) - counts[some]
            rows = np.repeat(np.arange(len(some)), counts[some])
            columns = np.arange(len(rows)) - place[rows]
            shape = len(some), int(counts[some].max())
            new = np.zeros(shape), np.full(shape, NONE), np.full(shape, NONE)
            for whole, part in zip(new, (values, probes, positions), strict=True):
                whole[rows, columns] = part[entries]
            self._take(some, *new, may_repeat=may_repeat)

        in_parallel(add, len(affected), _WORK * self.k * len(affected), UNIT_ALIGNMENT)
        self.latest = max(self.latest, int(probes.max()))

    def _take(
        self,
        units: np.ndarray,
        values: np.ndarray,
        probes: np.ndarray,
        positions: np.ndarray,
        *,
        may_repeat: bool,
    ) -> None:
        """Keep the largest of what there is of some units, and of what is new of each."""
        kept_values, kept_probes = self.values[units], self.probes[units]
        if may_repeat:
            _drop_repeated(kept_values, kept_probes, values, probes)
        all_values = np.concatenate([kept_values, values], axis=1)
        all_probes = np.concatenate([kept_probes, probes], axis=1)
        all_positions = np.concatenate([self.positions[units], positions], axis=1)
        all_probes[all_values == 0] = all_positions[all_values == 0] = NONE
        order = np.lexsort((all_probes, -np.abs(all_values)), axis=1)[:, : self.k]
        self.values[units] = np.take_along_axis(all_values, order, axis=1)
        self.probes[units] = np.take_along_axis(all_probes, order, axis=1)
        self.positions[units] = np.take_along_axis(all_positions, order, axis=1)


def can_be(arrays: Mapping[str, np.ndarray], abs_max: np.ndarray) -> bool:
    """Whether such arrays can be top probes of units whose largest responses these are."""
    values, probes, positions = (arrays[name] for name in ARRAYS)
    magnitudes, there = np.abs(values), probes != NONE
    ordered = np.sort(probes, axis=1)
    falls = (magnitudes[:, :-1] >= magnitudes[:, 1:]).all()
    repeats = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NONE)).any()
    return bool(
        falls
        and not repeats
        and (magnitudes <= abs_max[:, None] + _FLUSHED).all()
        and ((values != 0) == there).all()
        and (probes >= NONE).all()
        and (positions >= NONE).all()
        and (positions[~there] == NONE).all()
    )


def _drop_repeated(
    kept_values: np.ndarray, kept_probes: np.ndarray, values: np.ndarray, probes: np.ndarray
) -> None:
    """Of a probe that is kept and comes again, of another call, drop the smaller response."""
    same = (probes[:, :, None] == kept_probes[:, None]) & (probes[:, :, None] != NONE)
    units, new, kept = np.nonzero(same)
    larger = np.abs(values[units, new]) > np.abs(kept_values[units, kept])
    values[units[~larger], new[~larger]] = 0
    kept_values[units[larger], kept[larger]] = 0
