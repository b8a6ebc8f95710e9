"""Lets any thread change a widget in Shiny, which sends only from the session's thread."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anywidget
import traitlets


class ShinySession:
    """A session of Shiny, and the event loop that serves it.

    Parameters
    ----------
    session : shiny.Session
    loop : asyncio.AbstractEventLoop
        That which runs on this thread.
    """

    def __init__(self, session: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._session = session
        self._loop = loop
        self._thread = threading.get_ident()

    @property
    def elsewhere(self) -> bool:
        """Whether this is another thread than the session's."""
        return threading.get_ident() != self._thread

    def hand_over(self, send: Callable[[], None]) -> None:
        """Send on the session's thread, soon, and have Shiny pass it on to the page."""

        def begin() -> None:
            tasks.add(task := self._loop.create_task(self._send(send)))
            task.add_done_callback(tasks.discard)

        tasks: set[asyncio.Task[None]] = set()
        with contextlib.suppress(RuntimeError):  # the server has gone
            self._loop.call_soon_threadsafe(begin, context=contextvars.Context())

    async def _send(self, send: Callable[[], None]) -> None:
        from shiny import reactive
        from shiny.session import session_context

        async with reactive.lock():
            with session_context(self._session):
                send()
            await reactive.flush()


@dataclass(frozen=True, slots=True)
class SessionObserver:
    """Hears of a trait's changes on the session's thread, wherever they are made.

    Equal to another of the same handler, so that it can be let go of by that.
    """

    session: ShinySession
    handler: Callable[[Any], Any]

    def __call__(self, change: Any) -> None:
        """Tell the handler."""
        if self.session.elsewhere:
            self.session.hand_over(lambda: self.handler(change))
        else:
            self.handler(change)


def current_shiny_session() -> ShinySession | None:
    """The session of Shiny that this code runs in; None where it runs elsewhere."""
    shiny = sys.modules.get("shiny.session")
    session = shiny.get_current_session() if shiny is not None else None
    if session is None or session.is_stub_session():
        return None
    return ShinySession(session, asyncio.get_running_loop())


class SessionWidget(anywidget.AnyWidget):
    """A widget that sends to its page, and tells its observers, from whatever thread."""

    _shiny: ShinySession | None = None

    def __init__(self, **values: Any) -> None:
        self._shiny = current_shiny_session()
        super().__init__(**values)
        if self._shiny is not None:
            self.layout.height = "fit-content"  # else shinywidgets gives it 400 pixels to fill

    def observe(self, handler: Any, names: Any = traitlets.All, type: Any = "change") -> None:  # noqa: A002  (its name)
        """Call `handler` when a trait changes: see `traitlets.HasTraits.observe`."""
        super().observe(self._in_session(handler), names, type)

    def unobserve(self, handler: Any, names: Any = traitlets.All, type: Any = "change") -> None:  # noqa: A002
        """Call `handler` no more: see `traitlets.HasTraits.unobserve`."""
        super().unobserve(self._in_session(handler), names, type)

    def _in_session(self, handler: Any) -> Any:
        if self._shiny is None or isinstance(handler, traitlets.EventHandler):
            return handler
        return SessionObserver(self._shiny, handler)

    def _send(self, msg: Any, buffers: Any = None) -> None:
        if self._shiny is not None and self._shiny.elsewhere:
            send = super()._send
            self._shiny.hand_over(lambda: send(msg, buffers))
            return
        super()._send(msg, buffers)
        # From 7.4 on ipykernel hands what the page says next to the thread that sent last. A frame
        # is sent beside the user's cell, but belongs to it: with the cell busy, the buttons of the
        # page would wait for it to end. JupyterLab's own choice, a thread that listens, is better.
        getattr(self.comm, "__dict__", {}).pop("_reply_subshell_id", None)
