"""The time that importing takes, in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

from measure import Row, Spread, seconds, side_by_side

TITLE = "Import, in a fresh process"


def rows(*, quick: bool = False) -> Iterator[Row]:
    pairs = 1 if quick else 15
    for code, must, goal in (
        ("import iua_widget", 0.6, 0.3),
        ("from iua_widget import IUA", None, None),
        ("from iua_widget import IUAWidget", None, None),
    ):
        times = side_by_side(fresh(code), fresh("pass"), pairs=pairs)
        yield Row(
            f"`{code}`",
            "`pass`, beside it in the same run",
            Spread.of(times.ours),
            f"of which the interpreter {seconds(times.their_median)} ({pairs} pairs)",
            must=must,
            goal=goal,
            unit="s",
        )


def fresh(code: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)
