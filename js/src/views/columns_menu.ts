/** Which columns are shown: a button that opens a list to tick. */

import { COLUMNS, type ColumnKey } from "../core/columns";
import { element, setText } from "./dom";

export interface ColumnsActions {
  onShow(key: ColumnKey, shown: boolean): void;
  /** As room allows again, each as wide as it needs. */
  onReset(): void;
}

export class ColumnsMenu {
  readonly #button = element("button", {
    class: "iua-button iua-tool",
    attributes: { type: "button", "aria-expanded": "false" },
  });
  readonly #boxes = new Map<ColumnKey, HTMLInputElement>();
  readonly #list = element("div", {
    class: "iua-menu",
    attributes: { role: "group", "aria-label": "columns shown" },
  });
  readonly #node = element("span", { class: "iua-menu-home" }, this.#button, this.#list);

  constructor(actions: ColumnsActions, signal: AbortSignal) {
    this.#list.hidden = true;
    for (const { key, heading } of COLUMNS) {
      if (key === "name") continue;
      const box = element("input", { attributes: { type: "checkbox" } });
      box.addEventListener("change", () => actions.onShow(key, box.checked), { signal });
      this.#boxes.set(key, box);
      this.#list.append(
        element("label", { class: "iua-choice" }, box, element("span", { text: heading })),
      );
    }
    const reset = element("button", {
      class: "iua-button iua-tool",
      text: "As room allows",
      title: "Show the columns there is room for, each as wide as it needs",
      attributes: { type: "button" },
    });
    reset.addEventListener("click", () => actions.onReset(), { signal });
    this.#list.append(reset);
    this.#button.addEventListener("click", () => this.#open(this.#list.hidden !== false), {
      signal,
    });
    this.#node.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.#node.addEventListener("focusout", (event) => this.#left(event), { signal });
    document.addEventListener(
      "pointerdown",
      (event) => {
        if (!this.#node.contains(event.target as Node)) this.#open(false);
      },
      { signal },
    );
  }

  #open(open: boolean): void {
    this.#list.hidden = !open;
    this.#button.setAttribute("aria-expanded", String(open));
  }

  #key(event: KeyboardEvent): void {
    if (event.key !== "Escape" || this.#list.hidden) return;
    this.#open(false);
    this.#button.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  #left(event: FocusEvent): void {
    const to = event.relatedTarget as Node | null;
    if (to !== null && !this.#node.contains(to)) this.#open(false);
  }

  /** `absent` are columns of what no layer has. */
  update(
    shown: ReadonlySet<ColumnKey>,
    squeezed: number,
    absent: (key: ColumnKey) => boolean = () => false,
  ): void {
    setText(this.#button, squeezed > 0 ? `Columns (${squeezed} more)` : "Columns");
    for (const [key, box] of this.#boxes) {
      box.checked = shown.has(key);
      (box.parentElement as HTMLElement).hidden = absent(key);
    }
  }

  node(): HTMLElement {
    return this.#node;
  }
}
