/** The share of inactive units over a threshold on |x|: of one layer, and of all of them together. */

import { readFigures } from "../reading/layer_figures";
import type { LayerMeta, TableSnapshot } from "../reading/snapshot";
import { shareCurve } from "../reading/table_reading";
import {
  isPerUnit,
  locateLayer,
  positionAmong,
  type Tolerances,
  thresholdOf,
} from "../reading/threshold";

export interface LayerCurve {
  readonly inactive: Float64Array;
  /** Where the share of probes is not the counted one, what is surely dead. */
  readonly dead: Float64Array;
}

/** Shares of the units, from 0 to 1, where the threshold is each of the stops. */
export function layerCurve(table: TableSnapshot, index: number, deadAt: number): LayerCurve {
  const { units } = table.layers[index] as LayerMeta;
  const dead = Float64Array.from(table.stops, (atol) => {
    const at: Tolerances = { rtol: 0, atol, scale: "zero", dead_at: deadAt, tau: 0 };
    const { lower } = readFigures(table, index, at, locateLayer(table.stops, at, null));
    return lower.dead / units;
  });
  return { inactive: shareCurve(table, [index]), dead };
}

export type Bounds = readonly [lower: number, upper: number];

export interface InForce {
  /** Bounds on the share of units that are inactive, and dead. */
  readonly inactive: Bounds;
  readonly dead: Bounds;
  /** Where atol is among the stops. */
  readonly atol: number;
  /** Where the layer's threshold is, rtol included; where each unit has its own, null. */
  readonly threshold: number | null;
}

/** A layer at the tolerances that are in force. */
export function inForceAt(table: TableSnapshot, index: number, tolerances: Tolerances): InForce {
  const { units, mean_abs } = table.layers[index] as LayerMeta;
  const place = locateLayer(table.stops, tolerances, mean_abs);
  const { lower, upper } = readFigures(table, index, tolerances, place);
  const threshold = isPerUnit(tolerances) ? Number.NaN : thresholdOf(tolerances, mean_abs);
  return {
    inactive: [lower.mean / units, upper.mean / units],
    dead: [lower.dead / units, upper.dead / units],
    atol: positionAmong(table.stops, tolerances.atol),
    threshold: Number.isNaN(threshold) ? null : positionAmong(table.stops, threshold),
  };
}

/** Where a rising curve first reaches a share, between two places; at its end where it never does. */
export function placeOfShare(curve: Float64Array, share: number): number {
  const above = curve.findIndex((value) => value >= share);
  if (above < 1) return above < 0 ? curve.length - 1 : 0;
  const [low, high] = [curve[above - 1] as number, curve[above] as number];
  return above - (high - share) / (high - low);
}

/** At most as many layers are drawn one by one; more as bands. */
const MOST_LINES = 40;
const MOST_SAMPLED = 256;

export interface AllCurves {
  /** One a layer, or least, first quartile, third quartile and greatest. */
  readonly kind: "lines" | "bands";
  readonly curves: readonly Float64Array[];
}

/** The same for all layers with probes; of very many, for a sample spread evenly over the network. */
export function allCurves(table: TableSnapshot): AllCurves {
  const counted = table.layers.flatMap(({ probes, units }, index) =>
    probes > 0 && units > 0 ? [index] : [],
  );
  const step = Math.max(1, counted.length / MOST_SAMPLED);
  const sampled = Array.from(
    { length: Math.min(counted.length, MOST_SAMPLED) },
    (_, place) => counted[Math.floor(place * step)] as number,
  );
  const curves = sampled.map((index) => shareCurve(table, [index]));
  if (counted.length <= MOST_LINES) return { kind: "lines", curves };
  const bands = [0, 0.25, 0.75, 1].map(() => new Float64Array(table.stops.length));
  const column = new Float64Array(curves.length);
  for (let place = 0; place < table.stops.length; place++) {
    for (let each = 0; each < curves.length; each++) column[each] = curves[each]?.[place] as number;
    column.sort();
    [0, 0.25, 0.75, 1].forEach((share, band) => {
      (bands[band] as Float64Array)[place] = column[
        Math.round(share * (column.length - 1))
      ] as number;
    });
  }
  return { kind: "bands", curves: bands };
}
