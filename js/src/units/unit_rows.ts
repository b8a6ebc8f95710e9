/** The rows of a list of units: any part of it, in any order, sorted when it is first asked for. */

import { orderUnits } from "../canvas/unit_order";
import type { NumericArray } from "../reading/snapshot";
import type { UnitsInView } from "../reading/units_in_view";

/** Columns of the list, by any of which it can be sorted. */
export const UNIT_KEYS = ["unit", "inactive", "mean |x|", "max |x|"] as const;
export type UnitKey = (typeof UNIT_KEYS)[number];

interface UnitSort {
  readonly key: UnitKey;
  readonly ascending: boolean;
}

export const MOST_INACTIVE: UnitSort = { key: "inactive", ascending: false };

/** What a column has of each unit: null for their own order, undefined for what was not sent. */
export function valuesOf(
  { units, reading }: UnitsInView,
  key: UnitKey,
): NumericArray | null | undefined {
  switch (key) {
    case "unit":
      return null;
    case "inactive":
      return reading.lower;
    case "mean |x|":
      return units.mean_abs ?? undefined;
    case "max |x|":
      return units.max_abs ?? undefined;
  }
}

export function sortWords({ key, ascending }: UnitSort): string {
  if (key === "unit") return ascending ? "in order" : "last first";
  if (key === "inactive") return ascending ? "most active first" : "most inactive first";
  return `${ascending ? "smallest" : "largest"} ${key} first`;
}

/** A list longer than this could not be scrolled in a browser. */
export const MOST_ROWS = 100_000;

export class UnitRows {
  readonly sort: UnitSort;
  readonly #units: number;
  readonly #values: NumericArray | null;
  readonly #of: readonly number[] | null;
  #order: Uint32Array | null = null;

  /**
   * `values` are what is sorted by; null for the units' own order. `of` are those to list,
   * ascending; null for all.
   */
  constructor(
    units: number,
    values: NumericArray | null,
    sort: UnitSort,
    of: readonly number[] | null = null,
  ) {
    this.sort = sort;
    this.#units = of?.length ?? units;
    this.#values = values !== null && of !== null ? pickedFrom(values, of) : values;
    this.#of = of;
  }

  get length(): number {
    return Math.min(this.#units, MOST_ROWS);
  }

  /** Units in rows `from` to `to`. */
  between(from: number, to: number): number[] {
    const end = Math.min(to, this.length);
    const rows = Array.from({ length: Math.max(0, end - from) }, (_, row) => this.#at(from + row));
    return this.#of === null ? rows : rows.map((place) => this.#of?.[place] as number);
  }

  #at(row: number): number {
    if (this.#values === null) return this.sort.ascending ? row : this.#units - 1 - row;
    this.#order ??= orderUnits(this.#values, !this.sort.ascending);
    return this.#order[row] as number;
  }
}

function pickedFrom(values: NumericArray, units: readonly number[]): NumericArray {
  const picked = values.slice(0, units.length);
  for (const [place, unit] of units.entries()) picked[place] = values[unit] as number;
  return picked;
}
