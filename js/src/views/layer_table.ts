/** All layers, or groups of them, one a line: sortable, filtered, live; only lines in view are made. */

import {
  allowedWidth,
  type ColumnFit,
  type ColumnWidths,
  columnWidths,
  fitColumns,
} from "../core/column_fit";
import { COLUMNS, type Column, type ColumnKey, headingOf } from "../core/columns";
import { formatInteger, plural } from "../core/format";
import type { Row } from "../core/module_tree";
import { RowList } from "../core/row_list";
import { flatNames, type RowNames, treeNames } from "../core/row_names";
import { nextSort, type Sort } from "../core/row_order";
import { rowsToMake, rowWindow, scrollFor } from "../core/row_window";
import { ShortNames, type WidthOf } from "../core/short_names";
import type { TableSnapshot } from "../core/snapshot";
import type { TableReading } from "../core/table_reading";
import { tableText } from "../core/table_text";
import { TypeToFind } from "../core/type_to_find";
import { copyText } from "./clipboard";
import { element, setAttribute, setText, setVariable } from "./dom";
import { DEEPEST, LayerRow, type RowContext } from "./layer_row";
import { MarkTip } from "./mark_tip";
import { TableHead } from "./table_head";
import { TableTools } from "./table_tools";
import { widthIn } from "./text_width";
import { TotalsRow } from "./totals_row";

export interface TableState {
  readonly reading: TableReading | null;
  readonly layer: string;
  readonly sort: Sort | null;
  readonly filter: string;
  /** The one layer that can be selected; null where all can. */
  readonly within: string | null;
}

export interface TableActions {
  onSelect(layer: string): void;
  onSort(sort: Sort | null): void;
  onFilter(filter: string): void;
}

const ROW_EM = 2.62;
const CELL_PADDING = 14;
/** Beside a name, in pixels: its cell's padding and the smallest mark; a mark with its word. */
const AROUND_NAME = 48;
const MARK_WORD = 64;
const BOLD = 600;
/** In a tree: the triangle, a level of depth, and how many layers a group has. */
const TWISTY = 18;
const INDENT = 14;
const GROUP_COUNT = 30;
/** Lines made above and below those in view. */
const AROUND = 6;
const PRINTED_ROWS = 400;
const PROBE_DIGITS = 20;
const PROBE_EMS = 5;
const FILTER_PAUSE_MS = 500;

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

