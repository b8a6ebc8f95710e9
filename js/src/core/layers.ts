/** What the table shows of each layer, and the order of its rows. */

import { readFigures } from "./layer_figures";
import type { LayerMeta, NumericArray, TableSnapshot } from "./snapshot";
import { locate, locateLayer, type Place, type Tolerances, thresholdOf } from "./threshold";

export { readUnits, readUnitsAt, UnitReader, type UnitsReading } from "./unit_reader";

export interface LayerBound {
  readonly mean: number;
  readonly std: number;
  readonly dead: number;
  readonly deadChannels: number;
  /** Units with mean |x| of at most rtol times the layer's; null where that is not known. */
  readonly dormant: number | null;
}

export interface LayerReading {
  readonly meta: LayerMeta;
  readonly threshold: number;
  readonly place: Place;
  readonly lower: LayerBound;
  readonly upper: LayerBound;
  readonly exact: boolean;
}

export function readLayer(
  table: TableSnapshot,
  index: number,
  tolerances: Tolerances,
): LayerReading {
  const meta = table.layers[index] as LayerMeta;
  const place = locateLayer(table.stops, tolerances, meta.mean_abs);
  const figures = readFigures(table, index, tolerances, place);
  const tau = locate(table.rtolStops, tolerances.rtol);
  const dormant = (stop: number): number | null =>
    stop < table.rtolStops.length
      ? (table.dormant[index * table.rtolStops.length + stop] ?? null)
      : meta.units;
  return {
    meta,
    threshold: thresholdOf(tolerances, meta.mean_abs),
    place,
    lower: { ...figures.lower, dormant: dormant(tau.lower) },
    upper: { ...figures.upper, dormant: dormant(tau.upper) },
    exact: figures.exact,
  };
}

export function readTable(table: TableSnapshot, tolerances: Tolerances): LayerReading[] {
  return table.layers.map((_, index) => readLayer(table, index, tolerances));
}

export interface UnitTotals {
  readonly dead: number;
  readonly inactive: number;
}

/** What is dead is inactive on at least `needed` probes. */
export function totalUnits(counts: NumericArray, needed: number): UnitTotals {
  let dead = 0;
  let inactive = 0;
  for (let unit = 0; unit < counts.length; unit++) {
    const count = counts[unit] as number;
    inactive += count;
    if (needed > 0 && count >= needed) dead++;
  }
  return { dead, inactive };
}

/** Mean inactive share at each stop: a layer's curve over tolerance. */
export function shareCurve(table: TableSnapshot, index: number): number[] {
  const { units } = table.layers[index] as LayerMeta;
  const row = index * (table.stops.length + 1);
  return table.stops.map((_, stop) => (table.mean[row + stop] as number) / units);
}

export type ColumnKey =
  | "name"
  | "kind"
  | "units"
  | "mean"
  | "share"
  | "std"
  | "dead"
  | "dead-share"
  | "curve";

export type Direction = "ascending" | "descending";

export interface Sort {
  readonly key: ColumnKey;
  readonly direction: Direction;
}

const TEXT_KEYS: ReadonlySet<ColumnKey> = new Set(["name", "kind"]);

/** The number of a cell, or null when the layer has none to show. */
export function cellValue(meta: LayerMeta, bound: LayerBound, key: ColumnKey): number | null {
  if (key === "units") return meta.units;
  if (meta.probes === 0) return null;
  switch (key) {
    case "mean":
      return bound.mean;
    case "share":
      return bound.mean / meta.units;
    case "std":
      return bound.std;
    case "dead":
      return bound.dead;
    case "dead-share":
      return bound.dead / meta.units;
    default:
      return null;
  }
}

/** The next state of a column's header: first direction, the other one, network order. */
export function nextSort(current: Sort | null, key: ColumnKey): Sort | null {
  const first: Direction = TEXT_KEYS.has(key) ? "ascending" : "descending";
  if (current?.key !== key) return { key, direction: first };
  if (current.direction !== first) return null;
  return { key, direction: first === "ascending" ? "descending" : "ascending" };
}

/** Row order as indices into the network's order; ties keep it, rows without a number go last. */
export function sortRows(readings: readonly LayerReading[], sort: Sort | null): number[] {
  const order = readings.map((_, index) => index);
  if (sort === null) return order;
  const sign = sort.direction === "ascending" ? 1 : -1;
  const { key } = sort;
  if (key === "name" || key === "kind") {
    const collator = new Intl.Collator("en", { numeric: true });
    const text = readings.map((reading) => reading.meta[key]);
    return order.sort((a, b) => sign * collator.compare(text[a] as string, text[b] as string));
  }
  const values = readings.map((reading) => cellValue(reading.meta, reading.lower, key));
  return order.sort((a, b) => {
    const left = values[a] ?? Number.NaN;
    const right = values[b] ?? Number.NaN;
    if (Number.isNaN(left) || Number.isNaN(right)) {
      return Number(Number.isNaN(left)) - Number(Number.isNaN(right));
    }
    return sign * (left - right);
  });
}
