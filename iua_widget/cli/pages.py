"""The pages that commands write: a result or a history, as a file that a browser opens."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from iua_widget.cli.options import Output
from iua_widget.cli.report import wrote
from iua_widget.errors import IUAWarning

if TYPE_CHECKING:
    from iua_widget.history.history import History
    from iua_widget.iua import IUA


def write_page(
    path: str,
    shown: IUA | History,
    at: Mapping[str, Any],
    output: Output,
    *,
    title: str | None,
    text: str | None,
    name: str,
    before: tuple[str, IUA] | None = None,
    look: int | None = None,
    limit: int | None = None,
) -> None:
    """Write a page: see `IUAWidget.to_html`.

    Parameters
    ----------
    path : str
    shown : IUA or History
    at : mapping
        Tolerances at which it opens.
    output : Output
    title, text, limit
        As for `IUAWidget.to_html`.
    name : str
        What the page calls what it shows.
    before : (str, IUA), optional
        The name of a result that it is compared with, and that.
    look : int, optional
        The step at which a history opens; the newest where left out.
    """
    from iua_widget.widget.widget import IUAWidget

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IUAWarning)  # the notes tell
        widget = IUAWidget(shown, name=name, background=False, **at)
        try:
            if look is not None:
                widget.look = look
            if before is not None:
                widget.compare(before[1], name=before[0])
            bound = {} if limit is None else {"limit": limit}
            wrote(widget.to_html(path, title=title, text=text, **bound), output)
        finally:
            widget.close()
