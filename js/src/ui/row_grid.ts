/** A grid with one active row: its header, the keys that move in it, and the numbers of its rows. */

import { element, setAttribute } from "./dom";
import { rowAfterKey } from "./row_step";

interface RowGridOptions<Key extends string> {
  /** Of the grid; its parts are called after it. */
  readonly class: string;
  readonly columns: readonly Key[];
  readonly heading: (key: Key) => Node;
  /** Whether rows can be added to what is chosen: with Space, or a key held. */
  readonly multiple: boolean;
  readonly rows: () => number;
  /** How many rows a page has. */
  readonly page: () => number;
  /** A key has made another row the active one, which is to be brought into view. */
  readonly onActive: () => void;
  readonly onChoose: (row: number, adds: boolean) => void;
}

export interface GridRow<Key extends string> {
  readonly node: HTMLElement;
  readonly cells: Readonly<Record<Key, HTMLElement>>;
}

export class RowGrid<Key extends string> {
  readonly #options: RowGridOptions<Key>;
  readonly #id = `iua-${Math.random().toString(36).slice(2, 10)}`;
  readonly heads: Readonly<Record<Key, HTMLElement>>;
  readonly head: HTMLElement;
  readonly body: HTMLElement;
  readonly node: HTMLElement;
  active = 0;

  constructor(options: RowGridOptions<Key>, signal: AbortSignal) {
    this.#options = options;
    const { class: name, multiple } = options;
    this.heads = this.#cells("columnheader");
    for (const key of options.columns) this.heads[key].append(options.heading(key));
    this.head = this.#line("head", this.heads);
    this.body = element("div", { class: `${name}-body`, attributes: { role: "rowgroup" } });
    this.node = element(
      "div",
      { class: name, attributes: { role: "grid", tabindex: "0" } },
      element("div", { class: "iua-list-top", attributes: { role: "rowgroup" } }, this.head),
      this.body,
    );
    if (multiple) this.node.setAttribute("aria-multiselectable", "true");
    this.node.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.body.addEventListener(
      "click",
      (event) => {
        const row = (event.target as Element).closest<HTMLElement>("[data-row]");
        if (row === null) return;
        this.active = Number(row.dataset.row);
        options.onChoose(this.active, event.ctrlKey || event.metaKey || event.shiftKey);
      },
      { signal },
    );
  }

  #cells(role: string): Record<Key, HTMLElement> {
    const { class: name, columns } = this.#options;
    const cell = (key: Key): HTMLElement =>
      element("span", { class: `${name}-cell`, attributes: { role, "data-key": key } });
    return Object.fromEntries(columns.map((key) => [key, cell(key)])) as Record<Key, HTMLElement>;
  }

  #line(part: string, cells: Readonly<Record<Key, HTMLElement>>): HTMLElement {
    const { class: name, columns } = this.#options;
    return element(
      "div",
      { class: `${name}-${part}`, attributes: { role: "row" } },
      ...columns.map((key) => cells[key]),
    );
  }

  #key(event: KeyboardEvent): void {
    const { multiple, rows, page, onActive, onChoose } = this.#options;
    if (event.target !== this.node || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && !multiple) return;
    const row = rowAfterKey(event.key, this.active, rows(), page());
    if (row !== null) {
      this.active = row;
      onActive();
    } else if (event.key === "Enter" || event.key === " ") {
      onChoose(this.active, event.key === " ");
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Another node for a row, below those there are. */
  addRow(): GridRow<Key> {
    const cells = this.#cells("gridcell");
    const node = this.#line("row", cells);
    this.body.append(node);
    return { node, cells };
  }

  /** Let a node stand for a row. */
  number(node: HTMLElement, row: number): void {
    setAttribute(node, "id", `${this.#id}-${row}`);
    setAttribute(node, "data-row", String(row));
    setAttribute(node, "aria-rowindex", String(row + 2));
  }

  /** Mark the active row, if a node stands for it. */
  showActive(): void {
    const id = `${this.#id}-${this.active}`;
    let there = false;
    for (const node of this.body.children) {
      const isActive = node.id === id && !(node as HTMLElement).hidden;
      node.classList.toggle("iua-list-active", isActive);
      there ||= isActive;
    }
    setAttribute(this.node, "aria-activedescendant", there ? id : null);
  }

  /** Say how many rows there are, whether there are nodes for them or not. */
  setLength(rows: number): void {
    setAttribute(this.node, "aria-rowcount", String(rows + 1));
  }
}
