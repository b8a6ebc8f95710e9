/** All layers, or groups of them, one a row: sortable, filtered, live; only rows in view are made. */

import type { Row } from "../names/module_tree";
import { type ColumnKey, calledOnPage } from "../reading/columns";
import { formatInteger, plural } from "../reading/format";
import { nextSort, type Sort } from "../reading/row_order";
import type { TableReading } from "../reading/table_reading";
import { copyText } from "../ui/clipboard";
import { element, setAttribute } from "../ui/dom";
import { FIRST_ALARM } from "./alarm_field";
import { Announcer } from "./announcer";
import { MarkTip } from "./mark_tip";
import { RowList } from "./row_list";
import { TableBody } from "./table_body";
import { TableBox } from "./table_box";
import { TableColumns } from "./table_columns";
import { TableHead } from "./table_head";
import { TableKeys } from "./table_keys";
import { TableNames } from "./table_names";
import { tableText } from "./table_text";
import { TableTools } from "./table_tools";
import { TotalsRow } from "./totals_row";

interface TableState {
  readonly reading: TableReading | null;
  readonly layer: string;
  readonly sort: Sort | null;
  readonly filter: string;
  /** The one layer that can be selected; null where all can. */
  readonly within: string | null;
}

interface TableActions {
  onSelect(layer: string): void;
  onSort(sort: Sort | null): void;
  onFilter(filter: string): void;
}

