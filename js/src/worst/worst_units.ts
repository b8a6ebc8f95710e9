/** The worst units of the whole network, the worst first: a click on one shows it. */

import { LayerName, type NameShown } from "../names/layer_name";
import { layerForms } from "../names/row_names";
import { ShortNames } from "../names/short_names";
import { widthIn } from "../names/text_width";
import {
  formatBracket,
  formatInteger,
  formatShare,
  formatThreshold,
  NOTHING,
} from "../reading/format";
import type { LayerMeta } from "../reading/snapshot";
import type { TableReading } from "../reading/table_reading";
import { element, setAttribute, setText, setVariable } from "../ui/dom";
import { rowAfterKey } from "../ui/row_step";
import { rankedAtWords, type WorstList, type WorstUnit, worstUnitName } from "./worst_reading";

const NONE = "The worst units of the network are listed here once some are counted.";
const NORMAL = 400;
const PAGE = 9;

const COLUMNS = ["rank", "layer", "unit", "inactive", "mean |x|", "RMS", "max |x|"] as const;
type Column = (typeof COLUMNS)[number];

export interface WorstState {
  readonly list: WorstList | null;
  readonly reading: TableReading | null;
  /** Whether this row is what is selected. */
  readonly isSelected: (unit: WorstUnit) => boolean;
  /** Whether it is being ranked at the tolerances on show, where it is not. */
  readonly comes: boolean;
  /** The one layer that can be selected; null where all can. */
  readonly within: string | null;
}

interface Row {
  readonly node: HTMLElement;
  readonly name: LayerName;
  readonly cells: Readonly<Record<Column, HTMLElement>>;
}

export class WorstUnitsList {
  readonly #onPick: (unit: WorstUnit) => void;
  readonly #prefix = `iua-${Math.random().toString(36).slice(2, 10)}`;
  readonly #head: HTMLElement;
  readonly #body = element("div", { class: "iua-worst-body", attributes: { role: "rowgroup" } });
  readonly #grid: HTMLElement;
  readonly #ranked = element("p", { class: "iua-worst-ranked", attributes: { role: "status" } });
  readonly #nothing = element("p", { class: "iua-nothing-listed", text: NONE });
  readonly #node: HTMLElement;
  readonly #rows: Row[] = [];
  readonly #layerHead: HTMLElement;
  #state: WorstState | null = null;
  #names: ShortNames | null = null;
  #forms: readonly string[] = [];
  #formsFor = "";
  #layers: readonly LayerMeta[] = [];
  #room = 0;
  #roomOfForms = 0;
  #padding = 0;
  #places: ReadonlyMap<string, number> = new Map();
  #active = 0;

