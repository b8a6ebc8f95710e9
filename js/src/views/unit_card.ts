/** All that is known of one unit, pinned: figures, and a histogram with the threshold on it. */

import { formatBracket, formatInteger, formatShare, formatThreshold, plural } from "../core/format";
import type { Tolerances } from "../core/threshold";
import { unitHistogram } from "../core/unit_histogram";
import { scaleOfUnit, tolerancesAt, unitThreshold } from "../core/unit_threshold";
import { probeWord, type UnitsInView, unitTitle } from "../core/units_in_view";
import { element, setText } from "./dom";
import { MagnitudePlot } from "./magnitude_plot";

export interface UnitCardOptions {
  readonly onTolerances: (changes: Partial<Tolerances>) => void;
  readonly onSettle: () => void;
  readonly onClose: () => void;
}

const FIGURES = ["inactive", "mean |x|", "RMS", "max |x|", "threshold"] as const;
type Figure = (typeof FIGURES)[number];

export class UnitCard {
  readonly #title = element("strong", { class: "iua-card-title" });
  readonly #index = element("span", { class: "iua-card-index" });
  readonly #alarm = element("span", { class: "iua-card-alarm" });
  readonly #values = new Map<Figure, HTMLElement>();
  readonly #plot: MagnitudePlot;
  readonly #node: HTMLElement;
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
    const close = element("button", {
      class: "iua-button iua-tool",
      text: "×",
      attributes: { type: "button", "aria-label": "close the unit card" },
    });
    close.addEventListener("click", options.onClose, { signal });
    const figures = element("dl", { class: "iua-figures" });
    for (const name of FIGURES) {
      const value = element("dd");
      this.#values.set(name, value);
      figures.append(element("div", {}, element("dt", { text: name }), value));
    }
    this.#node = element(
      "section",
      { class: "iua-unit-card", attributes: { "aria-label": "unit card" } },
      element(
        "div",
        { class: "iua-card-head" },
        element("div", { class: "iua-card-name" }, this.#title, this.#index, this.#alarm),
        close,
      ),
      figures,
      this.#plot.node(),
    );
    this.#node.hidden = true;
  }

  update(data: UnitsInView, unit: number): void {
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
    setText(this.#index, words.index);
    setText(this.#alarm, words.alarm ?? "");
    const figure = (array: Float32Array | null): string => {
      const value = array?.[unit];
      if (value === undefined) return "not sent";
      // Of no finite response nothing is known, though the largest of none is sent as zero.
      const known = Number.isFinite(value) && data.finite?.[unit] !== 0;
      return known ? formatThreshold(value) : "NaN";
    };
    const set = (name: Figure, text: string): void =>
      setText(this.#values.get(name) as HTMLElement, text);
    const count = formatBracket(lower, upper, formatInteger);
    const share = formatBracket(lower / probes, upper / probes, formatShare);
    set("inactive", `${count} of ${plural(probes, probeWord(data))}: ${share}`);
    set("mean |x|", figure(units.mean_abs));
    set("RMS", figure(units.rms));
    set("max |x|", figure(units.max_abs));
    set("threshold", Number.isNaN(threshold) ? "unknown" : formatThreshold(threshold));
    this.#plot.update(histogram, units.stops, threshold);
    this.#node.hidden = false;
  }

  hide(): void {
    this.#node.hidden = true;
    this.#data = null;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
