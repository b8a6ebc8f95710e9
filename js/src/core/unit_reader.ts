/** Counts of every unit of a layer, also where each unit has a threshold of its own. */

import type { NumericArray, TableSnapshot, UnitsSnapshot } from "./snapshot";
import {
  isPerUnit,
  locateAmong,
  locateLayer,
  type Place,
  sameThresholds,
  type Threshold,
} from "./threshold";

export interface UnitsReading {
  readonly lower: NumericArray;
  readonly upper: NumericArray;
  readonly exact: boolean;
  /** Index of the lower bound's column among the K+1, or -1 when there is not one for all units. */
  readonly lowerColumn: number;
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

/** Where float32 ends, thresholds and responses are told apart only beyond this. */
const SLACK = 3e-7;
const SLACK_OF_FLOAT16 = 1.5e-3;
/** Bits of a float32 that choose where to begin to look for a stop: 16 places an octave. */
const SHIFT = 19;

/** What a step of the slider works in, made once for each layer that arrives. */
class Workspace {
  readonly thresholds: Float32Array;
  readonly bits: Uint32Array;
  /** The stops at hand, then infinity. */
  readonly stops: Float64Array;
  /** The last stop that is not above all of what begins with these bits. */
  readonly begin: Uint8Array;
  readonly #pairs: readonly (readonly [NumericArray, NumericArray])[];
  #turn = 0;

  constructor(units: UnitsSnapshot) {
    this.thresholds = new Float32Array(units.units);
    this.bits = new Uint32Array(this.thresholds.buffer);
    const atHand = units.columns.slice(0, -1).map((column) => units.stops[column] as number);
    this.stops = Float64Array.from([...atHand, Number.POSITIVE_INFINITY]);
    this.begin = new Uint8Array(2 ** (32 - SHIFT));
    const word = new Uint32Array(1);
    const value = new Float32Array(word.buffer);
    for (let bits = 0; bits < this.begin.length; bits++) {
      word[0] = bits << SHIFT;
      let place = 0;
      while ((this.stops[place + 1] as number) <= (value[0] as number)) place++;
      // What lies a little below may round to here.
      this.begin[bits] = Math.max(0, place - 1);
    }
    const make = (): NumericArray => units.counts.slice(0, units.units);
    this.#pairs = [
      [make(), make()],
      [make(), make()],
    ];
  }

  /** Two arrays, not those of the reading before: views tell readings apart by their arrays. */
  next(): readonly [NumericArray, NumericArray] {
    this.#turn = 1 - this.#turn;
    return this.#pairs[this.#turn] as readonly [NumericArray, NumericArray];
  }
}

export class UnitReader {
  #units: UnitsSnapshot | null = null;
  #workspace: Workspace | null = null;
  #last: { readonly at: Threshold; readonly reading: UnitsReading } | null = null;

  /** Unit counts at tolerances, with the layer's mean taken from the table. */
  read(table: TableSnapshot, units: UnitsSnapshot, at: Threshold): UnitsReading {
    if (units !== this.#units) {
      this.#units = units;
      this.#workspace = null;
      this.#last = null;
    }
    if (units.recount !== null && units.recounted !== null && sameThresholds(units.recounted, at)) {
      return { lower: units.recount, upper: units.recount, exact: true, lowerColumn: -1 };
    }
    const meta = table.layers.find((layer) => layer.name === units.layer);
    if (!isPerUnit(at) || units.rms === null || units.max_abs === null || units.units === 0) {
      return readUnits(units, locateLayer(units.stops, at, meta?.mean_abs ?? null));
    }
    if (this.#last !== null && sameThresholds(this.#last.at, at)) return this.#last.reading;
    this.#workspace ??= new Workspace(units);
    const slack = meta?.dtype.includes("float16") === true ? SLACK_OF_FLOAT16 : SLACK;
    const scales = at.scale === "unit max" ? units.max_abs : units.rms;
    const reading = readPerUnit(units, this.#workspace, scales, units.max_abs, at, slack);
    this.#last = { at: { rtol: at.rtol, atol: at.atol, scale: at.scale }, reading };
    return reading;
  }
}

/** The same once, where nothing need be kept for the next step. */
export function readUnitsAt(
  table: TableSnapshot,
  units: UnitsSnapshot,
  at: Threshold,
): UnitsReading {
  return new UnitReader().read(table, units, at);
}

function readPerUnit(
  units: UnitsSnapshot,
  workspace: Workspace,
  scales: Float32Array,
  largest: Float32Array,
  { atol, rtol, scale }: Threshold,
  slack: number,
): UnitsReading {
  const { thresholds, bits, stops, begin } = workspace;
  const [lower, upper] = workspace.next();
  const { counts, units: size } = units;
  const all = (units.columns.length - 1) * size;
  const everything = scale === "unit max" && rtol >= 1;
  const [less, more] = [1 - slack, 1 + slack];
  const [below, above] = [1 - SLACK, 1 + SLACK];
  for (let unit = 0; unit < size; unit++) thresholds[unit] = atol + rtol * (scales[unit] as number);
  let exact = true;
  for (let unit = 0; unit < size; unit++) {
    const threshold = thresholds[unit] as number;
    const max = largest[unit] as number;
    const total = counts[all + unit] as number;
    if (everything || max * more <= threshold * less) {
      lower[unit] = total;
      upper[unit] = total;
      continue;
    }
    let place = begin[(bits[unit] as number) >>> SHIFT] as number;
    const low = threshold * below;
    const high = threshold * above;
    while ((stops[place + 1] as number) <= low) place++;
    const least = counts[place * size + unit] as number;
    while ((stops[place] as number) < high) place++;
    let most = counts[place * size + unit] as number;
    if (max * less > threshold * more && most === total) most = total - 1;
    lower[unit] = least;
    upper[unit] = most;
    if (least !== most) exact = false;
  }
  return { lower, upper, exact, lowerColumn: -1 };
}
