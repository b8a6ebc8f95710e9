"""The traits of the widget, which Python and the page both see, checked when they are set."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

import traitlets

from iua_widget.common.words import did_you_mean
from iua_widget.errors import IUAError
from iua_widget.tolerances import DEFAULT_TAU, Tolerances, check_scale
from iua_widget.widget.assets import script, styles
from iua_widget.widget.shiny_session import SessionWidget
from iua_widget.widget.view_state import CHECKS, Known

TOLERANCES: Final = ("rtol", "atol", "scale", "dead_at", "tau")
RULE: Final = ("rtol", "atol", "scale")
"""Those of the tolerances that say when a unit is inactive."""
LOOKS: Final = ("look", "against")
"""Which look of a history is chosen, and which is compared with it."""
SETTINGS: Final = (*TOLERANCES, "layer", "selected", "sort", "filter", "color")
"""What is chosen on the page or from Python."""

_OWN: Final = __name__.partition(".")[0]
_MISSPELLED: Final = 0.8
"""Likeness from which on an attribute that a subclass sets is taken for one of ours, misspelled."""


class WidgetTraits(SessionWidget):
    """What crosses between Python and the page: see `IUAWidget` for what each trait means."""

    # Text, not paths: anywidget keeps every widget made from a file alive for good.
    _esm = traitlets.Unicode(script(), read_only=True).tag(sync=True)
    _css = traitlets.Unicode(styles(), read_only=True).tag(sync=True)

    rtol = traitlets.CFloat(0.0).tag(sync=True)
    atol = traitlets.CFloat(1e-8).tag(sync=True)
    scale = traitlets.Unicode("layer_mean").tag(sync=True)
    dead_at = traitlets.CFloat(1.0).tag(sync=True)
    tau = traitlets.CFloat(DEFAULT_TAU).tag(sync=True)
    layer = traitlets.Unicode("").tag(sync=True)
    selected = traitlets.List(traitlets.Int()).tag(sync=True)
    sort = traitlets.Any(None, allow_none=True).tag(sync=True)
    filter = traitlets.Unicode("").tag(sync=True)
    color = traitlets.Unicode("share").tag(sync=True)
    look = traitlets.Any(None, allow_none=True).tag(sync=True)
    against = traitlets.Any(None, allow_none=True).tag(sync=True)
    group = traitlets.Any(None, allow_none=True).tag(sync=True)
    by_group = traitlets.Bool(False).tag(sync=True)  # noqa: FBT003
    status = traitlets.Unicode("idle", read_only=True).tag(sync=True)
    _run = traitlets.Dict(read_only=True).tag(sync=True)
    _table = traitlets.Bytes(b"", read_only=True).tag(sync=True)
    _units = traitlets.Bytes(b"", read_only=True).tag(sync=True)
    _worst = traitlets.Bytes(b"", read_only=True).tag(sync=True)
    _history = traitlets.Bytes(b"", read_only=True).tag(sync=True)
    _life = traitlets.Bytes(b"", read_only=True).tag(sync=True)
    _groups = traitlets.Any([], read_only=True).tag(sync=True)
    _cards = traitlets.Any([], read_only=True).tag(sync=True)
    # The newest frame a page has shown. Its changes are coalesced on the way, unlike messages.
    _shown = traitlets.Int(0).tag(sync=True, echo_update=False)
    # What the page hides where the widget lives: the output kept for those without a kernel.
    _still = traitlets.Unicode(read_only=True).tag(sync=True)

    @property
    def tolerances(self) -> Tolerances:
        """Those on show."""
        return Tolerances(self.rtol, self.atol, check_scale(self.scale), self.dead_at, self.tau)

    def _known(self) -> Known:
        """What is known of the layers."""
        return Known(self.layer)

    def _before_change(self, name: str) -> None:
        """Hear of a trait that is being set, even to what it is."""

    @traitlets.validate(*CHECKS)
    def _check(self, proposal: Any) -> Any:
        name = proposal["trait"].name
        self._before_change(name)
        try:
            return CHECKS[name](proposal["value"], self._known())
        except (IUAError, TypeError, ValueError) as error:
            raise traitlets.TraitError(str(error)) from None

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_"):
            _check_may_be_set(type(self), name)
        super().__setattr__(name, value)


def _check_may_be_set(kind: type[WidgetTraits], name: str) -> None:
    """A subclass may set attributes of its own, if they are not ours misspelled."""
    there = getattr(kind, name, None)
    if isinstance(there, FunctionType) and there.__module__.partition(".")[0] == _OWN:
        hint = did_you_mean(name, sorted(SETTINGS))
        message = f"{name} is a method of {kind.__name__}, and cannot be set.{hint}"
        raise AttributeError(message)
    if hasattr(kind, name):
        return
    ours = kind.__module__.partition(".")[0] == _OWN
    hint = did_you_mean(name, sorted(SETTINGS), cutoff=0.4 if ours else _MISSPELLED)
    if ours or hint:
        message = f"{kind.__name__} has no attribute {name!r} to set.{hint}"
        raise AttributeError(message)


def guarded(page: WidgetTraits, action: Callable[[], object]) -> None:
    """Do what may call the user's observers: an error of theirs must not end the run."""
    try:
        action()
    except Exception:
        page.log.exception("An observer of the widget, or sending to the page, failed.")
