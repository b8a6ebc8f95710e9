"""The failure that ended a run, reported to whoever reads its figures later."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from iua_widget.errors import FileError, IUAError, NoProbesError

_BROKE_OFF: Final = "The run broke off after"


@dataclass(frozen=True, slots=True)
class Failure:
    """The end of a run that broke off.

    Attributes
    ----------
    message : str
        What happened.
    probes : int
        Inputs counted before.
    error : callable
        Gives the error, as long as somebody keeps it: it holds on to the batch it met, so this
        does not keep it.
    """

    message: str
    probes: int
    error: Callable[[], BaseException | None]

    @classmethod
    def of(cls, error: BaseException, probes: int) -> Failure:
        """Of an error that ends a run.

        Examples
        --------
        >>> Failure.of(ValueError("no more"), 32).note
        'The run broke off after 32 inputs, and the figures are of these: ValueError: no more'
        """
        message = str(error) if isinstance(error, IUAError) else f"{type(error).__name__}: {error}"
        try:
            reference: Callable[[], BaseException | None] = weakref.ref(error)
        except TypeError:  # those that Python itself raises, such as KeyboardInterrupt
            return cls(message, probes, _gone)
        return cls(message, probes, reference)

    def __reduce__(self) -> tuple[Any, ...]:
        return Failure, (self.message, self.probes, _gone)

    @property
    def note(self) -> str:
        """For the reader of the figures that there are."""
        inputs = f"{self.probes:,} input{'' if self.probes == 1 else 's'}"
        return f"{_BROKE_OFF} {inputs}, and the figures are of these: {self.message}"

    def reported(self, what: str) -> NoProbesError:
        """The error for the reader of figures that there are not, with the failure as its cause."""
        error = NoProbesError(f"{what}: the run broke off. {self.message}")
        error.__cause__ = self.error()
        return error


def tells_failure(note: str) -> bool:
    """Whether a note is that of a failure, which holds no more once the run has gone on."""
    return note.startswith(_BROKE_OFF)


def _gone() -> None:
    """The error of a failure that was copied, or came from another process."""


@contextmanager
def partial_kept(partial: Any) -> Iterator[None]:
    """Have an error that ends this block hold what was counted before it.

    Parameters
    ----------
    partial : IUA
    """
    try:
        yield
    except BaseException as error:  # Ctrl-C at any moment, too
        keep_partial(error, partial)
        raise


def keep_partial(error: BaseException, partial: Any) -> None:
    """Have an error hold what was counted before it: an `IUA`."""
    if getattr(error, "partial", None) is None:
        error.partial = partial  # type: ignore[attr-defined]
        # The others say themselves what is kept.
        if isinstance(error, FileError) or not isinstance(error, IUAError):
            error.add_note("What was counted before is kept, as `partial` of this exception.")
