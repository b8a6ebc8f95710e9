"""The widget in a real JupyterLab, with a real kernel, counting real data."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from panel import Panel, complaints_of
from playwright.sync_api import Browser, Page, expect
from texts import overlapping_texts
from waiting import until

pytestmark = pytest.mark.browser

SETUP = """
import threading
import time

import numpy as np
import torch
from sklearn.datasets import load_digits

from iua_widget import IUA, IUAWidget

images = torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 16
torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Conv2d(1, 6, 3), torch.nn.ReLU(inplace=True), torch.nn.Flatten(),
    torch.nn.Linear(216, 40), torch.nn.ReLU(), torch.nn.Linear(40, 12), torch.nn.GELU(),
)
with torch.no_grad():
    model[3].bias[:5] = -100.0
"""

FINISHED = "w = IUAWidget(model, images, batch_size=64)\nw"

GATED = """
gate = threading.Semaphore(0)

class Gated:
    def __init__(self, batch_size=29):
        self.batches = images.split(batch_size)

    def __iter__(self):
        for batch in self.batches:
            gate.acquire()
            yield batch

w = IUAWidget(model, Gated())
w
"""

READING = """
reading = w.iua.at(atol=w.atol, rtol=w.rtol, scale=w.scale)
it = {
    layer: {
        "mean-inactive": (r.mean_inactive, r.mean_inactive_upper),
        "inactive-share": (r.mean_inactive / r.units, r.mean_inactive_upper / r.units),
        "dead-units": (r.dead, r.dead_upper),
        "dead-share": (r.dead / r.units, r.dead_upper / r.units),
        "units": (r.units, r.units),
        "std-inactive": (r.std_inactive, None),
        "sum": int(r.lower.sum()),
        "exact": r.exact,
    }
    for layer, r in reading.results.items()
}
"""


def assert_page_shows(panel: Panel, expected: dict[str, Any]) -> None:
    """The table and the heatmap hold the numbers Python gives, to the last digits that matter."""
    means = [pytest.approx(of["mean-inactive"], rel=1e-12) for of in expected.values()]
    # How far the run is may be told before the next frame has come.
    until(lambda: [of["mean-inactive"] for of in panel.table().values()] == means, "the means")
    table = panel.table()
    assert list(table) == list(expected)
    for layer, figures in expected.items():
        for column in ("mean-inactive", "inactive-share", "dead-units", "dead-share", "units"):
            assert table[layer][column] == pytest.approx(figures[column], rel=1e-12), (
                layer,
                column,
            )
        assert table[layer]["std-inactive"][0] == pytest.approx(
            figures["std-inactive"][0], rel=1e-9
        )
    heatmap = panel.heatmap()
    figures = expected[heatmap["layer"]]
    assert heatmap["sum"] == figures["sum"]
    assert heatmap["dead"] == figures["dead-units"][0]
    assert heatmap["units"] == figures["units"][0]
    assert heatmap["exact"] == figures["exact"]


@pytest.fixture
def finished(open_notebook: Any) -> tuple[Any, Panel]:
    notebook = open_notebook(SETUP, FINISHED)
    notebook.run_all()
    panel = Panel(notebook.page)
    panel.wait_for_status("done")
    return notebook, panel


def test_the_cell_returns_while_counting_goes_on_and_the_table_fills_meanwhile(
    open_notebook: Any,
) -> None:
    notebook = open_notebook(SETUP, GATED, "after = w.status, w.iua.probes")
    notebook.run_all()
    panel = Panel(notebook.page)
    panel.wait_for_status("running")
    # The third cell has run although not one batch could be counted yet.
    expect(notebook.page.locator(".jp-InputPrompt").nth(2)).to_have_text("[3]:")
    assert notebook.python("it = after") == ["running", 0]
    assert panel.rows.count() == 0
    notebook.python("gate.release(10); it = None")
    until(lambda: panel.probes() == 290, "ten batches on the page")
    assert panel.layers() == ["1", "4", "6"]
    assert_page_shows(panel, notebook.python(READING))
    assert notebook.python("it = w.status") == "running"
    notebook.python("gate.release(1000); it = w.wait(60)")
    panel.wait_for_status("done")
    until(lambda: panel.probes() == 1797, "all probes on the page")
    assert_page_shows(panel, notebook.python(READING))


def test_the_counts_are_those_of_a_plain_count_in_numpy(finished: tuple[Any, Panel]) -> None:
    notebook, panel = finished
    expected = notebook.python("""
