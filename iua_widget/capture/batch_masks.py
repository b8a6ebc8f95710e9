"""Padding masks found in a batch by their names, each for its part of the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from iua_widget.capture.names import ModuleNames
from iua_widget.sources.masks import Masks

_NAME: Final = re.compile(
    r"(?:(?P<part>src|source|encoder|enc|memory|tgt|target|decoder|dec)_)?"
    r"(?:(?P<real>attention)|(?P<key>key_)?pad(?:ding)?)_mask"
)
"""``attention_mask`` is true where a token is real, and ``key_padding_mask`` where none is."""

_PARTS: Final[dict[str | None, str]] = {
    None: "all",
    "memory": "memory",
    **dict.fromkeys(("src", "source", "enc", "encoder"), "encoder"),
    **dict.fromkeys(("tgt", "target", "dec", "decoder"), "decoder"),
}
_OF_DECODER: Final = re.compile(r"(tgt|target|dec|decoder)(_.*)?")
_ENCODERS = (nn.TransformerEncoder, nn.TransformerEncoderLayer)
_DECODERS = (nn.TransformerDecoder, nn.TransformerDecoderLayer)


def batch_masks(batch: Any, names: ModuleNames, number: int) -> Masks:
    """The masks of a batch that is a mapping of the model's keyword arguments.

    ``attention_mask`` and PyTorch's ``key_padding_mask``, of opposite meaning, as booleans, 0 and
    1, or numbers to be added to scores; with ``src_``, ``tgt_``, ``encoder_`` and the like before
    them, for that part of the model. Only those of shape (items, positions), or with axes of one
    entry between, as attention takes them.

    Parameters
    ----------
    batch : Any
        As the loader gives it.
    names : ModuleNames
        Of the model.
    number : int
        The batch, for errors.

    Examples
    --------
    >>> import torch
    >>> padding = torch.tensor([[False, False, True]])
    >>> layer = nn.TransformerEncoderLayer(8, 2, batch_first=True)
    >>> model = nn.TransformerEncoder(layer, 1)
    >>> batch_masks({"src_key_padding_mask": padding}, ModuleNames(model), 0).of("layers.0/relu")
    array([[ True,  True, False]])
    """
    if isinstance(batch, (tuple, list)) and batch:
        batch = batch[0]
    if not isinstance(batch, Mapping):
        return Masks({}, batch=number)
    masks: dict[str, Any] = {}
    for key, value in batch.items():
        found = _NAME.fullmatch(key) if isinstance(key, str) else None
        mask = _of_positions(value) if found else None
        if found and mask is not None:
            real = bool(found["real"]) or (not found["key"] and _tells_the_real(mask, names))
            masks.setdefault(_PARTS[found["part"]], mask if real else mask == 0)
    decoders = _decoders(names)
    of_decoder = masks.get("decoder")
    by_glob: dict[str, Any] = {f"{decoder}[./]*": of_decoder for decoder in decoders}
    if of_decoder is not None and len(masks) > 1:
        like_it = [name for name in names.modules if _OF_DECODER.fullmatch(_last(name))]
        by_glob |= {glob: of_decoder for name in like_it for glob in (name, f"{name}[./]*")}
    rest = [masks.get("all"), masks.get("encoder")]
    # Of a memory that the model has not computed itself no layer has the positions.
    rest.append(masks.get("memory") if decoders else of_decoder)
    by_glob["*"] = next((mask for mask in rest if mask is not None), None)
    return Masks(by_glob, batch=number)


def _of_positions(mask: Any) -> Any | None:
    """A mask as (items, positions), without axes of size 1 between; None for a mask of pairs."""
    shape: tuple[int, ...] = getattr(mask, "shape", ())
    if len(shape) < 2 or any(size != 1 for size in shape[1:-1]):  # noqa: PLR2004
        return None
    return mask.reshape(shape[0], shape[-1])


def _tells_the_real(mask: Any, names: ModuleNames) -> bool:
    """Whether a ``padding_mask`` is true where a token is real, as in `transformers`.

    It is where an item would be all padding otherwise: the longest of a batch has none.
    """
    of_transformers = type(names.model).__module__.startswith("transformers.")
    return of_transformers or bool((mask != 0).all(1).any() and (mask != 0).any(1).all())


def _decoders(names: ModuleNames) -> list[str]:
    """Modules called ``decoder`` that have an ``encoder`` beside them, and PyTorch's own."""
    beside = {name[: -len("decoder")] for name in names.modules if _last(name) == "decoder"}
    found = [f"{prefix}decoder" for prefix in sorted(beside) if f"{prefix}encoder" in names.modules]
    if any(isinstance(module, _ENCODERS) for module in names.modules.values()):
        found += [name for name, module in names.modules.items() if isinstance(module, _DECODERS)]
    return found


def _last(name: str) -> str:
    return name.rpartition(".")[2]
