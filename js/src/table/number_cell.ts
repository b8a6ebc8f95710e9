/** A right-aligned number, or a range, with a bar below where it is a share. */

import { COLUMNS, type ColumnKey, isShare, type NumberKey } from "../reading/columns";
import { formatBracket, formatInteger, formatMean, formatShare, NOTHING } from "../reading/format";
import { element, setAttribute, setText, setVariable } from "../ui/dom";

export function isNumber(key: ColumnKey): key is NumberKey {
  return key !== "response" && key !== "kind" && key !== "share-over-tolerance";
}

const NUMBER_KEYS = COLUMNS.map(({ key }) => key).filter(isNumber);

/** A cell for each column of numbers. */
export function numberCells(): ReadonlyMap<NumberKey, NumberCell> {
  return new Map(NUMBER_KEYS.map((key) => [key, new NumberCell(key)]));
}

/** The cells of a row in the order of the columns: numbers, and what there is beside them. */
export function cellsInOrder(
  numbers: ReadonlyMap<NumberKey, NumberCell>,
  others: Readonly<Record<Exclude<ColumnKey, NumberKey>, HTMLElement>>,
): ReadonlyMap<ColumnKey, HTMLElement> {
  return new Map(
    COLUMNS.map(({ key }) => [
      key,
      isNumber(key) ? (numbers.get(key) as NumberCell).node() : others[key],
    ]),
  );
}

const FORMATS: Readonly<Record<NumberKey, (value: number) => string>> = {
  "mean-inactive": formatMean,
  "inactive-share": formatShare,
  "std-inactive": formatMean,
  units: formatInteger,
  "dead-units": formatInteger,
  "dead-share": formatShare,
  "newly-dead": formatInteger,
  revived: formatInteger,
  "dead-channels": formatInteger,
  channels: formatInteger,
  dormant: formatInteger,
  probes: formatInteger,
  load: formatMean,
  "share-at-bound": formatShare,
  masked: formatInteger,
  stops: formatInteger,
  nan: formatInteger,
  infinite: formatInteger,
};

/** What need not be exact where the rest of a row is. */
const BOUNDED_BY_ITSELF: ReadonlySet<ColumnKey> = new Set(["dormant", "newly-dead", "revived"]);

/** Whether a number is exact wherever its row is. */
export function isExactWithRow(key: ColumnKey): boolean {
  return !BOUNDED_BY_ITSELF.has(key);
}

/** So many characters of a range fit on a line. */
const FITS = 9;
const FITS_IN_NARROW = 5;
const NARROW: ReadonlySet<ColumnKey> = new Set(["newly-dead", "revived"]);

/** A deviation between two stops is not bounded by theirs, so it is not shown as a range. */
function formatDeviations(lower: number, upper: number): string {
  const low = formatMean(lower);
  return low === formatMean(upper) ? low : `≈ ${low}`;
}

export class NumberCell {
  readonly #key: NumberKey;
  readonly #fits: number;
  readonly #number = element("span", { class: "iua-number" });
  readonly #aside = element("span", { class: "iua-aside" });
  readonly #bar: HTMLElement | null;
  readonly #node: HTMLTableCellElement;
  #lower = Number.POSITIVE_INFINITY;
  #upper = Number.POSITIVE_INFINITY;

  constructor(key: NumberKey) {
    this.#key = key;
    this.#fits = NARROW.has(key) ? FITS_IN_NARROW : FITS;
    this.#node = element(
      "td",
      { class: "iua-numeric", attributes: { "data-column": key } },
      element("span", { class: "iua-figure" }, this.#number, this.#aside),
    );
    this.#bar = isShare(key)
      ? element("span", { class: "iua-bar", attributes: { "aria-hidden": "true" } })
      : null;
    if (this.#bar !== null) this.#node.append(this.#bar);
  }

  /** Show a number or the bounds on it; NaN for none. */
  update(lower: number, upper: number, exact: boolean): void {
    const high = exact ? lower : upper;
    if (Object.is(lower, this.#lower) && Object.is(high, this.#upper)) return;
    this.#lower = lower;
    this.#upper = high;
    const known = !Number.isNaN(lower);
    const between = known && lower !== high;
    setAttribute(this.#node, "data-value", known ? String(lower) : null);
    setAttribute(this.#node, "data-upper", between ? String(high) : null);
    if (this.#bar !== null) {
      this.#bar.hidden = !known;
      setVariable(this.#bar, "--lower", known ? lower.toFixed(4) : "0");
      setVariable(this.#bar, "--upper", known ? high.toFixed(4) : "0");
    }
    const text = this.#text(lower, high);
    setText(this.#number, text);
    this.#node.classList.toggle("iua-between", between && text.length > this.#fits);
    this.#node.classList.toggle("iua-is-zero", !(high > 0));
    this.#node.classList.toggle("iua-some", known && lower > 0);
  }

  #text(lower: number, upper: number): string {
    if (Number.isNaN(lower)) return NOTHING;
    if (this.#key === "std-inactive") return formatDeviations(lower, upper);
    return formatBracket(lower, upper, FORMATS[this.#key]);
  }

  /** A quiet word below the number, or none; and what the cell says when pointed at. */
  setAside(text: string, title: string | null): void {
    setText(this.#aside, text);
    setAttribute(this.#node, "title", title);
  }

  node(): HTMLTableCellElement {
    return this.#node;
  }
}
