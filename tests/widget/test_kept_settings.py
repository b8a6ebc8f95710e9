"""A cell run again keeps the settings of the widget it replaces, where its code sets none."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from iua_widget import IUA, IUAWidget
from iua_widget.widget.cells import CellRun
from iua_widget.widget.replacing import settings_in
from iua_widget.widget.traits import SETTINGS

RNG = np.random.default_rng(3)
DATA = {name: np.maximum(RNG.normal(size=(20, 12)), 0) for name in ("a", "b", "c")}
CHOSEN: dict[str, Any] = {
    "atol": 0.25,
    "rtol": 0.125,
    "scale": "unit_rms",
    "dead_at": 0.5,
    "tau": 0.1,
    "layer": "b",
    "selected": [2, 5],
    "sort": {"column": "dead units", "ascending": False},
    "filter": "b dead-units>0",
    "color": "dead",
}
DEFAULTS: dict[str, Any] = {name: getattr(IUAWidget, name).default() for name in SETTINGS}


_BOOKS = itertools.count()


class Book:
    """Stands in for the notebook: which cell runs, and the page's changes beside it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._number = next(_BOOKS)
        self._runs = 0
        self._here: CellRun | None = None
        monkeypatch.setattr("iua_widget.widget.replacing.current_cell", lambda: self._here)

    def run(self, make: Callable[[], Any], cell: str = "cell 1") -> Any:
        self._runs += 1
        self._here = CellRun(f"{cell} of {self._number}", str(self._runs))
        try:
            made = make()
        finally:
            self._here = None  # as in a callback of the page
        for widget in made if isinstance(made, tuple) else (made,):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert widget.wait(30)
        return made


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Iterator[Book]:
    return Book(monkeypatch)


def shown(source: Any = DATA, **options: Any) -> IUAWidget:
    return IUAWidget(source, engine="reference", **options)


def smooth() -> IUAWidget:
    """Of a network without exact zeros, which opens at a relative tolerance by itself."""
    model = torch.nn.Sequential(torch.nn.Linear(12, 40), torch.nn.GELU())
    return IUAWidget(model, torch.randn(200, 12), engine="reference")


def from_page(widget: IUAWidget, **state: Any) -> None:
    for name, value in state.items():
        widget.set_state({name: value})


def settings(widget: IUAWidget) -> dict[str, Any]:
    return {name: getattr(widget, name) for name in SETTINGS}


def test_what_was_set_on_the_page_stays_however_often_the_cell_is_run(book: Book) -> None:
    from_page(book.run(shown), **CHOSEN)
    for _ in range(3):
        assert settings(book.run(shown)) == CHOSEN


def test_a_finished_run_shown_again_keeps_its_settings_too(book: Book) -> None:
    iua = IUA.introspect(DATA)
    from_page(book.run(lambda: IUAWidget(iua)), **CHOSEN)
    assert settings(book.run(lambda: IUAWidget(iua))) == CHOSEN


def test_the_code_of_the_cell_wins_and_is_kept_only_while_it_says_so(book: Book) -> None:
    def coded() -> IUAWidget:
        widget = shown(atol=0.5, dead_at=0.75)
        widget.color = "count"
        return widget

    first = book.run(coded)
    from_page(first, atol=0.01, layer="c", color="dead")
    again = book.run(coded)
    assert (again.atol, again.dead_at, again.layer, again.color) == (0.5, 0.75, "c", "count")
    plain = book.run(shown)
    assert (plain.atol, plain.dead_at, plain.layer) == (1e-8, 1.0, "c")


def test_code_of_the_cell_that_is_gone_leaves_no_setting(book: Book) -> None:
    def coded() -> IUAWidget:
        widget = shown(tau=0.5)
        widget.filter = "a"
        return widget

    book.run(coded)
    plain = book.run(shown)
    assert settings(plain) == DEFAULTS | {"layer": "a"}


def test_what_another_cell_sets_is_kept(book: Book) -> None:
    first = book.run(shown)

    def elsewhere() -> IUAWidget:
        first.layer = "c"
        first.preset("near zero")
        return first

    book.run(elsewhere, "cell 2")
    again = book.run(shown)
    assert (again.layer, again.atol) == ("c", 0.05)


def test_another_cell_begins_at_the_defaults(book: Book) -> None:
    from_page(book.run(shown), **CHOSEN)
    assert settings(book.run(shown, "cell 2")) == DEFAULTS | {"layer": "a"}


def test_outside_a_notebook_nothing_is_kept() -> None:
    from_page(shown(), **CHOSEN)
    assert shown().atol == 1e-8


def test_the_widgets_of_a_cell_are_matched_in_their_order(book: Book) -> None:
    one, two = book.run(lambda: (shown(), shown()))
    from_page(one, layer="b")
    from_page(two, layer="c", atol=0.5)
    one, two, three = book.run(lambda: (shown(), shown(), shown()))
    assert [w.layer for w in (one, two, three)] == ["b", "c", "a"]
    assert [w.atol for w in (one, two, three)] == [1e-8, 0.5, 1e-8]


@pytest.mark.parametrize("names_known", [True, False])
def test_what_there_is_not_any_more_falls_back_in_silence(book: Book, names_known: bool) -> None:
    from_page(book.run(shown), layer="c", units=[11], atol=0.5)
    fewer = {"a": DATA["a"], "b": DATA["b"]}
    again = book.run(lambda: shown(fewer if names_known else iter([fewer])))
    assert (again.layer, again.selected, again.atol) == ("a", [], 0.5)
    assert again._run["notes"] == []


def test_units_that_there_are_not_any_more_are_let_go_of(book: Book) -> None:
    from_page(book.run(shown), layer="b", units=[2, 11])
    again = book.run(lambda: shown({name: array[:, :6] for name, array in DATA.items()}))
    assert (again.layer, again.selected) == ("b", [])


def test_where_the_page_opened_by_itself_it_does_so_anew(book: Book) -> None:
    first = book.run(smooth)
    assert first.rtol > 0, "opened at a relative tolerance"
    from_page(first, color="dead")
    plain = book.run(shown)
    assert (plain.rtol, plain.color) == (0.0, "dead")
    assert book.run(smooth).rtol > 0


def test_a_rule_that_was_changed_is_kept_as_a_whole(book: Book) -> None:
    first = book.run(smooth)
    opened = first.rtol, first.scale
    from_page(first, atol=0.01)
    again = book.run(shown)
    assert (again.rtol, again.scale, again.atol) == (*opened, 0.01)


def test_a_run_of_the_cell_that_made_no_widget_changes_nothing() -> None:
    settings_in(CellRun("quiet", "1"))["atol"] = 0.5
    assert settings_in(CellRun("quiet", "3")) == {"atol": 0.5}
    assert settings_in(None) == {}