with torch.no_grad():
    responses = {}
    x = images
    for name, module in model.named_children():
        x = module(x).clone()
        if name in ("1", "4", "6"):
            responses[name] = x.numpy().copy()
it = {}
for name, response in responses.items():
    inactive = np.isclose(response, 0).reshape(len(images), -1)
    it[name] = (inactive.sum(axis=1).mean(), int(inactive.all(axis=0).sum()))
""")
    table = panel.table()
    for layer, (mean, dead) in expected.items():
        assert table[layer]["mean-inactive"][0] == pytest.approx(mean, rel=1e-12)
        assert table[layer]["dead-units"][0] == dead
    assert expected["4"][1] >= 5


def test_sliders_move_table_and_heatmap_to_the_numbers_python_gives(
    finished: tuple[Any, Panel],
) -> None:
    notebook, panel = finished
    stops = notebook.python("it = w.iua.stops")
    before = panel.table()
    for position in (0, 2, 20, 45, 69):
        panel.set_slider("atol", position)
        until(lambda p=position: notebook.python("it = w.atol") == stops[p], "w.atol follows")
        assert_page_shows(panel, notebook.python(READING))
    assert panel.table() != before
    panel.set_slider("atol", 0)
    for position in (1, 30, 50):
        panel.set_slider("rtol", position)
        until(
            lambda: (
                notebook.python("it = w.rtol")
                == float(panel.field("rtol").input_value().replace("off", "0"))
            ),
            "w.rtol is what the field shows",
        )
        assert_page_shows(panel, notebook.python(READING))
    assert not panel.heatmap()["exact"]


def test_sliders_answer_while_the_kernel_is_busy(
    finished: tuple[Any, Panel], tmp_path: Path
) -> None:
    notebook, panel = finished
    expected = notebook.python("""
it = {stop: {n: r.mean_inactive for n, r in w.iua.at(atol=stop).results.items()}
      for stop in (0.1, 1.0)}
""")
    stops = notebook.python("it = w.iua.stops")
    free = tmp_path / "free"
    busy = f"""
from pathlib import Path
while not Path({str(free)!r}).exists():
    time.sleep(0.01)
