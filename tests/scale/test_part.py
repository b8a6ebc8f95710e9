"""The part of a run that a rank tells takes no more than it may, evidence of causes included."""

from __future__ import annotations

import numpy as np
import pytest

from iua_widget import IUA
from iua_widget.scale.part import part_of

ROOM = 500_000


@pytest.mark.parametrize("causes", [False, True])
def test_a_layer_is_told_at_as_many_stops_as_there_is_room_for(causes: bool) -> None:
    responses = np.random.default_rng(0).normal(size=(8, 4000))
    iua = IUA.introspect({"relu": responses}, causes=causes, engine="reference")
    part = part_of(iua._run, ROOM)
    tally = part.run.tallies["relu"]
    assert not part.left_out
    assert (len(tally.columns) < 71) is causes
    assert sum(array.nbytes for array in tally.state().arrays.values()) <= ROOM
