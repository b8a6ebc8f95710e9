/** Encodes counts and magnitudes as levels, one byte a unit: pooled, and looked up in a palette. */

import { EVIDENCE, type Evidence, type NumericArray } from "../reading/snapshot";

/** What of a unit is colored; a trait of the widget. */
export type Coloring = "share" | "count" | "mean |x|" | "dead" | "change" | Evidence;

export function isEvidence(coloring: Coloring): coloring is Evidence {
  return (EVIDENCE as readonly Coloring[]).includes(coloring);
}

/** What a pixel shows of those of its units that have a shade. */
export type Pooling = "mean" | "least active" | "most active";
export const POOLINGS: readonly Pooling[] = ["mean", "least active", "most active"];

export const LEVELS = 256;
/**
 * The lowest levels are no shades but signals, and no pooling prefers them: a pixel is dead or not
 * finite by how many of its units are, never because one of them is.
 */
export const EMPTY_LEVEL = 0;
/** Where changes are colored: newly dead. */
export const DEAD = 1;
export const REVIVED = 2;
/** Where changes are colored: not compared. Joined with dead bit by bit, it is itself. */
export const NOT_FINITE = 3;
export const DEAD_IN_BOTH = 4;
/** Between two tolerances it cannot be told what became of it. */
export const UNSURE = 5;
/** The highest level that is no shade. */
export const LAST_SIGNAL = UNSURE;
/** In the order in which they are painted: each where those before have left room. */
export const SIGNALS = [DEAD, REVIVED, DEAD_IN_BOTH, UNSURE, NOT_FINITE] as const;
/** Shades from 1, most active, to this, least active. */
export const SHADES = LEVELS - 1 - LAST_SIGNAL;

/** The level of a shade: the higher of two levels is the one that a rule of pooling prefers. */
export function levelOfShade(shade: number, pooling: Pooling): number {
  return pooling === "most active" ? LEVELS - shade : LAST_SIGNAL + shade;
}

/** The shade at a place from 0, most active, to 1, least active. */
export function shadeAt(place: number): number {
  return 1 + Math.round(Math.min(1, Math.max(0, place)) * (SHADES - 1));
}

/** Counts below this are looked up in a table. */
const LARGEST_TABLE = 2 ** 16;

export interface Survey {
  readonly dead: number;
  readonly inactive: number;
}

/** So few small integers that their sum is one too: sums of those are several times faster. */
const BLOCK = 4096;

/** One pass over the counts of a column; `deadFrom` is the least count of a dead unit. */
export function surveyCounts(counts: NumericArray, deadFrom: number): Survey {
  let dead = 0;
  let inactive = 0;
  if (counts instanceof Uint8Array || counts instanceof Uint16Array) {
    const alive = Math.min(deadFrom, LARGEST_TABLE) - 1;
    for (let from = 0; from < counts.length; from += BLOCK) {
      const to = Math.min(from + BLOCK, counts.length);
      let sum = 0;
      let over = 0;
      for (let unit = from; unit < to; unit++) {
        const count = counts[unit] as number;
        sum = (sum + count) | 0;
        over = (over + ((alive - count) >>> 31)) | 0;
      }
      inactive += sum;
      dead += over;
    }
    return { dead, inactive };
  }
  for (let unit = 0; unit < counts.length; unit++) {
    const count = counts[unit] as number;
    inactive += count;
    if (count >= deadFrom) dead++;
  }
  return { dead, inactive };
}

/** Least and most inactive count among units that are not dead; null where all are. */
export function aliveRange(counts: NumericArray, deadFrom: number): Range | null {
  let from = Number.POSITIVE_INFINITY;
  let to = -1;
  for (let unit = 0; unit < counts.length; unit++) {
    const count = counts[unit] as number;
    if (count >= deadFrom) continue;
    if (count > to) to = count;
    if (count < from) from = count;
  }
  return to < 0 ? null : { from, to };
}

export interface Range {
  readonly from: number;
  readonly to: number;
}

/** What a level says of a unit, by its count alone. */
export function countLevels(
  coloring: "share" | "count" | "dead",
  probes: number,
  deadFrom: number,
  range: Range,
  pooling: Pooling,
): (count: number) => number {
  const plain = levelOfShade(1, pooling);
  const from = coloring === "count" ? range.from : 0;
  const width = coloring === "count" ? range.to - range.from : probes;
  return (count) => {
    if (count >= deadFrom) return DEAD;
    if (coloring === "dead") return plain;
    return levelOfShade(shadeAt(width > 0 ? (count - from) / width : 0), pooling);
  };
}

