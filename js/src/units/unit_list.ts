/** The units of a layer as a list that can be sorted, most inactive first: the heatmap in words. */

import {
  formatCounts,
  formatInteger,
  formatMagnitude,
  formatShares,
  NOTHING,
} from "../reading/format";
import type { NumericArray } from "../reading/snapshot";
import {
  probeWord,
  type UnitsInView,
  unitName,
  unitShortName,
  unitTitle,
} from "../reading/units_in_view";
import { element, setAttribute, setText, setVariable } from "../ui/dom";
import { type GridRow, RowGrid } from "../ui/row_grid";
import type { UnitChoice } from "./unit_choice";
import {
  MOST_INACTIVE,
  MOST_ROWS,
  sortWords,
  UNIT_KEYS,
  type UnitKey,
  UnitRows,
  valuesOf,
} from "./unit_rows";

const ROW = 24;
const OVERSCAN = 3;
/** More units than this are sorted once a drag pauses. */
const SORT_AT_ONCE = 100_000;
const PAUSE_MS = 80;

export interface UnitListOptions {
  readonly onPick: (unit: number, adds: boolean) => void;
  readonly onPoint: (unit: number | null) => void;
}

export class UnitList {
  readonly #what: string;
  readonly #first = element("p", { class: "iua-list-first" });
  readonly #grid: RowGrid<UnitKey>;
  readonly #node: HTMLElement;
  readonly #drawn: GridRow<UnitKey>[] = [];
  #sort = MOST_INACTIVE;
  #data: UnitsInView | null = null;
  #choice: UnitChoice | null = null;
  /** The units to list; null for all. */
  #of: readonly number[] | null = null;
  #rows = new UnitRows(0, null, MOST_INACTIVE);
  #sortedFor: NumericArray | null | undefined;
  /** As last laid out: to ask for them during a step would lay out the page. */
  #height = 0;
  #scrolled = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: UnitListOptions, signal: AbortSignal, what = "units") {
    this.#what = what;
    this.#grid = new RowGrid(
      {
        class: "iua-list",
        columns: UNIT_KEYS,
        heading: (key) => this.#heading(key, signal),
        multiple: true,
        rows: () => this.#rows.length,
        page: () => Math.max(1, Math.floor(this.#height / ROW) - 2),
        onActive: () => this.#showActive(),
        onChoose: (row, adds) => {
          const [unit] = this.#rows.between(row, row + 1);
          if (unit !== undefined) options.onPick(unit, adds);
        },
      },
      signal,
    );
    this.#node = element(
      "section",
      { class: "iua-unit-list", attributes: { "aria-label": `list of ${what}` } },
      this.#first,
      this.#grid.node,
    );
    this.#listen(options.onPoint, signal);
  }

  #heading(key: UnitKey, signal: AbortSignal): HTMLElement {
    const button = element("button", {
      class: "iua-list-sort",
      text: key,
      attributes: { type: "button", tabindex: "-1" },
    });
    button.addEventListener("click", () => this.#sortBy(key), { signal });
    return button;
  }

  #listen(onPoint: UnitListOptions["onPoint"], signal: AbortSignal): void {
    const { node, body } = this.#grid;
    node.addEventListener(
      "scroll",
      () => {
        this.#scrolled = node.scrollTop;
        this.#draw();
      },
      { signal, passive: true },
    );
    const pointed = (event: Event): void => {
      const row = (event.target as Element).closest<HTMLElement>("[data-unit]");
      onPoint(row === null ? null : Number(row.dataset.unit));
    };
    body.addEventListener("pointerover", pointed, { signal });
    body.addEventListener("pointerleave", () => onPoint(null), { signal });
    const observer = new ResizeObserver(() => {
      this.#height = node.clientHeight;
      this.#draw();
    });
    observer.observe(node);
    signal.addEventListener(
      "abort",
      () => {
        observer.disconnect();
        clearTimeout(this.#timer);
      },
      { once: true },
    );
  }

  #sortBy(key: UnitKey): void {
    const same = this.#sort.key === key;
    this.#sort = { key, ascending: same ? !this.#sort.ascending : key === "unit" };
    this.#sortedFor = undefined;
    this.#toTop();
    this.#sortNow();
  }

  #toTop(): void {
    this.#grid.active = 0;
    if (this.#scrolled > 0) this.#grid.node.scrollTop = 0;
    this.#scrolled = 0;
  }

  #showActive(): void {
    const room = this.#height - ROW - 1;
    const top = this.#grid.active * ROW;
    if (top < this.#scrolled) this.#scrolled = top;
    else if (top + ROW > this.#scrolled + room) this.#scrolled = top + ROW - room;
    this.#grid.node.scrollTop = this.#scrolled;
    this.#draw();
  }

  /** List the units of a layer, or some of them, ascending. */
  update(data: UnitsInView, choice: UnitChoice, of: readonly number[] | null = null): void {
    const otherLayer = this.#data?.units.layer !== data.units.layer;
    this.#data = data;
    this.#choice = choice;
    if (of !== this.#of) this.#sortedFor = undefined;
    this.#of = of;
    if (otherLayer) this.#toTop();
    clearTimeout(this.#timer);
    if (otherLayer || (of ?? data.reading.lower).length <= SORT_AT_ONCE) this.#sortNow();
    else this.#timer = setTimeout(() => this.#sortNow(), PAUSE_MS);
  }

  /** There are no units to list. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#data = null;
    this.#sortedFor = undefined;
    this.#grid.body.style.height = "0";
    for (const { node } of this.#drawn) node.hidden = true;
  }

  #sortNow(): void {
    const data = this.#data;
    if (data === null) return;
    const { units } = data.units;
    if (valuesOf(data, this.#sort.key) === undefined) this.#sort = MOST_INACTIVE;
    const values = valuesOf(data, this.#sort.key) ?? null;
    const same =
      this.#sortedFor !== undefined &&
      this.#sortedFor?.buffer === values?.buffer &&
      this.#sortedFor?.byteOffset === values?.byteOffset &&
      this.#rows.sort === this.#sort;
    if (!same) this.#rows = new UnitRows(units, values, this.#sort, this.#of);
    this.#sortedFor = values;
    const order = this.#sort.ascending ? "ascending" : "descending";
    for (const key of UNIT_KEYS) {
      const header = this.#grid.heads[key];
      header.hidden = valuesOf(data, key) === undefined;
      setAttribute(header, "aria-sort", key === this.#sort.key ? order : null);
    }
    const all = this.#of?.length ?? units;
    this.#first.hidden = all <= MOST_ROWS;
    setText(this.#first, `The first ${formatInteger(MOST_ROWS)} of ${formatInteger(all)}`);
    const name = `${this.#what} of ${data.units.layer}: ${sortWords(this.#sort)}`;
    setAttribute(this.#grid.node, "aria-label", name);
    this.#grid.setLength(this.#rows.length);
    this.#grid.body.style.height = `${this.#rows.length * ROW}px`;
    this.#draw();
  }

  #draw(): void {
    const data = this.#data;
    if (data === null || this.#height === 0) return;
    const first = Math.max(0, Math.floor(this.#scrolled / ROW) - OVERSCAN);
    const number = Math.ceil(this.#height / ROW) + 2 * OVERSCAN;
    const units = this.#rows.between(first, first + number);
    while (this.#drawn.length < units.length) this.#drawn.push(this.#grid.addRow());
    this.#drawn.forEach((row, at) => {
      const unit = units[at];
      row.node.hidden = unit === undefined;
      if (unit !== undefined) this.#fill(row, data, first + at, unit);
    });
    this.#grid.showActive();
  }

  #fill({ node, cells }: GridRow<UnitKey>, data: UnitsInView, row: number, unit: number): void {
    const { units, reading } = data;
    const lower = reading.lower[unit] as number;
    const upper = reading.upper[unit] as number;
    const words = unitTitle(data, unit);
    this.#grid.number(node, row);
    node.dataset.unit = String(unit);
    node.style.transform = `translateY(${row * ROW}px)`;
    setAttribute(node, "aria-selected", String(this.#choice?.has(unit) ?? false));
    node.classList.toggle("iua-list-dead", lower >= data.dead.fromOf(unit));
    const parts = [unitName(data, unit), words.index, words.alarm ?? ""];
    node.title = parts.filter((part) => part !== "").join("\n");
    setText(cells.unit, unitShortName(data, unit));
    const finite = data.finite?.[unit] ?? units.probes;
    node.classList.toggle("iua-list-not-finite", finite < units.probes);
    const share = formatShares(lower / units.probes, upper / units.probes);
    setText(cells.inactive, finite === 0 ? "NaN" : finite < units.probes ? `NaN, ${share}` : share);
    cells.inactive.title = `${formatCounts(lower, upper)} of ${formatInteger(units.probes)} ${probeWord(data)}s`;
    setVariable(node, "--share", (lower / units.probes).toFixed(4));
    for (const key of ["mean |x|", "max |x|"] as const) {
      const values = valuesOf(data, key);
      cells[key].hidden = values === undefined;
      setText(cells[key], finite > 0 ? formatMagnitude(values?.[unit]) : NOTHING);
    }
  }

  node(): HTMLElement {
    return this.#node;
  }
}
