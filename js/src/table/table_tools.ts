/** Above the table: which layers are shown, and what can be done with it; the rest in a menu. */

import { plural } from "../reading/format";
import { asciiLower } from "../reading/row_order";
import type { TableSnapshot } from "../reading/snapshot";
import type { TableReading } from "../reading/table_reading";
import { element, setAttribute, setText } from "../ui/dom";
import { PaneMenu } from "../ui/pane_menu";
import { type ColumnsActions, ColumnsMenu } from "./columns_menu";
import { filteredKind, HAS_DEAD, hasTest, parseFilter, withKind, withTest } from "./row_filter";

export interface ToolActions extends ColumnsActions {
  onFilter(filter: string): void;
  /** From which share of dead units on a layer is an alarm. */
  onAlarm(share: number): void;
  onTree(on: boolean): void;
  onOpenAll(open: boolean): void;
  onCopy(): void;
}

const COPIED_FOR_MS = 1600;
/** A comparison that is being written is not at fault yet. */
const WRITTEN_MS = 600;
const FILTER_HELP =
  'Words of the name or the kind; also kind:ReLU, "two words", and figures such as dead-units>0, dead-share>=50%, dead-channels>0';

function toolButton(text: string, title: string): HTMLButtonElement {
  return element("button", {
    class: "iua-button iua-tool",
    text,
    title,
    attributes: { type: "button" },
  });
}

