"""`BatchCounter`: what counts batches of a Ray dataset, on each of its workers."""

from __future__ import annotations

import io
import json
import os
import threading
import traceback
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from iua_widget.errors import IUAError
from iua_widget.files.run_file import run_bytes
from iua_widget.options import CountOptions, SourceOptions
from iua_widget.run.counter import Counter
from iua_widget.run.run import Run

ROW: Final = "iua_widget.row"
"""The column that numbers the rows, ascending, the same whenever the dataset is executed."""
MOST_BYTES: Final = 64 * 2**20
"""What the counts of a batch may have, which travel to the driver as a row."""
_FRAMES: Final = -6
"""Of a traceback that are told: the last ones."""


def packed(model: Any, source: SourceOptions, counting: CountOptions) -> bytes:
    """A model and how to count it, as `BatchCounter` takes it, from whatever device it is on.

    Classes and functions of a notebook go along, which `pickle` leaves behind.
    """
    import ray
    import torch

    buffer = io.BytesIO()
    one = model, replace(source, max_probes=None), counting
    torch.save(one, buffer, pickle_module=ray.cloudpickle)
    return buffer.getvalue()


class BatchCounter:
    """Counts batch after batch of the same model; the callable class of Ray's `map_batches`.

    Parameters
    ----------
    parcel : list of ray.ObjectRef
        One, to what `packed` gave.
    after : int
        The number of the last row that was counted before.
    """

    def __init__(self, parcel: list[Any], after: int) -> None:
        import ray

        context = ray.get_runtime_context()
        self._after = after
        self._facts = {
            "actor": context.get_actor_id(),
            "node": context.get_node_id(),
            "process": os.getpid(),
        }
        self._lock = threading.Lock()  # an actor may be asked to call on several threads
        self._failure: dict[str, Any] | None = None
        try:
            self._begin(ray.get(parcel[0]))
        except Exception as error:  # noqa: BLE001  (raised on the driver)
            self._failure = {**as_told(error), "kind": "", "loading": True}

    def _begin(self, parcel: bytes) -> None:
        import ray
        import torch

        from iua_widget.capture.fingerprint import fingerprint

        gpu = torch.cuda.is_available() and ray.get_gpu_ids()
        model, source, counting = torch.load(
            io.BytesIO(parcel), map_location="cuda" if gpu else "cpu", weights_only=False
        )
        self._model, self._by_name = model, not (source.forward is None and source.mask is None)
        self._batches: list[Any] = []
        self._counter = Counter(model, self._batches, counting, source)
        self._weights = fingerprint(model)

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Count a batch.

        Parameters
        ----------
        batch : mapping of str to numpy.ndarray
            Columns, one of them `ROW`.

        Returns
        -------
        dict of str to numpy.ndarray
            One row: ``facts``, in JSON, and ``tally``, the bytes of a file, of those rows that were
            not counted before; empty where there are none.
        """
        numbers = batch[ROW]
        columns = {name: column for name, column in batch.items() if name != ROW}
        new = numbers > self._after
        passed = {name: column[~new] for name, column in columns.items()}
        columns = {name: column[new] for name, column in columns.items()}
        facts = {
            **self._facts,
            "first": int(numbers[0]) if len(numbers) else self._after,
            "last": int(numbers[-1]) if len(numbers) else self._after,
            "passed": int((~new).sum()),
            "passed_checksum": checksum_of_rows(passed),
            "checksum": checksum_of_rows(columns),
            "rows": int(new.sum()),
        }
        tally = b""
        if facts["rows"]:
            try:
                with self._lock:
                    tally = self._count(columns, facts)
            except Exception as error:  # noqa: BLE001  (raised on the driver)
                self._failure = as_told(error)
        facts["failure"] = self._failure
        return {"facts": np.array([json.dumps(facts)]), "tally": np.array([tally], object)}

    def _count(self, columns: dict[str, np.ndarray], facts: dict[str, Any]) -> bytes:
        if self._failure is not None:
            return b""
        from iua_widget.capture.inputs import as_input

        self._batches[:] = [columns if self._by_name else as_input(self._model, columns)]
        run = self._counter.count()
        run.weights = [] if self._weights is None else [self._weights]
        if run.nbytes > MOST_BYTES:
            facts["too_large"] = _size(run)
            return b""
        return run_bytes(run)


def _size(run: Run) -> dict[str, Any]:
    layer, tally = max(run.tallies.items(), key=lambda item: item[1].nbytes)
    return {
        "layer": layer,
        "units": tally.units,
        "columns": len(tally.columns),
        "layer_bytes": tally.nbytes,
        "bytes": run.nbytes,
    }


def as_told(error: BaseException) -> dict[str, Any]:
    """An error as JSON can hold it: those of the package by name, and where users' came from.

    Examples
    --------
    >>> as_told(ValueError("no"))["message"], as_told(IUAError("none"))["kind"]
    ('ValueError: no', 'IUAError')
    """
    own = isinstance(error, IUAError)
    cause = error.__cause__ if own else error
    lines = [] if cause is None else traceback.format_exception(cause, limit=_FRAMES, chain=False)
    return {
        "kind": type(error).__name__ if own else "",
        "message": str(error) if own else f"{type(error).__name__}: {error}",
        "batch": getattr(error, "batch", None),
        "traceback": "".join(lines).rstrip(),
    }


def checksum_of_rows(columns: Mapping[str, np.ndarray]) -> int:
    """The sum of the CRC-32 of rows: that of rows in any order, in batches of any size.

    Examples
    --------
    >>> rows = {"x": np.arange(6.0).reshape(3, 2), "label": np.array(["a", "b", "c"], object)}
    >>> parts = [{name: column[part] for name, column in rows.items()} for part in ([2], [0, 1])]
    >>> sum(map(checksum_of_rows, parts)) % 2**32 == checksum_of_rows(rows)
    True
    """
    total = 0
    for row in zip(*(columns[name] for name in sorted(columns)), strict=True):
        checksum = 0
        for value in row:
            plain = isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject
            data = value.tobytes() if plain else repr(value).encode("utf-8", "surrogatepass")
            checksum = zlib.crc32(data, checksum)
        total += checksum
    return total % 2**32
