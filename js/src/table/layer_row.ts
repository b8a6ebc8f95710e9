/** A row of the table, for a layer or a group of layers; rows are reused while the table scrolls. */

import { LayerName } from "../names/layer_name";
import type { Group, Row } from "../names/module_tree";
import type { RowNames } from "../names/row_names";
import type { ColumnKey } from "../reading/columns";
import { formatInteger, plural } from "../reading/format";
import type { LayerReading } from "../reading/layer_reading";
import { shareCurve, type TableReading } from "../reading/table_reading";
import { positionAmong } from "../reading/threshold";
import { deadChannels, dormantOf, unitNote, unitSentence } from "../reading/unit_words";
import { element, setAttribute, setText, setVariable } from "../ui/dom";
import { type LayerWarning, layerWarnings } from "./layer_warnings";
import { cellsInOrder, isExactWithRow, type NumberCell, numberCells } from "./number_cell";
import { Sparkline } from "./sparkline";
import { hideOthers } from "./table_columns";

const DEAD_CHANNELS = "A channel is dead when no position of it was ever active";
/** Rows that are deeper are indented as this one. */
export const DEEPEST = 8;

export interface RowContext {
  readonly reading: TableReading;
  readonly selected: string;
  /** The one layer that can be selected; null where all can. */
  readonly within: string | null;
  /** The share of dead units from which on a layer is an alarm. */
  readonly alarm: number;
  readonly tree: boolean;
  readonly names: RowNames;
  readonly columns: ReadonlySet<ColumnKey>;
}