export class TableTools {
  readonly #actions: ToolActions;
  readonly #filter = element("input", {
    class: "iua-filter",
    title: FILTER_HELP,
    attributes: {
      type: "search",
      placeholder: "filter layers",
      "aria-label": "filter layers",
      "aria-description": FILTER_HELP,
      spellcheck: "false",
      autocomplete: "off",
    },
  });
  readonly #fault = element("p", { class: "iua-filter-fault", attributes: { role: "status" } });
  readonly #kind = element("select", {
    class: "iua-select iua-kinds",
    attributes: { "aria-label": "kind of layer" },
  });
  readonly #hasDead = element("input", { attributes: { type: "checkbox" } });
  readonly #over = element("button", {
    class: "iua-over",
    title: "Show these layers only",
    attributes: { type: "button", "aria-pressed": "false" },
  });
  readonly #alarm = element("input", {
    class: "iua-alarm-share",
    attributes: {
      type: "number",
      min: "1",
      max: "100",
      step: "5",
      value: "50",
      "aria-label": "percent of dead units from which on a layer is an alarm",
    },
  });
  readonly #tree = toolButton("Tree", "Group the layers by the modules they are in");
  readonly #openAll = toolButton("Open all", "Open every group");
  readonly #copy = toolButton(
    "Copy",
    "Copy the rows on show as tab-separated text (Ctrl+C in a row)",
  );
  readonly #columns: ColumnsMenu;
  readonly #kindChoice: HTMLElement;
  readonly #node: HTMLElement;
  #text = "";
  /** What was typed, where it cannot be a filter. */
  #faultOf: string | null = null;
  #faultTimer: ReturnType<typeof setTimeout> | undefined;
  #share = 0.5;
  #kinds: readonly string[] = [];
  #kindsOf: TableSnapshot | null = null;
  #anyClosed = true;
  #copiedTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(actions: ToolActions, signal: AbortSignal) {
    this.#actions = actions;
    this.#columns = new ColumnsMenu(actions, signal);
    const words = (text: string): HTMLElement => element("span", { text });
    this.#kindChoice = element("label", { class: "iua-choice" }, words("kind"), this.#kind);
    const more = new PaneMenu(
      { text: "⋯", name: "more of the table", label: "table" },
      [
        this.#kindChoice,
        element(
          "span",
          { class: "iua-alarm" },
          words("alarm from"),
          this.#alarm,
          words("% dead"),
          this.#over,
        ),
      ],
      signal,
    );
    this.#node = element(
      "div",
      { class: "iua-table-tools" },
      this.#filter,
      element(
        "label",
        { class: "iua-choice", title: "Only layers with dead units" },
        this.#hasDead,
        words("dead only"),
      ),
      element(
        "span",
        { class: "iua-tools" },
        this.#openAll,
        this.#tree,
        this.#columns.node(),
        this.#copy,
        more.node(),
      ),
      this.#fault,
    );
    this.#fault.hidden = true;
    const on = (node: HTMLElement, event: string, action: () => void): void =>
      node.addEventListener(event, action, { signal });
    on(this.#filter, "input", () => this.#typed());
    on(this.#filter, "blur", () => {
      if (this.#faultOf === null) this.#filter.value = this.#text;
    });
    on(this.#kind, "change", () => this.#setFilter(withKind(this.#text, this.#kind.value)));
    on(this.#hasDead, "change", () =>
      this.#setFilter(withTest(this.#text, HAS_DEAD, this.#hasDead.checked)),
    );
    on(this.#over, "click", () => {
      const test = this.#overTest();
      this.#setFilter(withTest(this.#text, test, !hasTest(this.#text, test)));
    });
    on(this.#alarm, "input", () => this.#setAlarm());
    on(this.#alarm, "change", () => {
      this.#alarm.value = String(this.#share * 100);
    });
    on(this.#tree, "click", () =>
      actions.onTree(this.#tree.getAttribute("aria-pressed") !== "true"),
    );
    on(this.#openAll, "click", () => actions.onOpenAll(this.#anyClosed));
    on(this.#copy, "click", () => actions.onCopy());
  }

  #setFilter(filter: string): void {
    this.#text = filter;
    this.#showFault(null);
    if (!this.#filter.matches(":focus")) this.#filter.value = filter;
    this.#actions.onFilter(filter);
  }

  /** What cannot be a filter leaves the last one in force, and is told beside the field. */
  #typed(): void {
    const filter = this.#filter.value;
    if (parseFilter(filter).fault === "") this.#setFilter(filter);
    else {
      this.#showFault(null);
      this.#faultOf = filter;
      this.#faultTimer = setTimeout(() => this.#showFault(filter), WRITTEN_MS);
    }
  }

  #showFault(filter: string | null): void {
    clearTimeout(this.#faultTimer);
    this.#faultOf = filter;
    const { fault, help } = parseFilter(filter ?? "");
    const kept = this.#text === "" ? "All rows stay" : `“${this.#text}” stays in force`;
    setText(this.#fault, fault === "" ? "" : `${fault} ${kept}.`);
    this.#fault.title = help;
    this.#fault.hidden = fault === "";
    setAttribute(this.#filter, "aria-invalid", fault === "" ? null : "true");
  }

  #overTest(): string {
    return `dead-share>=${Number((this.#share * 100).toPrecision(6))}%`;
  }

  #setAlarm(): void {
    const percent = this.#alarm.valueAsNumber;
    if (!(percent > 0 && percent <= 100)) return;
    const before = this.#overTest();
    const filtered = hasTest(this.#text, before);
    this.#share = percent / 100;
    if (filtered) {
      this.#setFilter(withTest(withTest(this.#text, before, false), this.#overTest(), true));
    }
    this.#actions.onAlarm(this.#share);
  }

  /** What stands in the host; what is being typed is left alone. */
  update(filter: string, reading: TableReading): void {
    if (filter !== this.#text) this.#showFault(null);
    this.#text = filter;
    const left = this.#faultOf !== null || this.#filter.matches(":focus");
    if (this.#filter.value !== filter && !left) this.#filter.value = filter;
    this.#hasDead.checked = hasTest(filter, HAS_DEAD);
    this.#showKinds(filter, reading);
    const over = reading.layersOver(this.#share);
    setText(this.#over, over === 0 ? "no layer" : plural(over, "layer"));
    this.#over.classList.toggle("iua-none", over === 0);
    setAttribute(this.#over, "aria-pressed", String(hasTest(filter, this.#overTest())));
  }

  #showKinds(filter: string, reading: TableReading): void {
    if (reading.table !== this.#kindsOf) {
      this.#kindsOf = reading.table;
      this.#setKinds([...new Set(reading.table.layers.map((meta) => meta.kind))].sort());
    }
    const sought = filteredKind(filter);
    const chosen = this.#kinds.find((kind) => asciiLower(kind) === sought) ?? "";
    if (this.#kind.value !== chosen) this.#kind.value = chosen;
  }

  #setKinds(kinds: readonly string[]): void {
    this.#kindChoice.hidden = kinds.length < 2;
    const same = kinds.length === this.#kinds.length && kinds.every((k, i) => k === this.#kinds[i]);
    if (same) return;
    this.#kinds = kinds;
    this.#kind.replaceChildren(
      element("option", { text: "all kinds", attributes: { value: "" } }),
      ...kinds.map((kind) => element("option", { text: kind, attributes: { value: kind } })),
    );
  }

  updateColumns(...state: Parameters<ColumnsMenu["update"]>): void {
    this.#columns.update(...state);
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