export class LayerTable {
  readonly #actions: TableActions;
  readonly #list = new RowList();
  readonly #find = new TypeToFind();
  readonly #tools: TableTools;
  readonly #head: TableHead;
  readonly #columns = new Map<ColumnKey, HTMLElement>();
  readonly #body = element("tbody");
  readonly #totals = new TotalsRow();
  readonly #table: HTMLTableElement;
  readonly #scroller: HTMLElement;
  readonly #ruler = element("span", { class: "iua-ruler", attributes: { "aria-hidden": "true" } });
  readonly #tip = new MarkTip();
  readonly #holding = element("button", {
    class: "iua-button iua-tool iua-holding",
    text: "Order held while you are here – update",
    title:
      "New figures change the order of the rows. It is kept while the pointer or the focus is in the table.",
    attributes: { type: "button" },
  });
  readonly #live = element("span", { class: "iua-hidden", attributes: { role: "status" } });
  readonly #nothing = element("p", {
    class: "iua-placeholder",
    text: "No layer passes the filter.",
  });
  readonly #empty = element("p", {
    class: "iua-placeholder",
    text: "No layer has been counted yet. The table fills while probes stream past.",
  });
  readonly #full: HTMLElement;
  readonly #node: HTMLElement;
  readonly #made = new Map<string, LayerRow>();
  readonly #spare: LayerRow[] = [];
  readonly #gaps = [0, 1, 2].map(() =>
    element("tr", { class: "iua-gap", attributes: { "aria-hidden": "true" } }, element("td")),
  );
  #state: TableState = { reading: null, layer: "", sort: null, filter: "", within: null };
  #widthsOf: TableSnapshot | null = null;
  #widths: ColumnWidths | null = null;
  readonly #ownWidths = new Map<ColumnKey, number>();
  readonly #choice = new Map<ColumnKey, boolean>();
  #fit: ColumnFit | null = null;
  #dragFrom: ReadonlyMap<ColumnKey, number> = new Map();
  #digit = 0;
  #widthOf: WidthOf = (text) => text.length;
  #allNames = new ShortNames([]);
  #names: RowNames = flatNames(this.#allNames, 0, this.#widthOf);
  #namesFor: readonly unknown[] = [];
  #rowHeight = 0;
  #viewHeight = 0;
  /** The box's scrollTop, kept because to ask for it makes the browser lay out the page. */
  #scrolled = 0;
  #alarm = 0.5;
  #tree = false;
  #printing = false;
  /** Key of the row that is the table's tab stop. */
  #current = "";
  #scrolledTo = "";
  #announceTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(actions: TableActions, signal: AbortSignal) {
    this.#actions = actions;
    this.#tools = new TableTools(
      {
        onFilter: (filter) => this.#setFilter(filter),
        onAlarm: (share) => {
          this.#alarm = share;
          this.#refresh();
        },
        onTree: (on) => {
          this.#tree = on;
          this.#refresh();
          this.#announce(on ? "Grouped by module." : "Not grouped.");
        },
        onOpenAll: (open) => {
          this.#list.setAllOpen(open);
          this.#refresh();
        },
        onCopy: () => void this.#copy(),
        onShow: (key, shown) => {
          this.#choice.set(key, shown);
          this.#fitColumns();
        },
        onReset: () => {
          this.#choice.clear();
          this.#ownWidths.clear();
          this.#fitColumns();
        },
      },
      signal,
    );
    this.#head = new TableHead(
      {
        onSort: (key) => this.#setSort(key),
        onDragStart: () => this.#keepWidths(),
        onWiden: (key, pixels) => this.#widen(key, pixels),
        onNatural: (key) => {
          this.#ownWidths.delete(key);
          this.#fitColumns();
        },
        onDown: () => this.#go(this.#firstInView()),
      },
      signal,
    );
    for (const { key } of COLUMNS) {
      this.#columns.set(key, element("col", { attributes: { "data-column": key } }));
    }
    this.#table = element(
      "table",
      { class: "iua-table", attributes: { role: "grid", "aria-label": "layers" } },
      element("colgroup", {}, ...this.#columns.values()),
      this.#head.node(),
      this.#body,
      element("tfoot", {}, this.#totals.node()),
    );
    this.#scroller = element("div", { class: "iua-table-box" }, this.#table);
    this.#full = element(
      "div",
      { class: "iua-table-home" },
      this.#scroller,
      this.#holding,
      this.#tip.node(),
      this.#ruler,
    );
    this.#node = element(
      "section",
      { class: "iua-layers", attributes: { "aria-label": "layers" } },
      this.#tools.node(),
      this.#full,
      this.#nothing,
      this.#empty,
      this.#live,
    );
    this.#listen(signal);
  }

  #listen(signal: AbortSignal): void {
    const on = <Name extends keyof HTMLElementEventMap>(
      node: HTMLElement,
      name: Name,
      action: (event: HTMLElementEventMap[Name]) => void,
    ): void => node.addEventListener(name, action, { signal });
    on(this.#body, "click", (event) => this.#click(event));
    on(this.#body, "keydown", (event) => this.#key(event));
    on(this.#body, "focusin", (event) => this.#focused(event));
    on(this.#body, "pointerover", (event) => this.#point(event.target as Element));
    on(this.#body, "pointerleave", () => this.#left());
    on(this.#body, "focusout", () => this.#left());
    on(this.#holding, "click", () => this.#refresh(true));
    on(this.#scroller, "scroll", () => {
      this.#scrolled = this.#scroller.scrollTop;
      this.#tip.hide();
      this.#makeRows();
    });
    // What is printed has no scrolling: its rows are made beforehand.
    for (const [name, printing] of [
      ["beforeprint", true],
      ["afterprint", false],
    ] as const) {
      const print = (): void => {
        this.#printing = printing;
        this.#makeRows();
      };
      window.addEventListener(name, print, { signal });
    }
    let frame = 0;
    const observer = new ResizeObserver(() => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => this.#measure());
    });
    observer.observe(this.#scroller);
    observer.observe(this.#ruler);
    signal.addEventListener(
      "abort",
      () => {
        observer.disconnect();
        cancelAnimationFrame(frame);
        if (this.#announceTimer !== null) clearTimeout(this.#announceTimer);
      },
      { once: true },
    );
  }

  // What the user does.

  #setSort(key: ColumnKey): void {
    const sort = nextSort(this.#state.sort, key);
    const heading = headingOf(key);
    this.#announce(
      sort === null
        ? "In the order of the network."
        : `Sorted by ${heading}, ${sort.ascending ? "ascending" : "descending"}.`,
    );
    this.#actions.onSort(sort);
  }

  #setFilter(filter: string): void {
    this.#actions.onFilter(filter);
    if (this.#announceTimer !== null) clearTimeout(this.#announceTimer);
    this.#announceTimer = setTimeout(() => this.#announceRows(), FILTER_PAUSE_MS);
  }

  #announceRows(): void {
    const all = this.#state.reading?.layers ?? 0;
    this.#announce(`${formatInteger(this.#list.layers.length)} of ${plural(all, "layer")}.`);
  }

  #announce(text: string): void {
    setText(this.#live, text);
  }

  #rowOf(target: EventTarget | null): LayerRow | undefined {
    const node = (target as Element | null)?.closest("tr");
    return [...this.#made.values()].find((row) => row.node() === node);
  }

  #click(event: MouseEvent): void {
    const view = this.#rowOf(event.target);
    if (view?.row == null || (event.target as Element).closest(".iua-mark") !== null) return;
    this.#reach(view.row.key);
    this.#choose(view.row);
  }

  #choose(row: Row): void {
    if (row.group !== null) this.#setOpen(row, !row.open);
    else {
      const { name } = (this.#state.reading as TableReading).meta(row.layer);
      this.#scrolledTo = name;
      this.#actions.onSelect(name);
    }
  }

  #setOpen(row: Row, open: boolean): void {
    if (row.group === null) return;
    this.#list.setOpen(row.group.path, open);
    this.#refresh();
  }

  #key(event: KeyboardEvent): void {
    const view = this.#rowOf(event.target);
    if (view?.row == null) return;
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() !== "c" || event.altKey || event.shiftKey) return;
      if (getSelection()?.isCollapsed === false) return;
      void this.#copy();
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    if (event.altKey) return;
    if (event.key === "Escape") {
      if (!this.#tip.hide()) return;
    } else if (!this.#move(event, view, view.row) && !this.#typed(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  #move(event: KeyboardEvent, view: LayerRow, row: Row): boolean {
    const at = this.#list.place(row.key);
    const onMark = event.target !== view.node();
    const page = Math.max(1, Math.floor(this.#viewHeight / this.#rowHeight) - 1);
    switch (event.key) {
      case "ArrowDown":
        this.#go(at + 1);
        return true;
      case "ArrowUp":
        if (at === 0) this.#head.focus();
        else this.#go(at - 1);
        return true;
      case "PageDown":
        this.#go(at + page);
        return true;
      case "PageUp":
        this.#go(at - page);
        return true;
      case "Home":
        this.#go(0);
        return true;
      case "End":
        this.#go(this.#list.rows.length - 1);
        return true;
      case "ArrowRight":
        if (row.group !== null && !row.open) this.#setOpen(row, true);
        else if (row.group !== null) this.#go(at + 1);
        else view.mark()?.focus();
        return true;
      case "ArrowLeft":
        if (onMark) view.node().focus();
        else if (row.group !== null && row.open) this.#setOpen(row, false);
        else this.#go(this.#parent(at));
        return true;
      case "Enter":
        if (onMark) return false;
        this.#choose(row);
        return true;
      case " ":
        if (onMark || this.#find.typing(event.timeStamp)) return false;
        this.#choose(row);
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
      this.#list.place(this.#current),
      (row) => (rows[row] as Row).label,
    );
    if (at >= 0) this.#go(at);
    return true;
  }

  #firstInView(): number {
    const first = Math.ceil(this.#scrolled / Math.max(1, this.#rowHeight));
    const current = this.#list.place(this.#current);
    const last = first + Math.floor(this.#viewHeight / Math.max(1, this.#rowHeight));
    return current >= first && current < last ? current : first;
  }

  /** Move the focus to a row, bringing it into view. */
  #go(at: number): void {
    const { rows } = this.#list;
    const row = rows[Math.max(0, Math.min(at, rows.length - 1))];
    if (row === undefined) return;
    this.#reach(row.key);
    this.#scrollToRow(row.key);
    this.#makeRows();
    this.#made.get(row.key)?.node().focus();
  }

  /** Make one row the table's tab stop. */
  #reach(key: string): void {
    this.#current = key;
    for (const [other, view] of this.#made) view.setReachable(other === key);
  }

  #focused(event: FocusEvent): void {
    const row = this.#rowOf(event.target)?.row;
    if (row != null && row.key !== this.#current) this.#reach(row.key);
    this.#point(event.target as Element);
  }

  #point(target: Element): void {
    const mark = target.closest<HTMLElement>(".iua-mark");
    const view = mark === null ? undefined : this.#rowOf(mark);
    if (mark === null || view === undefined) this.#tip.hide();
    else this.#tip.show(mark, view.warnings, this.#full);
  }

  /** What was held back may be done now. */
  #left(): void {
    this.#tip.hide();
    if (this.#list.held) setTimeout(() => this.#refresh(), 0);
  }

  async #copy(): Promise<void> {
    const { reading } = this.#state;
    if (reading === null) return;
    const { rows } = this.#list;
    const shown = COLUMNS.filter((column: Column) => this.#fit?.shown.has(column.key));
    const copied = await copyText(tableText(reading, rows, shown), this.#node);
    this.#tools.showCopied(copied);
    this.#announce(
      copied ? `${plural(rows.length, "row")} copied.` : "The browser did not allow to copy.",
    );
  }

  // What is on show.

  /** The layers in the order of the rows, without those in closed groups. */
  shown(): number[] {
    return this.#list.rows.flatMap((row) => (row.layer < 0 ? [] : [row.layer]));
  }

  update(state: TableState): void {
    this.#state = state;
    this.#refresh();
  }

  /** Show what is known now; `order` also where the rows are held. */
  #refresh(order = false): void {
    const { reading, sort, filter, layer } = this.#state;
    const empty = reading === null || reading.layers === 0;
    this.#empty.hidden = !empty;
    this.#tools.node().hidden = empty;
    this.#full.hidden = empty;
    if (empty) {
      this.#nothing.hidden = true;
      return;
    }
    const hold = !order && this.#body.matches(":hover, :focus-within");
    this.#list.update(reading, { sort, filter, tree: this.#tree }, hold);
    const { rows } = this.#list;
    this.#holding.hidden = !this.#list.held;
    this.#nothing.hidden = rows.length > 0;
    this.#full.hidden = rows.length === 0;
    this.#tools.update(filter, reading);
    this.#tools.updateTree(this.#tree || this.#list.hasGroups, this.#tree, this.#list.anyClosed);
    this.#totals.update(reading.totals(this.#list.layers), reading.layers);
    setAttribute(this.#table, "role", this.#tree ? "treegrid" : "grid");
    setAttribute(this.#table, "aria-rowcount", String(rows.length + 2));
    setAttribute(this.#totals.node(), "aria-rowindex", String(rows.length + 2));
    if (this.#widthsOf !== reading.table) {
      this.#widthsOf = reading.table;
      this.#widths = columnWidths(reading.table.layers);
      if (this.#digit === 0) this.#measure();
      else this.#fitColumns();
    }
    this.#fitNames();
    this.#updateHead();
    this.#makeRows();
    this.#showSelected(layer, reading);
  }

  #updateHead(): void {
    const { sort, reading } = this.#state;
    const { sharedLeftOut, beginning, end } = this.#names;
    const shared = sharedLeftOut ? `${beginning}*${end}` : "";
    this.#head.update(sort, this.#fit?.shown ?? new Set(), reading?.tau ?? Number.NaN, shared);
  }

  /** What the rows are called: told apart in the width that the column of names has. */
  #fitNames(): void {
    const { reading } = this.#state;
    if (reading === null) return;
    const { layers } = reading.table;
    const known = this.#allNames.names;
    if (layers.length !== known.length || layers.some(({ name }, at) => name !== known[at])) {
      this.#allNames = new ShortNames(layers.map(({ name }) => name));
    }
    const width = this.#fit?.widths.get("name") ?? 0;
    const room = width - AROUND_NAME;
    const rows = this.#tree ? this.#list.rows : this.#allNames;
    const wanted = [rows, room, this.#widthOf];
    if (wanted.every((value, at) => value === this.#namesFor[at])) return;
    this.#namesFor = wanted;
    const given = {
      room: room - TWISTY,
      indent: INDENT,
      deepest: DEEPEST,
      count: GROUP_COUNT,
    };
    this.#names = this.#tree
      ? treeNames(this.#list.rows, given, this.#widthOf)
      : flatNames(this.#allNames, room, this.#widthOf);
    this.#table.classList.toggle("iua-marks-short", this.#names.widest + MARK_WORD > room);
  }

  /** Make the rows in view, and the one that is the tab stop. */
  #makeRows(): void {
    const { reading, layer } = this.#state;
    if (reading === null) return;
    const { rows } = this.#list;
    if (this.#list.place(this.#current) < 0) this.#lostCurrent();
    const inView = this.#printing
      ? { first: 0, end: Math.min(rows.length, PRINTED_ROWS) }
      : rowWindow(this.#scrolled, this.#viewHeight, this.#rowHeight, rows.length, AROUND);
    const lines = rowsToMake(inView, this.#list.place(this.#current));
    const keys = new Set(lines.map((line) => (rows[line] as Row).key));
    const hadFocus = this.#body.matches(":focus-within");
    for (const [key, view] of this.#made) {
      if (keys.has(key)) continue;
      this.#made.delete(key);
      this.#spare.push(view);
      // Taken out at once: otherwise all the rows after it would move, and not it alone.
      view.node().remove();
    }
    const { within } = this.#state;
    const context: RowContext = {
      reading,
      selected: layer,
      within,
      alarm: this.#alarm,
      tree: this.#tree,
      names: this.#names,
    };
    const nodes: HTMLElement[] = [];
    let gaps = 0;
    const skip = (from: number, to: number): void => {
      if (to <= from) return;
      const gap = this.#gaps[gaps++] as HTMLElement;
      const height = `${(to - from) * this.#rowHeight}px`;
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
    arrange(this.#body, nodes);
    if (hadFocus && !this.#body.matches(":focus-within")) {
      // A focused row that goes is laid out without, and the box may have had to scroll back.
      this.#scroller.scrollTop = this.#scrolled;
      this.#made.get(this.#current)?.node().focus({ preventScroll: true });
    }
  }

  /** The tab stop has gone from the rows: the selected layer takes its place, or the first row. */
  #lostCurrent(): void {
    const { reading, layer } = this.#state;
    const selected = reading?.table.layers.findIndex((meta) => meta.name === layer) ?? -1;
    const key = `layer ${selected}`;
    this.#current = this.#list.place(key) >= 0 ? key : (this.#list.rows[0]?.key ?? "");
  }

  /** Bring a newly selected layer into the table's box without moving the page. */
  #showSelected(layer: string, reading: TableReading): void {
    if (layer === this.#scrolledTo || this.#viewHeight === 0) return;
    this.#scrolledTo = layer;
    const at = reading.table.layers.findIndex((meta) => meta.name === layer);
    if (at < 0 || !this.#list.reveal(at)) return;
    const { sort, filter } = this.#state;
    this.#list.update(reading, { sort, filter, tree: this.#tree }, true);
    if (!this.#body.matches(":focus-within")) this.#current = `layer ${at}`;
    this.#scrollToRow(`layer ${at}`);
    this.#makeRows();
  }

  #scrollToRow(key: string): void {
    const at = this.#list.place(key);
    if (at < 0) return;
    const to = scrollFor(at, this.#rowHeight, this.#scrolled, this.#viewHeight);
    if (to === this.#scrolled) return;
    this.#scroller.scrollTop = to;
    this.#scrolled = this.#scroller.scrollTop;
  }

  // Sizes.

  #measure(): void {
    const ruler = this.#ruler.getBoundingClientRect();
    if (ruler.height === 0) return;
    this.#digit = ruler.width / PROBE_DIGITS;
    this.#widthOf = widthIn(this.#ruler, BOLD);
    this.#rowHeight = Math.round((ruler.height / PROBE_EMS) * ROW_EM);
    setVariable(this.#full, "--iua-row-height", `${this.#rowHeight}px`);
    this.#fitColumns();
    const around = this.#head.node().offsetHeight + this.#totals.node().offsetHeight;
    this.#viewHeight = Math.max(0, this.#scroller.clientHeight - around);
    this.#makeRows();
    const { reading, layer } = this.#state;
    if (reading !== null) this.#showSelected(layer, reading);
  }

  #fitColumns(): void {
    const widths = this.#widths;
    if (widths === null || this.#digit === 0) return;
    const box = this.#scroller.clientWidth;
    const fit = fitColumns(widths, this.#ownWidths, this.#choice, box, this.#digit, CELL_PADDING);
    this.#fit = fit;
    for (const [key, column] of this.#columns) {
      const width = fit.widths.get(key);
      this.#table.classList.toggle(`iua-no-${key}`, width === undefined);
      column.style.width = width === undefined ? "" : `${width}px`;
    }
    this.#table.style.width = `${fit.total}px`;
    this.#table.classList.toggle("iua-table-wide", fit.total > box);
    this.#fitNames();
    this.#updateHead();
    this.#tools.updateColumns(fit.shown, fit.squeezed, (key) => widths[key] === 0);
    this.#makeRows();
  }

  /** From here on all columns on show stay, as wide as they are now but where the user says so. */
  #keepWidths(): void {
    this.#dragFrom = new Map(this.#fit?.widths);
    for (const [key, width] of this.#dragFrom) {
      this.#ownWidths.set(key, (width - CELL_PADDING) / this.#digit);
      this.#choice.set(key, true);
    }
  }

  #widen(key: ColumnKey, pixels: number): void {
    const from = this.#dragFrom.get(key);
    if (from === undefined) return;
    const digits = allowedWidth((from + pixels - CELL_PADDING) / this.#digit);
    this.#ownWidths.set(key, digits);
    this.#fitColumns();
    const width = this.#fit?.widths.get(key) ?? 0;
    this.#announce(`${headingOf(key)}, ${width} pixels wide.`);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
