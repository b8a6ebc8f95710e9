"""The JSON object of a file, whose values are checked as they are taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

MOST_AXES: Final = 64
"""A shape of a layer has at the most."""
_LARGEST: Final = 2**62
_ONE_OF: Final = {"layers": "layer", "looks": "look", "whole": "look", "groups": "group"}
"""What one of several objects is called in messages."""


class Facts:
    """An object of the JSON, whose values are checked as they are taken.

    Parameters
    ----------
    values : mapping
    require : callable
        Given what does not hold, raises the error for it: see `Container.require`.
    where : str
        What the object is, for the error.
    """

    def __init__(
        self, values: Mapping[str, Any], require: Callable[[bool, str], None], where: str
    ) -> None:
        self._values, self.require, self._where = values, require, where

    def _take(self, key: str, fits: Callable[[Any], bool]) -> Any:
        value = self._values.get(key)
        self.require(fits(value), f"{key} of {self._where} is {value!r:.60}")
        return value

    def text(self, key: str) -> str:
        """A text."""
        return str(self._take(key, lambda value: isinstance(value, str)))

    def texts(self, key: str) -> list[str]:
        """A list of texts."""
        return list(self._take(key, lambda value: _is_list(value, str)))

    def flag(self, key: str) -> bool:
        """True or false."""
        return bool(self._take(key, lambda value: isinstance(value, bool)))

    def flag_or(self, key: str, *, default: bool) -> bool:
        """A flag that older files lack."""
        return self.flag(key) if key in self._values else default

    def texts_or_empty(self, key: str) -> list[str]:
        """Texts that older files lack."""
        return self.texts(key) if key in self._values else []

    def number_or(self, key: str, *, default: float) -> float:
        """A number that older files lack."""
        return self.number(key) if key in self._values else default

    def whole_or_none(self, key: str) -> int | None:
        """A whole number, zero or more, or None."""
        value = self._take(key, lambda value: value is None or _is_whole(value))
        return None if value is None else int(value)

    def whole_or(self, key: str, *, default: int) -> int:
        """A whole number, zero or more, that older files lack."""
        return self.whole(key) if key in self._values else default

    def whole(self, key: str) -> int:
        """A whole number, zero or more."""
        return int(self._take(key, _is_whole))

    def labels(self, key: str) -> list[str | int | float]:
        """A list of texts and finite numbers."""

        def fits(value: Any) -> bool:
            return isinstance(value, list) and all(_is_label(one) for one in value)

        return list(self._take(key, fits))

    def wholes(self, key: str) -> list[int]:
        """A list of whole numbers."""
        return list(
            self._take(key, lambda value: _is_list(value, int) and all(map(_is_whole, value)))
        )

    def number(self, key: str) -> float:
        """A finite number, zero or more."""
        return float(self._take(key, _is_number))

    def number_or_none(self, key: str) -> float | None:
        """A finite number, or None."""
        value = self._take(key, lambda value: value is None or _is_number(value))
        return None if value is None else float(value)

    def signed_or_none(self, key: str) -> float | None:
        """A finite number of either sign, or None."""

        def fits(value: Any) -> bool:
            return value is None or (type(value) in {int, float} and abs(value) < float("inf"))

        value = self._take(key, fits)
        return None if value is None else float(value)

    def numbers(self, key: str) -> list[float]:
        """A list of finite numbers."""
        return list(
            self._take(key, lambda value: isinstance(value, list) and all(map(_is_number, value)))
        )

    def one_of(self, key: str, choices: tuple[Any, ...]) -> Any:
        """One of some values."""
        return self._take(key, lambda value: isinstance(value, (str, int)) and value in choices)

    def option(self, key: str, kind: type) -> Any:
        """A value, None, or a mapping of layer globs to such."""

        def fits(value: Any) -> bool:
            values = value.values() if isinstance(value, dict) else [value]
            return all(one is None or type(one) is kind for one in values)

        return self._take(key, fits)

    def amount(self, key: str) -> str | int | None:
        """An amount of memory, in words or bytes, or None."""

        def fits(value: Any) -> bool:
            return value is None or isinstance(value, str) or _is_whole(value)

        value: str | int | None = self._take(key, fits)
        return value

    def lengths(self, key: str) -> tuple[int | None, ...] | None:
        """A shape, with None for lengths that vary; or None."""

        def fits(value: Any) -> bool:
            if not isinstance(value, list) or len(value) > MOST_AXES:
                return value is None
            return all(one is None or _is_whole(one) for one in value)

        value = self._take(key, fits)
        return None if value is None else tuple(value)

    def optional(self, key: str) -> Facts | None:
        """An object, or None."""
        value = self._take(key, lambda value: value is None or isinstance(value, dict))
        return None if value is None else Facts(value, self.require, key)

    def object_or_none(self, key: str) -> Facts | None:
        """An object that older files lack, or None."""
        return self.optional(key) if key in self._values else None

    def objects(self, key: str) -> list[Facts]:
        """A list of objects, to be read further."""
        return [
            Facts(value, self.require, f"{_ONE_OF[key]} {number}")
            for number, value in enumerate(self.dicts(key))
        ]

    def dicts(self, key: str) -> list[dict[str, Any]]:
        """A list of objects, as they are."""
        return list(self._take(key, lambda value: _is_list(value, dict)))

    def objects_or_none(self, key: str) -> list[Facts] | None:
        """Such a list, which is None, or not there, elsewhere."""
        return None if self._values.get(key) is None else self.objects(key)

    def lists(self, key: str, kind: type) -> list[list[Any]]:
        """Lists of values of one type."""

        def fits(value: Any) -> bool:
            return _is_list(value, list) and all(_is_list(one, kind) for one in value)

        return list(self._take(key, fits))

    def mapping(self, key: str) -> dict[str, Any]:
        """An object, as it is."""
        return dict(self._take(key, lambda value: isinstance(value, dict)))

    def within(self, key: str, length: int) -> int:
        """A place in a list of this length."""
        return int(self._take(key, lambda value: _is_whole(value) and value < length))


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(one, kind) for one in value)


def _is_label(value: Any) -> bool:
    """Also true or false."""
    return isinstance(value, (str, int)) or (isinstance(value, float) and abs(value) < float("inf"))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and 0 <= value < float("inf"))
