"""A reading as a table or as charts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from iua_widget.common.words import did_you_mean
from iua_widget.reading.results import Reading

TABLE: Final = "table"
CHART: Final = "chart"


def show(reading: object, vis_type: str, response_names: str | Iterable[str] | None) -> Any:
    """Make a DataFrame or heatmaps: see `IUA.show`.

    Raises
    ------
    TypeError
        If it is no `Reading`.
    ValueError
        If `vis_type` is neither.
    """
    if not isinstance(reading, Reading):
        message = (
            f"IUA.show takes an IUA, or what its `at` returns; got {type(reading).__name__}. For a "
            "widget `w`, show `w.iua`."
        )
        raise TypeError(message)

    def charts() -> Any:
        from iua_widget.reading.charts import heatmaps

        return heatmaps(reading, response_names)

    return shown_as(vis_type, table=lambda: reading.to_pandas(response_names), chart=charts)


def shown_as(vis_type: str, *, table: Callable[[], Any], chart: Callable[[], Any]) -> Any:
    """What `table` or `chart` makes, as `vis_type` says.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if vis_type == TABLE:
        return table()
    if vis_type == CHART:
        return chart()
    message = (
        "vis_type must be IUA.VisType.TABLE ('table') or IUA.VisType.CHART ('chart'); got "
        f"{vis_type!r}.{did_you_mean(vis_type, (TABLE, CHART))}"
    )
    raise ValueError(message)
