/** One layer's row: made once, then patched in place. */

import { formatBracket, formatInteger, formatMean, formatShare, NOTHING } from "../core/format";
import { type ColumnKey, cellValue, type LayerReading } from "../core/layers";
import type { LayerMeta } from "../core/snapshot";
import { positionAmong } from "../core/threshold";
import { deadChannels, unitNote, unitSentence } from "../core/unit_words";
import { element, setAttribute, setText, setVariable } from "./dom";
import { Sparkline } from "./sparkline";

export type NumericKey = "mean" | "share" | "std" | "dead" | "dead-share";

export const NUMERIC_KEYS: readonly NumericKey[] = ["mean", "share", "std", "dead", "dead-share"];

const FORMATS: Readonly<Record<NumericKey, (value: number) => string>> = {
  mean: formatMean,
  share: formatShare,
  std: formatMean,
  dead: formatInteger,
  "dead-share": formatShare,
};

const DEAD_CHANNELS = "A channel is dead when no position of it was ever active";

const BARS: ReadonlySet<NumericKey> = new Set<NumericKey>(["share", "dead-share"]);

/** A deviation between two stops is not bounded by theirs, so it is not shown as a range. */
function formatDeviations(lower: number, upper: number): string {
  const low = formatMean(lower);
  const high = formatMean(upper);
  return low === high ? low : `≈ ${low}`;
}

/** A right-aligned number with an optional bar from zero to the lower and the upper bound. */
export class NumberCell {
  readonly #key: NumericKey;
  readonly #text = element("span", { class: "iua-number" });
  readonly #aside = element("span", { class: "iua-shape" });
  readonly #bar: HTMLElement | null;
  readonly #node: HTMLTableCellElement;

  constructor(key: NumericKey) {
    this.#key = key;
    this.#node = element(
      "td",
      { class: "iua-numeric", attributes: { "data-column": key } },
      element("span", { class: "iua-figure" }, this.#aside, this.#text),
    );
    this.#bar = BARS.has(key)
      ? element("span", { class: "iua-bar", attributes: { "aria-hidden": "true" } })
      : null;
    if (this.#bar !== null) this.#node.append(this.#bar);
  }

  update(lower: number | null, upper: number | null, exact: boolean): void {
    setAttribute(this.#node, "data-value", lower === null ? null : String(lower));
    setAttribute(this.#node, "data-upper", exact || upper === null ? null : String(upper));
    const low = lower ?? 0;
    const high = upper ?? low;
    if (this.#bar !== null) {
      setVariable(this.#bar, "--lower", low.toFixed(4));
      setVariable(this.#bar, "--upper", high.toFixed(4));
    }
    if (lower === null) {
      setText(this.#text, NOTHING);
    } else if (this.#key === "std") {
      setText(this.#text, formatDeviations(low, high));
      setAttribute(
        this.#node,
        "title",
        exact
          ? null
          : `${formatMean(low)} at the stop below the threshold, ${formatMean(high)} at the stop above.`,
      );
    } else {
      setText(this.#text, formatBracket(low, high, FORMATS[this.#key]));
    }
    this.#node.classList.toggle("iua-is-zero", this.#key.startsWith("dead") && high === 0);
  }

  /** A quiet word before the number, or none. */
  setAside(text: string, title: string): void {
    setText(this.#aside, text);
    setAttribute(this.#node, "title", text === "" ? null : `${text}. ${title}.`);
  }

  node(): HTMLTableCellElement {
    return this.#node;
  }
}

function divergedWords(meta: LayerMeta): string {
  const parts: string[] = [];
  if (meta.nan > 0) parts.push(`${formatInteger(meta.nan)} NaN`);
  if (meta.infinite > 0) parts.push(`${formatInteger(meta.infinite)} infinite`);
  return `${parts.join(" and ")} responses: they count as active, so this layer looks more alive than it is`;
}

export class LayerRow {
  readonly name: string;
  readonly #name = element("span", { class: "iua-layer-name" });
  readonly #mark = element("span", { class: "iua-diverged", attributes: { role: "img" } });
  readonly #kind = element("td", { class: "iua-kind", attributes: { "data-column": "kind" } });
  readonly #shape = element("span", { class: "iua-shape" });
  readonly #units = element("span", { class: "iua-number" });
  readonly #unitsCell = element(
    "td",
    { class: "iua-numeric iua-units", attributes: { "data-column": "units" } },
    element("span", { class: "iua-figure" }, this.#shape, this.#units),
  );
  readonly #numbers = new Map(NUMERIC_KEYS.map((key) => [key, new NumberCell(key)]));
  readonly #curve = new Sparkline();
  readonly #node: HTMLTableRowElement;

  constructor(name: string) {
    this.name = name;
    this.#name.textContent = name;
    this.#name.title = name;
    this.#mark.textContent = "NaN";
    const curve = element("td", {
      class: "iua-curve-cell",
      attributes: { "data-column": "curve" },
    });
    curve.append(this.#curve.node());
    this.#node = element(
      "tr",
      { class: "iua-row", attributes: { "data-layer": name, tabindex: "-1" } },
      element(
        "th",
        { class: "iua-name", attributes: { scope: "row", "data-column": "name" } },
        element("span", { class: "iua-name-box" }, this.#name, this.#mark),
      ),
      this.#kind,
      this.#unitsCell,
      ...NUMERIC_KEYS.map((key) => (this.#numbers.get(key) as NumberCell).node()),
      curve,
    );
  }

  setCurve(shares: readonly number[]): void {
    this.#curve.setCurve(shares);
  }

  update(reading: LayerReading, stops: readonly number[], selected: boolean): void {
    const { meta, lower, upper, exact } = reading;
    setText(this.#kind, meta.kind);
    setAttribute(this.#kind, "title", `${meta.kind}, ${meta.dtype}`);
    setText(this.#shape, unitNote(meta, stops.length));
    setAttribute(this.#unitsCell, "title", unitSentence(meta, stops.length));
    setText(this.#units, formatInteger(meta.units));
    setAttribute(this.#unitsCell, "data-value", String(meta.units));
    const bad = meta.nan + meta.infinite > 0;
    this.#mark.hidden = !bad;
    if (bad) {
      setText(this.#mark, meta.nan > 0 ? "NaN" : "inf");
      setAttribute(this.#mark, "title", divergedWords(meta));
      setAttribute(this.#mark, "aria-label", divergedWords(meta));
    }
    for (const [key, cell] of this.#numbers) {
      cell.update(
        cellValue(meta, lower, key as ColumnKey),
        cellValue(meta, upper, key as ColumnKey),
        exact,
      );
    }
    this.#numbers.get("dead")?.setAside(deadChannels(reading), DEAD_CHANNELS);
    const counted = meta.probes > 0;
    this.#curve.node().classList.toggle("iua-nothing", !counted);
    if (counted) {
      this.#curve.setMark(positionAmong(stops, reading.threshold), lower.mean / meta.units);
    }
    this.#node.classList.toggle("iua-selected", selected);
    setAttribute(this.#node, "aria-selected", String(selected));
  }

  setReachable(reachable: boolean): void {
    setAttribute(this.#node, "tabindex", reachable ? "0" : "-1");
  }

  node(): HTMLTableRowElement {
    return this.#node;
  }
}
