/** The toolbar of the table: filter, tree, columns and copy; the rest in a menu. */

import { asciiLower } from "../reading/row_order";
import { sameItems } from "../reading/same_items";
import type { TableSnapshot } from "../reading/snapshot";
import type { TableReading } from "../reading/table_reading";
import { named, select, setOptions, showValue } from "../ui/controls";
import { element, setAttribute, setText } from "../ui/dom";
import { PaneMenu } from "../ui/pane_menu";
import { AlarmField } from "./alarm_field";
import { ColumnsMenu } from "./columns_menu";
import { FilterField } from "./filter_field";
import { filteredKind, HAS_DEAD, hasTest, withKind, withTest } from "./row_filter";
import type { TableColumns } from "./table_columns";

interface ToolActions {
  onFilter(filter: string): void;
  /** From which share of dead units on a layer is an alarm. */
  onAlarm(share: number): void;
  onTree(on: boolean): void;
  onOpenAll(open: boolean): void;
  onCopy(): void;
}

const COPIED_FOR_MS = 1600;

function toolButton(text: string, title: string): HTMLButtonElement {
  return element("button", {
    class: "iua-button iua-tool",
    text,
    title,
    attributes: { type: "button" },
  });
}

export class TableTools {
  readonly #filter: FilterField;
  readonly #alarm: AlarmField;
  readonly #kind: HTMLSelectElement;
  readonly #kindChoice: HTMLElement;
  readonly #hasDead = element("input", { attributes: { type: "checkbox" } });
  readonly #tree = toolButton("Tree", "Group the layers by the modules they are in");
  readonly #openAll = toolButton("Open all", "Open every group");
  readonly #copy = toolButton(
    "Copy",
    "Copy the rows on show as tab-separated text (Ctrl+C in a row)",
  );
  readonly #columnsMenu: ColumnsMenu;
  readonly #node: HTMLElement;
  #kinds: readonly string[] = [];
  #kindsOf: TableSnapshot | null = null;
  #anyClosed = true;
  #copiedTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(columns: TableColumns, actions: ToolActions, signal: AbortSignal) {
    this.#filter = new FilterField((filter) => actions.onFilter(filter), signal);
    this.#alarm = new AlarmField(this.#filter, (share) => actions.onAlarm(share), signal);
    this.#columnsMenu = new ColumnsMenu(columns, signal);
    this.#kind = select(
      "kind of layer",
      [],
      (kind) => this.#filter.set(withKind(this.#filter.filter, kind)),
      signal,
    );
    this.#kind.classList.add("iua-kinds");
    this.#kindChoice = named("kind", this.#kind);
    const more = new PaneMenu(
      { text: "⋯", name: "more of the table", label: "table" },
      [this.#kindChoice, this.#alarm.node()],
      signal,
    );
    this.#node = element(
      "div",
      { class: "iua-table-tools" },
      this.#filter.node(),
      element(
        "label",
        { class: "iua-choice", title: "Only layers with dead units" },
        this.#hasDead,
        element("span", { text: "dead only" }),
      ),
      element(
        "span",
        { class: "iua-tools" },
        this.#openAll,
        this.#tree,
        this.#columnsMenu.node(),
        this.#copy,
        more.node(),
      ),
      this.#filter.faultNode(),
    );
    const on = (node: HTMLElement, event: string, action: () => void): void =>
      node.addEventListener(event, action, { signal });
    on(this.#hasDead, "change", () =>
      this.#filter.set(withTest(this.#filter.filter, HAS_DEAD, this.#hasDead.checked)),
    );
    on(this.#tree, "click", () =>
      actions.onTree(this.#tree.getAttribute("aria-pressed") !== "true"),
    );
    on(this.#openAll, "click", () => actions.onOpenAll(this.#anyClosed));
    on(this.#copy, "click", () => actions.onCopy());
  }

  update(filter: string, reading: TableReading): void {
    this.#filter.update(filter);
    this.#hasDead.checked = hasTest(filter, HAS_DEAD);
    this.#showKinds(filter, reading);
    this.#alarm.update(reading.layersOver(this.#alarm.share));
  }

  #showKinds(filter: string, reading: TableReading): void {
    if (reading.table !== this.#kindsOf) {
      this.#kindsOf = reading.table;
      this.#setKinds([...new Set(reading.table.layers.map((meta) => meta.kind))].sort());
    }
    const sought = filteredKind(filter);
    const chosen = this.#kinds.find((kind) => asciiLower(kind) === sought) ?? "";
    showValue(this.#kind, chosen);
  }

  #setKinds(kinds: readonly string[]): void {
    this.#kindChoice.hidden = kinds.length < 2;
    if (sameItems(kinds, this.#kinds)) return;
    this.#kinds = kinds;
    setOptions(this.#kind, [["", "all kinds"], ...kinds.map((kind) => [kind, kind] as const)]);
  }

  updateColumns(): void {
    this.#columnsMenu.update();
  }

  updateTree(possible: boolean, on: boolean, anyClosed: boolean): void {
    this.#anyClosed = anyClosed;
    this.#tree.hidden = !possible;
    setAttribute(this.#tree, "aria-pressed", String(on));
    this.#openAll.hidden = !on;
    setText(this.#openAll, anyClosed ? "Open all" : "Close all");
    setAttribute(this.#openAll, "title", anyClosed ? "Open every group" : "Close every group");
  }

  showCopied(copied: boolean): void {
    setText(this.#copy, copied ? "Copied" : "Not allowed");
    clearTimeout(this.#copiedTimer);
    this.#copiedTimer = setTimeout(() => setText(this.#copy, "Copy"), COPIED_FOR_MS);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