"""
    notebook.client.execute(busy, store_history=False)
    for stop, means in expected.items():
        panel.set_slider("atol", stops.index(float(stop)))
        until(
            lambda m=means: all(
                panel.table()[layer]["mean-inactive"][0] == pytest.approx(mean, rel=1e-12)
                for layer, mean in m.items()
            ),
            "the table follows the slider",
        )
    free.touch()


def test_the_number_fields_take_what_is_typed_and_refuse_what_is_no_tolerance(
    finished: tuple[Any, Panel],
) -> None:
    notebook, panel = finished
    field = panel.field("atol")
    field.fill("0.0101")
    field.press("Enter")
    until(lambda: notebook.python("it = w.atol") == 0.0101, "the field is taken as typed")
    expect(panel.button("Recount")).to_be_visible()
    for bad in ("-1", "much", "nan", "Infinity"):
        field.fill(bad)
        field.press("Enter")
        expect(panel.root.locator(".iua-refused").filter(visible=True)).to_have_count(1)
        assert notebook.python("it = w.atol") == 0.0101
    field.fill("0")
    field.press("Enter")
    until(lambda: notebook.python("it = w.atol") == 0, "zero is exact zero")


def test_python_moves_the_page(finished: tuple[Any, Panel]) -> None:
    notebook, panel = finished
    notebook.python("w.layer = '4'; w.atol = 0.05; it = None")
    until(lambda: panel.heatmap()["layer"] == "4", "the heatmap follows w.layer")
    expect(panel.row("4")).to_have_attribute("aria-selected", "true")
    stops = notebook.python("it = w.iua.stops")
    expect(panel.slider("atol")).to_have_value(str(stops.index(0.05)))
    assert_page_shows(panel, notebook.python(READING))
    notebook.python("w.atol = 0.0501; it = None")
    until(lambda: not panel.heatmap()["exact"], "between stops is shown as such")
    expect(panel.field("atol")).to_have_value("0.0501")
    assert_page_shows(panel, notebook.python(READING))
    notebook.python("w.scale = 'zero'; it = None")
    expect(panel.slider("rtol")).to_be_disabled()
    expect(panel.root.get_by_text("no effect")).to_be_visible()


def test_a_click_and_the_keyboard_select_a_layer(finished: tuple[Any, Panel]) -> None:
    notebook, panel = finished
    assert panel.heatmap()["layer"] == "1"
    panel.row("6").click()
    until(lambda: notebook.python("it = w.layer") == "6", "w.layer follows the click")
    until(lambda: panel.heatmap()["layer"] == "6", "the heatmap follows the click")
    expect(panel.canvas).to_have_attribute("aria-label", re.compile("heatmap of 6"))
    panel.row("6").focus()
    panel.page.keyboard.press("ArrowUp")
    panel.page.keyboard.press("Enter")
    until(lambda: notebook.python("it = w.layer") == "4", "w.layer follows the keyboard")
    assert_page_shows(panel, notebook.python(READING))


def test_keys_pressed_in_the_widget_are_not_the_notebooks(finished: tuple[Any, Panel]) -> None:
    notebook, panel = finished
    keyboard = panel.page.keyboard
    stops = notebook.python("it = w.iua.stops")
    places = (panel.slider("atol"), panel.row("4"), panel.canvas, panel.button("Restart"))
    for place in places:
        place.focus()
        for key in ("x", "a", "b", "j", "d", "d", "0", "0"):
            keyboard.press(key)
        expect(panel.page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(2)
        expect(panel.page.locator(".jp-Dialog")).to_have_count(0)
        expect(place).to_be_focused()
    panel.slider("atol").focus()
    keyboard.press("ArrowRight")
    keyboard.press("ArrowRight")
    keyboard.press("ArrowLeft")
    until(lambda: notebook.python("it = w.atol") == stops[2], "arrows move the slider")


def test_columns_sort_both_ways_and_back_to_the_order_of_the_network(
    finished: tuple[Any, Panel],
) -> None:
    _, panel = finished
    network = panel.layers()
    values = {layer: cells["inactive-share"][0] for layer, cells in panel.table().items()}
    header = panel.root.get_by_role("columnheader", name="inactive share")
    rising = sorted(network, key=values.__getitem__)
    assert network != rising
    for direction, order in (
        ("descending", rising[::-1]),
        ("ascending", rising),
        ("none", network),
    ):
        header.get_by_role("button").click()
        until(lambda o=order: panel.layers() == o, f"rows {direction}")
        assert (header.get_attribute("aria-sort") or "none") == direction


def test_the_heatmap_zooms_pans_resets_and_tells_the_unit_under_the_pointer(
    finished: tuple[Any, Panel],
) -> None:
    notebook, panel = finished
    panel.row("4").click()
    until(lambda: panel.heatmap()["layer"] == "4", "the dense layer is shown")
    canvas = panel.canvas
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box

    def pixels() -> str:
        return str(canvas.evaluate("(canvas) => canvas.toDataURL()"))

    def settled() -> str:
        panel.page.mouse.move(5, 5)
        time.sleep(0.5)
        return pixels()

    whole = settled()
    panel.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tooltip = panel.root.locator(".iua-heatmap .iua-tooltip")
    expect(tooltip).to_be_visible()
    text = tooltip.inner_text()
    unit = int(re.search(r"unit ([\d,]+)", text)[1].replace(",", ""))  # type: ignore[index]
    count = int(re.search(r"([\d,]+) of 1,797", text)[1].replace(",", ""))  # type: ignore[index]
    counts = notebook.python("it = w.iua.results['4'].unit_inactive_count.tolist()")
    assert counts[unit] == count
    canvas.focus()
    panel.page.mouse.wheel(0, -400)
    zoomed = settled()
    assert zoomed != whole
    panel.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    panel.page.mouse.down()
    panel.page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2 + 40)
    panel.page.mouse.up()
    assert settled() != zoomed
    panel.button("reset zoom").click()
    canvas.focus()
    reset = settled()
    canvas.press("+")
    assert settled() != reset
    canvas.press("0")
    assert settled() == reset


def test_pause_resume_and_stop_from_the_page(open_notebook: Any) -> None:
    notebook = open_notebook(SETUP, GATED)
    notebook.run_all()
    panel = Panel(notebook.page)
    panel.wait_for_status("running")
    notebook.python("gate.release(4); it = None")
    until(lambda: panel.probes() == 116, "four batches on the page")
    panel.button("Pause").click()
    until(lambda: notebook.python("it = w._runs.current._pause_wanted"), "the pause is asked for")
    notebook.python("gate.release(3); it = None")
    panel.wait_for_status("paused")
    held = notebook.python("it = w.iua.probes")
    until(lambda: panel.probes() == held, "the page shows what was counted")
    assert notebook.python("time.sleep(0.5); it = w.iua.probes") == held
    panel.button("Resume").click()
    panel.wait_for_status("running")
    until(lambda: notebook.python("it = w.iua.probes") > held, "counting goes on")
    panel.button("Stop").click()
    # It stops between two batches, and a click may come in behind what a cell does.
    stopping = "gate.release(1); time.sleep(0.1); it = w.status"
    until(lambda: notebook.python(stopping) == "stopped", "the run stops")
    panel.wait_for_status("stopped")
    kept = notebook.python("it = w.iua.probes")
    until(lambda: panel.probes() == kept, "the page keeps what was counted")
    assert_page_shows(panel, notebook.python(READING))
    panel.button("Restart").click()
    panel.wait_for_status("running")
    notebook.python("gate.release(1000); it = w.wait(60)")
    panel.wait_for_status("done")
    assert notebook.python("it = w.iua.probes") == 1797


def test_an_error_of_the_producer_shows_with_the_partial_result(open_notebook: Any) -> None:
    failing = """
