/** The share of inactive units over a tolerance: of one layer, and of all of them together. */

import { readFigures } from "./layer_figures";
import type { LayerMeta, TableSnapshot } from "./snapshot";
import { isPerUnit, locateLayer, type Tolerances } from "./threshold";

/** The tolerance that a curve runs over: the one that tells thresholds apart. */
export interface Axis {
  readonly name: "atol" | "rtol";
  readonly stops: readonly number[];
}

export function axisOf(table: TableSnapshot, { rtol, scale }: Tolerances): Axis {
  return rtol === 0 || scale === "zero"
    ? { name: "atol", stops: table.stops }
    : { name: "rtol", stops: table.rtolStops };
}

/** What curves depend on besides the table: not on the tolerance they run over. */
export function curveKey(axis: Axis, { rtol, atol, scale, dead_share }: Tolerances): string {
  return [
    axis.name,
    dead_share,
    ...(axis.name === "rtol" ? [atol, scale] : [scale === "zero" ? 0 : rtol]),
  ].join(" ");
}

export interface LayerCurve {
  readonly lower: Float64Array;
  readonly upper: Float64Array;
  readonly dead: Float64Array;
}

/** Shares of the units, from 0 to 1, at every stop of the axis. */
export function layerCurve(
  table: TableSnapshot,
  index: number,
  tolerances: Tolerances,
  axis: Axis,
): LayerCurve {
  const { units, mean_abs } = table.layers[index] as LayerMeta;
  const size = axis.stops.length;
  const [lower, upper, dead] = [0, 1, 2].map(() => new Float64Array(size)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  axis.stops.forEach((stop, place) => {
    const at = { ...tolerances, [axis.name]: stop };
    const figures = readFigures(table, index, at, locateLayer(table.stops, at, mean_abs));
    lower[place] = figures.lower.mean / units;
    upper[place] = figures.upper.mean / units;
    dead[place] = figures.lower.dead / units;
  });
  return { lower, upper, dead };
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
export function allCurves(table: TableSnapshot, tolerances: Tolerances, axis: Axis): AllCurves {
  const counted = table.layers.flatMap(({ probes, units }, index) =>
    probes > 0 && units > 0 ? [index] : [],
  );
  const step = Math.max(1, counted.length / MOST_SAMPLED);
  const sampled = Array.from(
    { length: Math.min(counted.length, MOST_SAMPLED) },
    (_, place) => counted[Math.floor(place * step)] as number,
  );
  const curves = sampled.map((index) => shares(table, index, tolerances, axis));
  if (counted.length <= MOST_LINES) return { kind: "lines", curves };
  const bands = [0, 0.25, 0.75, 1].map(() => new Float64Array(axis.stops.length));
  const column = new Float64Array(curves.length);
  for (let place = 0; place < axis.stops.length; place++) {
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

function shares(
  table: TableSnapshot,
  index: number,
  tolerances: Tolerances,
  axis: Axis,
): Float64Array {
  if (axis.name === "rtol" || isPerUnit(tolerances)) {
    return layerCurve(table, index, tolerances, axis).lower;
  }
  const { units } = table.layers[index] as LayerMeta;
  const row = index * (table.stops.length + 1);
  return Float64Array.from(axis.stops, (_, stop) => (table.mean[row + stop] as number) / units);
}
