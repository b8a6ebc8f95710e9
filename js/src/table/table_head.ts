/** The headers of the table: buttons to sort by, edges to drag for the width. */

import { COLUMNS, type Column, type ColumnKey } from "../reading/columns";
import { formatTolerance } from "../reading/format";
import type { Sort } from "../reading/row_order";
import { element, setAttribute, setText } from "../ui/dom";
import { isNumber } from "./number_cell";
import { hideOthers, type TableColumns } from "./table_columns";

interface HeadActions {
  onSort(key: ColumnKey): void;
  /** On to the rows. */
  onDown(): void;
}

const KEY_STEP = 8;

export class TableHead {
  readonly #columns: TableColumns;
  readonly #actions: HeadActions;
  readonly #cells = new Map<ColumnKey, HTMLTableCellElement>();
  readonly #buttons = new Map<ColumnKey, HTMLButtonElement>();
  /** Says what it stands for. */
  #dormant = element("span");
  /** What the names of all layers share, which the rows leave out. */
  readonly #shared = element("bdi", { class: "iua-shared" });
  readonly #node: HTMLElement;
  #shown: readonly ColumnKey[] = [];
  #reachable: ColumnKey = "response";

  constructor(columns: TableColumns, actions: HeadActions, signal: AbortSignal) {
    this.#columns = columns;
    this.#actions = actions;
    const row = element("tr", { attributes: { "aria-rowindex": "1" } });
    for (const column of COLUMNS) row.append(this.#cell(column, signal));
    this.#node = element("thead", {}, row);
    this.#node.addEventListener("keydown", (event) => this.#key(event), { signal });
  }

  #cell(column: Column, signal: AbortSignal): HTMLTableCellElement {
    const { key } = column;
    const label = element("span", { text: column.label });
    if (key === "dormant") this.#dormant = label;
    if (key === "response") label.append(this.#shared);
    const button = element(
      "button",
      {
        class: "iua-sort",
        title: `${column.title}. Click to sort; Shift and arrows change the width.`,
        attributes: { type: "button", tabindex: key === "response" ? "0" : "-1" },
      },
      label,
      element("span", { class: "iua-arrow", attributes: { "aria-hidden": "true" } }),
    );
    const edge = element("span", { class: "iua-edge", attributes: { "aria-hidden": "true" } });
    const cell = element(
      "th",
      {
        ...(isNumber(key) ? { class: "iua-numeric" } : {}),
        attributes: { scope: "col", "data-column": key, "aria-sort": "none" },
      },
      button,
      edge,
    );
    button.addEventListener("click", () => this.#actions.onSort(key), { signal });
    button.addEventListener("focus", () => this.#reach(key), { signal });
    edge.addEventListener("pointerdown", (event) => this.#drag(event, key), { signal });
    edge.addEventListener("dblclick", () => this.#columns.natural(key), { signal });
    this.#cells.set(key, cell);
    this.#buttons.set(key, button);
    return cell;
  }

  #drag(event: PointerEvent, key: ColumnKey): void {
    if (event.button !== 0) return;
    event.preventDefault();
    const edge = event.currentTarget as HTMLElement;
    const from = event.clientX;
    const drag = new AbortController();
    const { signal } = drag;
    this.#columns.keep();
    edge.setPointerCapture(event.pointerId);
    const move = (now: PointerEvent): void => this.#columns.widen(key, now.clientX - from);
    edge.addEventListener("pointermove", move, { signal });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      edge.addEventListener(end, () => drag.abort(), { signal });
    }
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.#shown.indexOf(this.#reachable);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.shiftKey && step !== undefined) {
      this.#columns.keep();
      this.#columns.widen(this.#reachable, step * KEY_STEP);
    } else if (event.shiftKey) return;
    else if (step !== undefined) this.#focus(at + step);
    else if (event.key === "Home") this.#focus(0);
    else if (event.key === "End") this.#focus(this.#shown.length - 1);
    else if (event.key === "ArrowDown") this.#actions.onDown();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #focus(at: number): void {
    const key = this.#shown[Math.max(0, Math.min(at, this.#shown.length - 1))];
    if (key !== undefined) this.#buttons.get(key)?.focus();
  }

  /** Make one header the tab stop. */
  #reach(key: ColumnKey): void {
    this.#reachable = key;
    for (const [other, button] of this.#buttons) {
      setAttribute(button, "tabindex", other === key ? "0" : "-1");
    }
  }

  /** Go to the header that was last reached. */
  focus(): void {
    this.#buttons.get(this.#reachable)?.focus();
  }

  update(sort: Sort | null, tau: number, shared: string): void {
    const { shown } = this.#columns;
    setText(this.#shared, shared);
    setAttribute(this.#shared, "title", shared === "" ? null : `all names read ${shared}`);
    setText(this.#dormant, `dormant\nτ ${formatTolerance(tau)}`);
    this.#shown = COLUMNS.map((column) => column.key).filter((key) => shown.has(key));
    if (!shown.has(this.#reachable)) this.#reach("response");
    hideOthers(this.#cells, shown);
    for (const [key, cell] of this.#cells) {
      const direction = sort?.ascending ? "ascending" : "descending";
      setAttribute(cell, "aria-sort", sort?.column === key ? direction : "none");
    }
  }

  node(): HTMLElement {
    return this.#node;
  }
}
