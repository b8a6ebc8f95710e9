/** What the colours of the heatmap mean, in words and numbers. */

import { type ColourMap, cssColour, mapColour } from "../core/colour";
import { formatInteger, formatThreshold, plural } from "../core/format";
import type { Colouring, Range } from "../core/levels";
import { element, setText } from "./dom";

const GRADIENT_STEPS = 16;

export interface LegendState {
  readonly colouring: Colouring;
  readonly map: ColourMap;
  readonly probes: number;
  /** "probe" or "token". */
  readonly probe: string;
  /** Ends of the ramp where they are numbers of this layer: counts, or magnitudes. */
  readonly range: Range | null;
  readonly deadRule: string;
  readonly dead: string;
  readonly notFinite: number;
}

interface RampWords {
  readonly light: string;
  readonly dark: string;
  readonly meaning: string;
}

function rampWords({ colouring, probes, probe, range }: LegendState): RampWords {
  switch (colouring) {
    case "share":
      return { light: "0 %", dark: "100 %", meaning: `of ${probe}s inactive` };
    case "count":
      return {
        light: range === null ? "0" : formatInteger(range.from),
        dark: formatInteger(range === null ? probes : range.to),
        meaning: `of ${plural(probes, probe)} inactive`,
      };
    case "mean |x|":
      return {
        light: range === null ? "" : formatThreshold(range.to),
        dark: range === null ? "0" : `≤ ${formatThreshold(range.from)}`,
        meaning: "mean |x|, by its logarithm",
      };
    case "dead":
      return { light: "", dark: "", meaning: "not dead" };
  }
}

function part(mark: HTMLElement, ...rest: HTMLElement[]): HTMLElement {
  mark.setAttribute("aria-hidden", "true");
  return element("span", { class: "iua-legend-part" }, mark, ...rest);
}

export class Legend {
  readonly #ramp = element("span", { class: "iua-ramp", attributes: { "aria-hidden": "true" } });
  readonly #light = element("span");
  readonly #dark = element("span");
  readonly #meaning = element("span");
  readonly #dead = element("span");
  readonly #notFinite = element("span");
  readonly #notFinitePart: HTMLElement;
  readonly #node: HTMLElement;
  #ramped = "";

  constructor() {
    this.#notFinitePart = part(
      element("span", { class: "iua-swatch iua-swatch-not-finite" }),
      this.#notFinite,
    );
    this.#node = element(
      "div",
      { class: "iua-legend" },
      element(
        "span",
        { class: "iua-legend-part" },
        this.#light,
        this.#ramp,
        this.#dark,
        this.#meaning,
      ),
      part(element("span", { class: "iua-swatch" }), this.#dead),
      this.#notFinitePart,
    );
  }

  update(state: LegendState): void {
    const words = rampWords(state);
    setText(this.#light, words.light);
    setText(this.#dark, words.dark);
    setText(this.#meaning, words.meaning);
    setText(this.#dead, `dead: ${state.deadRule} (${state.dead})`);
    this.#notFinitePart.hidden = state.notFinite === 0;
    setText(this.#notFinite, `NaN or infinite at least once (${plural(state.notFinite, "unit")})`);
    const steps = state.colouring === "dead" ? 0 : GRADIENT_STEPS;
    if (this.#ramped === `${state.map} ${steps}`) return;
    this.#ramped = `${state.map} ${steps}`;
    this.#ramp.classList.toggle("iua-ramp-plain", steps === 0);
    const colours = Array.from({ length: GRADIENT_STEPS + 1 }, (_, step) =>
      cssColour(mapColour(state.map, (step * steps) / GRADIENT_STEPS ** 2)),
    );
    this.#ramp.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
