/** The rows of the table, in order: the filter, the sort and the tree taken together. */

import {
  flatRows,
  type Group,
  groupsOf,
  moduleTree,
  openAtFirst,
  type Row,
  type TreeOrder,
  treeRows,
} from "../names/module_tree";
import { isText } from "../reading/columns";
import { type Sort, type SortValues, sameSort, sortRows } from "../reading/row_order";
import { areNamed, sameItems } from "../reading/same_items";
import type { TableReading } from "../reading/table_reading";
import { parseFilter, passes, type RowFilter } from "./row_filter";

const ROOM_AT_FIRST = 24;

export interface ListChoice {
  readonly sort: Sort | null;
  readonly filter: string;
  readonly tree: boolean;
}

function sameNumbers(one: SortValues | null, other: SortValues | null): boolean {
  return (
    one?.length === other?.length &&
    (one === other || (one ?? []).every((value, row) => Object.is(value, other?.[row])))
  );
}

function sameRows(one: readonly Row[], other: readonly Row[]): boolean {
  return one.length === other.length && one.every((row, at) => row.key === other[at]?.key);
}

/**
 * The rows on show. What the user asks for is done at once. The order that only follows from new
 * figures can be frozen, so that no row moves from under a pointer.
 */
export class RowList {
  #names: readonly string[] = [];
  #flat: readonly Row[] = [];
  #choice: ListChoice = { sort: null, filter: "", tree: false };
  #filter: RowFilter = parseFilter("");
  #matching: readonly number[] = [];
  #values: SortValues | null = null;
  #root: Group | null = null;
  #open = new Set<string>();
  #openChosen = false;
  #stale = true;
  #rows: readonly Row[] = [];
  #places = new Map<string, number>();
  #frozen = false;

  get rows(): readonly Row[] {
    return this.#rows;
  }

  /** The layers on show, those in closed groups among them. */
  get layers(): readonly number[] {
    return this.#matching;
  }

  /** Whether new figures ask for other rows, or another order, than is shown. */
  get frozen(): boolean {
    return this.#frozen;
  }

  get choice(): ListChoice {
    return this.#choice;
  }

  /** Whether names have parts to make groups of. */
  get hasGroups(): boolean {
    return this.#tree().children.some((child) => typeof child !== "number");
  }

  get anyClosed(): boolean {
    return this.#rows.some((row) => row.group !== null && !row.open);
  }

  /** Where a row is, or -1. */
  place(key: string): number {
    return this.#places.get(key) ?? -1;
  }

  /** Take new figures and choices; `freeze` keeps the order where only figures have changed. */
  update(reading: TableReading, choice: ListChoice, freeze: boolean): void {
    this.#take(reading, choice);
    const matching = this.#match(reading);
    const values = choice.sort === null ? null : reading.sortValues(choice.sort.column);
    const moved = matching !== this.#matching || !sameNumbers(values, this.#values);
    if (!moved && !this.#stale) {
      this.#frozen = false;
      return;
    }
    if (freeze && !this.#stale) {
      this.#frozen = !sameRows(this.#list(reading, matching, values), this.#rows);
      return;
    }
    if (matching !== this.#matching) {
      this.#matching = matching;
      this.#root = null;
    }
    this.#values = values;
    this.#stale = false;
    this.#frozen = false;
    const rows = this.#list(reading, matching, values);
    this.#rows = rows;
    this.#places = new Map(rows.map((row, at) => [row.key, at]));
  }

  #take(reading: TableReading, choice: ListChoice): void {
    const { layers } = reading.table;
    if (!areNamed(layers, this.#names)) {
      this.#names = layers.map((meta) => meta.name);
      this.#flat = flatRows(this.#names);
      this.#root = null;
      this.#stale = true;
    }
    const { sort, filter, tree } = this.#choice;
    if (filter !== choice.filter) {
      const parsed = parseFilter(choice.filter);
      // What cannot be a filter leaves the last one in force.
      if (parsed.fault === "") this.#filter = parsed;
      this.#stale = true;
    }
    if (tree !== choice.tree || !sameSort(sort, choice.sort)) this.#stale = true;
    this.#choice = choice;
  }

  #match(reading: TableReading): readonly number[] {
    if (!this.#stale && this.#filter.tests.length === 0) return this.#matching;
    const matching: number[] = [];
    for (let layer = 0; layer < reading.layers; layer++) {
      const shown = passes(
        this.#filter,
        (key) => reading.text(layer, key),
        (key) => reading.value(layer, key),
      );
      if (shown) matching.push(layer);
    }
    return sameItems(matching, this.#matching) ? this.#matching : matching;
  }

  #tree(): Group {
    if (this.#root === null) {
      this.#root = moduleTree(this.#names, this.#matching);
      if (!this.#openChosen) this.#open = openAtFirst(this.#root, ROOM_AT_FIRST);
    }
    return this.#root;
  }

  #list(
    reading: TableReading,
    matching: readonly number[],
    values: SortValues | null,
  ): readonly Row[] {
    const { sort, tree } = this.#choice;
    if (!tree) {
      const order =
        sort === null || values === null
          ? matching
          : sortRows([...matching], values, sort.ascending);
      return order.map((layer) => this.#flat[layer] as Row);
    }
    const root = matching === this.#matching ? this.#tree() : moduleTree(this.#names, matching);
    // What is looked for is found in closed groups, too.
    const isOpen = (path: string): boolean =>
      this.#open.has(path) || (this.#choice.filter.trim() !== "" && !this.#openChosen);
    return treeRows(root, this.#names, isOpen, this.#treeOrder(reading, sort, values));
  }

  #treeOrder(
    reading: TableReading,
    sort: Sort | null,
    values: SortValues | null,
  ): TreeOrder | null {
    if (sort === null || values === null) return null;
    const { column, ascending } = sort;
    const texts = values as readonly string[];
    return {
      values,
      ascending,
      groupValue: (group) => {
        // Names of neighbors differ after the group's own path, so any layer of it stands for it.
        if (column === "response") return texts[group.layers[0] as number] as string;
        if (isText(column)) return Number.NaN;
        return reading.totals(group.layers).value(column, "lower");
      },
    };
  }

  setOpen(path: string, open: boolean): void {
    this.#openChosen = true;
    if (open) this.#open.add(path);
    else this.#open.delete(path);
    this.#stale = true;
  }

  setAllOpen(open: boolean): void {
    this.#openChosen = true;
    this.#open.clear();
    const add = (group: Group): void => {
      for (const child of group.children) {
        if (typeof child === "number") continue;
        this.#open.add(child.path);
        add(child);
      }
    };
    if (open) add(this.#tree());
    this.#stale = true;
  }

  /** Open the groups a layer is in; false where it is not among those on show. */
  reveal(layer: number): boolean {
    if (!this.#matching.includes(layer)) return false;
    if (this.#choice.tree) {
      for (const path of groupsOf(this.#tree(), layer)) {
        if (!this.#open.has(path)) this.setOpen(path, true);
      }
    }
    return true;
  }
}
