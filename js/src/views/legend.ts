/** What the colours of the heatmap mean, in words and numbers. */

import {
  type ColourMap,
  cssColour,
  deadColour,
  mapColour,
  type Signals,
  themeOf,
} from "../core/colour";
import { formatInteger, formatThreshold, plural } from "../core/format";
import type { Colouring, Range } from "../core/levels";
import type { LoneUnit } from "../core/lone_units";
import { element, setText } from "./dom";

const GRADIENT_STEPS = 16;
const IN_PROPORTION = "Where units share pixels, the share of dead pixels is that of dead units.";

export interface LegendState {
  readonly colouring: Colouring;
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
  readonly #deadSwatch = element("span", { class: "iua-swatch" });
  readonly #ring = element("span", { class: "iua-ring" });
  readonly #lone = element("span");
  readonly #lonePart: HTMLElement;
  readonly #notFinite = element("span");
  readonly #notFinitePart: HTMLElement;
  readonly #node: HTMLElement;
  #colours: { readonly map: ColourMap; readonly signals: Signals } | null = null;
  #plain = false;
  #painted = "";

  constructor() {
    this.#notFinitePart = part(
      element("span", { class: "iua-swatch iua-swatch-not-finite" }),
      this.#notFinite,
    );
    this.#lonePart = part(this.#ring, this.#lone);
    this.#lonePart.hidden = true;
    const dead = part(this.#deadSwatch, this.#dead);
    dead.title = IN_PROPORTION;
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
      dead,
      this.#lonePart,
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
    this.#plain = state.colouring === "dead";
    this.#paint();
  }

  recolour(map: ColourMap, signals: Signals): void {
    this.#colours = { map, signals };
    this.#paint();
  }

  /** What the rings in the picture are around. */
  ring(lone: readonly LoneUnit[]): void {
    const [first] = lone;
    this.#lonePart.hidden = first === undefined;
    if (first === undefined) return;
    const same = lone.every(({ kind }) => kind === first.kind);
    setText(this.#lone, same ? `a lone ${first.kind} unit` : "a lone unit");
  }

  #paint(): void {
    if (this.#colours === null) return;
    const { map, signals } = this.#colours;
    const theme = themeOf(signals.ground);
    const dead = cssColour(deadColour(map, theme, signals.dead));
    const key = `${map} ${theme} ${this.#plain} ${dead}`;
    if (this.#painted === key) return;
    this.#painted = key;
    this.#deadSwatch.style.background = dead;
    this.#ring.style.borderColor = dead;
    this.#ramp.classList.toggle("iua-ramp-plain", this.#plain);
    const last = this.#plain ? 0 : 1;
    const colours = Array.from({ length: GRADIENT_STEPS + 1 }, (_, step) =>
      cssColour(mapColour(map, theme, (last * step) / GRADIENT_STEPS)),
    );
    this.#ramp.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