def producer(batch_size):
    yield {"<b>relu</b>": np.zeros((batch_size, 8))}
    raise OSError("the <i>disk</i> is gone")

w = IUAWidget(producer)
w
"""
    notebook = open_notebook(SETUP, failing)
    notebook.run_all()
    panel = Panel(notebook.page)
    panel.wait_for_status("failed")
    alert = panel.root.get_by_role("alert").filter(visible=True).first
    expect(alert).to_contain_text("the <i>disk</i> is gone")
    assert panel.layers() == ["<b>relu</b>"]
    assert panel.table()["<b>relu</b>"]["dead-units"] == (8, 8)


def test_two_views_of_one_widget_stay_in_step(open_notebook: Any) -> None:
    notebook = open_notebook(SETUP, FINISHED, "w")
    notebook.run_all()
    first, second = Panel(notebook.page, 0), Panel(notebook.page, 1)
    first.wait_for_status("done")
    second.wait_for_status("done")
    first.set_slider("atol", 50)
    until(lambda: second.table() == first.table(), "the second view follows the first")
    second.row("6").click()
    until(lambda: first.heatmap() == second.heatmap(), "the first view follows the second")


def test_closing_the_widget_ends_the_run(open_notebook: Any) -> None:
    notebook = open_notebook(SETUP, GATED)
    notebook.run_all()
    Panel(notebook.page).wait_for_status("running")
    notebook.python("gate.release(2); it = None")
    assert notebook.python("""
