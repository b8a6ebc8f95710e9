/** All layers, or groups of them, one a line: sortable, filtered, live; only lines in view are made. */

import type { Row } from "../names/module_tree";
import type { WidthOf } from "../names/short_names";
import { widthIn } from "../names/text_width";
import { type ColumnKey, calledOnPage } from "../reading/columns";
import { formatInteger, plural } from "../reading/format";
import { nextSort, type Sort } from "../reading/row_order";
import type { TableReading } from "../reading/table_reading";
import { copyText } from "../ui/clipboard";
import { element, setAttribute, setText, setVariable } from "../ui/dom";
import { MarkTip } from "./mark_tip";
import { RowList } from "./row_list";
import { rowWindow, scrollFor } from "./row_window";
import { TableBody } from "./table_body";
import { TableColumns } from "./table_columns";
import { TableHead } from "./table_head";
import { TableKeys } from "./table_keys";
import { TableNames } from "./table_names";
import { tableText } from "./table_text";
import { TableTools } from "./table_tools";
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
/** Where a few layers leave room in the pane, their rows take it, up to so many times their height. */
const TALLEST = 2;
const BOLD = 600;
const NORMAL = 400;
/** Lines made above and below those in view. */
const AROUND = 6;
const PRINTED_ROWS = 400;
/** Between the margins of A4 and of Letter, and the view's own. */
const PAPER_WIDTH = 680;
const PROBE_DIGITS = 20;
const PROBE_EMS = 5;
const FILTER_PAUSE_MS = 500;

