/** The menu of presets, each with its formula; those in force are checked. */

import type { Tolerances } from "../reading/threshold";
import { element, setAttribute } from "../ui/dom";
import { Popup } from "../ui/popup";
import { inForce, PRESETS, type Preset } from "./presets";

const FAMILIES: readonly [title: string, has: (settings: Partial<Tolerances>) => boolean][] = [
  ["inactive", ({ atol }) => atol !== undefined],
  ["dormant", ({ tau }) => tau !== undefined],
  ["dead", ({ dead_at }) => dead_at !== undefined],
];

export class PresetMenu {
  readonly #onChoose: (changes: Partial<Tolerances>) => void;
  readonly #button = element("button", {
    class: "iua-button",
    text: "Presets",
    attributes: { type: "button", "aria-haspopup": "menu" },
  });
  readonly #items = new Map<Preset, HTMLElement>();
  readonly #popup: Popup;
  #tolerances: Tolerances | null = null;

  constructor(onChoose: (changes: Partial<Tolerances>) => void, signal: AbortSignal) {
    this.#onChoose = onChoose;
    const panel = element(
      "div",
      { class: "iua-preset-menu", attributes: { role: "menu", "aria-label": "presets" } },
      ...FAMILIES.map(([title, has]) =>
        element(
          "div",
          { class: "iua-preset-family", attributes: { role: "group", "aria-label": title } },
          element("div", {
            class: "iua-preset-title",
            text: title,
            attributes: { "aria-hidden": "true" },
          }),
          ...PRESETS.filter(({ settings }) => has(settings)).map((preset) => this.#item(preset)),
        ),
      ),
    );
    this.#popup = new Popup({ button: this.#button, panel, onOpen: () => this.#enter() }, signal);
    for (const [preset, item] of this.#items) {
      item.addEventListener("click", () => this.#choose(preset), { signal });
    }
    panel.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.#button.addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "ArrowDown") return;
        event.preventDefault();
        this.#popup.open();
      },
      { signal },
    );
  }

  #item(preset: Preset): HTMLElement {
    const item = element(
      "button",
      {
        class: "iua-preset",
        title: preset.source,
        attributes: {
          type: "button",
          tabindex: "-1",
          role: isOnlyShare(preset) ? "menuitemcheckbox" : "menuitemradio",
          "aria-checked": "false",
        },
      },
      element("span", { class: "iua-preset-name", text: preset.name }),
      document.createTextNode(" "),
      element("span", { class: "iua-preset-formula", text: preset.formula }),
    );
    this.#items.set(preset, item);
    return item;
  }

  /** Begin at what is in force. */
  #enter(): void {
    const items = [...this.#items.values()];
    const at = items.find((item) => item.getAttribute("aria-checked") === "true") ?? items[0];
    at?.focus({ preventScroll: true });
  }

  #choose(preset: Preset): void {
    this.#popup.close();
    // What only says when a unit is dead goes with any threshold, and can be let go of.
    const off =
      isOnlyShare(preset) && this.#tolerances !== null && inForce(preset, this.#tolerances);
    this.#onChoose(off ? { dead_at: 1 } : preset.settings);
  }

  #key(event: KeyboardEvent): void {
    const items = [...this.#items.values()];
    const here = items.indexOf(event.target as HTMLElement);
    const last = items.length - 1;
    const to: Readonly<Record<string, number>> = {
      ArrowDown: here === last ? 0 : here + 1,
      ArrowUp: here <= 0 ? last : here - 1,
      Home: 0,
      End: last,
    };
    const next = to[event.key];
    if (next === undefined) return;
    items[next]?.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  update(tolerances: Tolerances): void {
    if (tolerances === this.#tolerances) return;
    this.#tolerances = tolerances;
    for (const [preset, item] of this.#items) {
      setAttribute(item, "aria-checked", String(inForce(preset, tolerances)));
    }
  }

  node(): HTMLElement {
    return this.#popup.node();
  }
}

function isOnlyShare({ settings }: Preset): boolean {
  return Object.keys(settings).join() === "dead_at";
}
