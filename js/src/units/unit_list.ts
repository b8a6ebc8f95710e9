/** Units of a layer as a list, most inactive first: the heatmap for those who read. */

import {
  formatBracket,
  formatInteger,
  formatShare,
  formatThreshold,
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
import { rowAfterKey } from "../ui/row_step";
import type { UnitChoice } from "./unit_choice";
import { MOST_INACTIVE, MOST_ROWS, type UnitKey, UnitRows } from "./unit_rows";

const ROW = 24;
const OVERSCAN = 3;
/** More units than this are sorted once a drag pauses. */
const SORT_AT_ONCE = 100_000;
const PAUSE_MS = 80;

export interface UnitListOptions {
  readonly onPick: (unit: number, adds: boolean) => void;
  readonly onPoint: (unit: number | null) => void;
}

interface Column {
  readonly key: UnitKey;
  readonly title: string;
}

const COLUMNS: readonly Column[] = [
  { key: "unit", title: "unit" },
  { key: "inactive", title: "inactive" },
  { key: "mean |x|", title: "mean |x|" },
  { key: "max |x|", title: "max |x|" },
];

interface Row {
  readonly node: HTMLElement;
  readonly cells: Readonly<Record<UnitKey, HTMLElement>>;
}

export class UnitList {
  readonly #options: UnitListOptions;
  readonly #prefix = `iua-${Math.random().toString(36).slice(2, 10)}`;
  readonly #what: string;
  readonly #first = element("p", { class: "iua-list-first" });
  readonly #headers = new Map<UnitKey, HTMLElement>();
  readonly #head = element("div", { class: "iua-list-head", attributes: { role: "row" } });
  readonly #body = element("div", { class: "iua-list-body", attributes: { role: "rowgroup" } });
  readonly #grid: HTMLElement;
  readonly #node: HTMLElement;
  readonly #drawn: Row[] = [];
  #sort = MOST_INACTIVE;
  #data: UnitsInView | null = null;
  #choice: UnitChoice | null = null;
  /** The units to list; null for all. */
  #of: readonly number[] | null = null;
  #rows = new UnitRows(0, null, MOST_INACTIVE);
  #sortedFor: NumericArray | null | undefined;
  #active = 0;
  /** As last laid out: to ask for them during a step would lay out the page. */
  #height = 0;
  #scrolled = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: UnitListOptions, signal: AbortSignal, what = "units") {
    this.#options = options;
    this.#what = what;
    for (const { key, title } of COLUMNS) {
      const button = element("button", {
        class: "iua-list-sort",
        text: title,
        attributes: { type: "button", tabindex: "-1" },
      });
      button.addEventListener("click", () => this.#sortBy(key), { signal });
      const header = element(
        "span",
        { class: "iua-list-cell", attributes: { role: "columnheader", "data-key": key } },
        button,
      );
      this.#headers.set(key, header);
      this.#head.append(header);
    }
    this.#grid = element(
      "div",
      {
        class: "iua-list",
        attributes: { role: "grid", tabindex: "0", "aria-multiselectable": "true" },
      },
      element("div", { class: "iua-list-top", attributes: { role: "rowgroup" } }, this.#head),
      this.#body,
    );
    this.#node = element(
      "section",
      { class: "iua-unit-list", attributes: { "aria-label": `list of ${what}` } },
      this.#first,
      this.#grid,
    );
    this.#listen(signal);
  }

  #listen(signal: AbortSignal): void {
    const grid = this.#grid;
    grid.addEventListener(
      "scroll",
      () => {
        this.#scrolled = grid.scrollTop;
        this.#draw();
      },
      { signal, passive: true },
    );
    grid.addEventListener("keydown", (event) => this.#key(event), { signal });
    const pointed = (event: Event): number | null => {
      const row = (event.target as Element).closest<HTMLElement>("[data-unit]");
      if (row === null) return null;
      if (event.type === "click") this.#active = Number(row.dataset.row);
      return Number(row.dataset.unit);
    };
    this.#body.addEventListener(
      "click",
      (event) => {
        const unit = pointed(event);
        if (unit === null) return;
        this.#options.onPick(unit, event.ctrlKey || event.metaKey || event.shiftKey);
      },
      { signal },
    );
    this.#body.addEventListener("pointerover", (event) => this.#options.onPoint(pointed(event)), {
      signal,
    });
    this.#body.addEventListener("pointerleave", () => this.#options.onPoint(null), { signal });
    const observer = new ResizeObserver(() => {
      this.#height = grid.clientHeight;
      this.#draw();
    });
    observer.observe(grid);
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
    this.#active = 0;
    if (this.#scrolled > 0) this.#grid.scrollTop = 0;
    this.#scrolled = 0;
  }

  #key(event: KeyboardEvent): void {
    if (event.target !== this.#grid || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.#height / ROW) - 2);
    const row = rowAfterKey(event.key, this.#active, this.#rows.length, page);
    if (row !== null) this.#activate(row);
    else if (event.key === "Enter" || event.key === " ") {
      const [unit] = this.#rows.between(this.#active, this.#active + 1);
      if (unit !== undefined) this.#options.onPick(unit, event.key === " ");
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #activate(row: number): void {
    this.#active = row;
    const grid = this.#grid;
    const room = this.#height - ROW - 1;
    const top = this.#active * ROW;
    if (top < this.#scrolled) this.#scrolled = top;
    else if (top + ROW > this.#scrolled + room) this.#scrolled = top + ROW - room;
    grid.scrollTop = this.#scrolled;
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
    this.#body.style.height = "0";
    for (const { node } of this.#drawn) node.hidden = true;
  }

  #values(data: UnitsInView): NumericArray | null {
    switch (this.#sort.key) {
      case "unit":
        return null;
      case "inactive":
        return data.reading.lower;
      case "mean |x|":
        return data.units.mean_abs;
      case "max |x|":
        return data.units.max_abs;
    }
  }

  #sortNow(): void {
    const data = this.#data;
    if (data === null) return;
    const missing = (key: UnitKey): boolean =>
      (key === "mean |x|" && data.units.mean_abs === null) ||
      (key === "max |x|" && data.units.max_abs === null);
    if (missing(this.#sort.key)) this.#sort = MOST_INACTIVE;
    const values = this.#values(data);
    const same =
      this.#sortedFor !== undefined &&
      this.#sortedFor?.buffer === values?.buffer &&
      this.#sortedFor?.byteOffset === values?.byteOffset &&
      this.#rows.sort === this.#sort;
    if (!same) this.#rows = new UnitRows(data.units.units, values, this.#sort, this.#of);
    this.#sortedFor = values;
    for (const [key, header] of this.#headers) {
      const here = key === this.#sort.key;
      header.hidden = missing(key);
      setAttribute(
        header,
        "aria-sort",
        here ? (this.#sort.ascending ? "ascending" : "descending") : null,
      );
    }
    const all = this.#of?.length ?? data.units.units;
    this.#first.hidden = all <= MOST_ROWS;
    setText(this.#first, `The first ${formatInteger(MOST_ROWS)} of ${formatInteger(all)}`);
    const name = `${this.#what} of ${data.units.layer}: ${this.#orderWords()}`;
    setAttribute(this.#grid, "aria-label", name);
    setAttribute(this.#grid, "aria-rowcount", String(this.#rows.length + 1));
    this.#body.style.height = `${this.#rows.length * ROW}px`;
    this.#draw();
  }

  #orderWords(): string {
    const { key, ascending } = this.#sort;
    if (key === "unit") return ascending ? "in order" : "last first";
    if (key === "inactive") return ascending ? "most active first" : "most inactive first";
    return `${ascending ? "smallest" : "largest"} ${key} first`;
  }

  #row(): Row {
    const cells = Object.fromEntries(
      COLUMNS.map(({ key }) => [
        key,
        element("span", {
          class: "iua-list-cell",
          attributes: { role: "gridcell", "data-key": key },
        }),
      ]),
    ) as Record<UnitKey, HTMLElement>;
    const node = element(
      "div",
      { class: "iua-list-row", attributes: { role: "row" } },
      ...Object.values(cells),
    );
    this.#body.append(node);
    return { node, cells };
  }

  #draw(): void {
    const data = this.#data;
    if (data === null || this.#height === 0) return;
    const first = Math.max(0, Math.floor(this.#scrolled / ROW) - OVERSCAN);
    const number = Math.ceil(this.#height / ROW) + 2 * OVERSCAN;
    const units = this.#rows.between(first, first + number);
    while (this.#drawn.length < units.length) this.#drawn.push(this.#row());
    this.#drawn.forEach((row, at) => {
      const unit = units[at];
      row.node.hidden = unit === undefined;
      if (unit !== undefined) this.#fill(row, data, first + at, unit);
    });
    const shown = this.#active >= first && this.#active < first + units.length;
    const active = shown ? `${this.#prefix}-${this.#active}` : null;
    setAttribute(this.#grid, "aria-activedescendant", active);
  }

  #fill({ node, cells }: Row, data: UnitsInView, row: number, unit: number): void {
    const { units, reading } = data;
    const lower = reading.lower[unit] as number;
    const upper = reading.upper[unit] as number;
    const words = unitTitle(data, unit);
    node.id = `${this.#prefix}-${row}`;
    node.dataset.row = String(row);
    node.dataset.unit = String(unit);
    node.style.transform = `translateY(${row * ROW}px)`;
    setAttribute(node, "aria-rowindex", String(row + 2));
    setAttribute(node, "aria-selected", String(this.#choice?.has(unit) ?? false));
    node.classList.toggle("iua-list-active", row === this.#active);
    node.classList.toggle("iua-list-dead", lower >= data.dead.fromOf(unit));
    const parts = [unitName(data, unit), words.index, words.alarm ?? ""];
    node.title = parts.filter((part) => part !== "").join("\n");
    setText(cells.unit, unitShortName(data, unit));
    const finite = data.finite?.[unit] ?? units.probes;
    node.classList.toggle("iua-list-not-finite", finite < units.probes);
    const share = formatBracket(lower / units.probes, upper / units.probes, formatShare);
    setText(cells.inactive, finite === 0 ? "NaN" : finite < units.probes ? `NaN, ${share}` : share);
    cells.inactive.title = `${formatBracket(lower, upper, formatInteger)} of ${formatInteger(units.probes)} ${probeWord(data)}s`;
    setVariable(node, "--share", (lower / units.probes).toFixed(4));
    this.#magnitude(cells["mean |x|"], units.mean_abs, finite > 0 ? unit : -1);
    this.#magnitude(cells["max |x|"], units.max_abs, finite > 0 ? unit : -1);
  }

  #magnitude(cell: HTMLElement, values: Float32Array | null, unit: number): void {
    cell.hidden = values === null;
    const value = values?.[unit];
    setText(cell, value !== undefined && Number.isFinite(value) ? formatThreshold(value) : NOTHING);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
