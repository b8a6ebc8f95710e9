/** What the table shows of each layer, and the order of its rows. */

import type { LayerMeta, NumericArray, TableSnapshot, UnitsSnapshot } from "./snapshot";
import {
  locate,
  locateAmong,
  locateLayer,
  type Place,
  type Tolerances,
  thresholdOf,
} from "./threshold";

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

export interface UnitsReading {
  readonly lower: NumericArray;
  readonly upper: NumericArray;
  readonly exact: boolean;
  /** Index of the lower bound's column among the K+1, or -1 when none at hand lies below. */
  readonly lowerColumn: number;
}

export function readLayer(
  table: TableSnapshot,
  index: number,
  tolerances: Tolerances,
): LayerReading {
  const meta = table.layers[index] as LayerMeta;
  const place = locateLayer(table.stops, tolerances, meta.mean_abs);
  const row = index * (table.stops.length + 1);
  const tau = locate(table.rtolStops, tolerances.rtol);
  const bound = (column: number, stop: number): LayerBound => ({
    mean: table.mean[row + column] as number,
    std: table.std[row + column] as number,
    dead: table.dead[row + column] as number,
    deadChannels: table.deadChannels[row + column] as number,
    dormant:
      stop < table.rtolStops.length
        ? (table.dormant[index * table.rtolStops.length + stop] ?? null)
        : meta.units,
  });
  return {
    meta,
    threshold: thresholdOf(tolerances, meta.mean_abs),
    place,
    lower: bound(place.lower, tau.lower),
    upper: bound(place.upper, tau.upper),
    exact: place.exact,
  };
}

export function readTable(table: TableSnapshot, tolerances: Tolerances): LayerReading[] {
  return table.layers.map((_, index) => readLayer(table, index, tolerances));
}

/** Inactive counts of every unit at a place among the K+1 columns. */
export function readUnits(units: UnitsSnapshot, place: Place): UnitsReading {
  const { lower, upper, exact } = locateAmong(units.columns, place);
  const column = (position: number): NumericArray =>
    units.counts.subarray(position * units.units, (position + 1) * units.units);
  const lowerCounts = lower < 0 ? new Uint8Array(units.units) : column(lower);
  const upperCounts =
    upper < units.columns.length ? column(upper) : new Float64Array(units.units).fill(units.probes);
  return {
    lower: lowerCounts,
    upper: exact ? lowerCounts : upperCounts,
    exact,
    lowerColumn: lower < 0 ? -1 : (units.columns[lower] as number),
  };
}

/** Unit counts at tolerances, with the layer's mean taken from the table. */
export function readUnitsAt(
  table: TableSnapshot,
  units: UnitsSnapshot,
  tolerances: Tolerances,
): UnitsReading {
  const meta = table.layers.find((layer) => layer.name === units.layer);
  return readUnits(units, locateLayer(units.stops, tolerances, meta?.mean_abs ?? null));
}

export interface UnitTotals {
  readonly dead: number;
  readonly inactive: number;
}

export function totalUnits(counts: NumericArray, probes: number): UnitTotals {
  let dead = 0;
  let inactive = 0;
  for (let unit = 0; unit < counts.length; unit++) {
    const count = counts[unit] as number;
    inactive += count;
    if (probes > 0 && count === probes) dead++;
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
