/** The legend of the heatmap: what its colors and rings mean, in words and numbers. */

import {
  type ColorMap,
  cssColor,
  deadColor,
  mapColor,
  type Signals,
  themeOf,
} from "../canvas/color";
import type { Coloring, Range } from "../canvas/levels";
import type { LoneKind, LoneUnit } from "../canvas/lone_units";
import type { LegendMark } from "../picture/picture";
import { formatInteger, formatThreshold, plural } from "../reading/format";
import { element, setAttribute, setText } from "../ui/dom";

const GRADIENT_STEPS = 16;
const RINGED = "A ring is around a unit too small to be seen among many that are not like it.";
const IN_PROPORTION = "Where units share pixels, the share of dead pixels is that of dead units.";

export interface LegendState {
  readonly coloring: Coloring;
  readonly probes: number;
  /** "probe" or "token". */
  readonly probe: string;
  /** Ends of the ramp where they are numbers of this layer: counts, or magnitudes. */
  readonly range: Range | null;
  readonly deadRule: string;
  readonly dead: string;
  readonly notFinite: number;
}

/** The colors that are painted, as CSS and SVG write them. */
interface Inks {
  readonly ramp: readonly string[];
  readonly dead: string;
  readonly live: string;
  readonly notFinite: string;
}

interface RampWords {
  readonly light: string;
  readonly dark: string;
  readonly meaning: string;
}

function rampWords({ coloring, probes, probe, range }: LegendState): RampWords {
  switch (coloring) {
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

function deadText({ dead, deadRule }: LegendState): string {
  return `${dead} dead: ${deadRule}`;
}

function notFiniteText({ notFinite }: LegendState): string {
  return `NaN or infinite at least once (${plural(notFinite, "unit")})`;
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
  readonly #deadPart: HTMLElement;
  readonly #lonePart: HTMLElement;
  readonly #notFinite = element("span");
  readonly #notFinitePart: HTMLElement;
  readonly #node: HTMLElement;
  #state: LegendState | null = null;
  #colors: { readonly map: ColorMap; readonly signals: Signals } | null = null;
  #inks: Inks | null = null;
  #ringed: { readonly kind: LoneKind | undefined; readonly words: string } | null = null;
  #painted = "";

  constructor() {
    this.#notFinitePart = part(
      element("span", { class: "iua-swatch iua-swatch-not-finite" }),
      this.#notFinite,
    );
    this.#lonePart = part(this.#ring, this.#lone);
    this.#lonePart.hidden = true;
    this.#lonePart.classList.add("iua-legend-lone");
    this.#lonePart.title = RINGED;
    this.#deadPart = part(this.#deadSwatch, this.#dead);
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
      this.#deadPart,
      this.#lonePart,
      this.#notFinitePart,
    );
  }

  update(state: LegendState): void {
    this.#state = state;
    const words = rampWords(state);
    setText(this.#light, words.light);
    setText(this.#dark, words.dark);
    setText(this.#meaning, words.meaning);
    const dead = deadText(state);
    setText(this.#dead, dead);
    setAttribute(this.#deadPart, "title", `${dead}. ${IN_PROPORTION}`);
    this.#notFinitePart.hidden = state.notFinite === 0;
    setText(this.#notFinite, notFiniteText(state));
    this.#paint();
  }

  recolor(map: ColorMap, signals: Signals): void {
    this.#colors = { map, signals };
    this.#paint();
  }

  /** What the rings in the picture are around. */
  ring(lone: readonly LoneUnit[]): void {
    const kinds = new Set(lone.map(({ kind }) => kind));
    const [kind] = kinds.size === 1 ? kinds : [];
    const words = kind === undefined ? "lone units" : `lone ${kind} unit`;
    this.#ringed = kinds.size === 0 ? null : { kind, words };
    this.#lonePart.hidden = this.#ringed === null;
    setText(this.#lone, words);
    setAttribute(this.#ring, "data-kind", kind ?? null);
  }

  #paint(): void {
    if (this.#colors === null) return;
    const { map, signals } = this.#colors;
    const theme = themeOf(signals.ground);
    const plain = this.#state?.coloring === "dead";
    const dead = cssColor(deadColor(map, theme, signals.dead));
    const key = `${map} ${theme} ${plain} ${dead}`;
    if (this.#painted === key) return;
    this.#painted = key;
    const live = cssColor(mapColor(map, theme, 0));
    this.#deadSwatch.style.background = dead;
    this.#ring.style.setProperty("--iua-ring", dead);
    this.#ring.style.setProperty("--iua-ring-live", live);
    this.#ramp.classList.toggle("iua-ramp-plain", plain);
    const last = plain ? 0 : 1;
    const ramp = Array.from({ length: GRADIENT_STEPS + 1 }, (_, step) =>
      cssColor(mapColor(map, theme, (last * step) / GRADIENT_STEPS)),
    );
    this.#ramp.style.background = `linear-gradient(to right, ${ramp.join(", ")})`;
    this.#inks = { ramp, dead, live, notFinite: cssColor(signals.notFinite) };
  }

  /** What it says, for a picture. */
  marks(): LegendMark[][] {
    if (this.#state === null || this.#inks === null) return [];
    const { light, dark, meaning } = rampWords(this.#state);
    const { ramp, dead, live, notFinite } = this.#inks;
    const text = (text: string): LegendMark => ({ kind: "text", text });
    const marks: LegendMark[][] = [
      [text(light), { kind: "ramp", colors: ramp }, text(dark), text(meaning)],
      [{ kind: "swatch", color: dead }, text(deadText(this.#state))],
    ];
    if (this.#ringed !== null) {
      const { kind, words } = this.#ringed;
      const color = kind === "live" ? live : kind === "not finite" ? notFinite : dead;
      marks.push([{ kind: "ring", color }, text(words)]);
    }
    if (this.#state.notFinite > 0) {
      marks.push([{ kind: "swatch", color: notFinite }, text(notFiniteText(this.#state))]);
    }
    return marks;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
