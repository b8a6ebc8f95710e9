/** What to see, how large, and how to keep it: a button that opens a small panel. */

import { element, setAttribute, setText } from "./dom";
import type { Presentation } from "./presentation";

export const PANELS = ["tolerances", "table", "heatmap"] as const;
export type Panel = (typeof PANELS)[number];

export interface ViewMenuActions {
  readonly presentation: Presentation;
  show(panel: Panel, shown: boolean): void;
  save(kind: "svg" | "png"): Promise<void>;
}

function button(text: string): HTMLButtonElement {
  return element("button", { class: "iua-button", text, attributes: { type: "button" } });
}

export class ViewMenu {
  readonly #actions: ViewMenuActions;
  readonly #open = button("View");
  readonly #present = button("Present");
  readonly #fullScreen = button("Full screen");
  readonly #message = element("p", { class: "iua-view-message", attributes: { role: "status" } });
  readonly #panel: HTMLElement;
  readonly #node: HTMLElement;

  constructor(actions: ViewMenuActions, signal: AbortSignal) {
    this.#actions = actions;
    const png = button("Save PNG");
    const svg = button("Save SVG");
    const panels = PANELS.map((name) => this.#checkbox(name, signal));
    this.#panel = element(
      "div",
      { class: "iua-view-panel", attributes: { role: "group", "aria-label": "view" } },
      element("div", { class: "iua-view-choices" }, ...panels),
      element("div", { class: "iua-view-actions" }, this.#present, this.#fullScreen, png, svg),
      this.#message,
    );
    this.#panel.hidden = true;
    this.#panel.id = `iua-view-${Math.random().toString(36).slice(2)}`;
    setAttribute(this.#open, "aria-controls", this.#panel.id);
    setAttribute(this.#open, "aria-expanded", "false");
    this.#node = element("span", { class: "iua-view" }, this.#open, this.#panel);
    const on = (node: HTMLElement, action: () => void): void =>
      node.addEventListener("click", action, { signal });
    on(this.#open, () => this.#toggle(this.#panel.hidden !== false));
    on(this.#present, () => actions.presentation.toggle());
    on(this.#fullScreen, () => void this.#goFullScreen());
    on(png, () => void this.#save("png"));
    on(svg, () => void this.#save("svg"));
    this.#node.addEventListener("keydown", (event) => this.#key(event), { signal });
    document.addEventListener("pointerdown", (event) => this.#outside(event), { signal });
  }

  #checkbox(name: Panel, signal: AbortSignal): HTMLElement {
    const box = element("input", { attributes: { type: "checkbox" } });
    box.checked = true;
    box.addEventListener("change", () => this.#actions.show(name, box.checked), {
      signal,
    });
    return element("label", { class: "iua-view-choice" }, box, element("span", { text: name }));
  }

  #toggle(shown: boolean): void {
    this.#panel.hidden = !shown;
    setAttribute(this.#open, "aria-expanded", String(shown));
    setText(this.#message, "");
  }

  #key(event: KeyboardEvent): void {
    if (event.key !== "Escape" || this.#panel.hidden) return;
    event.preventDefault();
    event.stopPropagation();
    this.#toggle(false);
    this.#open.focus();
  }

  #outside(event: Event): void {
    const inside = event.composedPath().includes(this.#node);
    if (!inside && !this.#panel.hidden) this.#toggle(false);
  }

  async #goFullScreen(): Promise<void> {
    const { presentation } = this.#actions;
    if (!presentation.on) presentation.toggle();
    setText(this.#message, (await presentation.toggleFullScreen()) ?? "");
  }

  async #save(kind: "svg" | "png"): Promise<void> {
    setText(this.#message, "");
    await this.#actions.save(kind);
    setText(this.#message, `Saved as ${kind.toUpperCase()} where the browser keeps downloads.`);
  }

  update(): void {
    const { on, fullScreen } = this.#actions.presentation;
    setText(this.#present, on ? "End presentation" : "Present");
    setText(this.#fullScreen, fullScreen ? "Leave full screen" : "Full screen");
  }

  node(): HTMLElement {
    return this.#node;
  }
}
