/** The unit card: figures of one unit, and its histogram with the threshold on it. */

import { formatCounts, formatShares, formatThreshold, plural } from "../reading/format";
import type { Life } from "../reading/life";
import { EVIDENCE } from "../reading/snapshot";
import type { Tolerances } from "../reading/threshold";
import {
  evidenceWords,
  fateWords,
  probeWord,
  rarelyWords,
  type UnitsInView,
  unitTitle,
} from "../reading/units_in_view";
import { element, setText } from "../ui/dom";
import { CardFacts, type FactsOfUnit } from "./card_facts";
import { LifeLine } from "./life_line";
import { MagnitudePlot } from "./magnitude_plot";
import { unitHistogram } from "./unit_histogram";
import { scaleOfUnit, tolerancesAt, unitThreshold } from "./unit_threshold";

interface UnitCardOptions {
  readonly onTolerances: (changes: Partial<Tolerances>) => void;
  readonly onSettle: () => void;
  readonly onClose: () => void;
}

const RARELY =
  "With 95 % confidence, if the data are like the probes: what is dead on probes may fire on others.";

const FIGURES = ["inactive", "mean |x|", "RMS", "max |x|", "threshold"] as const;
/** Shown where they are known of the layer. */
const SOMETIMES = [...EVIDENCE, "finding", "compared"] as const;
/** What has to be told in a quarter of the card's width. */
const SHORT: Partial<Record<Figure, string>> = {
  "max pre-activation": "max pre-act.",
  "share at bound": "at bound",
};
type Figure = (typeof FIGURES | typeof SOMETIMES)[number];

export class UnitCard {
  readonly #title = element("span", { class: "iua-card-title" });
  readonly #index = element("span", { class: "iua-card-index" });
  /** Why this unit is on show. */
  readonly #why = element("span", { class: "iua-card-index" });
  readonly #alarm = element("span", { class: "iua-card-alarm" });
  readonly #values = new Map<Figure, HTMLElement>();
  readonly #plot: MagnitudePlot;
  readonly #life = new LifeLine();
  readonly #facts = new CardFacts();
  readonly #close: HTMLButtonElement;
  readonly #body: HTMLElement;
  readonly #nothing = element("p", { class: "iua-placeholder", text: "No unit to show yet." });
  readonly #node: HTMLElement;
  readonly #figures = element("div", { class: "iua-figures" });
  #data: UnitsInView | null = null;
  #unit = 0;

  constructor(options: UnitCardOptions, signal: AbortSignal) {
    this.#plot = new MagnitudePlot(
      {
        onInput: (threshold) => {
          const data = this.#data;
          if (data === null) return;
          const scale = scaleOfUnit(data.tolerances, data.layer.meta, data.units, this.#unit);
          const { stops } = data.units;
          options.onTolerances(
            tolerancesAt(threshold, data.tolerances, scale, stops, data.rtolStops),
          );
        },
        onSettle: options.onSettle,
      },
      signal,
    );
    this.#close = element("button", {
      class: "iua-button iua-tool iua-let-go",
      text: "×",
      title: "Let go of this unit",
      attributes: { type: "button", "aria-label": "let go of the unit" },
    });
    this.#close.addEventListener("click", options.onClose, { signal });
    for (const name of [...FIGURES, ...SOMETIMES]) {
      const value = element("span", { class: "iua-figure-value" });
      this.#values.set(name, value);
      const label = element("span", {
        class: "iua-figure-name",
        text: SHORT[name] ?? name,
        title: name,
      });
      const figure = element(
        "div",
        { attributes: { "data-figure": name } },
        label,
        document.createTextNode(" "),
        value,
      );
      this.#figures.append(figure);
    }
    this.#body = element(
      "div",
      { class: "iua-card-body" },
      element(
        "div",
        { class: "iua-card-head" },
        element(
          "div",
          { class: "iua-card-name" },
          element("div", { class: "iua-card-line" }, this.#title, this.#index),
          element("div", { class: "iua-card-line" }, this.#why, this.#alarm),
        ),
        this.#close,
      ),
      this.#figures,
      this.#plot.node(),
      this.#life.node(),
      this.#facts.node(),
    );
    this.#node = element(
      "section",
      { class: "iua-unit-card", attributes: { "aria-label": "unit card" } },
      this.#body,
      this.#nothing,
    );
    this.clear();
  }

  update(data: UnitsInView, unit: number, pinned: boolean): void {
    this.#data = data;
    this.#unit = unit;
    const { units, reading, layer, tolerances } = data;
    const { probes } = units;
    const lower = reading.lower[unit] as number;
    const upper = reading.upper[unit] as number;
    const histogram = unitHistogram(units, unit);
    const threshold = unitThreshold(tolerances, scaleOfUnit(tolerances, layer.meta, units, unit));
    const words = unitTitle(data, unit);
    setText(this.#title, words.title);
    this.#title.title = words.title;
    setText(this.#index, words.index);
    setText(this.#alarm, words.alarm ?? "");
    this.#alarm.title = words.alarm ?? "";
    const figure = (array: Float32Array | null): string => {
      const value = array?.[unit];
      if (value === undefined) return units.dead_from === null ? "not sent" : "not kept";
      // Of no finite response nothing is known, though the largest of none is sent as zero.
      const known = Number.isFinite(value) && data.finite?.[unit] !== 0;
      return known ? formatThreshold(value) : "NaN";
    };
    const set = (name: Figure, text: string): void =>
      setText(this.#values.get(name) as HTMLElement, text);
    const count = formatCounts(lower, upper);
    const share = formatShares(lower / probes, upper / probes);
    const rarely = rarelyWords(data, unit);
    const inactive = `${count} of ${plural(probes, probeWord(data))}: ${share}${rarely}`;
    set("inactive", inactive);
    const values = this.#values.get("inactive") as HTMLElement;
    values.title = rarely === "" ? "" : `${inactive}. ${RARELY}`;
    set("mean |x|", figure(units.mean_abs));
    set("RMS", figure(units.rms));
    set("max |x|", figure(units.max_abs));
    set("threshold", Number.isNaN(threshold) ? "unknown" : formatThreshold(threshold));
    const fate = fateWords(data, unit);
    const known = new Map<Figure, string>(evidenceWords(data, unit));
    if (fate !== null) known.set("compared", fate);
    for (const name of SOMETIMES) {
      set(name, known.get(name) ?? "");
      (this.#values.get(name)?.parentElement as HTMLElement).hidden = !known.has(name);
    }
    this.#figures.classList.toggle("iua-figures-compared", fate !== null);
    this.#plot.node().hidden = units.dead_from !== null;
    this.#plot.update(histogram, units.stops, threshold);
    setText(this.#why, pinned ? "pinned" : "most inactive");
    this.#close.hidden = !pinned;
    this.#body.hidden = false;
    this.#nothing.hidden = true;
  }

  /** Its life over training, where that is kept, and the step on show. */
  showLife(life: Life | null, step: number | null): void {
    this.#life.update(life, step);
  }

  /** What the kernel tells of it besides. */
  showFacts(facts: FactsOfUnit | null): void {
    this.#facts.update(facts);
  }

  /** There is no unit to tell of. */
  clear(): void {
    this.#body.hidden = true;
    this.#nothing.hidden = false;
    this.#data = null;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
