/** Counts of every unit of a layer where each unit has a threshold of its own. */

import type { NumericArray, UnitsSnapshot } from "./snapshot";
import { numberOfBits, StopFinder } from "./stop_finder";
import type { Threshold } from "./threshold";

export interface UnitsReading {
  readonly lower: NumericArray;
  readonly upper: NumericArray;
  readonly exact: boolean;
  /** Index of the lower bound's column among the K+1, or -1 when there is not one for all units. */
  readonly lowerColumn: number;
}

/** Where float32 ends, thresholds and responses are told apart only beyond this. */
const SLACK = 3e-7;
const SLACK_OF_FLOAT16 = 1.5e-3;
/** Scales that begin with the same bits, sign included, are of one cell: 256 an octave. */
const CELL_SHIFT = 15;
const CELLS = 2 ** (32 - CELL_SHIFT);
const INFINITE_CELL = 0x7f800000 >>> CELL_SHIFT;
/** So few units that what a block needs of every column stays in the processor's caches. */
const BLOCK = 4096;
/** So many counts at least come from memory at once. */
const LINE = 64;
/** More columns than this are not read ahead by the processor itself. */
const COLUMNS_AT_ONCE = 12;
/** One unit of so many tells which columns a block needs. */
const SAMPLE = 16;

interface Scales {
  readonly values: Float32Array;
  readonly bits: Int32Array;
  /** Those with a scale in them that is a finite number. */
  readonly cells: readonly number[];
}

function scalesOf(values: Float32Array): Scales {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  const used = new Uint8Array(CELLS);
  for (let unit = 0; unit < bits.length; unit++) used[(bits[unit] as number) >>> CELL_SHIFT] = 1;
  const cells: number[] = [];
  for (let cell = 0; cell < INFINITE_CELL; cell++) if (used[cell] === 1) cells.push(cell);
  return { values, bits, cells };
}

/** Whether two arrays are the same, found at their first difference. */
function areSame(one: NumericArray, other: NumericArray): boolean {
  for (let unit = 0; unit < one.length; unit++) if (one[unit] !== other[unit]) return false;
  return true;
}

/** What a step of the slider works in, made once for each layer that arrives. */
export class PerUnitReader {
  readonly #units: UnitsSnapshot;
  readonly #rms: Float32Array;
  readonly #largest: Float32Array;
  readonly #stops: StopFinder;
  readonly #scales = new Map<Float32Array, Scales>();
  /** Of each cell the stop next above the thresholds of its scales; 0 where that is not one stop. */
  readonly #above = new Uint16Array(CELLS);
  readonly #needed: Uint8Array;
  readonly #left = new Int32Array(2 * BLOCK);
  readonly #pairs: readonly (readonly [NumericArray, NumericArray])[];
  #turn = 0;
  /** Of what was read ahead: what nobody asks for is not read. */
  #sum = 0;

