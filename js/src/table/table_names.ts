/** Names of the rows, shortened to the width of their column so that they can be told apart. */

import type { Row } from "../names/module_tree";
import { flatNames, type RowNames, treeNames } from "../names/row_names";
import { ShortNames, type WidthOf } from "../names/short_names";
import { areNamed, sameItems } from "../reading/same_items";
import type { LayerMeta } from "../reading/snapshot";
import { DEEPEST } from "./layer_row";

/** Beside a name, in pixels: its cell's padding; a mark with its word, or with a sign, or below. */
const AROUND_NAME = 18;
const MARK_WORD = 94;
const MARK = 30;
/** In a cell so narrow a mark stands below the name, and no name is bold. */
const NARROW = 170;
/** In a tree: the triangle, a level of depth, and how many layers a group has. */
const TWISTY = 18;
const INDENT = 14;
const GROUP_COUNT = 30;

export class TableNames {
  #all = new ShortNames([]);
  #names: RowNames = flatNames(this.#all, 0, (text) => text.length);
  #width = 0;
  #madeFor: readonly unknown[] = [];

  get names(): RowNames {
    return this.#names;
  }

  /** What all names share, where the rows leave it out; otherwise empty. */
  get shared(): string {
    const { sharedLeftOut, beginning, end } = this.#names;
    return sharedLeftOut ? `${beginning}*${end}` : "";
  }

  /** Whether a mark beside a name has no room for its word. */
  get marksShort(): boolean {
    return this.#names.widest + MARK_WORD > this.#width - AROUND_NAME;
  }

  /** Whether it has no room beside the name, and stands below. */
  get marksBelow(): boolean {
    return this.#width < NARROW;
  }

  /** `rows` are those of a tree; null where the layers stand by themselves. */
  fit(
    layers: readonly LayerMeta[],
    rows: readonly Row[] | null,
    width: number,
    widthIn: (bold: boolean) => WidthOf,
  ): void {
    if (!areNamed(layers, this.#all.names)) {
      this.#all = new ShortNames(layers.map(({ name }) => name));
    }
    const room = width - AROUND_NAME - (width < NARROW ? 0 : MARK);
    const widthOf = widthIn(width >= NARROW || rows !== null);
    const wanted = [rows ?? this.#all, room, widthOf];
    if (sameItems(wanted, this.#madeFor)) return;
    this.#madeFor = wanted;
    this.#width = width;
    const given = { room: room - TWISTY, indent: INDENT, deepest: DEEPEST, count: GROUP_COUNT };
    this.#names =
      rows === null ? flatNames(this.#all, room, widthOf) : treeNames(rows, given, widthOf);
  }
}
