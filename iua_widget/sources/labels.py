"""The labels of the probes of each batch, where the user says they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np

from iua_widget.common.labels import Label, checked_labels, name_of, with_type
from iua_widget.common.words import did_you_mean, named
from iua_widget.errors import ProducerError
from iua_widget.options import SourceOptions
from iua_widget.sources.batch import fields_of


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """Which probes of a batch are of which group.

    Attributes
    ----------
    probes : int
    places : dict of str to numpy.ndarray of int64
        The probes of each group that has some, ascending, by the group's name.
    labels : dict of str to set of Label
        Those of each group.
    """

    probes: int
    places: dict[str, np.ndarray]
    labels: dict[str, set[Label]]

    @classmethod
    def of(cls, labels: list[Label], names: Mapping[Label, str] | None) -> Self:
        """A batch of such labels."""
        places: dict[str, list[int]] = {}
        found: dict[str, set[Label]] = {}
        known: dict[tuple[type, Label], str] = {}
        for place, label in enumerate(labels):
            key = with_type(label)
            name = known.get(key)
            if name is None:
                name = known[key] = name_of(label, names)
                found.setdefault(name, set()).add(label)
            places.setdefault(name, []).append(place)
        arrays = {name: np.array(of, np.int64) for name, of in places.items()}
        return cls(len(labels), arrays, found)


class Labels:
    """Tells the labels of each batch.

    Parameters
    ----------
    options : SourceOptions
        Of which `groups` and `group_names` are used.
    total : int or None
        Probes of the stream, where known.
    in_order : bool
        Whether its probes come in the order in which they were given, so that an array may have the
        labels of all of them.

    Attributes
    ----------
    at_hand : LabelledBatch
        Of the batch that is recorded.

    Raises
    ------
    ProducerError
        If labels of all probes were given, and do not fit the stream.
    """

    def __init__(self, options: SourceOptions, total: int | None, *, in_order: bool) -> None:
        self._groups: Any = options.groups
        self._names = cast("Mapping[Label, str] | None", options.group_names)
        self._read: list[Label] = []
        self._start = 0
        self.at_hand = LabelledBatch(0, {}, {})
        if not isinstance(self._groups, tuple):
            return
        if not in_order:
            message = (
                "groups= as a list of labels goes with probes that come in its order: a tensor, "
                "arrays, a Dataset or a list of batches. A loader or producer may shuffle: have "
                "it give the labels in its batches, and say where they are, such as groups=1 for "
                "(x, y), groups='label' or groups=lambda batch: batch[1]."
            )
            raise ProducerError(message)
        if total is not None and len(self._groups) != total:
            message = (
                f"groups= has {len(self._groups):,} labels, and there are {total:,} probes: give "
                "one label a probe."
            )
            raise ProducerError(message)

    @classmethod
    def asked(cls, options: SourceOptions, total: int | None, *, in_order: bool) -> Self | None:
        """Those that options ask for; None if none."""
        return None if options.groups is None else cls(options, total, in_order=in_order)

    @property
    def field(self) -> str | None:
        """The field of a batch that has them, and so is no layer; None where none has."""
        return self._groups if isinstance(self._groups, str) else None

    def read(self, batch: Any, number: int, start: int) -> None:
        """Read the labels of a batch, before anything is done to it.

        Parameters
        ----------
        batch : Any
            As the loader or producer gives it.
        number : int
            Which one, from 0.
        start : int
            Probes that come before it.

        Raises
        ------
        ProducerError
            If it has none, or what it has are no labels.
        """
        if isinstance(self._groups, tuple):
            self._start = start
        else:
            given = self._given(batch, number)
            self._read = checked_labels(given, f"groups= of batch {number}", batch=number)

    def take(self, probes: int, number: int, most: int | None = None) -> None:
        """Take those that were read as the labels at hand, of a batch of so many probes.

        Parameters
        ----------
        probes : int
            Of the batch as it was given.
        number : int
            Which one, from 0.
        most : int, optional
            Probes to which it was cut.

        Raises
        ------
        ProducerError
            If there are more or fewer labels than probes.
        """
        labels = self._read
        if isinstance(self._groups, tuple):
            labels = list(self._groups[self._start : self._start + probes])
        if len(labels) != probes:
            message = (
                f"groups= of batch {number} has {len(labels):,} labels, and the batch has "
                f"{probes:,} probes: give one label a probe."
            )
            raise ProducerError(message, batch=number)
        self.at_hand = LabelledBatch.of(labels[:most], self._names)

    def _given(self, batch: Any, number: int) -> Any:
        groups = self._groups
        if callable(groups):
            try:
                return groups(batch)
            except Exception as error:
                message = (
                    f"groups= raised {type(error).__name__} on batch {number}, which is "
                    f"{type(batch).__name__}: {error}. It is called with the batch as it is given."
                )
                raise ProducerError(message, batch=number) from error
        if isinstance(groups, int):
            if isinstance(batch, (tuple, list)) and -len(batch) <= groups < len(batch):
                return batch[groups]
            there = f" of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
            where = "a place in the batch"
        else:
            fields = fields_of(batch)
            if fields is not None and groups in fields:
                return fields[groups]
            if fields is None and hasattr(batch, groups):
                return getattr(batch, groups)
            keys = [] if fields is None else [str(key) for key in fields]
            there = f" with {named(keys)}" if keys else ""
            where = f"a field of the batch{did_you_mean(groups, keys)}"
        message = (
            f"groups={groups!r} must be {where}; batch {number} is {type(batch).__name__}"
            f"{there}. Say where the labels are: groups=1 for (x, y), groups='label' for a "
            "mapping, or groups=lambda batch: ..."
        )
        raise ProducerError(message, batch=number)
