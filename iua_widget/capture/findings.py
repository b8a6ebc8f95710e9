"""`Findings`: what a model's passes have shown so far, and the signal to repeat a batch."""

from __future__ import annotations

from dataclasses import dataclass, field

from iua_widget.capture.mixture import Mixture


@dataclass(slots=True)
class Findings:
    """What a model's passes have shown so far, beyond the responses.

    Attributes
    ----------
    calls : set of str
        Modules called.
    responses : dict of str to None
        Responses of activations and of chosen modules, in the order they came.
    functions : bool
        Whether a wanted function was called: whether to intercept them in later batches.
    other_threads : set of str
        Chosen modules called on another thread meanwhile.
    mixtures : dict of str to Mixture
        By the module of experts.
    experts_last : dict of str to bool
        By layer: see `AllExperts`.
    unsplit : set of str
        Layers that compute for several experts at once, in an order that is not known.
    channel_axes : dict of str to int or None
        By response, as the first batch told.
    """

    calls: set[str] = field(default_factory=set)
    responses: dict[str, None] = field(default_factory=dict)
    functions: bool = False
    other_threads: set[str] = field(default_factory=set)
    mixtures: dict[str, Mixture] = field(default_factory=dict)
    experts_last: dict[str, bool | None] = field(default_factory=dict)
    unsplit: set[str] = field(default_factory=set)
    channel_axes: dict[str, int | None] = field(default_factory=dict)


class RepeatBatch(BaseException):
    """The batch must be run again, because something in it was misjudged.

    A response came that no batch before had, so that functions must be intercepted; or what was
    taken for the experts' responses one by one is not.
    """