export class LayerTable {
  readonly #actions: TableActions;
  readonly #list = new RowList();
  readonly #tools: TableTools;
  readonly #head: TableHead;
  readonly #columns = new TableColumns();
  readonly #names = new TableNames();
  readonly #body = new TableBody();
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
  #state: TableState = { reading: null, layer: "", sort: null, filter: "", within: null };
  #digit = 0;
  #widthIn: (bold: boolean) => WidthOf = () => (text) => text.length;
  #rowHeight = 0;
  #viewHeight = 0;
  /** The box's scrollTop, kept because to ask for it makes the browser lay out the page. */
  #scrolled = 0;
  #alarm = 0.5;
  #tree = false;
  #printing = false;
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
          this.#columns.show(key, shown);
          this.#fitColumns();
        },
        onReset: () => {
          this.#columns.reset();
          this.#fitColumns();
        },
      },
      signal,
    );
    this.#head = new TableHead(
      {
        onSort: (key) => this.#setSort(key),
        onDragStart: () => this.#columns.keep(),
        onWiden: (key, pixels) => this.#widen(key, pixels),
        onNatural: (key) => {
          this.#columns.natural(key);
          this.#fitColumns();
        },
        onDown: () => this.#go(this.#firstInView()),
      },
      signal,
    );
    new TableKeys(
      this.#list,
      this.#body,
      {
        onGo: (at) => this.#go(at),
        onHead: () => this.#head.focus(),
        onChoose: (row) => this.#choose(row),
        onOpen: (row, open) => this.#setOpen(row, open),
        onCopy: () => void this.#copy(),
        onEscape: () => this.#tip.hide(),
        page: () => Math.max(1, Math.floor(this.#viewHeight / this.#rowHeight) - 1),
      },
      signal,
    );
    this.#table = element(
      "table",
      { class: "iua-table", attributes: { role: "grid", "aria-label": "layers" } },
      this.#columns.node(),
      this.#head.node(),
      this.#body.node(),
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
    const body = this.#body.node();
    on(body, "click", (event) => this.#click(event));
    on(body, "focusin", (event) => this.#focused(event));
    on(body, "pointerover", (event) => this.#point(event.target as Element));
    on(body, "pointerleave", () => this.#left());
    on(body, "focusout", () => this.#left());
    on(this.#holding, "click", () => this.#refresh(true));
    on(this.#scroller, "scroll", () => {
      this.#scrolled = this.#scroller.scrollTop;
      this.#tip.hide();
      this.#makeRows();
    });
    // What is printed has no scrolling: its rows are made beforehand, in columns that fit the paper.
    window.addEventListener("beforeprint", () => this.#print(true), { signal });
    window.addEventListener("afterprint", () => this.#print(false), { signal });
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

  #print(printing: boolean): void {
    this.#printing = printing;
    this.#fitColumns();
  }

  // What the user does.

  #setSort(key: ColumnKey): void {
    const sort = nextSort(this.#state.sort, key);
    const heading = calledOnPage(key);
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

  #click(event: MouseEvent): void {
    const view = this.#body.rowOf(event.target);
    if (view?.row == null || (event.target as Element).closest(".iua-mark") !== null) return;
    this.#body.reach(view.row.key);
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

  #firstInView(): number {
    const first = Math.ceil(this.#scrolled / Math.max(1, this.#rowHeight));
    const current = this.#list.place(this.#body.current);
    const last = first + Math.floor(this.#viewHeight / Math.max(1, this.#rowHeight));
    return current >= first && current < last ? current : first;
  }

  /** Move the focus to a row, bringing it into view. */
  #go(at: number): void {
    const { rows } = this.#list;
    const row = rows[Math.max(0, Math.min(at, rows.length - 1))];
    if (row === undefined) return;
    this.#body.reach(row.key);
    this.#scrollToRow(row.key);
    this.#makeRows();
    this.#body.focus();
  }

  #focused(event: FocusEvent): void {
    const row = this.#body.rowOf(event.target)?.row;
    if (row != null && row.key !== this.#body.current) this.#body.reach(row.key);
    this.#point(event.target as Element);
  }

  #point(target: Element): void {
    const mark = target.closest<HTMLElement>(".iua-mark");
    const view = mark === null ? undefined : this.#body.rowOf(mark);
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
    const copied = await copyText(tableText(reading, rows, this.#columns.inOrder()), this.#node);
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
    const hold = !order && this.#body.isHeld;
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
    if (this.#columns.read(reading)) this.#measure();
    this.#fitNames();
    this.#makeRows();
    this.#showSelected(layer, reading);
  }

  /** What the rows are called in the width there is, and what the head says of it. */
  #fitNames(): void {
    const { reading, sort } = this.#state;
    if (reading === null) return;
    const rows = this.#tree ? this.#list.rows : null;
    this.#names.fit(reading.table.layers, rows, this.#columns.width("response"), this.#widthIn);
    this.#table.classList.toggle("iua-marks-short", this.#names.marksShort);
    this.#table.classList.toggle("iua-marks-below", this.#names.marksBelow);
    this.#head.update(sort, this.#columns.shown, reading.tau, this.#names.shared);
  }

  /** Make the rows in view, and the one that is the tab stop. */
  #makeRows(): void {
    const { reading, layer, within } = this.#state;
    if (reading === null) return;
    const { rows } = this.#list;
    if (this.#list.place(this.#body.current) < 0) this.#lostCurrent();
    const inView = this.#printing
      ? { first: 0, end: Math.min(rows.length, PRINTED_ROWS) }
      : rowWindow(this.#scrolled, this.#viewHeight, this.#rowHeight, rows.length, AROUND);
    const lost = this.#body.make(this.#list, inView, this.#rowHeight, {
      reading,
      selected: layer,
      within,
      alarm: this.#alarm,
      tree: this.#tree,
      names: this.#names.names,
    });
    if (!lost) return;
    // A focused row that goes is laid out without, and the box may have had to scroll back.
    this.#scroller.scrollTop = this.#scrolled;
    this.#body.focus(true);
  }

  /** The tab stop has gone from the rows: the selected layer takes its place, or the first row. */
  #lostCurrent(): void {
    const { reading, layer } = this.#state;
    const selected = reading?.table.layers.findIndex((meta) => meta.name === layer) ?? -1;
    const key = `layer ${selected}`;
    this.#body.reach(this.#list.place(key) >= 0 ? key : (this.#list.rows[0]?.key ?? ""));
  }

  /** Bring a newly selected layer into the table's box without moving the page. */
  #showSelected(layer: string, reading: TableReading): void {
    if (layer === this.#scrolledTo || this.#viewHeight === 0) return;
    this.#scrolledTo = layer;
    const at = reading.table.layers.findIndex((meta) => meta.name === layer);
    if (at < 0 || !this.#list.reveal(at)) return;
    const { sort, filter } = this.#state;
    this.#list.update(reading, { sort, filter, tree: this.#tree }, true);
    if (!this.#body.hasFocus) this.#body.reach(`layer ${at}`);
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
    const [bold, normal] = [widthIn(this.#ruler, BOLD), widthIn(this.#ruler, NORMAL)];
    this.#widthIn = (isBold) => (isBold ? bold : normal);
    const room = this.#scroller.clientHeight - this.#head.node().offsetHeight;
    const least = Math.round((ruler.height / PROBE_EMS) * ROW_EM);
    this.#rowHeight = this.#heightOfRows(room, least);
    this.#viewHeight = Math.max(0, room - this.#rowHeight);
    setVariable(this.#full, "--iua-row-height", `${this.#rowHeight}px`);
    this.#fitColumns();
    const { reading, layer } = this.#state;
    if (reading !== null) this.#showSelected(layer, reading);
  }

  /** The rows of few layers, and that of totals, fill the pane where it has a height of its own. */
  #heightOfRows(room: number, least: number): number {
    const layers = this.#state.reading?.layers ?? 0;
    if (layers === 0 || this.#node.closest(".iua-wide") === null) return least;
    return Math.max(least, Math.min(TALLEST * least, room / (layers + 1)));
  }

  #fitColumns(): void {
    const width = this.#printing ? PAPER_WIDTH : this.#scroller.clientWidth;
    if (!this.#columns.fit(this.#table, width, this.#digit)) return;
    this.#fitNames();
    const { shown, squeezed } = this.#columns;
    this.#tools.updateColumns(shown, squeezed, (key) => this.#columns.isAbsent(key));
    this.#makeRows();
  }

  #widen(key: ColumnKey, pixels: number): void {
    this.#columns.widen(key, pixels);
    this.#fitColumns();
    this.#announce(`${calledOnPage(key)}, ${this.#columns.width(key)} pixels wide.`);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