w.close()
gate.release(5)
w.wait(30)
it = [w._runs.current.status, sum(len(m._forward_hooks) for m in model.modules())]
""") == ["stopped", 0]


def test_the_exported_file_gives_the_same_numbers_offline(
    finished: tuple[Any, Panel], browser: Browser, tmp_path: Path
) -> None:
    notebook, _ = finished
    path = tmp_path / "export.html"
    notebook.python(f"w.to_html({str(path)!r}); it = None")
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 1000})
    page = context.new_page()
    asked: list[str] = []
    complaints = complaints_of(page)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    panel = Panel(page)
    expect(panel.rows).to_have_count(3)
    stops = notebook.python("it = w.iua.stops")
    for layer in ("4", "6", "1"):
        panel.row(layer).click()
        until(lambda name=layer: panel.heatmap()["layer"] == name, "the layer is shown")
        for atol, rtol in ((1e-8, 0), (0.05, 0), (10, 0), (0, 30)):
            panel.set_slider("atol", stops.index(atol))
            panel.set_slider("rtol", rtol)
            expected = notebook.python(
                f"w.atol, w.rtol = {atol}, "
                f"{panel.field('rtol').input_value().replace('off', '0')}\n{READING}"
            )
            until(
                lambda e=expected: panel.heatmap()["sum"] == e[panel.heatmap()["layer"]]["sum"],
                "the heatmap follows",
            )
            assert_page_shows(panel, expected)
    assert panel.root.get_by_role("button", name="Pause").count() == 0
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
    context.close()


def test_a_wheel_over_the_heatmap_scrolls_the_notebook_unless_it_has_focus(
    finished: tuple[Any, Panel],
) -> None:
    _, panel = finished
    page: Page = panel.page
    page.locator(".jp-Notebook .jp-Cell").first.click()
    panel.canvas.scroll_into_view_if_needed()
    box = panel.canvas.bounding_box()
    assert box
    before = panel.canvas.get_attribute("data-zoom")
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.wheel(0, -200)
    time.sleep(0.4)
    assert panel.canvas.get_attribute("data-zoom") == before


def test_the_widget_follows_the_theme_of_its_host(finished: tuple[Any, Panel]) -> None:
    _, panel = finished

    def lightness() -> tuple[int, int]:
        """Of the panel's ground, and of the heatmap's in its corner: 0 to 765."""
        return tuple(
            panel.root.evaluate(
                """(root) => {
                    const sum = (parts) => parts.reduce((total, part) => total + part, 0);
                    const ground = getComputedStyle(root).backgroundColor.match(/[\\d.]+/g);
                    const canvas = root.querySelector("canvas[data-layer]");
                    const pixel = canvas.getContext("2d").getImageData(1, 1, 1, 1).data;
                    return [sum(ground.slice(0, 3).map(Number)), sum([...pixel].slice(0, 3))];
                }"""
            )
        )

    panel.heatmap()
    assert min(lightness()) > 500
    panel.page.evaluate(
        "window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
    )
    until(lambda: max(lightness()) < 250, "ground and heatmap turn dark")
    panel.page.set_viewport_size({"width": 900, "height": 1100})
    expect(panel.canvas).to_be_visible()
    overflow = panel.root.evaluate("(root) => root.scrollWidth - root.clientWidth")
    assert overflow <= 0, "something is clipped at the side"


TOKENS = """
import transformers

config = transformers.BertConfig(
    vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=24, hidden_act="relu",
)
class Captioner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 8, 3)
        self.text = transformers.BertModel(config, add_pooling_layer=False)
        self.unused = torch.nn.Tanh()

    def forward(self, pixels, input_ids, attention_mask):
        torch.relu(self.conv(pixels))
        return self.text(input_ids=input_ids, attention_mask=attention_mask)

torch.manual_seed(0)
captioner = Captioner()
with torch.no_grad():
    captioner.conv.bias[2:5] = -9.0
batch = {
    "pixels": images[:40],
    "input_ids": torch.randint(0, 50, (40, 9)),
    "attention_mask": (torch.arange(9) < torch.arange(40)[:, None] % 9 + 1).long(),
}
w = IUAWidget(captioner, batch)
w
"""


def test_the_page_says_what_a_unit_is_and_what_was_left_out(
    open_notebook: Any,
) -> None:
    book = open_notebook(SETUP, TOKENS)
    book.run_all()
    panel = Panel(book.page)
    panel.wait_for_status("done")
    token = "text.encoder.layer.0.intermediate.intermediate_act_fn"
    assert panel.layers() == ["Captioner/relu", token, token.replace("0", "1", 1)]
    maps, text = panel.row("Captioner/relu"), panel.row(token)
    expect(maps.locator('[data-column="units"]')).to_contain_text("8 × 6 × 6")
    expect(maps.locator('[data-column="dead-units"]')).to_contain_text("3 of 8 channels")
    units = text.locator('[data-column="units"]')
    expect(units).to_contain_text("tokens of 9 × 24")
    masked = book.python("it = w.iua.results[w.iua.layers[1]].masked")
    assert masked == book.python("it = int((batch['attention_mask'] == 0).sum())")
    assert f"{masked} padded positions left out" in (units.get_attribute("title") or "")
    expect(panel.root).to_contain_text("Never called, so without counts: 'unused'.")
    text.click()
    told = f"0 dead of 24 channels, every token a probe · tokens of 9 × 24 · {masked} padded"
    expect(panel.root).to_contain_text(told)
    assert book.python("it = w.layer") == token


def test_no_two_texts_overlap_in_either_theme(finished: tuple[Any, Panel]) -> None:
    notebook, panel = finished
    panel.row("4").click()
    notebook.python("w.selected = [2]; it = None")
    expect(panel.root.locator(".iua-card-alarm")).to_contain_text("dead: inactive on every probe")
    for theme, light in (("JupyterLab Light", "true"), ("JupyterLab Dark", "false")):
        notebook.page.evaluate(
            "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
            theme,
        )
        expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-light", light)
        assert overlapping_texts(panel.root) == []
