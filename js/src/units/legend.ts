/** The legend of the heatmap: what its colors and rings mean, in words and numbers. */

import {
  type ColorMap,
  cssColor,
  mapColor,
  type Signals,
  signalColors,
  themeOf,
} from "../canvas/color";
import {
  type Coloring,
  DEAD,
  DEAD_IN_BOTH,
  NOT_FINITE,
  type Range,
  REVIVED,
  UNSURE,
} from "../canvas/levels";
import { LIVE, type LoneUnit } from "../canvas/lone_units";
import type { LegendMark } from "../picture/picture";
import {
  formatCounts,
  formatInteger,
  formatMagnitude,
  formatThreshold,
  plural,
} from "../reading/format";
import { ALIVE, type ChangeSurvey, FATE_WORDS } from "../reading/unit_changes";
import { element, setAttribute, setText } from "../ui/dom";
import { LEVEL_OF_FATE, marksTheDead } from "./unit_facts";

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
  /** Where changes are colored; else null. */
  readonly changes: ChangeSurvey | null;
}

/** The colors that are painted, as CSS and SVG write them. */
interface Inks {
  readonly ramp: readonly string[];
  /** By level. */
  readonly signals: readonly string[];
}

/** The signals in the order of the legend. */
const LEGEND_SIGNALS = [DEAD, REVIVED, DEAD_IN_BOTH, UNSURE, NOT_FINITE] as const;
/** What is said only where there are some. */
const EXCEPTIONS: ReadonlySet<number> = new Set([UNSURE, NOT_FINITE]);
const MEANINGS: ReadonlyMap<number, string> = new Map([
  [DEAD, "not dead in the result compared with, dead here"],
  [REVIVED, "dead in the result compared with, not dead here"],
]);

interface RampWords {
  readonly light: string;
  readonly dark: string;
  readonly meaning: string;
}

function rampWords({ coloring, probes, probe, range, changes }: LegendState): RampWords {
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
    case "max pre-activation":
    case "range":
      return {
        light: range === null ? "" : formatMagnitude(range.from),
        dark: range === null ? "" : formatMagnitude(range.to),
        meaning: coloring,
      };
    case "share at bound":
      return { light: "0 %", dark: "100 %", meaning: "of responses at the activation's bound" };
    case "dead":
      return { light: "", dark: "", meaning: "not dead" };
    case "change":
      return { light: "", dark: "", meaning: changes === null ? "" : fateText(changes, ALIVE) };
  }
}

function fateText({ lower, upper }: ChangeSurvey, fate: number): string {
  return `${formatCounts(lower[fate] as number, upper[fate] as number)} ${FATE_WORDS[fate]}`;
}

interface SignalWords {
  readonly text: string;
  readonly title: string;
}

/** What is said of each signal, by level. */
function signalWords(state: LegendState): ReadonlyMap<number, SignalWords> {
  const { coloring, dead, deadRule, notFinite, changes } = state;
  const words = new Map<number, SignalWords>();
  if (changes !== null) {
    for (const [fate, level] of LEVEL_OF_FATE.entries()) {
      if (level === null || (EXCEPTIONS.has(level) && changes.lower[fate] === 0)) continue;
      const text = fateText(changes, fate);
      const meaning = MEANINGS.get(level);
      const title = meaning === undefined ? text : `${text}: ${meaning}`;
      words.set(level, { text, title: `${title}. ${IN_PROPORTION}` });
    }
    return words;
  }
  const text = `${dead} dead: ${deadRule}`;
  if (marksTheDead(coloring)) words.set(DEAD, { text, title: `${text}. ${IN_PROPORTION}` });
  if (notFinite > 0) {
    const odd = `NaN or infinite at least once (${plural(notFinite, "unit")})`;
    words.set(NOT_FINITE, { text: odd, title: "" });
  }
  return words;
}

