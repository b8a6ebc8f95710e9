/** The keyboard in the table: moves from row to row, opens groups, finds what is typed. */

import type { Row } from "../names/module_tree";
import type { LayerRow } from "./layer_row";
import type { RowList } from "./row_list";
import type { TableBody } from "./table_body";
import { TypeToFind } from "./type_to_find";

interface TableKeysActions {
  /** Move the focus to the row at a place, or to the nearest there is. */
  onGo(at: number): void;
  /** From the first row up, to the headers. */
  onHead(): void;
  onChoose(row: Row): void;
  onOpen(row: Row, open: boolean): void;
  onCopy(): void;
  /** Whether there was something to hide. */
  onEscape(): boolean;
  /** Rows that a page has. */
  page(): number;
}

export class TableKeys {
  readonly #list: RowList;
  readonly #body: TableBody;
  readonly #actions: TableKeysActions;
  readonly #find = new TypeToFind();

  constructor(list: RowList, body: TableBody, actions: TableKeysActions, signal: AbortSignal) {
    this.#list = list;
    this.#body = body;
    this.#actions = actions;
    body.node().addEventListener("keydown", (event) => this.#key(event), { signal });
  }

  #key(event: KeyboardEvent): void {
    const view = this.#body.rowOf(event.target);
    if (view?.row == null) return;
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() !== "c" || event.altKey || event.shiftKey) return;
      if (getSelection()?.isCollapsed === false) return;
      this.#actions.onCopy();
    } else if (event.altKey) return;
    else if (event.key === "Escape") {
      if (!this.#actions.onEscape()) return;
    } else if (!this.#move(event, view, view.row) && !this.#typed(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  #move(event: KeyboardEvent, view: LayerRow, row: Row): boolean {
    const { onGo, onOpen } = this.#actions;
    const at = this.#list.place(row.key);
    const onMark = event.target !== view.node();
    switch (event.key) {
      case "ArrowDown":
        onGo(at + 1);
        return true;
      case "ArrowUp":
        if (at === 0) this.#actions.onHead();
        else onGo(at - 1);
        return true;
      case "PageDown":
        onGo(at + this.#actions.page());
        return true;
      case "PageUp":
        onGo(at - this.#actions.page());
        return true;
      case "Home":
        onGo(0);
        return true;
      case "End":
        onGo(this.#list.rows.length - 1);
        return true;
      case "ArrowRight":
        if (row.group !== null && !row.open) onOpen(row, true);
        else if (row.group !== null) onGo(at + 1);
        else view.mark()?.focus();
        return true;
      case "ArrowLeft":
        if (onMark) view.node().focus();
        else if (row.group !== null && row.open) onOpen(row, false);
        else onGo(this.#parent(at));
        return true;
      case "Enter":
        if (onMark) return false;
        this.#actions.onChoose(row);
        return true;
      case " ":
        if (onMark || this.#find.typing(event.timeStamp)) return false;
        this.#actions.onChoose(row);
        return true;
      default:
        return false;
    }
  }

  /** The row of the group that a row is in; the row itself where there is none. */
  #parent(at: number): number {
    const { rows } = this.#list;
    const depth = rows[at]?.depth ?? 0;
    for (let above = at - 1; above >= 0; above--) {
      if ((rows[above] as Row).depth < depth) return above;
    }
    return at;
  }

  #typed(event: KeyboardEvent): boolean {
    if (event.key.length !== 1) return false;
    const { rows } = this.#list;
    const at = this.#find.find(
      event.key,
      event.timeStamp,
      rows.length,
      this.#list.place(this.#body.current),
      (row) => (rows[row] as Row).label,
    );
    if (at >= 0) this.#actions.onGo(at);
    return true;
  }
}
