/** What the colours of the heatmap mean. */

import { cssColour, shareColour } from "../core/colour";
import { element } from "./dom";

const GRADIENT_STEPS = 16;

export class Legend {
  readonly #node: HTMLElement;

  constructor() {
    const ramp = element("span", { class: "iua-ramp", attributes: { "aria-hidden": "true" } });
    const colours = Array.from({ length: GRADIENT_STEPS + 1 }, (_, step) =>
      cssColour(shareColour(step / GRADIENT_STEPS)),
    );
    ramp.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
    this.#node = element(
      "div",
      { class: "iua-legend" },
      element(
        "span",
        { class: "iua-legend-part" },
        element("span", { text: "always active" }),
        ramp,
        element("span", { text: "always inactive" }),
      ),
      element(
        "span",
        { class: "iua-legend-part" },
        element("span", { class: "iua-swatch", attributes: { "aria-hidden": "true" } }),
        element("span", { text: "dead: inactive on every probe" }),
      ),
    );
  }

  node(): HTMLElement {
    return this.#node;
  }
}
