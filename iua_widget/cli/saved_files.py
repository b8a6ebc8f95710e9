"""The saved files that commands read: of runs, and of histories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from iua_widget.common.words import did_you_mean
from iua_widget.errors import FileError

if TYPE_CHECKING:
    from iua_widget.iua import IUA

OF_HISTORIES: Final = ".iuah"
"""How files of histories end."""


def load(path: str) -> IUA:
    """Read a saved run.

    Raises
    ------
    FileError
        If it is not there, with the file that comes nearest, or holds none.
    """
    from iua_widget.iua import IUA

    if there(path).endswith(OF_HISTORIES):
        message = (
            f"{path!r} is a history, and a run is expected (.iua). `iua-widget show {path}` lists "
            "its looks, and `--step` shows one; of a look that is kept whole, `monitor.iua(step)."
            "save(...)` makes the file of a run."
        )
        raise FileError(message)
    return IUA.load(path)


def there(path: str) -> str:
    """Return the path of a saved file, if it is there.

    Raises
    ------
    FileError
        Otherwise, with the file that comes nearest.
    """
    here = Path(path)
    if not here.exists() and here.parent.is_dir():
        near = [one.name for one in here.parent.glob("*.iua*")]
        message = (
            f"{path!r} is not there: expected a file that `--save`, `IUA.save` or `resume=` has "
            f"written.{did_you_mean(here.name, near)}"
        )
        raise FileError(message)
    return path
