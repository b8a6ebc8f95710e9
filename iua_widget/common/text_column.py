"""Names as a column of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def text_column(values: Sequence[str] | np.ndarray) -> pd.Series[str]:
    r"""A column of texts, of which any may have half of a surrogate pair, as names of layers may.

    Arrow, in which pandas keeps texts where it is there, has no such texts: then Python keeps them.

    Examples
    --------
    >>> text_column(["relu", "half a pair: \ud800"]).tolist()
    ['relu', 'half a pair: \ud800']
    """
    import pandas as pd

    try:
        return pd.Series(values, dtype="str")
    except UnicodeEncodeError:
        return pd.Series(values, dtype=pd.StringDtype("python", na_value=math.nan))
