"""Draws a probe that fires a unit, an image or a text, with the place that does so marked."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from iua_widget.common.layer_names import printable
from iua_widget.common.tensors import as_numpy, is_tensor
from iua_widget.errors import ProducerError
from iua_widget.reading.sample_picture import sample_png

if TYPE_CHECKING:
    from iua_widget.reading.top_probes import TopProbe

_AROUND: Final = 12
"""Tokens before and after the marked one that are shown."""
_MOST_LETTERS: Final = 240
_PAIR: Final = 2


@dataclass(frozen=True, slots=True)
class DrawnProbe:
    """A probe as it is drawn: as a picture, or as text of three parts.

    Attributes
    ----------
    png : bytes
        A picture, as a PNG file; empty where it is text.
    before, marked, after : str
        A text, to be set as text: the token that fires the unit, where that is known, and what is
        around it.
    """

    png: bytes = b""
    before: str = ""
    marked: str = ""
    after: str = ""

    @property
    def src(self) -> str:
        """The picture as a data URI; empty where it is text."""
        if not self.png:
            return ""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"

    @property
    def text(self) -> str:
        """The text, its marked token in brackets."""
        return self.before + (f"[{self.marked}]" if self.marked else "") + self.after

    def __repr__(self) -> str:
        return self.text or f"<picture of {len(self.png)} bytes>"

    @property
    def html(self) -> str:
        """As a notebook shows it."""
        if self.png:
            return f'<img src="{self.src}" alt="">'
        before, marked, after = (escape(text) for text in (self.before, self.marked, self.after))
        return before + (f"<mark>{marked}</mark>" if marked else "") + after

    def _repr_html_(self) -> str:
        return self.html


class Drawing:
    """Draws probes with what the user gives for it.

    Parameters
    ----------
    show : callable, indexable, or tuple of an indexable and a tokenizer
        See `IUA.top_probes`.

    Raises
    ------
    ProducerError
        If it is none of these.
    """

    def __init__(self, show: Any) -> None:
        self._tokenizer: Any = None
        if isinstance(show, tuple) and len(show) == _PAIR and _is_tokenizer(show[1]):
            show, self._tokenizer = show
        if not _is_indexable(show) and not callable(show):
            message = (
                "show must be a dataset, of which dataset[probe] is a sample, such a dataset with "
                "its tokenizer, show=(dataset, tokenizer), or a function of probe and position, "
                f"show=lambda probe, position: images[probe]; got {type(show).__name__}."
            )
            if hasattr(show, "dataset"):
                message += " Of a DataLoader give loader.dataset, where the order is the same."
            raise ProducerError(message)
        self._show = show

    def draw(self, probe: TopProbe) -> DrawnProbe:
        """Draw a probe; where what was given fails, the text says so."""
        try:
            return self._drawn(probe)
        except Exception as error:  # noqa: BLE001  (it is the user's, and only a picture)
            said = printable(f"Cannot be drawn: {type(error).__name__}: {error}")
            return DrawnProbe(before=said[:_MOST_LETTERS])

    def _drawn(self, probe: TopProbe) -> DrawnProbe:
        if _is_indexable(self._show):
            sample = self._show[probe.probe]
        else:
            place = probe.place
            sample = self._show(probe.probe, place[0] if len(place) == 1 else place or None)
        return drawn_sample(sample, probe, self._tokenizer)


def drawn_sample(sample: Any, probe: TopProbe, tokenizer: Any = None) -> DrawnProbe:
    """Draw a sample.

    Parameters
    ----------
    sample : Any
        An image, as an array, a tensor, of Pillow's, or anything that IPython can show as a PNG
        file; a text, a list of tokens, or their ids; or a tuple or list that begins with one, or a
        mapping, of which ``input_ids``, or else the first, is one.
    probe : TopProbe
    tokenizer : Any, optional
        Of `transformers`, or with a method `decode` alike.
    """
    if isinstance(sample, Mapping):
        sample = sample["input_ids"] if "input_ids" in sample else next(iter(sample.values()))
    if isinstance(sample, str):
        if tokenizer is None or not callable(tokenizer):
            return DrawnProbe(before=printable(sample)[:_MOST_LETTERS])
        sample = tokenizer(sample)["input_ids"]
    if isinstance(sample, tuple) or (isinstance(sample, list) and not _is_tokens(sample)):
        return drawn_sample(sample[0], probe, tokenizer)
    if isinstance(sample, list) and isinstance(sample[0], str):
        return _drawn_tokens(sample, probe.place)
    if getattr(sample, "mode", None) == "P":  # of Pillow's: its colors are in a list beside it
        sample = sample.convert("RGB")
    if is_tensor(sample) or isinstance(sample, list) or _is_array(sample):
        return _drawn_array(sample, probe, tokenizer)
    as_png = getattr(sample, "_repr_png_", None)
    if callable(as_png) and (png := as_png()):
        return DrawnProbe(png=png[0] if isinstance(png, tuple) else png)
    return DrawnProbe(before=printable(str(sample))[:_MOST_LETTERS])


def _drawn_array(sample: Any, probe: TopProbe, tokenizer: Any) -> DrawnProbe:
    values = as_numpy(sample) if is_tensor(sample) else np.asarray(sample)
    if values.ndim == 1 and values.dtype.kind in "iu":
        ids = [int(one) for one in values]
        return _drawn_tokens(_tokens_of(ids, tokenizer), probe.place)
    png = sample_png(values, probe.place, probe.lengths)
    if png is None:
        return DrawnProbe(before=f"{values.dtype} of shape {values.shape}")
    return DrawnProbe(png=png)


def _drawn_tokens(tokens: Sequence[str], place: tuple[int, ...]) -> DrawnProbe:
    """Tokens with one marked, and some around it; the last axis of a place counts them."""
    tokens = [printable(one[:_MOST_LETTERS]) for one in tokens]
    at = place[-1] if place and place[-1] < len(tokens) else None
    if at is None:
        return DrawnProbe(before=_spaced(tokens[: 2 * _AROUND])[:_MOST_LETTERS])
    start, end = max(0, at - _AROUND), at + 1 + _AROUND
    before, after = _spaced(tokens[start:at]), _spaced(tokens[at + 1 : end])
    return DrawnProbe(
        before=("… " if start or len(before) > _MOST_LETTERS else "")
        + before[-_MOST_LETTERS:]
        + (" " if before else ""),
        marked=tokens[at],
        after=(" " if after else "")
        + after[:_MOST_LETTERS]
        + (" …" if end < len(tokens) or len(after) > _MOST_LETTERS else ""),
    )


def _spaced(tokens: Sequence[str]) -> str:
    return " ".join(tokens)


def _tokens_of(ids: Sequence[int], tokenizer: Any) -> list[str]:
    convert = getattr(tokenizer, "convert_ids_to_tokens", None)
    if callable(convert):
        return [str(one) for one in convert(list(ids))]
    if tokenizer is not None:
        return [str(tokenizer.decode([one])) for one in ids]
    return [str(one) for one in ids]


def _is_tokens(sample: Sequence[Any]) -> bool:
    """Whether it is a list of tokens, or of their ids, and not a sample with its label."""
    texts = all(isinstance(one, str) for one in sample)
    return bool(sample) and (texts or all(isinstance(one, (int, np.integer)) for one in sample))


def _is_array(sample: Any) -> bool:
    return hasattr(sample, "__array__") or hasattr(sample, "__array_interface__")


def _is_tokenizer(value: Any) -> bool:
    if isinstance(value, (bytes, bytearray)):
        return False
    return callable(getattr(value, "convert_ids_to_tokens", getattr(value, "decode", None)))


def _is_indexable(value: Any) -> bool:
    return hasattr(type(value), "__getitem__") and not isinstance(value, (str, bytes))
