/** Names of the table's rows that tell them apart in the room there is. */

import type { Row } from "./module_tree";
import { ShortNames, type WidthOf } from "./short_names";

export interface RowNames {
  /** By a row's key. */
  readonly forms: ReadonlyMap<string, string>;
  /** What all names begin and end with. */
  readonly beginning: string;
  readonly end: string;
  /** Whether the rows leave that out, so that it must be said once. */
  readonly sharedLeftOut: boolean;
  /** What the widest form takes, in the unit of the room. */
  readonly widest: number;
}

/** Room for names, and of it what a level of depth takes and a group's count. */
interface NameRoom {
  readonly room: number;
  readonly indent: number;
  readonly deepest: number;
  readonly count: number;
}

function widestOf(forms: readonly string[], widthOf: WidthOf): number {
  return forms.reduce((most, form) => Math.max(most, widthOf(form)), 0);
}

/** Names of layers, in the order of the network: where not all fit, what they share is left out. */
export function layerForms(
  names: ShortNames,
  room: number,
  widthOf: WidthOf,
): { readonly forms: readonly string[]; readonly sharedLeftOut: boolean } {
  const whole = names.names.every((name) => widthOf(name) <= room);
  if (whole) return { forms: names.names, sharedLeftOut: false };
  const own = names.withoutShared();
  return { forms: own.within(room, widthOf), sharedLeftOut: own !== names };
}

/** Names of rows without groups: the same whichever of them are shown. */
export function flatNames(names: ShortNames, room: number, widthOf: WidthOf): RowNames {
  const { forms, sharedLeftOut } = layerForms(names, room, widthOf);
  return {
    forms: new Map(forms.map((form, layer) => [`layer ${layer}`, form])),
    beginning: names.beginning,
    end: names.end,
    sharedLeftOut,
    widest: widestOf(forms, widthOf),
  };
}

/** Names of rows in a tree, which says what they share: each is told from its neighbors. */
export function treeNames(rows: readonly Row[], given: NameRoom, widthOf: WidthOf): RowNames {
  const forms = new Map<string, string>();
  let widest = 0;
  for (const family of families(rows)) {
    const indent = Math.min(family[0]?.depth ?? 0, given.deepest) * given.indent;
    const taken = indent + (family.some(({ group }) => group !== null) ? given.count : 0);
    const names = new ShortNames(family.map(({ label }) => label));
    const short = names.within(given.room - taken, widthOf);
    family.forEach(({ key }, at) => {
      forms.set(key, short[at] as string);
    });
    widest = Math.max(widest, widestOf(short, widthOf) + taken);
  }
  return { forms, beginning: "", end: "", sharedLeftOut: false, widest };
}

/** Rows that stand under the same group, each group's together. */
function families(rows: readonly Row[]): Row[][] {
  const found: Row[][] = [];
  const open: Row[][] = [];
  for (const row of rows) {
    open.length = Math.min(open.length, row.depth + 1);
    let family = open[row.depth];
    if (family === undefined) {
      family = [];
      open[row.depth] = family;
      found.push(family);
    }
    family.push(row);
  }
  return found;
}
