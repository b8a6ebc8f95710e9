"""A second output under a notebook cell, kept up to date for readers without a kernel."""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from weakref import WeakSet

import ipywidgets

from iua_widget.common.forks import free_in_child

_SETTLED_AFTER: Final = 1.0
"""Seconds without a change after which what is on show counts as settled."""

# Of JupyterLab: what stands where the widget was, such as "model not found", gives way to this.
_PAGE: Final = """<style>
.jp-OutputArea-child:has(+ .jp-OutputArea-child .{name}):not(:has(.jp-OutputArea-output > *)) {{
  display: none;
}}
</style>
<div class="{name}">
{page}
</div>"""

_kept: WeakSet[CellOutput] = WeakSet()
_asked: dict[CellOutput, str] = {}
"""Those whose widget was displayed, by the execution of a cell that did so."""


class CellOutput:
    """What a widget leaves in the notebook under every cell that displays it.

    It is a sibling of the widget's own output, and can be brought up to date without touching that:
    the page's script hides it where the widget lives. An output with a name (a display id) is what
    a kernel can change after the cell has ended, and the value of a cell has none.

    Parameters
    ----------
    build : callable
        Gives what is to be left now, by MIME type.
    tell_page : callable
        Takes the same when it has changed: a notebook that was loaded anew heeds no more what the
        kernel says of its cells, but the page, which can reach them, does.

    Attributes
    ----------
    name : str
        The display id, and a class of the HTML.
    """

    def __init__(
        self,
        build: Callable[[], Mapping[str, str]],
        tell_page: Callable[[Mapping[str, str]], None],
    ) -> None:
        self.name = f"iua-still-{uuid.uuid4().hex[:12]}"
        self._build = build
        self._tell_page = tell_page
        self._lock = free_in_child(threading.Lock())
        self._publishing = free_in_child(threading.Lock())
        self._timer: threading.Timer | None = None
        self._published = False
        self._changed_outside = False
        _listen(_shell())

    def follows(self) -> bool:
        """Take note that the widget is being displayed; whether this output will follow.

        It follows at the end of the cell, so that it lands in the cell itself where the widget was
        displayed inside of another one. It does not outside of notebooks, and where no cell is
        running on this thread.
        """
        execution = _execution(_shell())
        if execution is None:
            return False
        _asked[self] = execution
        return True

    def update(self, *, settled: bool = True) -> None:
        """Bring it up to date soon, on a thread of its own, or at the end of the cell at hand.

        Parameters
        ----------
        settled : bool
            Whether that is how things stand; otherwise when nothing has changed for a second.
        """
        with self._lock:
            self._forget_timer()
            if self._published:
                self._timer = threading.Timer(0 if settled else _SETTLED_AFTER, self._fire)
                self._timer.daemon = True
                self._timer.start()

    def update_after_cell(self) -> None:
        """Bring it up to date at the end of the cell at hand, where it changes all the while."""
        with self._lock:
            self._changed_outside |= self._published

    def after_cell(self, execution: str | None) -> None:
        """Publish what the cell that ends has displayed, and what changed outside of cells."""
        asked = _asked.pop(self, None)
        displayed = asked is not None and asked == execution
        with self._lock:
            changed = self._forget_timer() or self._changed_outside
            self._changed_outside = False
            self._published = self._published or displayed
        if displayed:
            _kept.add(self)
        if displayed or (changed and self._published):
            self._publish(update=not displayed)

    def _fire(self) -> None:
        with self._lock:
            if threading.current_thread() is not self._timer:
                return
            self._timer = None
            # Whoever runs a notebook without a page heeds only what belongs to the cell at hand.
            self._changed_outside = True
        self._publish(update=True)

    def _publish(self, *, update: bool) -> None:
        shell = _shell()
        if shell is None:
            return
        with self._publishing:
            try:
                data = dict(self._build())
                data["text/html"] = _PAGE.format(name=self.name, page=data["text/html"])
                shell.display_pub.publish(
                    data=data, metadata={}, transient={"display_id": self.name}, update=update
                )
            except Exception:
                shell.log.exception("What the notebook keeps of a widget could not be made.")
                return
            if update:
                self._tell_page(data)

    def _forget_timer(self) -> bool:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None


def _shell() -> Any:
    """The shell of a notebook's kernel; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    whole = all(hasattr(shell, name) for name in ("kernel", "events", "display_formatter"))
    return shell if whole else None  # Solara has one that is not


def _execution(shell: Any) -> str | None:
    """Names the execution of a cell that goes on, on this thread; None where none does."""
    if shell is None or threading.current_thread() is not threading.main_thread():
        return None
    parent: Any = getattr(shell, "get_parent", dict)()
    header = parent.get("header", {})
    return header.get("msg_id") if header.get("msg_type") == "execute_request" else None


def _listen(shell: Any) -> None:
    """Have the shell tell when a cell ends, and when it displays a container of widgets."""
    if shell is None or _after_cell in shell.events.callbacks["post_run_cell"]:
        return
    shell.events.register("post_run_cell", _after_cell)
    bundles = shell.display_formatter.mimebundle_formatter
    if bundles.for_type(ipywidgets.Box) is None:  # otherwise somebody else shows them their way
        bundles.for_type(ipywidgets.Box, _container)


def _after_cell(_result: object) -> None:
    execution = _execution(_shell())
    for output in {*_asked, *_kept}:
        output.after_cell(execution)


def _container(box: ipywidgets.Box) -> Any:
    """What ipywidgets itself makes of it; the widgets in it are displayed, too."""
    for output in _within(box):
        output.follows()
    return box._repr_mimebundle_()


def _within(widget: Any) -> Iterator[CellOutput]:
    for child in getattr(widget, "children", ()):
        output = getattr(child, "_cell_output", None)
        if isinstance(output, CellOutput):
            yield output
        yield from _within(child)
