/** Counts of every unit of a layer, also where each unit has a threshold of its own. */

import { readDead } from "./dead_from";
import { PerUnitReader, type UnitsReading } from "./per_unit_reader";
import type { NumericArray, TableSnapshot, UnitsSnapshot } from "./snapshot";
import {
  isPerUnit,
  locateAmong,
  locateLayer,
  type Place,
  sameThresholds,
  type Threshold,
} from "./threshold";

/** Inactive counts of every unit at a place among the K+1 columns. */
function readUnits(units: UnitsSnapshot, place: Place): UnitsReading {
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

export class UnitReader {
  #units: UnitsSnapshot | null = null;
  #perUnit: PerUnitReader | null = null;
  #last: { readonly at: Threshold; readonly reading: UnitsReading } | null = null;

  /** Unit counts at tolerances, with the layer's mean taken from the table. */
  read(table: TableSnapshot, units: UnitsSnapshot, at: Threshold): UnitsReading {
    if (units !== this.#units) {
      this.#units = units;
      this.#perUnit = null;
      this.#last = null;
    }
    if (units.recount !== null && units.recounted !== null && sameThresholds(units.recounted, at)) {
      return { lower: units.recount, upper: units.recount, exact: true, lowerColumn: -1 };
    }
    const meta = table.layers.find((layer) => layer.name === units.layer);
    if (units.dead_from !== null) {
      const place = locateLayer(units.stops, at, meta?.mean_abs ?? null);
      this.#last = { at, reading: readDead(units, units.dead_from, place, this.#last?.reading) };
      return this.#last.reading;
    }
    if (!isPerUnit(at) || units.rms === null || units.max_abs === null || units.units === 0) {
      return readUnits(units, locateLayer(units.stops, at, meta?.mean_abs ?? null));
    }
    if (this.#last !== null && sameThresholds(this.#last.at, at)) return this.#last.reading;
    this.#perUnit ??= new PerUnitReader(units, units.rms, units.max_abs);
    const half = meta?.dtype.includes("float16") === true;
    const reading = this.#perUnit.read(at, half, meta?.unit === "channel");
    this.#last = { at: { rtol: at.rtol, atol: at.atol, scale: at.scale }, reading };
    return reading;
  }
}
