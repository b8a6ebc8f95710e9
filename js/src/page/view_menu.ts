/** The View menu: which panels are on show, presentation, full screen, and saving a picture. */

import { signal } from "@preact/signals-core";
import { element, setText } from "../ui/dom";
import { Popup } from "../ui/popup";
import type { Presentation } from "./presentation";

export const PANELS = ["tolerances", "timeline", "table", "heatmap", "details"] as const;
export type Panel = (typeof PANELS)[number];

interface ViewMenuActions {
  readonly presentation: Presentation;
  save(kind: "svg" | "png"): Promise<void>;
}

function button(text: string): HTMLButtonElement {
  return element("button", { class: "iua-button", text, attributes: { type: "button" } });
}

export class ViewMenu {
  readonly #actions: ViewMenuActions;
  readonly #present = button("Present");
  readonly #fullScreen = button("Full screen");
  readonly #message = element("p", { class: "iua-view-message", attributes: { role: "status" } });
  readonly #details = element("p", { class: "iua-view-message" });
  readonly #popup: Popup;
  /** The panels that the user has taken away. */
  readonly without = signal<ReadonlySet<Panel>>(new Set());

  constructor(actions: ViewMenuActions, abort: AbortSignal) {
    this.#actions = actions;
    const png = button("Save PNG");
    const svg = button("Save SVG");
    const panels = PANELS.map((name) => this.#checkbox(name, abort));
    const panel = element(
      "div",
      { class: "iua-view-panel", attributes: { role: "group", "aria-label": "view" } },
      element("div", { class: "iua-view-choices" }, ...panels),
      element("div", { class: "iua-view-actions" }, this.#present, this.#fullScreen, png, svg),
      this.#message,
      this.#details,
    );
    this.#popup = new Popup(
      {
        button: button("View"),
        panel,
        onOpen: () => setText(this.#message, ""),
      },
      abort,
    );
    const on = (node: HTMLElement, action: () => void): void =>
      node.addEventListener("click", action, { signal: abort });
    on(this.#present, () => actions.presentation.toggle());
    on(this.#fullScreen, () => void this.#goFullScreen());
    on(png, () => void this.#save("png"));
    on(svg, () => void this.#save("svg"));
  }

  #checkbox(name: Panel, abort: AbortSignal): HTMLElement {
    const box = element("input", { attributes: { type: "checkbox" } });
    box.checked = true;
    const onChange = (): void => {
      const others = [...this.without.value].filter((panel) => panel !== name);
      this.without.value = new Set(box.checked ? others : [...others, name]);
    };
    box.addEventListener("change", onChange, { signal: abort });
    return element(
      "label",
      { class: `iua-view-choice iua-view-${name}` },
      box,
      element("span", { text: name }),
    );
  }

  async #goFullScreen(): Promise<void> {
    const { presentation } = this.#actions;
    const refused = await presentation.toggleFullScreen();
    if (refused === null) return;
    this.#popup.open();
    setText(this.#message, refused);
  }

  async #save(kind: "svg" | "png"): Promise<void> {
    setText(this.#message, "");
    await this.#actions.save(kind);
    setText(this.#message, `Saved as ${kind.toUpperCase()} where the browser keeps downloads.`);
  }

  /** A presentation has begun or ended, or has the whole screen or no longer. */
  presented(): void {
    const { on, fullScreen } = this.#actions.presentation;
    setText(this.#present, on ? "End presentation" : "Present");
    setText(this.#fullScreen, fullScreen ? "Leave full screen" : "Full screen");
    this.#popup.close();
  }

  /** What the run takes, for those who want to know. */
  tell(details: string): void {
    setText(this.#details, details);
  }

  node(): HTMLElement {
    return this.#popup.node();
  }
}
