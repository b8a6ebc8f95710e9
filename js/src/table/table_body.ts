/** The rows of the table that are made, of all there are, and which of them is the tab stop. */

import type { Row } from "../names/module_tree";
import { element } from "../ui/dom";
import { LayerRow, type RowContext } from "./layer_row";
import type { RowList } from "./row_list";
import { type RowWindow, rowsToMake } from "./row_window";

/** Put nodes in order, and take others away; the one with the focus stays where it is. */
function arrange(parent: Node, nodes: readonly HTMLElement[]): void {
  const kept = new Set<Node>(nodes);
  for (const node of [...parent.childNodes]) if (!kept.has(node)) parent.removeChild(node);
  const focused = nodes.findIndex((node) => node.matches(":focus-within"));
  const at = Math.max(0, focused);
  const anchor = nodes[at];
  if (anchor === undefined) return;
  if (anchor.parentNode !== parent) parent.appendChild(anchor);
  let edge = anchor;
  for (const node of nodes.slice(0, at).reverse()) {
    if (edge.previousSibling !== node) edge.before(node);
    edge = node;
  }
  edge = anchor;
  for (const node of nodes.slice(at + 1)) {
    if (edge.nextSibling !== node) edge.after(node);
    edge = node;
  }
}

export class TableBody {
  readonly #node = element("tbody");
  readonly #made = new Map<string, LayerRow>();
  readonly #spare: LayerRow[] = [];
  readonly #gaps = [0, 1, 2].map(() =>
    element("tr", { class: "iua-gap", attributes: { "aria-hidden": "true" } }, element("td")),
  );
  #current = "";

  /** Key of the row that is the table's tab stop. */
  get current(): string {
    return this.#current;
  }

  get hasFocus(): boolean {
    return this.#node.matches(":focus-within");
  }

  /** Whether the pointer or the focus is on a row, so that no row may move. */
  get inUse(): boolean {
    return this.#node.matches(":hover, :focus-within");
  }

  /** The row that something on the page is in. */
  rowOf(target: EventTarget | null): LayerRow | undefined {
    const node = (target as Element | null)?.closest("tr");
    return [...this.#made.values()].find((row) => row.node() === node);
  }

  /** Make one row the table's tab stop. */
  reach(key: string): void {
    this.#current = key;
    for (const [other, view] of this.#made) view.setReachable(other === key);
  }

  focus(preventScroll = false): void {
    this.#made.get(this.#current)?.node().focus({ preventScroll });
  }

  /** Make the rows in view, and the one that is the tab stop; true where the focus was lost. */
  make(list: RowList, inView: RowWindow, rowHeight: number, context: RowContext): boolean {
    const { rows } = list;
    const lines = rowsToMake(inView, list.place(this.#current));
    const keys = new Set(lines.map((line) => (rows[line] as Row).key));
    const hadFocus = this.hasFocus;
    for (const [key, view] of this.#made) {
      if (keys.has(key)) continue;
      this.#made.delete(key);
      this.#spare.push(view);
      // Taken out at once: otherwise all the rows after it would move, and not it alone.
      view.node().remove();
    }
    const nodes: HTMLElement[] = [];
    let gaps = 0;
    const skip = (from: number, to: number): void => {
      if (to <= from) return;
      const gap = this.#gaps[gaps++] as HTMLElement;
      const height = `${(to - from) * rowHeight}px`;
      if (gap.style.height !== height) gap.style.height = height;
      nodes.push(gap);
    };
    let next = 0;
    for (const line of lines) {
      skip(next, line);
      const row = rows[line] as Row;
      let view = this.#made.get(row.key);
      if (view === undefined) {
        view = this.#spare.pop() ?? new LayerRow();
        this.#made.set(row.key, view);
      }
      view.show(row, line, context);
      view.setReachable(row.key === this.#current);
      nodes.push(view.node());
      next = line + 1;
    }
    skip(next, rows.length);
    arrange(this.#node, nodes);
    return hadFocus && !this.hasFocus;
  }

  node(): HTMLTableSectionElement {
    return this.#node;
  }
}