export class LayerRow {
  readonly #name = new LayerName();
  readonly #twisty = element("span", {
    class: "iua-twisty",
    attributes: { "aria-hidden": "true" },
  });
  readonly #count = element("span", { class: "iua-count" });
  readonly #mark = element("button", {
    class: "iua-mark",
    attributes: { type: "button", tabindex: "-1" },
  });
  readonly #head = element(
    "th",
    { class: "iua-name", attributes: { scope: "row", "data-column": "response" } },
    element(
      "span",
      { class: "iua-name-box" },
      this.#twisty,
      this.#name.node(),
      this.#count,
      this.#mark,
    ),
  );
  readonly #kind = element("td", { class: "iua-kind", attributes: { "data-column": "kind" } });
  readonly #curve = new Sparkline();
  readonly #numbers = numberCells();
  readonly #cells = cellsInOrder(this.#numbers, {
    response: this.#head,
    kind: this.#kind,
    "share-over-tolerance": element(
      "td",
      { attributes: { "data-column": "share-over-tolerance" } },
      this.#curve.node(),
    ),
  });
  readonly #units = this.#numbers.get("units") as NumberCell;
  readonly #dead = this.#numbers.get("dead-units") as NumberCell;
  readonly #dormant = this.#numbers.get("dormant") as NumberCell;
  readonly #node = element(
    "tr",
    { class: "iua-row", attributes: { tabindex: "-1" } },
    ...this.#cells.values(),
  );
  #row: Row | null = null;
  #bound: { readonly row: Row; readonly reading: TableReading } | null = null;
  #names: RowNames | null = null;
  #columns: ReadonlySet<ColumnKey> | null = null;
  #warnings: readonly LayerWarning[] = [];

  get row(): Row | null {
    return this.#row;
  }

  get warnings(): readonly LayerWarning[] {
    return this.#warnings;
  }

  /** Show a row, as line `line` of the table (from 0). */
  show(row: Row, line: number, context: RowContext): void {
    this.#row = row;
    const { reading } = context;
    if (this.#bound?.row !== row || this.#bound.reading.table !== reading.table) {
      this.#bind(row, reading, context.tree);
      this.#bound = { row, reading };
      this.#names = null;
    }
    if (this.#names !== context.names) this.#showName(row, context);
    if (this.#columns !== context.columns) hideOthers(this.#cells, context.columns);
    this.#columns = context.columns;
    // The header is the first line.
    setAttribute(this.#node, "aria-rowindex", String(line + 2));
    if (row.group === null) this.#showLayer(row.layer, context);
    else this.#showGroup(row.group, reading);
  }

  /** What depends on the layers, but not on the tolerances. */
  #bind(row: Row, reading: TableReading, tree: boolean): void {
    const { group, layer } = row;
    const { table } = reading;
    const full = group === null ? reading.meta(layer).name : group.path;
    setVariable(this.#head, "--depth", String(Math.min(row.depth, DEEPEST)));
    setAttribute(this.#head, "aria-label", this.#spokenName(row, full));
    setAttribute(this.#node, "data-layer", group === null ? full : null);
    setAttribute(this.#node, "data-group", group === null ? null : full);
    setAttribute(this.#node, "aria-level", tree ? String(row.depth + 1) : null);
    setAttribute(this.#node, "aria-expanded", group === null ? null : String(row.open));
    this.#node.classList.toggle("iua-group", group !== null);
    this.#node.classList.toggle("iua-in-tree", tree);
    setText(this.#count, group === null ? "" : formatInteger(group.layers.length));
    this.#curve.setCurve(shareCurve(table, group === null ? [layer] : group.layers));
    if (group === null) {
      const meta = reading.meta(layer);
      setText(this.#kind, meta.kind);
      setAttribute(this.#kind, "title", `${meta.kind}, ${meta.dtype}`);
      this.#units.setAside(
        unitNote(meta, table.stops.length),
        unitSentence(meta, table.stops.length),
      );
      this.#curve.node().classList.toggle("iua-nothing", meta.probes === 0 || meta.units === 0);
    } else {
      setText(this.#kind, "");
      setAttribute(this.#kind, "title", null);
      this.#units.setAside("", null);
      this.#curve.node().classList.toggle("iua-nothing", !reading.totals(group.layers).counted);
    }
  }

  #showName(row: Row, { reading, names }: RowContext): void {
    this.#names = names;
    this.#name.update({
      form: names.forms.get(row.key) ?? row.label,
      full: row.group === null ? reading.meta(row.layer).name : row.group.path,
      beginning: names.beginning,
      end: names.end,
    });
  }

  #spokenName(row: Row, full: string): string {
    return row.group === null ? full : `${full}, ${plural(row.group.layers.length, "layer")}`;
  }

  #showLayer(layer: number, { reading, selected, within, alarm }: RowContext): void {
    const read: LayerReading = reading.layer(layer);
    const { meta } = read;
    const broken = reading.broken(layer);
    for (const [key, cell] of this.#numbers) {
      cell.update(
        reading.value(layer, key, "lower"),
        reading.value(layer, key, "upper"),
        read.exact && isExactWithRow(key),
      );
    }
    this.#dormant.setAside(dormantOf(meta), null);
    const channels = deadChannels(read);
    this.#dead.setAside(channels, channels === "" ? null : `${channels}. ${DEAD_CHANNELS}.`);
    const share = reading.value(layer, "inactive-share");
    if (!Number.isNaN(share) && !Number.isNaN(read.threshold)) {
      this.#curve.setMark(positionAmong(reading.table.stops, read.threshold), share);
    } else this.#curve.hideMark();
    const deadShare = reading.value(layer, "dead-share");
    this.#showWarnings(
      layerWarnings(meta, {
        stops: reading.table.stops.length,
        broken,
        deadShare,
        alarm,
      }),
    );
    const chosen = meta.name === selected;
    this.#node.classList.toggle("iua-selected", chosen);
    this.#node.classList.toggle("iua-broken", broken);
    this.#node.classList.toggle("iua-alarmed", deadShare >= alarm);
    setAttribute(this.#node, "aria-selected", String(chosen));
    const off = within !== null && within !== meta.name;
    setAttribute(this.#node, "aria-disabled", off ? "true" : null);
  }

  #showGroup(group: Group, reading: TableReading): void {
    const totals = reading.totals(group.layers);
    for (const [key, cell] of this.#numbers) {
      cell.update(
        totals.value(key, "lower"),
        totals.value(key, "upper"),
        totals.exact && isExactWithRow(key),
      );
    }
    this.#dead.setAside("", null);
    this.#dormant.setAside("", null);
    this.#curve.hideMark();
    this.#showWarnings([]);
    this.#node.classList.remove("iua-selected", "iua-broken", "iua-alarmed");
    setAttribute(this.#node, "aria-selected", null);
    setAttribute(this.#node, "aria-disabled", null);
  }

  #showWarnings(warnings: readonly LayerWarning[]): void {
    this.#warnings = warnings;
    const [worst] = warnings;
    this.#mark.hidden = worst === undefined;
    if (worst === undefined) return;
    const mark = warnings.length > 1 ? `${worst.mark} +${warnings.length - 1}` : worst.mark;
    setText(this.#mark, mark);
    const texts = warnings.map(({ text }) => text).join(" ");
    setAttribute(this.#mark, "aria-label", `${mark}: ${texts}`);
    this.#mark.classList.toggle("iua-mark-note", worst.level === "note");
  }

  /** Whether the row is the table's tab stop, and its mark the next one. */
  setReachable(reachable: boolean): void {
    setAttribute(this.#node, "tabindex", reachable ? "0" : "-1");
    setAttribute(this.#mark, "tabindex", reachable ? "0" : "-1");
  }

  /** The mark, where the row has one. */
  mark(): HTMLElement | null {
    return this.#mark.hidden ? null : this.#mark;
  }

  node(): HTMLTableRowElement {
    return this.#node;
  }
}
