"""`Activation`: what is known of the function that makes a response of its input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Activation:
    """What is known of an activation: where it is zero, and where it saturates.

    Attributes
    ----------
    zero_up_to : float or None
        The input up to which it is exactly zero; None where there is none such.
    lower, upper : float or None
        Responses at or beyond which it counts as at its bound; None where it has no such bound.

    Examples
    --------
    >>> Activation(zero_up_to=0.0, upper=6.0).bounded
    True
    """

    zero_up_to: float | None = None
    lower: float | None = None
    upper: float | None = None

    @property
    def bounded(self) -> bool:
        """Whether it has a bound."""
        return self.lower is not None or self.upper is not None


def of_both(one: Activation | None, other: Activation | None) -> Activation | None:
    """What is known of the activation over two streams: nothing where they differ."""
    return one if one == other else None
