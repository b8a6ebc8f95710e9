"""The widget as a test meets it on a page: by the names and roles a person would use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect


def complaints_of(page: Page) -> list[str]:
    """What the page logs as an error, or throws, from now on."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    return complaints


class Panel:
    """One widget on a page."""

    def __init__(self, page: Page, index: int = 0) -> None:
        self.page = page
        self.root: Locator = page.locator(".iua-widget").nth(index)

    @property
    def rows(self) -> Locator:
        return self.root.locator("tbody tr[data-layer]")

    @property
    def canvas(self) -> Locator:
        return self.root.locator("canvas[data-layer]")

    def slider(self, name: str) -> Locator:
        return self.root.get_by_role("slider", name=name, exact=True)

    def field(self, name: str) -> Locator:
        return self.root.get_by_label(f"{name} value", exact=True)

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def tab(self, name: str) -> Locator:
        return self.root.get_by_role("tab", name=name)

    def open_menu(self, name: str) -> Locator:
        """A menu of a pane, opened: what is in it."""
        button = self.root.get_by_role("button", name=name)
        if button.get_attribute("aria-expanded") != "true":
            button.click()
        return self.root.locator(f"#{button.get_attribute('aria-controls')}")

    def preset(self, name: str) -> Locator:
        """The item of the menu, which may be closed."""
        named = re.compile(rf"^{re.escape(name)} ")
        menu = self.root.get_by_role("menu", name="presets", include_hidden=True)
        return menu.locator("[role^=menuitem]").filter(has_text=named)

    def choose_preset(self, name: str) -> Locator:
        self.button("Presets").click()
        item = self.preset(name)
        item.click()
        return item

    def row(self, layer: str) -> Locator:
        return self.root.locator(f'tbody tr[data-layer="{layer}"]')

    def layers(self) -> list[str]:
        """The rows that are made, all read at once, once what was done has been painted."""
        names: list[str] = self.root.evaluate(
            """async (root) => {
                for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
                const rows = root.querySelectorAll("tbody tr[data-layer]");
                return [...rows].map((row) => row.dataset.layer);
            }"""
        )
        return names

    def probes(self) -> int:
        """The number of probes the progress line shows."""
        shown = re.search(r"([\d,]+) (?:of [\d,]+ )?probes", self.root.inner_text())
        return int(shown[1].replace(",", "")) if shown else 0

    def table(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Every made row's numbers as the page holds them: layer to column to (lower, upper).

        Rows far out of view are not made: of a long table these are not all.
        """
        rows: list[dict[str, Any]] = self.root.evaluate(
            """(root) => [...root.querySelectorAll("tbody tr[data-layer]")].map((row) => ({
                layer: row.dataset.layer,
                cells: Object.fromEntries([...row.querySelectorAll("[data-value]")].map((cell) => {
                    const home = cell.closest("[data-column]");
                    const lower = Number(cell.dataset.value);
                    const upper = Number(cell.dataset.upper ?? lower);
                    return [home.dataset.column, [lower, upper]];
                })),
            }))"""
        )
        return {
            row["layer"]: {column: tuple(bounds) for column, bounds in row["cells"].items()}
            for row in rows
        }

    def heatmap(self) -> dict[str, Any]:
        """What the heatmap shows, in figures, once it has the units of the selected layer."""
        data = self.page.wait_for_function(
            """(root) => {
                const canvas = root.querySelector("canvas[data-layer]");
                return canvas && { ...canvas.dataset };
            }""",
            arg=self.root.element_handle(),
        ).json_value()
        return {
            "layer": data["layer"],
            "units": int(data["units"]),
            "dead": int(data["dead"]),
            "sum": int(data["inactiveSum"]),
            "exact": data["exact"] == "true",
        }

    def set_slider(self, name: str, position: int) -> None:
        """Move a slider as a drag does: one input event."""
        self.slider(name).evaluate(
            """(slider, position) => {
                slider.value = String(position);
                slider.dispatchEvent(new Event("input", { bubbles: true }));
                slider.dispatchEvent(new Event("change", { bubbles: true }));
            }""",
            position,
        )

    def texts_of_picture(self) -> list[str]:
        """Save the view as SVG: what is written in it."""
        self.button("View").click()
        with self.page.expect_download() as download:
            self.button("Save SVG").click()
        self.button("View").click()
        picture = Path(download.value.path()).read_text("utf-8")
        return re.findall(r"<text[^>]*>([^<]*)</text>", picture)

    def wait_for_status(self, word: str) -> None:
        expect(self.root).to_have_attribute("data-status", word)
