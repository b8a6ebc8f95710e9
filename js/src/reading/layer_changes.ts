/** How many units of a layer died, revived, or stayed dead since the result that is compared. */

import { CHANGES, type Change, deadUpTo } from "./comparison";
import type { LayerMeta, TableComparison, TableSnapshot } from "./snapshot";
import { isPerUnit, locateLayer, sameThresholds, type Tolerances } from "./threshold";

/** Bounds on one change, in each layer; NaN where nothing is compared. */
interface ChangeBounds {
  readonly lower: Float64Array;
  readonly upper: Float64Array;
}

export type LayerChanges = Readonly<Record<Change, ChangeBounds>>;

export function makeChanges(layers: number): LayerChanges {
  const bounds = (): ChangeBounds => ({
    lower: new Float64Array(layers),
    upper: new Float64Array(layers),
  });
  return { newlyDead: bounds(), revived: bounds(), deadInBoth: bounds() };
}

/** Fill in the changes of all layers at tolerances. */
export function readChanges(table: TableSnapshot, at: Tolerances, out: LayerChanges): void {
  const { comparison } = table;
  if (comparison === null) return;
  const put = (layer: number, figure: (change: number, side: number) => number): void => {
    for (const [change, name] of CHANGES.entries()) {
      out[name].lower[layer] = figure(change, 0);
      out[name].upper[layer] = figure(change, 1);
    }
  };
  const known = ready(table, comparison, at);
  for (let layer = 0; layer < table.layers.length; layer++) {
    if (comparison.layers[layer] === null) put(layer, () => Number.NaN);
    else if (known === "pairs") countPairs(table, comparison, layer, at, out);
    else if (known === null) {
      const units = comparedUnits(comparison, layer);
      put(layer, (_, side) => side * units);
    } else put(layer, (change, side) => known(layer, change, side));
  }
}

type Figure = (layer: number, change: number, side: number) => number;

/** Figures that came ready-made, where they did; null where there are none for these tolerances. */
function ready(
  { layers: { length }, deadAt, unitScales, rtolStops }: TableSnapshot,
  { exactAt, exactChanges, scaleChanges }: TableComparison,
  at: Tolerances,
): Figure | "pairs" | null {
  if (at.dead_at !== deadAt) return null;
  const exact = exactAt.findIndex((threshold) => sameThresholds(threshold, at));
  const row = (of: number, change: number, side: number, layer: number): number =>
    ((of * CHANGES.length + change) * 2 + side) * length + layer;
  if (exact >= 0) {
    return (layer, change, side) => exactChanges[row(exact, change, side, layer)] as number;
  }
  if (!isPerUnit(at)) return "pairs";
  const scale = unitScales.scales.indexOf(at.scale);
  const stop = rtolStops.indexOf(at.rtol);
  if (scale < 0 || stop < 0 || at.atol !== unitScales.atol) return null;
  return (layer, change, side) =>
    scaleChanges[row(scale, change, side, layer) * rtolStops.length + stop] as number;
}

function pairsOf({ pairEnd }: TableComparison, layer: number): readonly [number, number] {
  return [layer === 0 ? 0 : (pairEnd[layer - 1] as number), pairEnd[layer] as number];
}

function comparedUnits(comparison: TableComparison, layer: number): number {
  const [start, end] = pairsOf(comparison, layer);
  let units = 0;
  for (let pair = start; pair < end; pair++) units += comparison.pairUnits[pair] as number;
  return units;
}

function countPairs(
  table: TableSnapshot,
  comparison: TableComparison,
  layer: number,
  at: Tolerances,
  { newlyDead, revived, deadInBoth }: LayerChanges,
): void {
  const compared = comparison.layers[layer];
  if (compared == null) return;
  const { mean_abs } = table.layers[layer] as LayerMeta;
  const before = deadUpTo(locateLayer(comparison.stops, at, compared.mean_abs), compared.counted);
  const after = deadUpTo(locateLayer(table.stops, at, mean_abs), compared.counted_after);
  const { pairBefore, pairAfter, pairUnits } = comparison;
  const died = [0, 0];
  const came = [0, 0];
  const both = [0, 0];
  const [start, end] = pairsOf(comparison, layer);
  for (let pair = start; pair < end; pair++) {
    const there = pairBefore[pair] as number;
    const here = pairAfter[pair] as number;
    const units = pairUnits[pair] as number;
    // Bound by bound: surely dead in the one, and surely not, or perhaps not, in the other.
    if (here <= after.lower) {
      if (there > before.upper) (died[0] as number) += units;
      else if (there <= before.lower) (both[0] as number) += units;
    } else if (there <= before.upper) (came[1] as number) += units;
    if (here <= after.upper) {
      if (there > before.lower) (died[1] as number) += units;
      if (there <= before.upper) (both[1] as number) += units;
    } else if (there <= before.lower) (came[0] as number) += units;
  }
  for (const [bounds, found] of [
    [newlyDead, died],
    [revived, came],
    [deadInBoth, both],
  ] as const) {
    bounds.lower[layer] = found[0] as number;
    bounds.upper[layer] = found[1] as number;
  }
}
