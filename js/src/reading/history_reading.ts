/** Shares of each layer's units over the steps of training, at the tolerances on show. */

import { type History, SHARES } from "./history";
import type { NumericArray } from "./snapshot";
import {
  isPerUnit,
  locate,
  locateAmong,
  type Place,
  type Tolerances,
  thresholdOf,
} from "./threshold";

export type Measure = "dead" | "inactive" | "dormant" | "newly dead" | "revived";
export const MEASURES: readonly Measure[] = [
  "dead",
  "inactive",
  "dormant",
  "newly dead",
  "revived",
];

/** Shares from 0 to 1, look by look and in each layer by layer; NaN where nothing was counted. */
export interface Shares {
  readonly lower: Float32Array;
  /** The same array where all are exact. */
  readonly upper: Float32Array;
}

/** What a measure is read from: a count a cell, and what it is a share of. */
interface Source {
  readonly lower: NumericArray;
  readonly upper: NumericArray;
  readonly columns: readonly number[];
  readonly of: (layer: number) => number;
  /** Where all of a layer is counted at a threshold above all. */
  readonly grows: boolean;
}

function sourceOf(history: History, measure: Measure): Source {
  const { columns, taus, layers, dead, dead_upper, dormant } = history;
  const units = (layer: number): number => layers[layer]?.units ?? 0;
  const source = (lower: NumericArray, grows: boolean, upper = lower): Source => ({
    lower,
    upper,
    columns,
    of: units,
    grows,
  });
  switch (measure) {
    case "dead":
      return source(dead, true, dead_upper);
    case "inactive":
      return { ...source(history.inactive, true), of: () => SHARES };
    case "dormant":
      return {
        lower: dormant,
        upper: dormant,
        columns: taus,
        of: (layer) => layers[layer]?.neurons ?? 0,
        grows: true,
      };
    case "newly dead":
      return source(history.newly_dead, false);
    case "revived":
      return source(history.revived, false);
  }
}

/** Between what is here, dead and others that grow are bounded; the others are those just below. */
export function readShares(history: History, tolerances: Tolerances, measure: Measure): Shares {
  const { stops, taus, layers, steps, mean_abs } = history;
  const { lower, upper, columns, of, grows } = sourceOf(history, measure);
  const cells = steps.length * layers.length;
  const out = new Float32Array(cells);
  let above = out;
  const at = { ...tolerances, ...(isPerUnit(tolerances) ? { rtol: 0 } : {}) };
  const whole: readonly number[] = layers.map((_, layer) => of(layer));
  const relative = measure !== "dormant" && at.rtol > 0 && at.scale === "layer_mean";
  let place: Place =
    measure === "dormant" ? locate(taus, at.tau) : locateAmong(columns, locate(stops, at.atol));
  for (let cell = 0; cell < cells; cell++) {
    const mean = mean_abs[cell] as number;
    const all = whole[cell % layers.length] as number;
    if (Number.isNaN(mean)) {
      out[cell] = Number.NaN;
      if (above !== out) above[cell] = Number.NaN;
      continue;
    }
    if (relative) place = locateAmong(columns, locate(stops, thresholdOf(at, mean)));
    const low = place.lower < 0 ? 0 : (lower[place.lower * cells + cell] as number) / all;
    out[cell] = low;
    if (!grows) continue;
    const to = place.exact ? place.lower : place.upper;
    const high = to < columns.length ? (upper[to * cells + cell] as number) / all : 1;
    if (above === out && high > low) above = out.slice();
    if (above !== out) above[cell] = high;
  }
  return { lower: out, upper: above };
}