/** Fill `out` with the level of each count; through a table where counts are small integers. */
export function encodeCounts(
  counts: NumericArray,
  probes: number,
  levelOf: (count: number) => number,
  out: Uint8Array,
): void {
  if (probes < LARGEST_TABLE) {
    const table = new Uint8Array(probes + 1);
    for (let count = 0; count <= probes; count++) table[count] = levelOf(count);
    encodeByTable(counts, table, out);
    return;
  }
  for (let unit = 0; unit < counts.length; unit++) out[unit] = levelOf(counts[unit] as number);
}

/** Fill `out` with what a table has for each number. */
export function encodeByTable(counts: NumericArray, table: Uint8Array, out: Uint8Array): void {
  const whole = counts.length - (counts.length % 4);
  for (let unit = 0; unit < whole; unit += 4) {
    out[unit] = table[counts[unit] as number] as number;
    out[unit + 1] = table[counts[unit + 1] as number] as number;
    out[unit + 2] = table[counts[unit + 2] as number] as number;
    out[unit + 3] = table[counts[unit + 3] as number] as number;
  }
  for (let unit = whole; unit < counts.length; unit++) {
    out[unit] = table[counts[unit] as number] as number;
  }
}

/** Magnitudes below this part of the largest are as dark as it gets. */
const SMALLEST_PART = 1e-6;

/** From the smallest magnitude told apart to the largest; null where all are zero or unknown. */
export function magnitudeRange(magnitudes: NumericArray): Range | null {
  let from = Number.POSITIVE_INFINITY;
  let to = 0;
  for (let unit = 0; unit < magnitudes.length; unit++) {
    const value = magnitudes[unit] as number;
    if (!(value > 0 && value < Number.POSITIVE_INFINITY)) continue;
    if (value > to) to = value;
    if (value < from) from = value;
  }
  return to > 0 ? { from: Math.max(from, to * SMALLEST_PART), to } : null;
}

/** Shades of magnitudes by their logarithm, the largest lightest: independent of any tolerance. */
export function magnitudeShades(magnitudes: NumericArray, range: Range | null): Uint8Array {
  const shades = new Uint8Array(magnitudes.length).fill(SHADES);
  if (range === null) return shades;
  const top = Math.log(range.to);
  const width = top - Math.log(range.from);
  for (let unit = 0; unit < magnitudes.length; unit++) {
    const value = magnitudes[unit] as number;
    if (value > 0) shades[unit] = shadeAt(width > 0 ? (top - Math.log(value)) / width : 0);
  }
  return shades;
}

/** From the largest value, which is lightest, to the smallest; null where there is none. */
export function valueRange(values: NumericArray): Range | null {
  let from = Number.NEGATIVE_INFINITY;
  let to = Number.POSITIVE_INFINITY;
  for (const value of values) {
    if (value > from) from = value;
    if (value < to) to = value;
  }
  return from < to ? null : { from, to };
}

/** Shades of values as they are, those of none darkest. */
export function valueShades(values: NumericArray, range: Range | null): Uint8Array {
  const { from, to } = range ?? { from: 0, to: 1 };
  return Uint8Array.from(values, (value) =>
    Number.isNaN(value) ? SHADES : shadeAt(from === to ? 0 : (value - from) / (to - from)),
  );
}

/** Fill `out` with levels of shades made before, and of those units that are dead at these counts. */
export function encodeShades(
  shades: Uint8Array,
  counts: NumericArray,
  deadFrom: number,
  pooling: Pooling,
  out: Uint8Array,
): void {
  const sign = pooling === "most active" ? -1 : 1;
  const from = levelOfShade(0, pooling);
  for (let unit = 0; unit < counts.length; unit++) {
    const alive = (counts[unit] as number) < deadFrom;
    out[unit] = alive ? from + sign * (shades[unit] as number) : DEAD;
  }
}

/** Units with a response that was NaN or infinite: fewer finite ones than probes. */
export function notFiniteUnits(finite: NumericArray | null, probes: number): number[] {
  const units: number[] = [];
  if (finite === null) return units;
  for (let unit = 0; unit < finite.length; unit++) {
    if ((finite[unit] as number) < probes) units.push(unit);
  }
  return units;
}
