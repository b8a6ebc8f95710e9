"""Top probes drawn: images with the place marked, texts with the token marked."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from iua_widget import IUA, IUAWidget, ProducerError
from iua_widget.reading.sample_picture import sample_png
from iua_widget.reading.shown_probe import Drawing, DrawnProbe, drawn_sample
from iua_widget.reading.shown_probes import card_probes, probes_to_show
from iua_widget.reading.top_probes import TopProbe

RNG = np.random.default_rng(0)
MAPS = RNG.normal(size=(6, 3, 4, 4))
PINK = 255, 0, 200


def counted(**options: Any) -> IUA:
    return IUA.introspect({"conv": MAPS}, units="channel", top_probes=2, **options)


def pixels(png: bytes | None) -> np.ndarray:
    assert png is not None
    return np.asarray(Image.open(io.BytesIO(png)))


def at(*place: int, lengths: tuple[int, ...] = (), probe: int = 0) -> TopProbe:
    return TopProbe(0, 1, probe, 1.0, place, lengths)


@pytest.mark.parametrize(
    "shape", [(8, 8), (1, 8, 8), (3, 8, 8), (8, 8, 3), (8, 8, 4), (7, 8, 8), (200, 130), (64,)]
)
def test_images_of_any_shape_are_drawn(shape: tuple[int, ...]) -> None:
    picture = pixels(sample_png(RNG.random(shape)))
    assert picture.shape[2] == 3
    assert 48 <= max(picture.shape) <= 128


def test_colors_are_kept_and_floats_are_scaled() -> None:
    image = RNG.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    np.testing.assert_array_equal(pixels(sample_png(image)), image)
    np.testing.assert_array_equal(pixels(sample_png(image / 255)), image)
    np.testing.assert_array_equal(pixels(sample_png(np.moveaxis(image, 2, 0))), image)
    normalized = pixels(sample_png(np.array([[-2.0, np.nan], [0.0, 2.0]])))
    assert normalized[::48, ::48, 0].tolist() == [[0, 128], [128, 255]]


def test_the_place_of_a_map_is_framed_in_the_image() -> None:
    picture = pixels(sample_png(np.zeros((32, 32)), (1, 3), (4, 4)))
    framed = np.argwhere((picture == PINK).all(axis=2))
    assert framed.min(axis=0).tolist() == [24, 72]
    assert framed.max(axis=0).tolist() == [47, 95]
    for unmarked in (((), ()), ((3,), (8,)), ((1, 2), ())):
        assert not (pixels(sample_png(np.zeros((32, 32)), *unmarked)) == PINK).all(axis=2).any()


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.uint8, np.int64, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=5, max_side=6, min_side=0),
    )
)
def test_no_array_breaks_a_picture(sample: np.ndarray) -> None:
    png = sample_png(sample, (0, 0), (2, 2))
    assert png is None or pixels(png).ndim == 3


def test_samples_of_datasets_are_drawn() -> None:
    torch = pytest.importorskip("torch")
    image = RNG.random((3, 8, 8)).astype("f4")
    expected = drawn_sample(image, at(1, 1, lengths=(2, 2)))
    assert expected.png
    colors = Image.fromarray(RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    data = torch.utils.data.TensorDataset(torch.from_numpy(image)[None], torch.tensor([3]))
    for show in ([image], [(image, 3)], [[image, 3]], [{"pixels": image}], data, {0: image}):
        assert Drawing(show).draw(at(1, 1, lengths=(2, 2))) == expected
    assert Drawing(lambda probe, place: image if (probe, place) == (4, (1, 1)) else 0).draw(
        at(1, 1, lengths=(2, 2), probe=4)
    ) == expected  # fmt: skip
    assert pixels(Drawing([colors]).draw(at()).png).shape == (96, 96, 3)
    assert pixels(Drawing([colors.convert("P")]).draw(at()).png).shape == (96, 96, 3)


class Tokenizer:
    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [len(word) for word in text.split()]}

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [f"t{one}" for one in ids]


class Decoder:
    def decode(self, ids: list[int]) -> str:
        return f"<{ids[0]}>"


@pytest.mark.parametrize(
    ("show", "text"),
    [
        ([["a", "b", "c"]], "a [b] c"),
        ([[5, 6, 7]], "5 [6] 7"),
        ([np.array([5, 6, 7])], "5 [6] 7"),
        (([[5, 6, 7]], Tokenizer()), "t5 [t6] t7"),
        (([{"input_ids": [5, 6]}], Tokenizer()), "t5 [t6]"),
        (([("one fish", 1)], Tokenizer()), "t3 [t4]"),
        (([np.array([5, 6])], Decoder()), "<5> [<6>]"),
        (["a text"], "a text"),
        ([["alone"]], "alone"),
        ([[str(n) for n in range(40)]], "0 [1] 2 3 4 5 6 7 8 9 10 11 12 13 …"),
        ([1 / 3], "0.3333333333333333"),
        ([np.array(["x"])], "<U1 of shape (1,)"),
        ([], "Cannot be drawn: IndexError: list index out of range"),
    ],
)
def test_texts_have_their_token_marked(show: Any, text: str) -> None:
    assert Drawing(show).draw(at(1)).text == text


def test_what_a_text_holds_is_no_page() -> None:
    drawn = Drawing([["<script>", "<b>", "\x1b&"]]).draw(at(1))
    assert drawn.html == "&lt;script&gt; <mark>&lt;b&gt;</mark> \N{REPLACEMENT CHARACTER}&amp;"


@pytest.mark.parametrize("wrong", [3, iter([1]), "text", b"x"], ids=["int", "iterator", "str", "b"])
def test_what_draws_nothing_is_refused(wrong: Any) -> None:
    with pytest.raises(ProducerError, match="show must be a dataset, of which dataset"):
        counted().top_probes("conv", show=wrong)
    with pytest.raises(ProducerError, match="show must be a dataset"):
        IUAWidget(counted(), show=wrong)


def test_a_loader_is_answered_with_its_dataset() -> None:
    data = pytest.importorskip("torch").utils.data
    with pytest.raises(ProducerError, match=r"loader\.dataset"):
        Drawing(data.DataLoader([1, 2]))


def test_a_table_has_its_probes_drawn() -> None:
    images = RNG.random((6, 8, 8))
    table = counted().top_probes("conv", units=[0, 2], show=images)
    plain = counted().top_probes("conv", units=[0, 2])
    assert list(table) == [*plain, "shown"]
    assert table.drop(columns="shown").equals(plain)
    assert all(isinstance(one, DrawnProbe) for one in table["shown"])
    assert table._repr_html_().count("<img src=") == 4  # type: ignore[operator]
    assert "<picture of" in repr(table)
    mapped = table[table["rank"] == 1]
    assert len(mapped) == 2
    assert counted().top_probes("conv", units=[], show=images).empty


def test_a_card_has_what_json_can_hold() -> None:
    tally = counted()._run.tallies["conv"]
    (first, second) = card_probes(probes_to_show("conv", tally, 1), Drawing(RNG.random((6, 8, 8))))
    json.dumps([first, second])
    assert first["src"].startswith("data:image/png;base64,")
    assert (first["rank"], second["rank"]) == (1, 2)
    assert MAPS[(first["probe"], 1, *first["place"])] == first["value"]
    assert first["lengths"] == [4, 4]
    assert card_probes(probes_to_show("conv", tally, 1))[0]["src"] == ""
    by_element = IUA.introspect({"conv": MAPS}, top_probes=1)._run.tallies["conv"]
    (one,) = card_probes(probes_to_show("conv", by_element, 16 + 4 * 2 + 3))
    assert (one["place"], one["lengths"]) == ([2, 3], [4, 4])
    assert MAPS[one["probe"], 1, 2, 3] == one["value"]


def test_a_widget_takes_what_draws_them() -> None:
    w = IUAWidget(
        {"conv": MAPS}, units="channel", top_probes=2, show=MAPS, background=False,
        engine="reference",
    )  # fmt: skip
    assert len(w.iua.top_probes("conv")) == 6
    IUAWidget(w.iua, show=MAPS)


@pytest.mark.parametrize("place", [(), (13,)])
def test_long_tokens_are_cut(place: tuple[int, ...]) -> None:
    drawn = drawn_sample(["x" * 100_000] * 30, at(*place))
    assert len(drawn.text) < 1_000
    assert drawn.marked == ("x" * 240 if place else "")
