"""Naming the calls of a forward pass, and merging those that are one layer."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from torch import nn

from iua_widget.common.words import named

MOST_SEPARATE: Final = 16
"""With ``"auto"`` more calls than this, with the same weights and of one shape, are one layer."""


@dataclass(slots=True)
class _Calls:
    """The calls of one module or function in one pass.

    Weights are new where they were not used before in the pass. In a loop over layers each step
    uses new weights, so what follows them is another layer each time; in a loop over time steps
    only the first step does.
    """

    number: int = 0
    groups: dict[Any, int] = field(default_factory=dict)
    counts: Counter[int] = field(default_factory=Counter)
    repeats: Counter[int] = field(default_factory=Counter)
    weights: int = -1
    epoch: int = 0
    established: bool = False


class Call(NamedTuple):
    """One call.

    Attributes
    ----------
    base : str
        The module, or the module and function.
    name : str
        ``relu``, then ``relu:1``; or ``relu`` again where merged.
    merged : bool
    ordinal : int
        Which call of its layer it is, counted from 1.
    too_many : bool
        Whether there are too many like it to be layers of their own.
    """

    base: str
    name: str
    merged: bool = False
    ordinal: int = 1
    too_many: bool = False


class Calls:
    """Names the calls of a model, pass by pass.

    Merged are calls of one shape: of a module with weights all of them, and of what has none, an
    activation, those from one place in the code and behind the same weights.

    Parameters
    ----------
    option : {"auto", "separate", "merge"}
        ``"auto"`` merges where there are more than `MOST_SEPARATE`; the first batch decides.
    merged : iterable of str, optional
        What an earlier batch has decided to merge.

    Raises
    ------
    ProducerError
        If there is no such option.
    """

    def __init__(self, option: str = "auto", merged: Iterable[str] | None = None) -> None:
        self._option = option
        self._merged = set(merged or ())
        self._decided = option != "auto" or merged is not None
        self._too_many: set[str] = set()
        self._most: Counter[str] = Counter()
        self._at_first: dict[str, int] | None = None
        self._grown: Counter[str] = Counter()
        self._weightless: dict[int, bool] = {}
        self.begin()

    def begin(self) -> None:
        """Begin a pass: number calls anew."""
        self._calls: dict[str, _Calls] = {}
        self._weights: set[int] = set()

    @property
    def need_functions(self) -> bool:
        """Whether functions must be watched in every batch, to know which weights are used."""
        return bool(self._merged) or self._option == "merge"

    def note_arguments(self, args: Iterable[Any]) -> None:
        """Note the weights among the arguments of a function."""
        for arg in args:
            if isinstance(arg, nn.Parameter):
                self._weights.add(id(arg))
            elif isinstance(arg, (tuple, list)):
                self.note_arguments(arg)

    def note_module(self, module: nn.Module) -> None:
        """Note a module: it may have weights that are not parameters, as quantized ones have."""
        self._weights.add(id(module))

    def number(self, base: str) -> int:
        """How many calls of a module or function there were in this pass."""
        return self._calls[base].number if base in self._calls else 0

    def next(
        self, base: str, shape: tuple[int, ...], *, module: nn.Module | None, apart: bool = False
    ) -> Call:
        """Number one more call of a module or function.

        Parameters
        ----------
        base : str
            The module, or the module and function.
        shape : tuple of int
            Of one probe's response.
        module : torch.nn.Module or None
            None for a function.
        apart : bool
            Whether its calls are never merged.
        """
        calls = self._calls.setdefault(base, _Calls())
        number = calls.number
        calls.number += 1
        merges = not apart and self.is_merged(base)
        if not (merges or apart) and calls.number > MOST_SEPARATE:
            self._note_growth(base, calls.number)
        ordinal, too_many = 1, False
        if merges or not (apart or self._decided):
            group = self._group(calls, shape, module)
            ordinal = calls.counts[group]
            too_many = not merges and calls.repeats[group] >= MOST_SEPARATE
            number = group if merges else number
        return Call(base, f"{base}:{number}" if number else base, merges, ordinal, too_many)

    def counts(self, call: Call) -> bool:
        """Whether to count a wanted call: not if its batch will be repeated with calls merged."""
        if call.merged:
            self._most[call.base] = max(self._most[call.base], call.ordinal)
        if call.too_many:
            self._too_many.add(call.base)
        return call.base not in self._too_many

    def is_merged(self, base: str) -> bool:
        """Whether calls of a module or function are one layer."""
        return self._option == "merge" or base in self._merged

    def decide(self) -> bool:
        """Decide after the first batch what to merge; whether it must be repeated for that."""
        if not self._decided:
            self._at_first = {base: calls.number for base, calls in self._calls.items()}
        self._decided = True
        again = bool(self._too_many)
        self._merged |= self._too_many
        self._too_many = set()
        return again

    @property
    def notes(self) -> list[str]:
        """Notes for whoever reads the counts."""
        return [*self._note_of_merged(), *self._note_of_grown()]

    def _note_growth(self, base: str, number: int) -> None:
        """Note that a module is called more often than in the first batch, as longer loops do."""
        if self._at_first is not None and number > max(self._at_first.get(base, 0), MOST_SEPARATE):
            self._grown[base] = max(self._grown[base], number)

    def _note_of_grown(self) -> list[str]:
        if not self._grown:
            return []
        note = (
            f"{named(list(self._grown))}: up to {max(self._grown.values())} calls a pass, each of "
            "them a layer of its own because the first batch made fewer. If this is a loop over "
            "time steps, calls='merge' makes them one layer."
        )
        return [note]

    def _note_of_merged(self) -> list[str]:
        merged = [base for base in self._most if base in self._merged]
        if not merged:
            return []
        most = max(self._most[base] for base in merged)
        note = (
            f"{named(merged)}: up to {most} calls a pass, as in a loop over time steps, are one "
            "layer, and the responses of each call are probes (by default where there are more "
            f"than {MOST_SEPARATE} calls of one shape). calls='separate' makes each call a layer."
        )
        return [note]

    def _group(self, calls: _Calls, shape: tuple[int, ...], module: nn.Module | None) -> int:
        repeat = calls.weights == len(self._weights)
        if not repeat and calls.established:
            calls.epoch += 1
        calls.established, calls.weights = repeat, len(self._weights)
        key = (_calling_place(), shape, calls.epoch) if self._has_no_weights(module) else shape
        group = calls.groups.setdefault(key, len(calls.groups))
        calls.counts[group] += 1
        calls.repeats[group] += repeat
        return group

    def _has_no_weights(self, module: nn.Module | None) -> bool:
        if module is None:
            return True
        if id(module) not in self._weightless:
            self._weightless[id(module)] = next(module.parameters(), None) is None
        return self._weightless[id(module)]


def _calling_place() -> tuple[int, int]:
    """The place in the user's code, outside PyTorch and this package, that the call comes from."""
    frame = sys._getframe(1)  # noqa: SLF001
    while frame.f_back is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in {"torch", "iua_widget"}:
            break
        frame = frame.f_back
    return id(frame.f_code), frame.f_lasti
