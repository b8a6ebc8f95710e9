"""Ctrl-C waits while it is held back, and comes through where the user's code runs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

import pytest

from iua_widget.common.interrupts import interrupts_held, interrupts_let_through

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there are no signals to send"),
    pytest.mark.usefixtures("interruptible"),
]


@pytest.fixture
def _as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def strike() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("_as_before")
def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    done = []

    def held() -> None:
        with interrupts_held():
            strike()
            with interrupts_held():
                strike()
            done.append("within")

    with pytest.raises(KeyboardInterrupt):
        held()
    assert done == ["within"]


@pytest.mark.usefixtures("_as_before")
def test_it_comes_where_the_users_code_runs_and_contexts_around_are_left() -> None:
    done = []

    def held() -> None:
        with interrupts_held():
            try:
                strike()
                done.append("held")
                with interrupts_let_through():
                    done.append("let through")
            finally:
                done.append("left")

    with pytest.raises(KeyboardInterrupt):
        held()
    assert done == ["held", "left"]


@pytest.mark.usefixtures("_as_before")
def test_a_block_within_the_users_code_is_held_too() -> None:
    done = []

    def nested() -> None:
        with interrupts_held(), interrupts_let_through():
            with interrupts_held():
                strike()
                done.append("nested")
            done.append("after")

    with pytest.raises(KeyboardInterrupt):
        nested()
    assert done == ["nested"]


@pytest.mark.usefixtures("_as_before")
def test_there_is_nothing_to_let_through_outside() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts_let_through():
        strike()


def test_a_handler_that_the_users_code_sets_stays() -> None:
    came = []

    def own(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    with interrupts_held():
        with interrupts_let_through():
            signal.signal(signal.SIGINT, own)
        strike()
        assert not came
    assert came == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is own
    with interrupts_held(), interrupts_let_through():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
