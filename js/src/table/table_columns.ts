/** The columns of the table: which are shown, how wide, and what the user asked of them. */

import { COLUMNS, type Column, type ColumnKey, calledOnPage } from "../reading/columns";
import type { TableSnapshot } from "../reading/snapshot";
import type { TableReading } from "../reading/table_reading";
import { element } from "../ui/dom";
import type { Announcer } from "./announcer";
import {
  allowedWidth,
  type ColumnFit,
  type ColumnWidths,
  columnWidths,
  fitColumns,
} from "./column_fit";
import { idleColumns } from "./idle_columns";

const CELL_PADDING = 14;

/** Of the cells of a row show those of these columns. */
export function hideOthers(
  cells: ReadonlyMap<ColumnKey, HTMLElement>,
  shown: ReadonlySet<ColumnKey>,
): void {
  for (const [key, node] of cells) {
    if (node.hidden === shown.has(key)) node.hidden = !node.hidden;
  }
}

export class TableColumns {
  readonly #onChange: () => void;
  readonly #announcer: Announcer;
  readonly #nodes = new Map<ColumnKey, HTMLElement>();
  readonly #node = element("colgroup");
  readonly #own = new Map<ColumnKey, number>();
  readonly #choice = new Map<ColumnKey, boolean>();
  #widthsOf: TableSnapshot | null = null;
  #widths: ColumnWidths | null = null;
  #idle: ReadonlySet<ColumnKey> | null = null;
  #tau: number | null = null;
  #fit: ColumnFit | null = null;
  #shown: ReadonlySet<ColumnKey> = new Set(COLUMNS.map(({ key }) => key));
  #dragFrom: ReadonlyMap<ColumnKey, number> = new Map();
  #digit = 0;

  /** `onChange` is called when the user wants them otherwise: they are to be fitted anew. */
  constructor(onChange: () => void, announcer: Announcer) {
    this.#onChange = onChange;
    this.#announcer = announcer;
    for (const { key } of COLUMNS) {
      const node = element("col", { attributes: { "data-column": key } });
      this.#nodes.set(key, node);
      this.#node.append(node);
    }
  }

  /** Another set only when others are shown. */
  get shown(): ReadonlySet<ColumnKey> {
    return this.#shown;
  }

  /** How many are left out for want of room. */
  get squeezed(): number {
    return this.#fit?.squeezed ?? 0;
  }

  /** In their order, as they are copied. */
  inOrder(): Column[] {
    return COLUMNS.filter(({ key }) => this.shown.has(key));
  }

  width(key: ColumnKey): number {
    return this.#fit?.widths.get(key) ?? 0;
  }

  /** Whether no layer has what a column is for. */
  isAbsent(key: ColumnKey): boolean {
    return this.#widths?.[key] === 0;
  }

  /** Take the widths that these layers need, and what says nothing new; false where both are known. */
  read(reading: TableReading): boolean {
    const { table } = reading;
    const tuned = this.#tau !== null && this.#tau !== reading.tau;
    this.#tau = reading.tau;
    if (this.#widthsOf === table && !tuned) return false;
    // What has said something new stays, and is not taken from under a pointer.
    const idle = idleColumns(reading);
    const known = this.#idle;
    this.#idle = known === null ? idle : new Set([...idle].filter((key) => known.has(key)));
    // Who moves what dormant means wants to see it.
    if (tuned) this.#idle = new Set([...this.#idle].filter((key) => key !== "dormant"));
    this.#widthsOf = table;
    this.#widths = columnWidths(table.layers, table.comparison !== null);
    return true;
  }

  /** Lay the columns out in a box of a width; false before there are any. */
  fit(table: HTMLTableElement, box: number, digit: number): boolean {
    this.#digit = digit;
    if (this.#widths === null || digit === 0) return false;
    const fit = fitColumns(
      this.#widths,
      this.#own,
      this.#choice,
      box,
      digit,
      CELL_PADDING,
      this.#idle ?? new Set(),
    );
    this.#fit = fit;
    if ([...this.#nodes.keys()].some((key) => fit.shown.has(key) !== this.#shown.has(key))) {
      this.#shown = fit.shown;
    }
    hideOthers(this.#nodes, fit.shown);
    for (const [key, node] of this.#nodes) {
      const width = fit.widths.get(key);
      node.style.width = width === undefined ? "" : `${width}px`;
    }
    table.style.width = `${fit.total}px`;
    table.classList.toggle("iua-table-wide", fit.total > box);
    const natural = this.#widths["dead-units"] * digit;
    table.classList.toggle("iua-dead-narrow", this.width("dead-units") < natural);
    return true;
  }

  show(key: ColumnKey, shown: boolean): void {
    this.#choice.set(key, shown);
    this.#onChange();
  }

  /** As room allows, each as wide as it needs. */
  reset(): void {
    this.#choice.clear();
    this.#own.clear();
    this.#onChange();
  }

  /** Back to the width that a column has by itself. */
  natural(key: ColumnKey): void {
    this.#own.delete(key);
    this.#onChange();
  }

  /** From here on all columns on show stay, as wide as they are now but where the user says so. */
  keep(): void {
    this.#dragFrom = new Map(this.#fit?.widths);
    for (const [key, width] of this.#dragFrom) {
      this.#own.set(key, (width - CELL_PADDING) / this.#digit);
      this.#choice.set(key, true);
    }
  }

  /** Make a column wider or narrower than it was when they were kept. */
  widen(key: ColumnKey, pixels: number): void {
    const from = this.#dragFrom.get(key);
    if (from !== undefined) {
      this.#own.set(key, allowedWidth((from + pixels - CELL_PADDING) / this.#digit));
    }
    this.#onChange();
    this.#announcer.say(`${calledOnPage(key)}, ${this.width(key)} pixels wide.`);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
