/** The worst units of the whole network, the worst first: a click on one shows it. */

import { LayerName, type NameShown } from "../names/layer_name";
import { layerForms } from "../names/row_names";
import { ShortNames } from "../names/short_names";
import { widthIn } from "../names/text_width";
import { formatCounts, formatInteger, formatMagnitude, formatShares } from "../reading/format";
import type { LayerMeta } from "../reading/snapshot";
import type { TableReading } from "../reading/table_reading";
import { element, setAttribute, setText, setVariable } from "../ui/dom";
import { type GridRow, RowGrid } from "../ui/row_grid";
import { rankedAtWords, type WorstList, type WorstUnit, worstUnitName } from "./worst_reading";

const NONE = "The worst units of the network are listed here once some are counted.";
const NORMAL = 400;
const PAGE = 9;

const COLUMNS = ["rank", "layer", "unit", "inactive", "mean |x|", "RMS", "max |x|"] as const;
type Column = (typeof COLUMNS)[number];

interface WorstState {
  readonly list: WorstList | null;
  readonly reading: TableReading | null;
  /** Whether this row is what is selected. */
  readonly isSelected: (unit: WorstUnit) => boolean;
  /** Whether it is being ranked at the tolerances on show, where it is not. */
  readonly comes: boolean;
  /** The one layer that can be selected; null where all can. */
  readonly within: string | null;
}

interface Row extends GridRow<Column> {
  readonly name: LayerName;
}

export class WorstUnitsList {
  readonly #onPick: (unit: WorstUnit) => void;
  readonly #grid: RowGrid<Column>;
  readonly #ranked = element("p", { class: "iua-worst-ranked", attributes: { role: "status" } });
  readonly #nothing = element("p", { class: "iua-nothing-listed", text: NONE });
  readonly #node: HTMLElement;
  readonly #rows: Row[] = [];
  #state: WorstState | null = null;
  #names: ShortNames | null = null;
  #forms: readonly string[] = [];
  #formsFor = "";
  #layers: readonly LayerMeta[] = [];
  #room = 0;
  #roomOfForms = 0;
  #padding = 0;
  #places: ReadonlyMap<string, number> = new Map();

  constructor(onPick: (unit: WorstUnit) => void, signal: AbortSignal) {
    this.#onPick = onPick;
    this.#grid = new RowGrid(
      {
        class: "iua-worst",
        columns: COLUMNS,
        heading: (key) => document.createTextNode(key === "rank" ? "#" : key),
        multiple: false,
        rows: () => this.#state?.list?.units.length ?? 0,
        page: () => PAGE,
        onActive: () => this.#showActive(),
        onChoose: (row) => this.#pick(row),
      },
      signal,
    );
    setAttribute(this.#grid.node, "aria-label", "worst units of the network");
    this.#node = element(
      "div",
      { class: "iua-worst-units" },
      this.#grid.node,
      this.#ranked,
      this.#nothing,
    );
    const { layer } = this.#grid.heads;
    // What the page has laid out is read here only: in a step of the slider it would cost a layout.
    const observer = new ResizeObserver(() => {
      this.#padding = 2 * Number.parseFloat(getComputedStyle(layer).paddingLeft);
      this.#room = layer.clientWidth - this.#padding;
      this.#draw();
    });
    observer.observe(layer);
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  }

  update(state: WorstState): void {
    this.#state = state;
    this.#draw();
  }

  #pick(row: number): void {
    const unit = this.#state?.list?.units[row];
    if (unit === undefined) return;
    this.#showActive();
    if (this.#canPick(unit)) this.#onPick(unit);
  }

  #canPick({ layer }: WorstUnit): boolean {
    const within = this.#state?.within ?? null;
    return within === null || within === layer.name;
  }

  #showActive(): void {
    this.#grid.showActive();
    const row = this.#rows[this.#grid.active]?.node;
    if (row === undefined) return;
    // Not scrollIntoView, which scrolls the page as well.
    const { node, head } = this.#grid;
    const top = row.offsetTop - head.offsetHeight;
    const bottom = row.offsetTop + row.offsetHeight - node.clientHeight;
    if (node.scrollTop > top) node.scrollTop = top;
    else if (node.scrollTop < bottom) node.scrollTop = bottom;
  }

  #draw(): void {
    const list = this.#state?.list ?? null;
    const units = list?.units ?? [];
    this.#grid.node.hidden = units.length === 0;
    this.#ranked.hidden = units.length === 0;
    this.#nothing.hidden = units.length > 0;
    if (this.#state === null || list === null || units.length === 0) return;
    this.#readNames(this.#state.reading);
    this.#grid.active = Math.min(this.#grid.active, units.length - 1);
    while (this.#rows.length < units.length) this.#rows.push(this.#row(this.#rows.length));
    this.#rows.forEach((row, at) => {
      const unit = units[at];
      row.node.hidden = unit === undefined;
      if (unit !== undefined) this.#fill(row, unit);
    });
    this.#grid.showActive();
    this.#grid.setLength(units.length);
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
    setAttribute(this.#grid.node, "aria-busy", other !== null && comes ? "true" : null);
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
    const widthOf = widthIn(this.#grid.heads.layer, NORMAL);
    this.#forms = layerForms(this.#names, room, widthOf).forms;
    // The head is over them.
    const widest = Math.max(...["layer", ...names].map(widthOf));
    const longest = Math.ceil(widest + this.#padding + 1);
    setVariable(this.#grid.node, "--iua-longest", `${longest}px`);
  }

  #nameOf(full: string): NameShown {
    const form = this.#forms[this.#places.get(full) ?? -1] ?? full;
    const { beginning = "", end = "" } = this.#names ?? {};
    return { form, full, beginning, end };
  }

  #row(at: number): Row {
    const row = this.#grid.addRow();
    this.#grid.number(row.node, at);
    const name = new LayerName();
    row.cells.layer.append(name.node());
    return { ...row, name };
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
    setText(cells.inactive, formatShares(share, shareUpper));
    setVariable(node, "--share", Number.isNaN(share) ? "0" : share.toFixed(4));
    const alarm = dead ? "dead" : deadUnitsUpper === units ? "may be dead" : "";
    const counts = formatCounts(deadUnits, deadUnitsUpper);
    const positions = units > 1 ? `${counts} of ${formatInteger(units)} positions dead` : "";
    setAttribute(
      node,
      "title",
      [`${layer.name}, ${worstUnitName(unit)}`, alarm, positions]
        .filter((part) => part !== "")
        .join("\n"),
    );
    setText(cells["mean |x|"], formatMagnitude(unit.meanAbs));
    setText(cells.RMS, formatMagnitude(unit.rms));
    setText(cells["max |x|"], formatMagnitude(unit.maxAbs));
  }

  node(): HTMLElement {
    return this.#node;
  }
}
