/** Decodes the history of a training: figures of every layer at every look that was sent. */

import { decodeAs, type NumericArray, take } from "./snapshot";

/** An alarm that rang at a look. */
export interface Alarm {
  readonly step: number;
  readonly rule: string;
  readonly layers: readonly string[];
}

interface HistoryLayer {
  readonly name: string;
  readonly units: number;
  /** How many there are of what can be dormant. */
  readonly neurons: number;
}

/** Figures are column by column, in each look by look, in each layer by layer. */
export interface History {
  /** The steps of training of the looks that are here, ascending. */
  readonly steps: readonly number[];
  /** How many looks there are in all. */
  readonly looks: number;
  /** Steps at which all counts were kept. */
  readonly whole: readonly number[];
  readonly layers: readonly HistoryLayer[];
  readonly stops: readonly number[];
  /** Which of the K stops are here, and the last column, of any finite value. */
  readonly columns: readonly number[];
  /** Ascending from 0: dormant units are told at these. */
  readonly taus: readonly number[];
  /** On which share of the probes a dead unit is inactive. */
  readonly dead_at: number;
  readonly alarms: readonly Alarm[];
  /** Mean inactive share in parts of `SHARES`; 0 and all only where it is so. */
  readonly inactive: NumericArray;
  readonly dead: NumericArray;
  /** Bounds above; the same array where figures are exact. */
  readonly dead_upper: NumericArray;
  /** Since the look before. */
  readonly newly_dead: NumericArray;
  readonly revived: NumericArray;
  readonly dormant: NumericArray;
  /** Mean |x| of each layer at each look; NaN where nothing was counted. */
  readonly mean_abs: NumericArray;
}

export const SHARES = 65535;

type Meta = Omit<
  History,
  "inactive" | "dead" | "dead_upper" | "newly_dead" | "revived" | "dormant" | "mean_abs"
>;

export function decodeHistory(data: DataView): History {
  const snapshot = decodeAs("history", data);
  const meta = snapshot.meta as unknown as Meta;
  const cells = meta.steps.length * meta.layers.length;
  const of = (name: string, columns: readonly number[]): NumericArray =>
    take(snapshot, name, columns.length * cells);
  const { columns, taus } = meta;
  return {
    ...meta,
    inactive: of("inactive", columns),
    dead: of("dead", columns),
    dead_upper: of(snapshot.arrays.has("dead_upper") ? "dead_upper" : "dead", columns),
    newly_dead: of("newly_dead", columns),
    revived: of("revived", columns),
    dormant: of("dormant", taus),
    mean_abs: take(snapshot, "mean_abs", cells),
  };
}

/** The place of the look that is nearest to a step. */
export function nearestLook(steps: readonly number[], step: number): number {
  let low = 0;
  let high = steps.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((steps[middle] as number) < step) low = middle + 1;
    else high = middle;
  }
  const [before, here] = [steps[low - 1], steps[low]];
  if (before === undefined || here === undefined) return Math.max(0, low);
  return step - before < here - step ? low - 1 : low;
}
