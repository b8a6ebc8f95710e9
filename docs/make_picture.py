"""Makes the README's moving picture and stills of the widget, in a real JupyterLab, live.

Writes widget.webp, widget.png and timeline.png beside itself: `make picture`.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page, expect, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/browser"))

from chromium import BROWSER_ARGUMENTS, find_chromium  # noqa: E402
from panel import Panel  # noqa: E402
from servers import Lab, Notebook, running_lab  # noqa: E402

FRAME_MS = 100
HEIGHT = 924
"""Of the picture, in pixels: what is below is left out."""

# The run waits for the camera: a batch a frame.
PREPARED = """
import pathlib, time
import digits
from demo import TwoNets
from iua_widget import IUAWidget
from torch.utils.data import DataLoader, Dataset

images, _ = digits.load()
nets = TwoNets(*(digits.train(rate)[0] for rate in (digits.HEALTHY_RATE, digits.DEADLY_RATE)))
clapper = pathlib.Path("frames")
clapper.write_text("0")

class Scans(Dataset):
    def __len__(self):
        return len(images)

    def __getitem__(self, number):
        while int(clapper.read_text() or 0) < number // 64:
            time.sleep(0.01)
        return images[number]

loader = DataLoader(Scans(), batch_size=64)
"""
SHOWN = "IUAWidget(nets, loader)"

TRAINING = """
import digits
import torch
from iua_widget import IUAMonitor

torch.manual_seed(0)
images, names = digits.load()
net = digits.DigitsNet()
monitor = IUAMonitor(net, images[1500:], every=10, alarm="dead-share>=50%", on_alarm=lambda _: None)
optimizer = torch.optim.SGD(net.parameters(), lr=digits.DEADLY_RATE, momentum=0.9)
monitor.look()
for epoch in range(8):
    for batch in torch.randperm(1500).split(50):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images[batch]), names[batch]).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        monitor.step()
w = monitor.widget
w.layer = "relu3"
"""
WATCHED = "monitor"

POINTER = """() => {
    const pointer = document.createElement("div");
    pointer.innerHTML = `<svg width="22" height="22" viewBox="0 0 22 22"><path
        d="M3 1 L3 17 L7 13.4 L9.8 19.6 L12.6 18.4 L9.8 12.4 L15.4 12 Z"
        fill="#111" stroke="#fff" stroke-width="1.4"/></svg>`;
    pointer.style.cssText = "position:fixed;z-index:99999;pointer-events:none;left:-40px;top:0";
    document.body.append(pointer);
    addEventListener("mousemove", (event) => {
        pointer.style.left = `${event.clientX - 3}px`;
        pointer.style.top = `${event.clientY - 1}px`;
    }, true);
}"""
"""A screenshot has no pointer of its own."""


def box_of(target: Locator) -> FloatRect:
    """Where an element is on the page."""
    box = target.bounding_box()
    if box is None:
        message = f"{target} is not to be seen"
        raise RuntimeError(message)
    return box


@dataclass
class Film:
    """Pictures of a part of a page, one after the other, and the hand that moves the mouse."""

    page: Page
    clip: FloatRect
    frames: list[Image.Image] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    hand: tuple[float, float] = (0, 0)

    def shoot(self, times: int = 1) -> None:
        """Add what there is to see; the same again makes the last frame longer."""
        shot = Image.open(io.BytesIO(self.page.screenshot(clip=self.clip))).convert("RGB")
        if self.frames and shot.tobytes() == self.frames[-1].tobytes():
            self.durations[-1] += times * FRAME_MS
        else:
            self.frames.append(shot)
            self.durations.append(times * FRAME_MS)

    def move(self, x: float, y: float, steps: int = 6) -> None:
        """Move the mouse there, slower toward the end."""
        from_x, from_y = self.hand
        for step in range(1, steps + 1):
            along = 1 - (1 - step / steps) ** 2
            self.hand = (from_x + (x - from_x) * along, from_y + (y - from_y) * along)
            self.page.mouse.move(*self.hand)
            self.shoot()

    def click(self, target: Locator, along: float = 0.1) -> None:
        """Move to an element, click it, and leave time to see what follows."""
        box = box_of(target)
        self.move(box["x"] + along * box["width"], box["y"] + box["height"] / 2)
        self.page.mouse.click(*self.hand)
        self.page.wait_for_timeout(400)
        self.shoot(8)

    def drag(self, target: Locator, start: float, *ends: float) -> None:
        """Drag along an element's width, between shares of it."""
        box = box_of(target)
        x, width, y = box["x"], box["width"], box["y"] + box["height"] / 2
        self.move(x + start * width, y)
        self.page.mouse.down()
        for end in ends:
            self.move(x + end * width, y, steps=10)
        self.page.mouse.up()
        self.page.wait_for_timeout(300)
        self.shoot(6)

    def write(self, path: Path) -> None:
        """All of it, the last frame longest."""
        self.durations[-1] += 8 * FRAME_MS
        self.frames[0].save(
            path,
            save_all=True,
            append_images=self.frames[1:],
            duration=self.durations,
            loop=0,
            lossless=True,
            quality=100,
            method=4,
        )


