"""`RaySource`: a model and a Ray dataset, whose batches Ray's workers count."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from typing import Any, Final

from iua_widget import errors
from iua_widget.common.amounts import format_bytes
from iua_widget.errors import IUAError, MemoryBudgetError, MergeError, ProducerError
from iua_widget.files.run_file import read_run
from iua_widget.options import CountOptions, SourceOptions
from iua_widget.run.gathering import CountedBatch, CountedSource, TakeBatch
from iua_widget.scale.ray_batch_counter import MOST_BYTES, packed
from iua_widget.scale.ray_execution import Execution
from iua_widget.scale.ray_options import checked_options
from iua_widget.sources.position import Position
from iua_widget.sources.producers import at_most

_PATIENCE: Final = 0.2
"""Seconds that are waited for a batch before whoever counts is asked whether to go on."""
_BEFORE_ALL: Final = -1
"""The number of no row."""


class RaySource(CountedSource):
    """A model and a Ray dataset, whose batches are counted on Ray's workers.

    Each batch comes back as a row with its counts, in the order of the data. Rows have numbers, the
    same in each execution: what has been counted is passed over in the next.

    Parameters
    ----------
    model : torch.nn.Module
    dataset : ray.data.Dataset
    options : SourceOptions
    ray_options : mapping, optional
        Arguments of the dataset's `map_batches`.

    Raises
    ------
    LayerSelectionError
        If one of `layers` matches no module.
    ProducerError
        If the model cannot be watched, or there is something wrong with `ray_options`.
    """

    restartable = True

    def __init__(
        self,
        model: Any,
        dataset: Any,
        options: SourceOptions,
        ray_options: Mapping[str, Any] | None = None,
    ) -> None:
        from iua_widget.capture.refusals import unwrapped
        from iua_widget.capture.source import TorchSource

        given = checked_options(ray_options, dataset)
        TorchSource(model, [], options)  # which refuses what cannot be counted
        self._model, self._options = unwrapped(model), options
        self._batching = {"batch_size": options.batch_size, **given}
        most = options.max_probes
        self._total = at_most(dataset._meta_count(), most)  # noqa: SLF001  (count() may execute it)
        self._dataset = dataset if most is None else dataset.limit(most)
        self._execution: Execution | None = None
        self._processes: dict[str, int] = {}
        self._nodes: set[str] = set()
        self._lost = 0
        self.label = type(self._model).__name__

    @property
    def total(self) -> int | None:
        """Probes it will give, where Ray knows that without executing it."""
        return self._total

    @property
    def notes(self) -> list[str]:
        """Whether workers were lost."""
        if not self._lost:
            return []
        times = "once" if self._lost == 1 else f"{self._lost} times"
        note = (
            f"A worker of Ray was lost {times}. The batches that it had not given back were "
            "counted anew, once each."
        )
        return [note]

    @property
    def workers(self) -> str:
        """How many have given batches, and on how many nodes."""
        workers, nodes = len(self._processes), len(self._nodes)
        if not workers:
            return ""
        many, nodes_in_words = "s" * (workers > 1), f"{nodes} node{'s' * (nodes > 1)}"
        return f"Counted by {workers} worker{many} of Ray on {nodes_in_words}."

    @property
    def weights(self) -> str | None:
        """See `iua_widget.capture.fingerprint`."""
        from iua_widget.capture.fingerprint import fingerprint

        return fingerprint(self._model)

    def rest(self) -> None:
        """End the workers, until the next batch is asked for: on the thread that counts."""
        execution, self._execution = self._execution, None
        self._processes.clear()
        self._nodes.clear()
        if execution is not None:
            execution.end()

    def counted_batches(
        self, take: TakeBatch, options: CountOptions, position: Position
    ) -> Generator[int]:
        """Have the workers count what comes after a position: see `CountedSource`."""
        import ray

        if position.probes and position.row is None:
            message = (
                "the run was counted from another sort of loader, and cannot go on with a Ray "
                "dataset: save to another file, and add the two by IUA.merge."
            )
            raise ProducerError(message)
        parcel = ray.put(packed(self._model, self._options, options))
        weights, self._lost = self.weights, 0
        try:
            while True:
                if self._execution is None:  # at the beginning, and after a pause
                    last = _BEFORE_ALL if position.row is None else position.row
                    passed = _Passed(position)
                    self._execution = Execution(self._dataset, parcel, last, self._batching)
                row = self._next(self._execution, position)
                if row is not None:
                    self._check(row, position)
                    if "end" in row:
                        passed.check_all()
                        break
                    self._note_worker(row)
                    passed.add(row)
                    if row["rows"]:
                        passed.check_all()
                        take(_counted_batch(row, last, weights))
                        last = row["last"]
                        yield row["rows"]
                        continue
                yield 0
            self._total = position.probes
        finally:
            self.rest()

    def _next(self, execution: Execution, position: Position) -> Mapping[str, Any] | None:
        from ray.exceptions import RayError

        try:
            return execution.next(_PATIENCE)
        except RayError as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            message = (
                f"Ray lost the process that executes the dataset, before batch {position.batches}: "
                f"{said[0]}{_kept(position)}"
            )
            raise ProducerError(message, batch=position.batches) from error

    def _check(self, row: Mapping[str, Any], position: Position) -> None:
        """Raise what went wrong on a worker."""
        if failure := row.get("failure"):
            raise self._as_raised(failure, position)
        if large := row.get("too_large"):
            raise self._too_large(large)

    def _as_raised(self, failure: Mapping[str, Any], position: Position) -> IUAError:
        number, message = position.batches, failure["message"]
        kind = getattr(errors, failure["kind"] or "ProducerError")
        if failure["batch"] is not None:  # where each batch is the first
            message = message.replace("batch 0", f"batch {number}", 1)
        if failure.get("loading"):
            message = (
                f"a worker of Ray could not load {self.label}: {message}. What is imported there "
                "must be installed there, or sent: ray.init(runtime_env={'working_dir': '.'})."
            )
        elif not failure["kind"]:
            message = f"{self.label} got no batch {number} from the Ray dataset: {message:.500}"
            message = f"{message.rstrip().rstrip('.')}."
        message += "" if message.endswith(_kept(position)) else _kept(position)
        error: IUAError = kind(message)
        if isinstance(error, ProducerError):
            error.batch = number
        if failure["traceback"]:
            error.add_note(f"On a worker of Ray:\n{failure['traceback']}")
        return error

    def _too_large(self, large: Mapping[str, Any]) -> MemoryBudgetError:
        size, size_of_layer = format_bytes(large["bytes"]), format_bytes(large["layer_bytes"])
        batch_size = self._batching["batch_size"]
        in_all = ""
        if self._total is not None and isinstance(batch_size, int):
            batches = math.ceil(self._total / batch_size)
            in_all = f", {batches:,} times {size} in all"
        message = (
            "each batch's counts come from Ray's workers as a row, which here would take "
            f"{size}{in_all}; a row may take {format_bytes(MOST_BYTES)}. The largest layer is "
            f"{large['layer']!r}, {large['units']:,} units at {large['columns']} stops: "
            f"{size_of_layer}. Count channels (units='channel'), or choose fewer layers or stops."
        )
        return MemoryBudgetError(message, layer=large["layer"])

    def _note_worker(self, row: Mapping[str, Any]) -> None:
        actor, process = row["actor"], row["process"]
        self._lost += self._processes.get(actor, process) != process
        self._processes[actor] = process
        self._nodes.add(row["node"])


class _Passed:
    """What an execution passed over, which must be what was counted before."""

    def __init__(self, position: Position) -> None:
        self._probes, self._checksum = position.probes, position.checksum
        self._passed = self._passed_checksum = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the rows of a batch that were passed over."""
        self._passed += row["passed"]
        self._passed_checksum = (self._passed_checksum + row["passed_checksum"]) % 2**32

    def check_all(self) -> None:
        """Check that all was passed over.

        Raises
        ------
        ProducerError
            If it is not the same.
        """
        if (self._passed, self._passed_checksum) == (self._probes, self._checksum):
            return
        message = (
            f"{self._probes} rows had been counted before, and now the Ray dataset begins with "
            f"{self._passed} of these, or with others: to go on, it must give the same rows in the "
            "same order, in batches of the same size. Leave out what shuffles it, or seed that, or "
            "save to another file to begin anew."
        )
        raise ProducerError(message)


def _counted_batch(row: Mapping[str, Any], last: int, weights: str | None) -> CountedBatch:
    if row["first"] <= last < row["last"] and not row["passed"]:
        message = f"Ray gave row {row['first']} after row {last}: please report this."
        raise ProducerError(message)
    run = read_run(row["tally"])
    if weights is not None and run.weights != [weights]:
        found = run.weights[0] if run.weights else "none"
        message = (
            f"a worker of Ray counted a model of other weights: their fingerprint is {found}, and "
            f"{weights} here. Loading the model must not change it."
        )
        raise MergeError(message)
    return CountedBatch(run, row["rows"], row["checksum"], row["last"])


def _kept(position: Position) -> str:
    return " What was counted before it is kept." if position.probes else ""
