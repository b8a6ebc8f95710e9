"""The load of an expert of a mixture: its share of the tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from iua_widget.errors import MergeError


def of_both(one: ExpertLoad | None, other: ExpertLoad | None) -> ExpertLoad | None:
    """The load over two streams, each of which may have none."""
    if one is None or other is None:
        return one or other
    return one + other


@dataclass(frozen=True, slots=True)
class ExpertLoad:
    """Tokens routed to one expert, and to all experts of its module, without padding.

    Attributes
    ----------
    module : str
        The module of experts.
    expert, experts : int
        Which expert, counted from 0, of how many.
    tokens, routed : int
        Tokens of this expert, and the sum of those of all: a token counts once for each expert that
        it is routed to.

    Examples
    --------
    >>> ExpertLoad("mlp.experts", expert=3, experts=8, tokens=25, routed=100).share
    2.0
    """

    module: str
    expert: int
    experts: int
    tokens: int
    routed: int

    @property
    def share(self) -> float:
        """The expert's tokens over an even share of all: 1.0 if it gets as many as the others.

        NaN where no token has been routed at all.
        """
        return self.tokens * self.experts / self.routed if self.routed else math.nan

    def __add__(self, other: ExpertLoad) -> ExpertLoad:
        """The load over both streams.

        Raises
        ------
        MergeError
            If they are not of the same expert.
        """
        if replace(other, tokens=0, routed=0) != replace(self, tokens=0, routed=0):
            message = (
                f"the experts differ: {self.expert} of {self.experts} of {self.module!r} here, "
                f"{other.expert} of {other.experts} of {other.module!r} there."
            )
            raise MergeError(message)
        tokens, routed = self.tokens + other.tokens, self.routed + other.routed
        return replace(self, tokens=tokens, routed=routed)