  constructor(units: UnitsSnapshot, rms: Float32Array, largest: Float32Array) {
    this.#units = units;
    this.#rms = rms;
    this.#largest = largest;
    const atHand = units.columns.slice(0, -1).map((column) => units.stops[column] as number);
    this.#stops = new StopFinder(atHand, SLACK);
    this.#needed = new Uint8Array(units.columns.length + 1);
    const make = (): NumericArray => units.counts.slice(0, units.units);
    this.#pairs = [
      [make(), make()],
      [make(), make()],
    ];
  }

  /** With several `positions` one may be large on a probe on which another was not finite. */
  read(at: Threshold, float16: boolean, positions = false): UnitsReading {
    // Not those of the reading before: views tell readings apart by their arrays.
    this.#turn = 1 - this.#turn;
    const [lower, upper] = this.#pairs[this.#turn] as readonly [NumericArray, NumericArray];
    const { units: size, counts, columns } = this.#units;
    if (at.scale === "unit_max" && at.rtol >= 1) {
      const total = counts.subarray((columns.length - 1) * size);
      lower.set(total);
      upper.set(total);
      return { lower, upper, exact: true, lowerColumn: -1 };
    }
    const { values, bits, cells } = this.#scalesOf(at);
    const slack = float16 ? SLACK_OF_FLOAT16 : SLACK;
    this.#locateCells(cells, at);
    for (let from = 0; from < size; from += BLOCK) {
      const to = Math.min(from + BLOCK, size);
      this.#readAhead(from, to, bits);
      const left = this.#readBlock(from, to, bits, lower, upper);
      for (let index = 0; index < left; index++) {
        this.#readOne(this.#left[index] as number, at, values, slack, lower, upper, positions);
      }
    }
    return { lower, upper, exact: areSame(lower, upper), lowerColumn: -1 };
  }

  #scalesOf({ scale }: Threshold): Scales {
    const values = scale === "unit_max" ? this.#largest : this.#rms;
    const scales = this.#scales.get(values) ?? scalesOf(values);
    this.#scales.set(values, scales);
    return scales;
  }

  #locateCells(cells: readonly number[], { atol, rtol }: Threshold): void {
    const stops = this.#stops;
    for (const cell of cells) {
      const bits = cell << CELL_SHIFT;
      const least = Math.fround(atol + rtol * numberOfBits(bits));
      const most = Math.fround(atol + rtol * numberOfBits(bits + 2 ** CELL_SHIFT - 1));
      const above = stops.above(least);
      const one = stops.above(most) === above && stops.below(least, above) === above - 1;
      this.#above[cell] = one ? above : 0;
    }
  }

  /**
   * Bring what a block needs of many columns into the caches. A processor that comes to their lines
   * one unit after another waits for the memory at each.
   */
  #readAhead(from: number, to: number, bits: Int32Array): void {
    const { units: size, counts } = this.#units;
    const needed = this.#needed.fill(0);
    let many = 0;
    for (let unit = from; unit < to; unit += SAMPLE) {
      const above = this.#above[(bits[unit] as number) >>> CELL_SHIFT] as number;
      many += 1 - (needed[above] as number);
      needed[above] = 1;
    }
    if (many <= COLUMNS_AT_ONCE) return;
    let sum = 0;
    for (let column = 0; column + 1 < needed.length; column++) {
      if (needed[column] === 0 && needed[column + 1] === 0) continue;
      const end = column * size + to;
      for (let place = column * size + from; place < end; place += LINE) {
        sum += counts[place] as number;
      }
    }
    this.#sum += sum;
  }

  /**
   * Counts at the stops around each unit's threshold; how many units are left, to be read one by
   * one. Of what comes from memory only the last loop decides anything: a processor that guesses
   * wrong cannot go on to ask for what the next units need.
   */
  #readBlock(
    from: number,
    to: number,
    bits: Int32Array,
    lower: NumericArray,
    upper: NumericArray,
  ): number {
    const { units: size, counts, columns } = this.#units;
    const aboveOf = this.#above;
    const left = this.#left;
    const last = (columns.length - 1) * size;
    let length = 0;
    for (let unit = from; unit < to; unit++) {
      const above = aboveOf[(bits[unit] as number) >>> CELL_SHIFT] as number;
      if (above === 0) {
        left[length++] = unit;
        continue;
      }
      const place = above * size + unit;
      lower[unit] = counts[place - size] as number;
      upper[unit] = counts[place] as number;
    }
    for (let unit = from; unit < to; unit++) {
      const total = counts[last + unit] as number;
      if (upper[unit] === total && lower[unit] !== total) left[length++] = unit;
    }
    return length;
  }

  /** The same of one unit, whose largest response may matter, or whose threshold is near a stop. */
  #readOne(
    unit: number,
    { atol, rtol }: Threshold,
    scales: Float32Array,
    slack: number,
    lower: NumericArray,
    upper: NumericArray,
    positions: boolean,
  ): void {
    const { units: size, counts, columns, probes } = this.#units;
    const threshold = Math.fround(atol + rtol * (scales[unit] as number));
    const max = this.#largest[unit] as number;
    const total = counts[(columns.length - 1) * size + unit] as number;
    if (max * (1 + slack) <= threshold * (1 - slack)) {
      lower[unit] = total;
      upper[unit] = total;
      return;
    }
    const above = this.#stops.above(threshold);
    const below = this.#stops.below(threshold, above);
    const most = counts[above * size + unit] as number;
    const active = max * (1 - slack) > threshold * (1 + slack) && !(positions && total < probes);
    const one = most === total && active ? 1 : 0;
    lower[unit] = counts[below * size + unit] as number;
    upper[unit] = most - one;
  }
}