  constructor(onPick: (unit: WorstUnit) => void, signal: AbortSignal) {
    this.#onPick = onPick;
    const heads = COLUMNS.map((key) => cell("columnheader", key, key === "rank" ? "#" : key));
    this.#layerHead = heads[1] as HTMLElement;
    this.#head = element("div", { class: "iua-worst-head", attributes: { role: "row" } }, ...heads);
    this.#grid = element(
      "div",
      {
        class: "iua-worst",
        attributes: { role: "grid", tabindex: "0", "aria-label": "worst units of the network" },
      },
      element("div", { class: "iua-list-top", attributes: { role: "rowgroup" } }, this.#head),
      this.#body,
    );
    this.#node = element(
      "div",
      { class: "iua-worst-units" },
      this.#grid,
      this.#ranked,
      this.#nothing,
    );
    this.#grid.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.#body.addEventListener(
      "click",
      (event) => {
        const row = (event.target as Element).closest<HTMLElement>("[data-row]");
        if (row !== null) this.#pick(Number(row.dataset.row));
      },
      { signal },
    );
    // What the page has laid out is read here only: in a step of the slider it would cost a layout.
    const observer = new ResizeObserver(() => {
      this.#padding = 2 * Number.parseFloat(getComputedStyle(this.#layerHead).paddingLeft);
      this.#room = this.#layerHead.clientWidth - this.#padding;
      this.#draw();
    });
    observer.observe(this.#layerHead);
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  }

  update(state: WorstState): void {
    this.#state = state;
    this.#draw();
  }

  #pick(row: number): void {
    const unit = this.#state?.list?.units[row];
    if (unit === undefined) return;
    this.#activate(row);
    if (this.#canPick(unit)) this.#onPick(unit);
  }

  #canPick({ layer }: WorstUnit): boolean {
    const within = this.#state?.within ?? null;
    return within === null || within === layer.name;
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const rows = this.#state?.list?.units.length ?? 0;
    const row = rowAfterKey(event.key, this.#active, rows, PAGE);
    if (row !== null) this.#activate(row);
    else if (event.key === "Enter" || event.key === " ") this.#pick(this.#active);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #activate(row: number): void {
    this.#active = row;
    this.#showActive();
    const node = this.#rows[row]?.node;
    if (node === undefined) return;
    // Not scrollIntoView, which scrolls the page as well.
    const grid = this.#grid;
    const top = node.offsetTop - this.#head.offsetHeight;
    const bottom = node.offsetTop + node.offsetHeight - grid.clientHeight;
    if (grid.scrollTop > top) grid.scrollTop = top;
    else if (grid.scrollTop < bottom) grid.scrollTop = bottom;
  }

  #showActive(): void {
    this.#rows.forEach(({ node }, at) => {
      node.classList.toggle("iua-list-active", at === this.#active && !node.hidden);
    });
    setAttribute(this.#grid, "aria-activedescendant", `${this.#prefix}-${this.#active}`);
  }

  #draw(): void {
    const list = this.#state?.list ?? null;
    const units = list?.units ?? [];
    this.#grid.hidden = units.length === 0;
    this.#ranked.hidden = units.length === 0;
    this.#nothing.hidden = units.length > 0;
    if (this.#state === null || list === null || units.length === 0) return;
    this.#readNames(this.#state.reading);
    this.#active = Math.min(this.#active, units.length - 1);
    while (this.#rows.length < units.length) this.#rows.push(this.#row(this.#rows.length));
    this.#rows.forEach((row, at) => {
      const unit = units[at];
      row.node.hidden = unit === undefined;
      if (unit !== undefined) this.#fill(row, unit);
    });
    this.#showActive();
    setAttribute(this.#grid, "aria-rowcount", String(units.length + 1));
    this.#showRanked(list);
  }

  #showRanked({ other, probes }: WorstList): void {
    const { reading, comes } = this.#state as WorstState;
    const parts = [other === null ? "" : `Ranked at ${rankedAtWords(other)}, not at what is set`];
    if (other !== null && comes) parts.push("being ranked anew");
    const behind = reading !== null && probes < reading.table.probes;
    if (behind) parts.push(`of the first ${formatInteger(probes)} probes`);
    const text = parts.filter((part) => part !== "").join("; ");
    setText(
      this.#ranked,
      text === "" ? "Equals are told apart by the smaller max |x|, then mean |x|." : `${text}.`,
    );
    this.#node.classList.toggle("iua-worst-other", other !== null);
    setAttribute(this.#grid, "aria-busy", other !== null && comes ? "true" : null);
  }

  /** In the forms of the table: told apart among all layers of the network. */
  #readNames(reading: TableReading | null): void {
    const layers = reading?.table.layers ?? [];
    const room = this.#room;
    if (room <= 0 || (layers === this.#layers && room === this.#roomOfForms)) return;
    this.#layers = layers;
    this.#roomOfForms = room;
    const names = layers.map(({ name }) => name);
    const formsFor = JSON.stringify([room, names]);
    if (formsFor === this.#formsFor) return;
    this.#formsFor = formsFor;
    this.#names = new ShortNames(names);
    this.#places = new Map(names.map((name, at) => [name, at]));
    const widthOf = widthIn(this.#layerHead, NORMAL);
    this.#forms = layerForms(this.#names, room, widthOf).forms;
    const longest = Math.ceil(Math.max(...names.map(widthOf)) + this.#padding + 1);
    setVariable(this.#grid, "--iua-longest", `${longest}px`);
  }

  #nameOf(full: string): NameShown {
    const form = this.#forms[this.#places.get(full) ?? -1] ?? full;
    const { beginning = "", end = "" } = this.#names ?? {};
    return { form, full, beginning, end };
  }

  #row(row: number): Row {
    const cells = Object.fromEntries(COLUMNS.map((key) => [key, cell("gridcell", key)])) as Record<
      Column,
      HTMLElement
    >;
    const name = new LayerName();
    cells.layer.append(name.node());
    const node = element(
      "div",
      {
        class: "iua-worst-row",
        attributes: {
          role: "row",
          id: `${this.#prefix}-${row}`,
          "data-row": String(row),
          "aria-rowindex": String(row + 2),
        },
      },
      ...Object.values(cells),
    );
    this.#body.append(node);
    return { node, name, cells };
  }

  #fill({ node, name, cells }: Row, unit: WorstUnit): void {
    const { layer, share, shareUpper, units, deadUnits, deadUnitsUpper } = unit;
    const dead = deadUnits === units;
    node.classList.toggle("iua-list-dead", dead);
    setAttribute(node, "data-layer", layer.name);
    setAttribute(node, "data-unit", String(unit.unit));
    setAttribute(node, "aria-selected", String(this.#state?.isSelected(unit) ?? false));
    setAttribute(node, "aria-disabled", this.#canPick(unit) ? null : "true");
    setText(cells.rank, formatInteger(unit.rank));
    name.update(this.#nameOf(layer.name));
    setText(cells.unit, worstUnitName(unit));
    setText(cells.inactive, formatBracket(share, shareUpper, formatShare));
    setVariable(node, "--share", Number.isNaN(share) ? "0" : share.toFixed(4));
    const alarm = dead ? "dead" : deadUnitsUpper === units ? "may be dead" : "";
    const counts = formatBracket(deadUnits, deadUnitsUpper, formatInteger);
    const positions = units > 1 ? `${counts} of ${formatInteger(units)} positions dead` : "";
    setAttribute(
      node,
      "title",
      [`${layer.name}, ${worstUnitName(unit)}`, alarm, positions]
        .filter((part) => part !== "")
        .join("\n"),
    );
    setText(cells["mean |x|"], magnitude(unit.meanAbs));
    setText(cells.RMS, magnitude(unit.rms));
    setText(cells["max |x|"], magnitude(unit.maxAbs));
  }

  node(): HTMLElement {
    return this.#node;
  }
}

function cell(role: string, key: Column, text = ""): HTMLElement {
  return element("span", { class: "iua-worst-cell", text, attributes: { role, "data-key": key } });
}

function magnitude(value: number): string {
  return Number.isFinite(value) ? formatThreshold(value) : NOTHING;
}
