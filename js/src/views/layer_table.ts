/** All layers, one a row: sortable, selectable, live. */

import { formatInteger } from "../core/format";
import {
  type ColumnKey,
  type LayerReading,
  nextSort,
  type Sort,
  shareCurve,
  sortRows,
} from "../core/layers";
import type { TableSnapshot } from "../core/snapshot";
import { element, setAttribute, setText } from "./dom";
import { LayerRow, NUMERIC_KEYS, NumberCell, type NumericKey } from "./layer_row";

interface Column {
  readonly key: ColumnKey;
  /** Lines of the header. */
  readonly label: string;
  readonly title: string;
  readonly numeric: boolean;
}

const COLUMNS: readonly Column[] = [
  { key: "name", label: "layer", title: "Name of the layer", numeric: false },
  { key: "kind", label: "kind", title: "What computes the responses", numeric: false },
  { key: "units", label: "units", title: "Shape and number of units", numeric: true },
  {
    key: "mean",
    label: "mean\ninactive",
    title: "Inactive units on one probe, averaged over the probes",
    numeric: true,
  },
  {
    key: "share",
    label: "inactive\nshare",
    title: "Mean inactive units as a share of all units",
    numeric: true,
  },
  {
    key: "std",
    label: "std",
    title: "Population standard deviation of inactive units over the probes",
    numeric: true,
  },
  {
    key: "dead",
    label: "dead\nunits",
    title: "Units that were inactive on every probe",
    numeric: true,
  },
  {
    key: "dead-share",
    label: "dead\nshare",
    title: "Dead units as a share of all units",
    numeric: true,
  },
  {
    key: "curve",
    label: "over\ntolerance",
    title: "Inactive share at every stop of atol; the mark is the threshold in force",
    numeric: false,
  },
];

const SORTABLE: ReadonlySet<ColumnKey> = new Set(
  COLUMNS.map((column) => column.key).filter((key) => key !== "curve"),
);

