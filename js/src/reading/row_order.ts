/**
 * The order of the rows. Python sorts by the same rule, tested on the same cases
 * (tests/fixtures/table_rules.json):
 *
 * - Without a sort, and where two rows are equal, rows stand in the order of the network, both ways.
 * - Numbers sort by value: the lower bound, where there are two. Rows without a number come last,
 *   both ways.
 * - Texts sort by `textKey`, compared by UTF-16 code unit.
 */

import { type ColumnKey, type FigureKey, findFigure, isText } from "./columns";

export interface Sort {
  readonly column: FigureKey;
  readonly ascending: boolean;
}

/** What one column holds, row by row; NaN where there is no number. */
export type SortValues = Float64Array | readonly string[];

export function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/**
 * A text as it sorts: ASCII letters small, and each run of ASCII digits as a zero, how many digits
 * there are without leading zeros (as five digits), and those digits; so that "conv2" comes before
 * "conv10".
 */
export function textKey(text: string): string {
  return asciiLower(text).replace(/[0-9]+/g, (run) => {
    const digits = run.replace(/^0+/, "") || "0";
    return `0${String(digits.length).padStart(5, "0")}${digits}`;
  });
}

/** What came from the host as a sort, or null where it is none. */
export function asSort(value: unknown): Sort | null {
  const { column, ascending } = (value ?? {}) as { column?: unknown; ascending?: unknown };
  const known = typeof column === "string" ? findFigure(column) : undefined;
  return known === undefined ? null : { column: known, ascending: ascending === true };
}

export function sameSort(one: Sort | null, other: Sort | null): boolean {
  return one?.column === other?.column && one?.ascending === other?.ascending;
}

/** The next state of a column's header: first direction, the other one, network order. */
export function nextSort(current: Sort | null, column: ColumnKey): Sort | null {
  const first = isText(column);
  if (current?.column !== column) return { column, ascending: first };
  return current.ascending === first ? { column, ascending: !first } : null;
}

/** Negative where the left one comes first; what is NaN comes last both ways. */
export function compareValues(
  left: string | number,
  right: string | number,
  ascending: boolean,
): number {
  const missing = Number(Number.isNaN(left)) - Number(Number.isNaN(right));
  if (missing !== 0) return missing;
  if (left === right || Number.isNaN(left)) return 0;
  return left < right === ascending ? -1 : 1;
}

/** Sort rows, given as indices into `values`, in place. */
export function sortRows<Rows extends number[] | Uint32Array>(
  rows: Rows,
  values: SortValues,
  ascending: boolean,
): Rows {
  rows.sort(
    (a, b) =>
      compareValues(values[a] as string | number, values[b] as string | number, ascending) || a - b,
  );
  return rows;
}
