/** The presets: each with its formula, the ones in force marked. */

import { inForce, PRESETS, type Preset } from "../core/presets";
import type { Tolerances } from "../core/threshold";
import { element, setAttribute } from "./dom";

const TAU = "tau-dormant ";

export class PresetRow {
  readonly #buttons = new Map<Preset, HTMLButtonElement>();
  readonly #node = element("div", {
    class: "iua-presets",
    attributes: { role: "group", "aria-label": "presets" },
  });
  #tolerances: Tolerances | null = null;

  constructor(onChoose: (changes: Partial<Tolerances>) => void, signal: AbortSignal) {
    let dormant: HTMLElement | null = null;
    for (const preset of PRESETS) {
      const isDormant = preset.name.startsWith(TAU);
      const button = isDormant ? this.#tauButton(preset) : this.#button(preset);
      this.#buttons.set(preset, button);
      if (!isDormant) {
        this.#node.append(button);
      } else if (dormant === null) {
        dormant = element(
          "span",
          { class: "iua-preset-family" },
          element("span", { class: "iua-preset-name", text: "tau-dormant" }),
          element("span", { class: "iua-preset-formula", text: "mean |x| ≤ τ × layer mean |x|" }),
          element("span", { class: "iua-preset-formula", text: "τ =" }),
          button,
        );
        this.#node.append(dormant);
      } else {
        dormant.append(button);
      }
      button.addEventListener(
        "click",
        () => {
          // What only says when a unit is dead goes with any threshold, and can be let go of.
          const onlyShare = Object.keys(preset.settings).join() === "dead_share";
          const off = onlyShare && button.getAttribute("aria-pressed") === "true";
          onChoose(off ? { dead_share: 1 } : preset.settings);
        },
        { signal },
      );
    }
  }

  #button(preset: Preset): HTMLButtonElement {
    return element(
      "button",
      {
        class: "iua-preset",
        title: preset.source,
        attributes: { type: "button", "aria-pressed": "false" },
      },
      element("span", { class: "iua-preset-name", text: preset.name }),
      document.createTextNode(" "),
      element("span", { class: "iua-preset-formula", text: preset.formula }),
    );
  }

  #tauButton(preset: Preset): HTMLButtonElement {
    return element("button", {
      class: "iua-preset",
      text: preset.name.slice(TAU.length),
      title: `${preset.formula}. ${preset.source}`,
      attributes: {
        type: "button",
        "aria-pressed": "false",
        "aria-label": `${preset.name}: ${preset.formula}`,
      },
    });
  }

  update(tolerances: Tolerances): void {
    if (tolerances === this.#tolerances) return;
    this.#tolerances = tolerances;
    for (const [preset, button] of this.#buttons) {
      setAttribute(button, "aria-pressed", String(inForce(preset, tolerances)));
    }
  }

  node(): HTMLElement {
    return this.#node;
  }
}