def open_notebook(page: Page, lab: Lab, name: str, prepared: str, shown: str) -> Notebook:
    """A notebook of one cell, in whose kernel the nets are trained."""
    for source in ("digits.py", "demo.py"):
        shutil.copy(ROOT / "notebooks" / source, lab.folder)
    lab.write_notebook(name, (shown,))
    notebook = Notebook(lab, page, name)
    notebook.open()
    notebook.command("application:toggle-left-area")
    reply = notebook.client.execute_interactive(prepared, store_history=False, timeout=300)
    if reply["content"]["status"] != "ok":
        raise RuntimeError(reply["content"])
    return notebook


def record(page: Page, lab: Lab) -> None:
    """Run the cell, and do what a reader is to see."""
    notebook = open_notebook(page, lab, "dead.ipynb", PREPARED, SHOWN)
    notebook.run_all()
    cell = page.locator(".jp-CodeCell").first
    panel = Panel(page)
    expect(panel.rows.first).to_be_visible(timeout=60_000)
    page.evaluate(POINTER)
    page.add_style_tag(content=".jp-cell-toolbar { display: none; }")
    page.wait_for_timeout(1000)
    editor = box_of(cell.locator(".jp-InputArea-editor"))
    left, top = editor["x"] - 4, editor["y"] - 6
    clip: FloatRect = {"x": left, "y": top, "width": editor["width"] + 8, "height": HEIGHT}
    film = Film(page, clip, hand=(left + 900, top + 500))
    for number in range(29):
        film.shoot()
        (lab.folder / "frames").write_text(str(number))
        page.wait_for_timeout(250)
    panel.wait_for_status("done")
    page.wait_for_timeout(500)
    film.shoot(4)
    film.drag(panel.root.locator(".iua-curve-canvas"), 0.05, 0.86, 0.064)
    film.click(panel.row("dying.relu2"))
    film.click(panel.root.locator("[role=tabpanel]:visible [role=row]").nth(2))
    film.write(ROOT / "docs/widget.webp")
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    panel.root.screenshot(path=ROOT / "docs/widget.png")


def photograph(page: Page, lab: Lab) -> None:
    """Show a history, two of its looks compared, and take its picture."""
    notebook = open_notebook(page, lab, "dying.ipynb", TRAINING, WATCHED)
    notebook.run_all()
    panel = Panel(page)
    expect(panel.rows.first).to_be_visible(timeout=60_000)
    notebook.client.execute_interactive("w.look, w.against = 100, 40", store_history=False)
    page.add_style_tag(content=".jp-cell-toolbar { display: none; }")
    page.mouse.move(0, 0)
    page.wait_for_timeout(1500)
    panel.root.screenshot(path=ROOT / "docs/timeline.png")


def main() -> None:
    """Record the widget."""
    with (
        tempfile.TemporaryDirectory() as home,
        running_lab(Path(home)) as lab,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=BROWSER_ARGUMENTS
        )
        page = browser.new_page(viewport={"width": 1300, "height": 1500})
        page.set_default_timeout(60_000)
        if "timeline" not in sys.argv:
            record(page, lab)
        photograph(page, lab)
        browser.close()


if __name__ == "__main__":
    main()
