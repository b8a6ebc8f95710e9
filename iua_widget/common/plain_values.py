"""Converts options to plain Python values, whichever library's numbers a user gave."""

from __future__ import annotations

from typing import Any


def plain(value: Any) -> Any:
    """What an array or tensor without axes holds; any other value as it is.

    Examples
    --------
    >>> import numpy as np
    >>> plain(np.array(1e-8)), plain(np.int64(4)), plain("auto"), plain(None)
    (1e-08, 4, 'auto', None)
    """
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
