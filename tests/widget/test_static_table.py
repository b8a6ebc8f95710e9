"""The static page: bounded, escaped, and never showing more death than there is."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from iua_widget import IUA, IUAWarning, IUAWidget
from iua_widget.common.png import indexed_png
from iua_widget.tolerances import Tolerances
from iua_widget.widget.layer_picture import (
    DEAD,
    GROUND,
    HEIGHT,
    LIVE,
    NOT_FINITE,
    PALETTE,
    WIDTH,
    layer_picture,
    picture_pixels,
)
from iua_widget.widget.static_table import MOST_BYTES, OnPage, static_table

ROOT = Path(__file__).parents[2]
AT = Tolerances(0.0, 1e-8, "layer_mean")
SHAPES = [
    (40, 1, 1),
    (1, 3, 9),
    (6, 6, 6),
    (300, 14, 14),
    (64, 112, 112),
    (1, 700, 900),
    (7, 5, 4000),
]


def pixels_of(png: bytes) -> np.ndarray:
    """What a reader of the format finds in a file of this kind."""
    chunks, at = {}, 8
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4]), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + body) == int.from_bytes(png[at + 8 + length : at + 12 + length])
        chunks[kind] = body
        at += 12 + length
    width, height = (int.from_bytes(chunks[b"IHDR"][place : place + 4]) for place in (0, 4))
    assert chunks[b"IHDR"][8:] == bytes([4, 3, 0, 0, 0])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return np.stack([rows[:, 1:] >> 4, rows[:, 1:] & 15], axis=-1).reshape(height, -1)[:, :width]


@pytest.mark.parametrize("width", [1, 2, 7])
def test_a_png_holds_the_pixels_it_was_made_of(width: int) -> None:
    pixels = np.random.default_rng(width).integers(0, 16, (5, width), np.uint8)
    assert (pixels_of(indexed_png(pixels, [(0, 0, 0)] * 16)) == pixels).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("most_dead", [0.0, 0.02, 0.6, 1.0])
def test_each_channel_is_painted_as_dead_as_it_is_to_a_pixel(
    shape: tuple[int, int, int], most_dead: float
) -> None:
    random = np.random.default_rng(7)
    dead = random.random(shape) < random.random((shape[0], 1, 1)) * most_dead
    dead |= (np.arange(shape[0]) % 5 == 1)[:, None, None] & (most_dead == 1)
    pixels = picture_pixels(np.where(dead, 1.0, random.random(shape)), np.where(dead, DEAD, LIVE))
    assert pixels.shape[0] <= HEIGHT
    assert pixels.shape[1] <= WIDTH
    painted = pixels != GROUND
    tile_rows = np.split(pixels, np.flatnonzero(~painted.any(axis=1)))
    columns = np.flatnonzero(~painted.any(axis=0))
    pieces = [tile for row in tile_rows for tile in np.split(row, columns, axis=1)]
    tiles = [tile for piece in pieces if (tile := piece[piece != GROUND]).size]
    if shape[1] * shape[2] == 1:
        tiles = [np.concatenate(tiles)]
        dead = dead.reshape(1, -1, 1)
    assert len(tiles) == len(dead)
    for tile, units in zip(tiles, dead, strict=True):
        assert abs((tile == DEAD).sum() - units.mean() * tile.size) <= tile.size / units.size + 1


def test_a_million_units_and_more_channels_than_pixels_still_fit() -> None:
    random = np.random.default_rng(1)
    for shape in ((1_000_000, 1, 1), (150_000, 3, 1)):
        dead = random.random(shape) < 0.3
        pixels = picture_pixels(random.random(shape), np.where(dead, DEAD, LIVE))
        painted = pixels[pixels != GROUND]
        assert abs((painted == DEAD).mean() - dead.mean()) < 1e-3
        assert len(indexed_png(pixels, PALETTE)) < 52_000


def test_a_picture_of_a_layer_shows_its_own_units() -> None:
    data = np.ones((4, 2, 3, 5), np.float32)  # batch, rows, columns, channels
    data[:, :, :, 1] = 0
    data[0, 0, 0, 2] = np.nan
    data[:2, :, :, 3] = 0
    with pytest.warns(IUAWarning, match="Not finite"):
        iua = IUA.introspect({"maps": data}, channel_axis=3, engine="reference")
    picture = layer_picture(iua._run.tally("maps"), AT)
    assert picture is not None
    pixels = pixels_of(picture.png)
    assert pixels.shape == (picture.height, picture.width)
    shown = set(np.unique(pixels))
    assert shown == {GROUND, LIVE, LIVE + 6, NOT_FINITE, DEAD}
    whole, gap = 3 * 20, 1
    assert (pixels[:40, whole + gap : 2 * whole + gap] == DEAD).all()
    assert (pixels == DEAD).sum() == 6 * 400
    assert (pixels == NOT_FINITE).sum() == 400


@pytest.mark.parametrize("letters", ['<&"', "🦄"], ids=["markup", "four bytes"])
def test_the_page_is_bounded_however_many_layers_and_however_long_their_names(
    letters: str,
) -> None:
    random = np.random.default_rng(0)
    layers = {f"{letters * 100}{n}": random.random((16, 3)) for n in range(2000)}
    often = random.random(100_000)
    layers["large"] = (random.random((16, 100_000)) < often).astype(np.float32)
    iua = IUA.introspect(layers, engine="reference")
    page = static_table(iua, OnPage(letters * 9000, letters * 9000, AT, "large"))
    sizes = {kind: len(text.encode()) for kind, text in page.items()}
    assert sizes["text/html"] > 64_000
    assert sum(sizes.values()) < MOST_BYTES
    assert page["text/html"].count("<tr") == (1 + 10) + (1 + 50 + 1)
    assert "And 1,951 more layers." in page["text/html"]
    assert "<&" not in page["text/html"]


def test_the_page_has_the_rows_in_the_order_on_show_and_those_of_the_filter() -> None:
    iua = IUA.introspect({name: np.eye(3)[:, :n] for n, name in enumerate("xyz", 1)})
    sort = {"column": "units", "ascending": False}
    page = static_table(iua, OnPage("net", "", AT, "x", sort, "units>1"))
    rows = page["text/plain"].partition("Layers\n")[2].splitlines()[1:]
    assert [row.split() for row in rows] == [
        ["z", "array", "3", "66.7", "%", "0", "0.0", "%"],
        ["y", "array", "2", "66.7", "%", "0", "0.0", "%"],
        ["2", "layers", "5", "0", "0.0", "%"],
    ]
    assert "2 of 3 layers, filtered by “units&gt;1”." in page["text/html"]
    picture = re.search(r"base64,([^\"]+)", page["text/html"])
    assert picture
    assert pixels_of(base64.b64decode(picture[1])).shape == (20, 20)


def test_outside_of_a_notebook_the_page_comes_with_the_widget() -> None:
    widget = IUAWidget({"a": np.zeros((3, 2))}, engine="reference")
    widget.wait()
    bundle = widget._repr_mimebundle_()[0]
    assert "Inactive units of" in bundle["text/html"]
    assert "3 probes" in bundle["text/html"]


def test_the_picture_has_the_colors_of_the_page() -> None:
    source = (ROOT / "js/src/canvas/color.ts").read_text(encoding="utf-8")
    anchors = re.search(r"blue: \{.*?dark: \{\s*anchors: \[(.*?)\]", source, re.DOTALL)
    assert anchors
    page = [tuple(bytes.fromhex(color)) for color in re.findall(r"#(\w{6})", anchors[1])]
    assert PALETTE[LIVE : NOT_FINITE : (NOT_FINITE - LIVE) // (len(page) - 1)] == page
    signals = (ROOT / "js/src/page/base.css").read_text(encoding="utf-8")
    for name, place in (("dead", DEAD), ("not-finite", NOT_FINITE)):
        color = re.search(rf"--iua-{name}: #(\w{{6}})", signals)
        assert color
        assert PALETTE[place] == tuple(bytes.fromhex(color[1]))


def first_column(page: dict[str, str], table: str) -> list[str]:
    lines = page["text/plain"].partition(f"{table}\n")[2].partition("\n\n")[0].splitlines()
    return [line.split("  ")[0] for line in lines[1:]]


def test_long_names_are_told_apart_where_they_differ() -> None:
    begin, end = "base_model.model.vision_tower.encoder.layers", "mlp.activation_wrapper.gelu_act"
    names = [f"{begin}.{n}.{side}.{end}" for n in range(12) for side in ("left", "right")]
    names += [f"{'x' * 400}{middle}{'x' * 300}{n}{'x' * 400}" for middle in "yz" for n in range(3)]
    names += ["a\nb", "a\rb", "\u202eabc", "\ud800"]
    iua = IUA.introspect(dict.fromkeys(names, np.eye(3)), engine="reference")
    page = static_table(iua, OnPage("net", "", AT, names[3]))
    shown = first_column(page, "Layers")[:-1]
    assert len(set(shown)) == len(names)
    assert max(map(len, shown)) == 72
    assert all(f"s.{n // 2}." in shown[n] for n in range(24))
    assert shown[-4:] == ["a�b #31", "a�b #32", "�abc", "�"]
    assert (
        first_column(page, "Worst units of the network")
        == [name for name in shown[:4] for _ in range(3)][:10]
    )
    assert f"Heatmap of {shown[3]}" in page["text/html"]
    "".join(page.values()).encode()


@pytest.mark.filterwarnings("ignore:Not finite:iua_widget.IUAWarning")
def test_a_layer_that_was_never_finite_has_no_figures() -> None:
    data = {"lost": np.full((4, 3), np.nan), "half": np.array([[np.inf, 0.0]])}
    iua = IUA.introspect({**data, "half": np.repeat(data["half"], 4, axis=0)})
    page = static_table(iua, OnPage("net", "", AT, "half"))
    rows = page["text/plain"].partition("Layers\n")[2].splitlines()[1:3]
    assert [row.split() for row in rows] == [
        ["lost", "array", "3", "–", "–", "–"],  # noqa: RUF001
        ["half", "array", "2", "50.0", "%", "1", "50.0", "%"],
    ]


def test_the_layer_on_show_at_first_has_units() -> None:
    widget = IUAWidget({"none": np.zeros((4, 0)), "some": np.eye(4)}, background=False)
    assert widget.layer == "some"
