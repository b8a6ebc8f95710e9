/** The menu of columns: a button that opens a list to tick. */

import { COLUMNS, type ColumnKey, calledOnPage } from "../reading/columns";
import { element } from "../ui/dom";
import { PaneMenu } from "../ui/pane_menu";
import type { TableColumns } from "./table_columns";

export class ColumnsMenu {
  readonly #columns: TableColumns;
  readonly #boxes = new Map<ColumnKey, HTMLInputElement>();
  readonly #menu: PaneMenu;

  constructor(columns: TableColumns, signal: AbortSignal) {
    this.#columns = columns;
    const content: HTMLElement[] = [];
    for (const { key } of COLUMNS) {
      if (key === "response") continue;
      const box = element("input", { attributes: { type: "checkbox" } });
      box.addEventListener("change", () => columns.show(key, box.checked), { signal });
      this.#boxes.set(key, box);
      const text = element("span", { text: calledOnPage(key) });
      content.push(element("label", { class: "iua-choice" }, box, text));
    }
    const reset = element("button", {
      class: "iua-button iua-tool",
      text: "As room allows",
      title: "Show the columns there is room for, each as wide as it needs",
      attributes: { type: "button" },
    });
    reset.addEventListener("click", () => columns.reset(), { signal });
    content.push(reset);
    this.#menu = new PaneMenu(
      { text: "Columns", label: "columns shown", class: "iua-menu-columns" },
      content,
      signal,
    );
  }

  /** Take over which columns are shown; those of what no layer has are left out. */
  update(): void {
    const { shown, squeezed } = this.#columns;
    this.#menu.setTitle(
      squeezed > 0 ? `${squeezed} more than there is room for` : "All columns are shown",
    );
    for (const [key, box] of this.#boxes) {
      box.checked = shown.has(key);
      (box.parentElement as HTMLElement).hidden = this.#columns.isAbsent(key);
    }
  }

  node(): HTMLElement {
    return this.#menu.node();
  }
}