export class LayerTable {
  readonly #actions: TableActions;
  readonly #list = new RowList();
  readonly #tools: TableTools;
  readonly #head: TableHead;
  readonly #columns: TableColumns;
  readonly #names = new TableNames();
  readonly #body = new TableBody();
  readonly #totals = new TotalsRow();
  readonly #table: HTMLTableElement;
  readonly #tip: MarkTip;
  readonly #box: TableBox;
  readonly #announcer: Announcer;
  readonly #frozen = element("button", {
    class: "iua-button iua-tool iua-order-frozen",
    text: "Order frozen while you are here – update",
    title:
      "New figures change the order of the rows. It is kept while the pointer or the focus is in the table.",
    attributes: { type: "button" },
  });
  readonly #nothing = element("p", {
    class: "iua-placeholder",
    text: "No layer passes the filter.",
  });
  readonly #empty = element("p", {
    class: "iua-placeholder",
    text: "No layer has been counted yet. The table fills while probes stream past.",
  });
  readonly #node: HTMLElement;
  #state: TableState = { reading: null, layer: "", sort: null, filter: "", within: null };
  #alarm = FIRST_ALARM;
  #tree = false;
  #scrolledTo = "";

  constructor(actions: TableActions, signal: AbortSignal) {
    this.#actions = actions;
    this.#announcer = new Announcer(signal);
    this.#columns = new TableColumns(() => this.#fitColumns(), this.#announcer);
    this.#tools = new TableTools(
      this.#columns,
      {
        onFilter: (filter) => {
          actions.onFilter(filter);
          this.#announcer.sayAfterPause(() => this.#rowsInWords());
        },
        onAlarm: (share) => {
          this.#alarm = share;
          this.#refresh();
        },
        onTree: (on) => {
          this.#tree = on;
          this.#refresh();
          this.#announcer.say(on ? "Grouped by module." : "Not grouped.");
        },
        onOpenAll: (open) => {
          this.#list.setAllOpen(open);
          this.#refresh();
        },
        onCopy: () => void this.#copy(),
      },
      signal,
    );
    this.#head = new TableHead(
      this.#columns,
      {
        onSort: (key) => this.#setSort(key),
        onDown: () => this.#go(this.#box.nearestInView(this.#list.place(this.#body.current))),
      },
      signal,
    );
    this.#tip = new MarkTip(this.#body, signal);
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
        page: () => this.#box.page,
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
    this.#box = new TableBox(
      this.#table,
      [this.#frozen, this.#tip.node()],
      {
        onScroll: () => {
          this.#tip.hide();
          this.#makeRows();
        },
        onResize: () => this.#measure(),
        onPrint: () => this.#fitColumns(),
      },
      signal,
    );
    this.#node = element(
      "section",
      { class: "iua-layers", attributes: { "aria-label": "layers" } },
      this.#tools.node(),
      this.#box.node(),
      this.#nothing,
      this.#empty,
      this.#announcer.node(),
    );
    const body = this.#body.node();
    body.addEventListener("click", (event) => this.#click(event), { signal });
    body.addEventListener("focusin", (event) => this.#focused(event), { signal });
    for (const name of ["pointerleave", "focusout"]) {
      body.addEventListener(name, () => this.#left(), { signal });
    }
    this.#frozen.addEventListener("click", () => this.#refresh(true), { signal });
  }

  // What the user does.

  #setSort(key: ColumnKey): void {
    const sort = nextSort(this.#state.sort, key);
    this.#announcer.say(
      sort === null
        ? "In the order of the network."
        : `Sorted by ${calledOnPage(key)}, ${sort.ascending ? "ascending" : "descending"}.`,
    );
    this.#actions.onSort(sort);
  }

  #rowsInWords(): string {
    const all = this.#state.reading?.layers ?? 0;
    return `${formatInteger(this.#list.layers.length)} of ${plural(all, "layer")}.`;
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
  }

  /** The pointer or the focus has gone, so that the order may change again. */
  #left(): void {
    if (this.#list.frozen) setTimeout(() => this.#refresh(), 0);
  }

  async #copy(): Promise<void> {
    const { reading } = this.#state;
    if (reading === null) return;
    const { rows } = this.#list;
    const copied = await copyText(tableText(reading, rows, this.#columns.inOrder()), this.#node);
    this.#tools.showCopied(copied);
    this.#announcer.say(
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

  /** Show what is known now; `order` also where their order is frozen. */
  #refresh(order = false): void {
    const { reading, sort, filter, layer } = this.#state;
    const empty = reading === null || reading.layers === 0;
    this.#empty.hidden = !empty;
    this.#tools.node().hidden = empty;
    this.#box.node().hidden = empty;
    if (empty) {
      this.#nothing.hidden = true;
      return;
    }
    const freeze = !order && this.#body.inUse;
    this.#list.update(reading, { sort, filter, tree: this.#tree }, freeze);
    const { rows } = this.#list;
    this.#frozen.hidden = !this.#list.frozen;
    this.#nothing.hidden = rows.length > 0;
    this.#box.node().hidden = rows.length === 0;
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

  #measure(): void {
    const { reading, layer } = this.#state;
    if (!this.#box.measure(reading?.layers ?? 0)) return;
    this.#fitColumns();
    if (reading !== null) this.#showSelected(layer, reading);
  }

  #fitColumns(): void {
    if (!this.#columns.fit(this.#table, this.#box.width, this.#box.digit)) return;
    this.#totals.showColumns(this.#columns.shown);
    this.#fitNames();
    this.#tools.updateColumns();
    this.#makeRows();
  }

  /** What the rows are called in the width there is, and what the head says of it. */
  #fitNames(): void {
    const { reading, sort } = this.#state;
    if (reading === null) return;
    const rows = this.#tree ? this.#list.rows : null;
    const names = this.#names;
    names.fit(reading.table.layers, rows, this.#columns.width("response"), this.#box.widthIn);
    this.#table.classList.toggle("iua-marks-short", names.marksShort);
    this.#table.classList.toggle("iua-marks-below", names.marksBelow);
    this.#head.update(sort, reading.tau, names.shared);
  }

  /** Make the rows in view, and the one that is the tab stop. */
  #makeRows(): void {
    const { reading, layer, within } = this.#state;
    if (reading === null) return;
    if (this.#list.place(this.#body.current) < 0) this.#lostCurrent();
    const inView = this.#box.inView(this.#list.rows.length);
    const lost = this.#body.make(this.#list, inView, this.#box.rowHeight, {
      reading,
      selected: layer,
      within,
      alarm: this.#alarm,
      tree: this.#tree,
      names: this.#names.names,
      columns: this.#columns.shown,
    });
    if (!lost) return;
    // A focused row that goes is laid out without, and the box may have had to scroll back.
    this.#box.scrollBack();
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
    if (layer === this.#scrolledTo || !this.#box.isMeasured) return;
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
    if (at >= 0) this.#box.scrollTo(at);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
