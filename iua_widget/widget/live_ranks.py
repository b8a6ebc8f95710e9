"""`LiveRanks`: the counts of all ranks, live on rank 0 while every rank counts at its own pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from iua_widget.common.words import listed
from iua_widget.errors import DistributedError, IUAError
from iua_widget.files.run_file import read_run, run_bytes
from iua_widget.run.run import Run
from iua_widget.scale.all_reduce import all_reduced
from iua_widget.scale.board import Board
from iua_widget.scale.part import part_of, together
from iua_widget.scale.ranks import Ranks
from iua_widget.widget.background import Progress
from iua_widget.widget.pacing import COST_SHARE
from iua_widget.widget.rank_notices import Sign, Want, Word

KEPT: Final = "What was counted is in w.iua: w.iua.save(path) saves it."

_LARGEST_PART: Final = 15 * 2**19
_ALL_PARTS: Final = 2**28
"""Bytes that ranks post, at the most: one, of the 8 MiB that a store takes, and all together."""

_POLL: Final = 0.2
_RANKS_A_SECOND: Final = 1000
"""How often a rank reads what is posted: so many seconds in between, and more for many ranks."""

_BETWEEN_PARTS: Final = 1.0
_SILENT: Final = 10.0
"""Seconds without a sign of life after which rank 0 says so."""

_LAST_PARTS: Final = 5.0
"""Seconds that rank 0 waits for the last parts once a rank has failed."""


@dataclass(slots=True)
class _Other:
    """What rank 0 knows of another rank."""

    sign: Sign
    since: float
    run: Run | None = None
    part: int = 0


class LiveRanks:
    """Posts what each rank counts, shows the sum on rank 0, and has all of them end together.

    No rank waits for another before the end: each posts a sign of life five times a second, and a
    copy of its counts when rank 0 is ready for it, which takes the place of its copy before. Only
    when all have come to their end are the counts summed, by collectives in a group of their own.

    Parameters
    ----------
    ranks : Ranks
        Of a group of their own.
    run : Run
        What this rank counts into.
    progress : callable
        How far this rank has come.
    on_sum : callable
        Called on rank 0 with the run of all ranks, whenever there is more of it.
    on_want : callable
        Called on the others when rank 0 wants something else.

    Attributes
    ----------
    size : int
        How many ranks there are.

    Raises
    ------
    DistributedError
        If the job's store cannot be posted in.
    """

    def __init__(
        self,
        ranks: Ranks,
        run: Run,
        progress: Callable[[], Progress],
        on_sum: Callable[[Run], None],
        on_want: Callable[[Want], None],
    ) -> None:
        self.size = ranks.size
        self._ranks, self._run, self._progress = ranks, run, progress
        self._on_sum, self._on_want = on_sum, on_want
        self._board = Board(ranks)
        self._room = min(_LARGEST_PART, _ALL_PARTS // ranks.size)
        self._poll = max(_POLL, ranks.size / _RANKS_A_SECOND)
        self._lock = threading.RLock()
        self._over, self._last = threading.Event(), threading.Event()
        self._mine, self._word = Sign(), Word()
        self._others: dict[int, _Other] = {}
        self._heard = time.monotonic()
        self._answered = self._shown = 0
        self._not_before = 0.0
        self._wanted: Want = "run"
        self._silent: list[str] = []
        self._failed = ""
        self._all_ended = False
        self._board.post(*self._notice())
        self._thread = threading.Thread(target=self._work, name="iua_widget ranks", daemon=True)

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which shows the sum."""
        return self._ranks.rank == 0

    @property
    def stopping(self) -> bool:
        """Whether all are to end with what they have counted."""
        return self._word.want == "stop"

    @property
    def notes(self) -> list[str]:
        """What a reader should know of the other ranks."""
        notes = []
        if self._silent:
            notes.append(
                f"Nothing is heard of rank {listed(self._silent)}: what is on show of it is what "
                "it sent last."
            )
        out = {name: None for other in self._others.values() for name in other.sign.left_out}
        if out and not self._over.is_set():
            notes.append(
                f"Until the end only counts of rank 0 are on show of {listed(list(out))}: what the "
                f"other ranks have of the layers takes more than {self._room / 2**20:.3g} MiB."
            )
        return notes

    def begin(self) -> None:
        """Begin, once all ranks have made theirs."""
        now = time.monotonic()
        self._heard = now
        others = range(1, self.size) if self.first else ()
        self._others = {rank: _Other(Sign(), now) for rank in others}
        self._thread.start()

    def want(self, want: Want) -> None:
        """Have all ranks do so: on rank 0."""
        with self._lock:
            self._word = replace(self._word, want=want)
            self._board.post(*self._notice())

    def progress(self) -> Progress:
        """How far all have come, on rank 0; this one on the others."""
        mine = self._progress()
        signs = [other.sign for other in self._others.values()]
        totals = [mine.total, *(sign.total for sign in signs)]
        known = [total for total in totals if total is not None]
        return Progress(
            mine.probes + sum(sign.probes for sign in signs),
            sum(known) if len(known) == len(totals) else None,
            mine.elapsed,
            mine.before + sum(sign.before for sign in signs),
        )

    def check(self) -> None:
        """Check that none has failed.

        Raises
        ------
        DistributedError
            If one has, or nothing is heard of it.
        """
        if self._failed:
            self._wait_for_last()
            raise DistributedError(self._failed)

    def may_sum(self) -> bool:
        """Whether all have come to their end: this one has; waits for a moment where not."""
        if not self._mine.ended:
            self._mine = replace(self._mine, ended=True)
        if not (self._all_ended or self._failed):
            self._over.wait(self._poll / 2)
        return self._all_ended and not self._failed

    def sum(self) -> Run:
        """What all have counted, the same on every rank: all have come to their end.

        Raises
        ------
        DistributedError, MergeError
            As for `all_reduced`.
        """
        self.close()
        if self.first:
            self._word = replace(self._word, sum=True)
            self._board.post(*self._notice())
        whole = all_reduced(self._run, self._ranks)
        self._silent = []
        for name in ["word"] if self.first else [self._name("sign"), self._name("part")]:
            with suppress(DistributedError):  # rank 0 may have had the store, and ended
                self._board.remove(name)
        return whole

    def fail(self, what: str, *, wait: bool) -> None:
        """Tell the others that this rank cannot go on, and why; what it has counted is posted.

        Parameters
        ----------
        what : str
        wait : bool
            Whether rank 0 waits for what the others have counted.
        """
        with self._lock, suppress(DistributedError):
            if self._failed or self._word.sum:
                return
            if self.first:
                self._failed = self._as_failed([f"rank 0: {what}"])
                self._word = replace(self._word, failed=self._failed)
            else:
                self._failed = what
                self._mine = replace(self._mine, failed=what, left=True)
                self._post_part()
            self._board.post(*self._notice())
        if wait:
            self._wait_for_last()

    def close(self) -> None:
        """Post and read no more."""
        self._over.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def _wait_for_last(self) -> None:
        """On rank 0, once one has failed: wait a little for what the others have counted."""
        if self.first and self._thread.is_alive():
            self._last.wait(_LAST_PARTS)

    def _work(self) -> None:
        """Post and read what there is, until it is over."""
        turn = self._lead if self.first else self._follow
        while not self._over.wait(self._poll):
            try:
                turn()
            except IUAError as error:
                self._end(str(error))
            except Exception as error:  # noqa: BLE001  (whatever it is, nobody must wait for it)
                self._end(f"{type(error).__name__}: {error}")
            if self._failed:
                self._on_want("run")  # one that is paused has to hear of it
            if self._last.is_set():
                break

    def _end(self, why: str) -> None:
        """End the run of this rank, and on rank 0 of all."""
        self._failed = self._failed or why
        if self.first and not self._word.failed:
            self._word = replace(self._word, failed=self._failed)
            try:
                self._board.post(*self._notice())
            except DistributedError:
                self._last.set()
        else:
            self._last.set()

    def _lead(self) -> None:
        """The turn of rank 0: read the signs of the others and the parts that are new, and add."""
        now = time.monotonic()
        changed = self._read_others(now)
        signs = {rank: other.sign for rank, other in self._others.items()}
        failed = [f"rank {rank}: {sign.failed}" for rank, sign in signs.items() if sign.failed]
        gone = [str(rank) for rank, other in self._others.items() if self._is_gone(other, now)]
        if (failed or gone) and not self._failed:
            self._failed = self._as_failed(failed) if failed else self._as_gone(gone)
        due = now >= self._not_before
        if (due or self._failed) and (changed or self._run.probes != self._shown):
            self._add_up()
        with self._lock:
            if due:
                self._word = replace(self._word, round=self._word.round + 1)
                self._not_before = max(self._not_before, now + _BETWEEN_PARTS)
            self._word = replace(self._word, failed=self._word.failed or self._failed)
            self._board.post(*self._notice())
        if self._failed and all(
            other.sign.left or now - other.since > self._poll * 10
            for other in self._others.values()
        ):
            self._last.set()
        mine = self._mine.ended
        self._all_ended = mine and all(sign.ended for sign in signs.values())

    def _read_others(self, now: float) -> bool:
        """Read the signs of the others; whether a part is new."""
        found = self._board.read([f"sign {rank}" for rank in self._others])
        for other, notice in zip(self._others.values(), found, strict=True):
            sign = Sign.read(notice)
            if sign.beat != other.sign.beat:
                other.since = now
            other.sign = sign
        self._silent = [
            str(rank) for rank, other in self._others.items() if now - other.since > _SILENT
        ]
        return any(other.sign.part != other.part for other in self._others.values())

    def _add_up(self) -> None:
        """Read the parts that are new, and show what all have."""
        begun = time.perf_counter()
        for rank, other in self._others.items():
            if other.sign.part != other.part:
                (data,) = self._board.read([f"part {rank}"])
                other.run, other.part = read_run(data, self._run.options.engine), other.sign.part
        own = part_of(self._run).run
        runs = [own, *(other.run for other in self._others.values() if other.run is not None)]
        self._on_sum(together(runs))
        self._shown = own.probes
        self._rest(begun)

    def _follow(self) -> None:
        """The turn of another rank: read what rank 0 wants, and post what it is ready for."""
        now = time.monotonic()
        word = Word.read(self._board.read(["word"])[0])
        if word.beat != self._word.beat:
            self._heard = now
        self._word = word
        if now - self._heard > self._board.timeout and not word.sum:
            self._end(self._as_gone(["0"]))
            return
        if word.want != self._wanted:
            self._wanted = word.want
            self._on_want(word.want)
        with self._lock:
            if word.failed and not self._failed:
                self._failed = word.failed
                self._mine = replace(self._mine, left=True)
            new = self._run.probes != self._shown
            if self._failed or self._mine.ended:
                if new:
                    self._post_part()
            elif word.round != self._answered and new and now >= self._not_before:
                self._answered = word.round
                self._post_part()
            self._board.post(*self._notice())
        self._all_ended = word.sum
        if self._failed:
            self._last.set()

    def _post_part(self) -> None:
        """Post a copy of what this rank has counted, in the place of the one before."""
        begun = time.perf_counter()
        part = part_of(self._run, self._room)
        self._board.post(self._name("part"), run_bytes(part.run))
        number = self._mine.part + 1
        self._mine = replace(self._mine, part=number, left_out=part.left_out)
        self._shown = part.run.probes
        self._rest(begun)

    def _rest(self, begun: float) -> None:
        """Have what was begun take no more than its share of the time."""
        now = time.perf_counter()
        rest = max(_BETWEEN_PARTS, (now - begun) / COST_SHARE)
        self._not_before = time.monotonic() + rest

    def _notice(self) -> tuple[str, bytes]:
        """What this rank posts now, under which name."""
        if self.first:
            self._word = replace(self._word, beat=self._word.beat + 1)
            return "word", self._word.posted()
        progress = self._progress()
        self._mine = replace(
            self._mine,
            beat=self._mine.beat + 1,
            probes=progress.probes,
            before=progress.before,
            total=progress.total,
        )
        return self._name("sign"), self._mine.posted()

    def _name(self, what: str) -> str:
        return f"{what} {self._ranks.rank}"

    def _is_gone(self, other: _Other, now: float) -> bool:
        return now - other.since > self._board.timeout and not other.sign.left

    def _as_failed(self, failed: list[str]) -> str:
        return (
            f"{len(failed)} of {self.size} ranks could not count their part ({listed(failed)}), so "
            f"there are no counts of all. {KEPT}"
        )

    def _as_gone(self, gone: list[str]) -> str:
        return (
            f"nothing was heard of rank {listed(gone)} for {self._board.timeout:,.3g} seconds, the "
            f"timeout of the job: it may have died. {KEPT}"
        )
