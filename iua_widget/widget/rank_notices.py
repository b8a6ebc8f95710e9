"""What ranks that count for one widget post for each other: `Sign` each, `Word` rank 0."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, Self

Want = Literal["run", "pause", "stop"]
"""What rank 0 wants of all."""


@dataclass(frozen=True, slots=True)
class _Notice:
    """A notice: `beat` is another number each time it is posted."""

    beat: int = 0

    def posted(self) -> bytes:
        """Its bytes."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, notice: bytes) -> Self:
        """The notice of such bytes."""
        return cls(**json.loads(notice))


@dataclass(frozen=True, slots=True)
class Sign(_Notice):
    """What a rank posts: the part that it has posted last, how far it is, and how it ended."""

    part: int = 0
    probes: int = 0
    before: int = 0
    total: int | None = None
    left_out: tuple[str, ...] = ()
    ended: bool = False
    left: bool = False
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Word(_Notice):
    """What rank 0 posts: what all are to do."""

    round: int = 1
    want: Want = "run"
    sum: bool = False
    failed: str = ""
