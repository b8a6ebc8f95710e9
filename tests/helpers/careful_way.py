"""Counting the careful way, without a steady state, and comparing runs to the last bit."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np

from iua_widget import IUA, IUAWarning
from iua_widget.capture.steady_pass import SteadyPass
from iua_widget.capture.watched_model import WatchedModel
from iua_widget.errors import IUAError
from iua_widget.run.layer_groups import LayerGroups
from iua_widget.run.run import Run
from iua_widget.run.slots import Slot


@contextlib.contextmanager
def careful_way() -> Iterator[None]:
    """Have each response be counted by itself, and each pass be watched with care."""
    whole = WatchedModel._pass

    def with_care(self: WatchedModel, batch: Any, one: Any) -> int:
        return whole(self, batch, dataclasses.replace(one, steps=None))

    with (
        mock.patch.object(LayerGroups, "group_layers", return_value=None),
        mock.patch.object(WatchedModel, "_pass", with_care),
    ):
        yield


@dataclasses.dataclass
class Seen:
    """How often the steady state was used.

    Attributes
    ----------
    taken : int
        Responses taken by slots.
    passes, repeated : int
        Steady passes, and those that did not go as before.
    """

    taken: int = 0
    passes: int = 0
    repeated: int = 0


@contextlib.contextmanager
def seen() -> Iterator[Seen]:
    """Count how often the steady state is used."""
    found, take, leave = Seen(), Slot.take, SteadyPass.__exit__

    def taken(self: Slot, *args: Any) -> bool:
        came = take(self, *args)
        found.taken += came
        return came

    def left(self: SteadyPass, *error: Any) -> None:
        found.passes += 1
        found.repeated += self._differs
        leave(self, *error)

    with mock.patch.object(Slot, "take", taken), mock.patch.object(SteadyPass, "__exit__", left):
        yield found


def assert_same_run(one: Run, other: Run) -> None:
    """Check that two runs are the same to the last bit, notes and failures included."""
    for name in ("probes", "kept_notes", "weights"):
        assert getattr(one, name) == getattr(other, name)
    assert list(one.tallies) == list(other.tallies)
    for layer, tally in one.tallies.items():
        here, there = tally.state(), other.tallies[layer].state()
        assert here.facts == there.facts, layer
        assert here.arrays.keys() == there.arrays.keys(), layer
        for name, array in here.arrays.items():
            np.testing.assert_array_equal(array, there.arrays[name], f"{layer}: {name}")


def introspected(*args: Any, **options: Any) -> tuple[Run | None, str]:
    """What `IUA.introspect` counted, also if it broke off, and with which error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IUAWarning)
            return IUA.introspect(*args, **{"engine": "reference", **options})._run, ""
    except IUAError as error:
        return None if error.partial is None else error.partial._run, str(error)


def check_as_careful(make: Callable[[], tuple[Any, ...]], **options: Any) -> Seen:
    """Count a source, made anew each time, both ways, and check that results are the same."""
    with careful_way():
        expected, error = introspected(*make(), **options)
    with seen() as found:
        run, message = introspected(*make(), **options)
    assert message == error
    assert (run is None) == (expected is None)
    if run is not None and expected is not None:
        assert_same_run(run, expected)
    return found