class Totals {
  readonly #layers = element("th", {
    class: "iua-name",
    attributes: { scope: "row", "data-column": "name" },
  });
  readonly #units = element("td", {
    class: "iua-numeric",
    attributes: { "data-column": "units" },
  });
  readonly #cells = new Map(NUMERIC_KEYS.map((key) => [key, new NumberCell(key)]));
  readonly #node = element(
    "tr",
    { class: "iua-totals" },
    this.#layers,
    element("td", { attributes: { "data-column": "kind" } }),
    this.#units,
    ...NUMERIC_KEYS.map((key) => (this.#cells.get(key) as NumberCell).node()),
    element("td", { attributes: { "data-column": "curve" } }),
  );

  update(readings: readonly LayerReading[]): void {
    const counted = readings.filter((reading) => reading.meta.probes > 0);
    const sum = (list: readonly LayerReading[], value: (reading: LayerReading) => number): number =>
      list.reduce((all, reading) => all + value(reading), 0);
    const units = sum(readings, (reading) => reading.meta.units);
    const countedUnits = sum(counted, (reading) => reading.meta.units);
    const exact = counted.every((reading) => reading.exact);
    setText(this.#layers, readings.length === 1 ? "1 layer" : `all ${readings.length} layers`);
    setText(this.#units, formatInteger(units));
    setAttribute(this.#units, "data-value", String(units));
    const values = (side: "lower" | "upper"): Record<NumericKey, number | null> => {
      const mean = sum(counted, (reading) => reading[side].mean);
      const dead = sum(counted, (reading) => reading[side].dead);
      return {
        mean,
        share: mean / countedUnits,
        std: null,
        dead,
        "dead-share": dead / countedUnits,
      };
    };
    const lower = values("lower");
    const upper = values("upper");
    for (const [key, cell] of this.#cells) {
      const known = counted.length > 0;
      cell.update(known ? lower[key] : null, known ? upper[key] : null, exact);
    }
  }

  node(): HTMLElement {
    return this.#node;
  }
}

export class LayerTable {
  readonly #onSelect: (layer: string) => void;
  readonly #onSort: () => void;
  readonly #headers = new Map<ColumnKey, HTMLTableCellElement>();
  readonly #body = element("tbody");
  readonly #totals = new Totals();
  readonly #empty = element("p", {
    class: "iua-placeholder",
    text: "No layer has been counted yet. The table fills while probes stream past.",
  });
  readonly #scroller: HTMLElement;
  readonly #node: HTMLElement;
  #rows: LayerRow[] = [];
  #shown: LayerRow[] = [];
  #curvesOf: TableSnapshot | null = null;
  #sort: Sort | null = null;
  #scrolledTo = "";

  constructor(onSelect: (layer: string) => void, onSort: () => void, signal: AbortSignal) {
    this.#onSelect = onSelect;
    this.#onSort = onSort;
    const table = element(
      "table",
      { class: "iua-table" },
      element("caption", { class: "iua-hidden", text: "Inactive units of every layer" }),
      element(
        "thead",
        {},
        element("tr", {}, ...COLUMNS.map((column) => this.#header(column, signal))),
      ),
      this.#body,
      element("tfoot", {}, this.#totals.node()),
    );
    this.#scroller = element("div", { class: "iua-table-box" }, table);
    this.#node = element(
      "section",
      { class: "iua-layers", attributes: { "aria-label": "layers" } },
      this.#scroller,
      this.#empty,
    );
    this.#body.addEventListener("click", (event) => this.#click(event), { signal });
    this.#body.addEventListener("keydown", (event) => this.#key(event), { signal });
  }

  #header(column: Column, signal: AbortSignal): HTMLTableCellElement {
    const cell = element("th", {
      ...(column.numeric ? { class: "iua-numeric" } : {}),
      title: column.title,
      attributes: { scope: "col", "data-column": column.key },
    });
    this.#headers.set(column.key, cell);
    if (!SORTABLE.has(column.key)) {
      cell.append(element("span", { class: "iua-header-text", text: column.label }));
      return cell;
    }
    const button = element(
      "button",
      { class: "iua-sort", attributes: { type: "button" } },
      element("span", { text: column.label }),
      element("span", { class: "iua-arrow", attributes: { "aria-hidden": "true" } }),
    );
    button.addEventListener(
      "click",
      () => {
        this.#sort = nextSort(this.#sort, column.key);
        this.#onSort();
      },
      { signal },
    );
    cell.append(button);
    return cell;
  }

  #rowOf(event: Event): LayerRow | undefined {
    const node = (event.target as Element).closest("tr");
    return this.#rows.find((row) => row.node() === node);
  }

  #click(event: Event): void {
    const row = this.#rowOf(event);
    if (row === undefined) return;
    this.#reach(row);
    this.#onSelect(row.name);
  }

  #key(event: KeyboardEvent): void {
    const row = this.#rowOf(event);
    if (row === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.#shown.indexOf(row);
    const last = this.#shown.length - 1;
    const targets: Readonly<Record<string, number>> = {
      ArrowDown: Math.min(last, at + 1),
      ArrowUp: Math.max(0, at - 1),
      Home: 0,
      End: last,
    };
    const target = targets[event.key];
    if (event.key === "Enter" || event.key === " ") this.#onSelect(row.name);
    else if (target !== undefined) {
      const next = this.#shown[target] as LayerRow;
      this.#reach(next);
      next.node().focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Make one row the table's tab stop. */
  #reach(row: LayerRow): void {
    for (const other of this.#rows) other.setReachable(other === row);
  }

  update(table: TableSnapshot | null, readings: readonly LayerReading[], selected: string): void {
    const empty = table === null || readings.length === 0;
    this.#empty.hidden = !empty;
    this.#scroller.hidden = empty;
    if (empty) return;
    this.#setRows(readings, selected);
    if (this.#curvesOf !== table) {
      this.#curvesOf = table;
      this.#rows.forEach((row, index) => {
        row.setCurve(shareCurve(table, index));
      });
    }
    this.#rows.forEach((row, index) => {
      const reading = readings[index] as LayerReading;
      row.update(reading, table.stops, reading.meta.name === selected);
    });
    this.#totals.update(readings);
    this.#order(sortRows(readings, this.#sort).map((index) => this.#rows[index] as LayerRow));
    this.#showSort();
    this.#scrollTo(selected);
  }

  #setRows(readings: readonly LayerReading[], selected: string): void {
    const same =
      readings.length === this.#rows.length &&
      readings.every((reading, index) => this.#rows[index]?.name === reading.meta.name);
    if (same) return;
    const known = new Map(this.#rows.map((row) => [row.name, row]));
    this.#rows = readings.map(({ meta }) => known.get(meta.name) ?? new LayerRow(meta.name));
    for (const row of known.values()) if (!this.#rows.includes(row)) row.node().remove();
    this.#curvesOf = null;
    if (!this.#rows.some((row) => row.node().tabIndex === 0)) {
      const first = this.#rows.find((row) => row.name === selected) ?? this.#rows[0];
      if (first !== undefined) this.#reach(first);
    }
  }

  /** Put rows in order around the focused one, which never leaves the page. */
  #order(rows: LayerRow[]): void {
    if (
      rows.every((row, index) => row === this.#shown[index]) &&
      rows.length === this.#shown.length
    )
      return;
    this.#shown = rows;
    const focused = rows.findIndex((row) => row.node().contains(document.activeElement));
    if (focused < 0) {
      this.#body.append(...rows.map((row) => row.node()));
      return;
    }
    const anchor = (rows[focused] as LayerRow).node();
    anchor.before(...rows.slice(0, focused).map((row) => row.node()));
    anchor.after(...rows.slice(focused + 1).map((row) => row.node()));
  }

  #showSort(): void {
    for (const [key, header] of this.#headers) {
      const direction = this.#sort?.key === key ? this.#sort.direction : null;
      setAttribute(header, "aria-sort", SORTABLE.has(key) ? (direction ?? "none") : null);
    }
  }

  /** Bring a newly selected row into the table's box without moving the page. */
  #scrollTo(selected: string): void {
    if (selected === this.#scrolledTo) return;
    const row = this.#rows.find((candidate) => candidate.name === selected)?.node();
    if (row === undefined || this.#scroller.clientHeight === 0) return;
    this.#scrolledTo = selected;
    const head = this.#body.offsetTop;
    const foot = this.#totals.node().offsetHeight;
    const top = row.offsetTop - head;
    const bottom = row.offsetTop + row.offsetHeight + foot - this.#scroller.clientHeight;
    if (this.#scroller.scrollTop > top) this.#scroller.scrollTop = top;
    else if (this.#scroller.scrollTop < bottom) this.#scroller.scrollTop = bottom;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
