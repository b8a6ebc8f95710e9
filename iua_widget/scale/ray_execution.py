"""An execution of a Ray dataset, in a process of its own with which all of it ends."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from iua_widget.scale.ray_batch_counter import ROW, BatchCounter, as_told

_AHEAD: Final = 2
"""Rows that are asked for before they are taken."""


class Execution:
    """The rows that come of a dataset's batches, in the order of the data.

    All workers belong to one process that executes the dataset. To end that is to end them,
    whatever they do or wait for, and frees what they hold.

    Parameters
    ----------
    dataset : ray.data.Dataset
    parcel : ray.ObjectRef
        As `BatchCounter` takes it.
    after : int
        The number of the last row that was counted before.
    options : mapping
        Of `map_batches`.
    """

    def __init__(self, dataset: Any, parcel: Any, after: int, options: Mapping[str, Any]) -> None:
        import ray

        self._ray = ray
        self._rows = ray.remote(num_cpus=0)(_Rows).remote(dataset, [parcel], after, dict(options))
        self._asked: deque[Any] = deque()

    def next(self, seconds: float) -> Mapping[str, Any] | None:
        """The next row; None where there is none within so many seconds.

        Raises
        ------
        ray.exceptions.RayError
            If the process that executes the dataset is not there any more.
        """
        while len(self._asked) < _AHEAD:
            self._asked.append(self._rows.next.remote())
        ready, _ = self._ray.wait([self._asked[0]], timeout=seconds)
        if not ready:
            return None
        row: Mapping[str, Any] = self._ray.get(self._asked.popleft())
        return row

    def end(self) -> None:
        """End it and all its workers."""
        if self._ray.is_initialized():
            self._ray.kill(self._rows)
        self._asked.clear()


class _Rows:
    """Executes a dataset as an actor: `next` gives row after row, then such as have an end."""

    def __init__(
        self, dataset: Any, parcel: list[Any], after: int, options: dict[str, Any]
    ) -> None:
        from ray.data.expressions import monotonically_increasing_id

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = dataset.context  # a copy, in this process
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False

        def rows() -> Iterator[dict[str, Any]]:  # whose errors, too, are told by `next`
            numbered = dataset.with_column(ROW, monotonically_increasing_id())
            counted = numbered.map_batches(
                BatchCounter,
                fn_constructor_kwargs={"parcel": parcel, "after": after},
                batch_format="numpy",
                **options,
            )
            yield from counted.iter_rows()

        self._rows = rows()

    def next(self) -> dict[str, Any]:
        try:
            row = next(self._rows, None)
        except Exception as error:  # noqa: BLE001  (raised on the driver)
            return {"failure": as_told(_cause(error))}
        if row is None:
            return {"end": True}
        return {**json.loads(row["facts"]), "tally": row["tally"]}


def _cause(error: BaseException) -> BaseException:
    """The user's own error, without those that Ray has wrapped around it."""
    import ray.exceptions as of_ray

    while isinstance(error, (of_ray.RayTaskError, of_ray.UserCodeException)):
        inner = getattr(error, "cause", None) or error.__cause__
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error