/** What a ring is around, where all are around the same. */
function ringWords(kind: number, changes: ChangeSurvey | null): string {
  if (changes !== null) {
    const fate = kind === LIVE ? ALIVE : LEVEL_OF_FATE.indexOf(kind as typeof DEAD);
    return `lone unit, ${FATE_WORDS[fate]}`;
  }
  return `lone ${kind === LIVE ? "live" : kind === DEAD ? "dead" : "not finite"} unit`;
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
  readonly #signals = new Map(
    LEGEND_SIGNALS.map((level) => {
      const swatch = element("span", { class: "iua-swatch" });
      swatch.classList.toggle("iua-swatch-not-finite", level === NOT_FINITE);
      const text = element("span");
      return [level, { swatch, text, node: part(swatch, text) }] as const;
    }),
  );
  readonly #ring = element("span", { class: "iua-ring" });
  readonly #lone = element("span");
  readonly #lonePart: HTMLElement;
  readonly #node: HTMLElement;
  #state: LegendState | null = null;
  #colors: { readonly map: ColorMap; readonly signals: Signals } | null = null;
  #inks: Inks | null = null;
  #ringed: { readonly kind: number | undefined; readonly words: string } | null = null;
  #painted = "";

  constructor() {
    this.#lonePart = part(this.#ring, this.#lone);
    this.#lonePart.hidden = true;
    this.#lonePart.classList.add("iua-legend-lone");
    this.#lonePart.title = RINGED;
    const signal = (level: number): HTMLElement[] => {
      const node = this.#signals.get(level as typeof DEAD)?.node;
      return node === undefined ? [] : [node];
    };
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
      ...[DEAD, REVIVED, DEAD_IN_BOTH].flatMap(signal),
      this.#lonePart,
      ...[UNSURE, NOT_FINITE].flatMap(signal),
    );
  }

  update(state: LegendState): void {
    this.#state = state;
    const words = rampWords(state);
    setText(this.#light, words.light);
    setText(this.#dark, words.dark);
    setText(this.#meaning, words.meaning);
    this.#node.classList.toggle("iua-legend-changes", state.changes !== null);
    const said = signalWords(state);
    for (const [level, { text, node }] of this.#signals) {
      const words = said.get(level);
      node.hidden = words === undefined;
      setText(text, words?.text ?? "");
      setAttribute(node, "title", words?.title || null);
    }
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
    const changes = this.#state?.changes ?? null;
    const words = kind === undefined ? "lone units" : ringWords(kind, changes);
    this.#ringed = kinds.size === 0 ? null : { kind, words };
    this.#lonePart.hidden = this.#ringed === null;
    setText(this.#lone, words);
    setAttribute(this.#ring, "data-kind", kind === LIVE ? "live" : null);
    this.#paintRing();
  }

  #paintRing(): void {
    const kind = this.#ringed?.kind ?? DEAD;
    const color = kind === LIVE ? this.#inks?.ramp[0] : this.#inks?.signals[kind];
    if (color !== undefined) this.#ring.style.setProperty("--iua-ring", color);
  }

  #paint(): void {
    if (this.#colors === null) return;
    const { map, signals } = this.#colors;
    const theme = themeOf(signals.ground);
    const plain = this.#state?.coloring === "dead" || this.#state?.coloring === "change";
    const signalInks = signalColors(map, signals).map(cssColor);
    const key = `${map} ${theme} ${plain} ${signalInks.join()}`;
    if (this.#painted === key) return;
    this.#painted = key;
    for (const [level, { swatch }] of this.#signals) {
      if (level !== NOT_FINITE) swatch.style.background = signalInks[level] as string;
    }
    this.#ramp.classList.toggle("iua-ramp-plain", plain);
    const last = plain ? 0 : 1;
    const ramp = Array.from({ length: GRADIENT_STEPS + 1 }, (_, step) =>
      cssColor(mapColor(map, theme, (last * step) / GRADIENT_STEPS)),
    );
    this.#ramp.style.background = `linear-gradient(to right, ${ramp.join(", ")})`;
    this.#inks = { ramp, signals: signalInks };
    this.#paintRing();
  }

  /** What it says, for a picture. */
  marks(): LegendMark[][] {
    if (this.#state === null || this.#inks === null) return [];
    const { light, dark, meaning } = rampWords(this.#state);
    const { ramp, signals } = this.#inks;
    const text = (text: string): LegendMark => ({ kind: "text", text });
    const marks: LegendMark[][] = [
      this.#state.changes === null
        ? [text(light), { kind: "ramp", colors: ramp }, text(dark), text(meaning)]
        : [{ kind: "swatch", color: ramp[0] as string }, text(meaning)],
    ];
    const said = signalWords(this.#state);
    for (const level of LEGEND_SIGNALS) {
      const words = said.get(level);
      if (words === undefined) continue;
      marks.push([{ kind: "swatch", color: signals[level] as string }, text(words.text)]);
    }
    if (this.#ringed !== null) {
      const { kind = DEAD, words } = this.#ringed;
      const color = (kind === LIVE ? ramp[0] : signals[kind]) as string;
      marks.splice(2, 0, [{ kind: "ring", color }, text(words)]);
    }
    return marks;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
