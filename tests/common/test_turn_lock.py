"""Threads that share a lock take turns."""

from __future__ import annotations

import os
import threading
import time

import pytest

from iua_widget.common.turn_lock import TurnLock


def test_a_thread_that_keeps_taking_it_does_not_starve_another() -> None:
    lock = TurnLock()
    taken = threading.Event()

    def greedy() -> None:
        while not taken.is_set():
            with lock:
                time.sleep(0.001)

    thread = threading.Thread(target=greedy, daemon=True)
    thread.start()
    for _ in range(50):
        with lock:
            pass
    taken.set()
    thread.join(10)
    assert not thread.is_alive()


def test_it_excludes_other_threads_and_can_be_taken_again_by_its_own() -> None:
    lock, inside, most = TurnLock(), [0], [0]

    def work() -> None:
        for _ in range(200):
            with lock, lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_it_is_free_again_after_an_error_inside() -> None:
    lock = TurnLock()
    try:
        with lock:
            raise ValueError
    except ValueError:
        pass
    thread = threading.Thread(target=lock.__enter__, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no process")
def test_a_forked_process_finds_it_free() -> None:
    lock, taken, done = TurnLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            done.wait()

    threading.Thread(target=hold).start()
    taken.wait()
    child = os.fork()
    if not child:
        with lock:
            pass
        other = threading.Thread(target=lock.__enter__, daemon=True)
        other.start()
        other.join(10)
        os._exit(other.is_alive())
    done.set()
    assert os.waitpid(child, 0)[1] == 0
