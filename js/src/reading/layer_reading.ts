/** The figures of one layer at given tolerances. */

import { readFigures } from "./layer_figures";
import type { LayerMeta, TableSnapshot } from "./snapshot";
import { locate, locateLayer, type Place, type Tolerances, thresholdOf } from "./threshold";

interface LayerBound {
  readonly mean: number;
  readonly std: number;
  readonly dead: number;
  readonly deadChannels: number;
  /** Units, or channels where a channel has several, with a mean |x| of at most tau times the layer's. */
  readonly dormant: number;
}

export interface LayerReading {
  readonly meta: LayerMeta;
  readonly threshold: number;
  readonly place: Place;
  readonly lower: LayerBound;
  readonly upper: LayerBound;
  readonly exact: boolean;
}

export function readLayer(
  table: TableSnapshot,
  index: number,
  tolerances: Tolerances,
): LayerReading {
  const meta = table.layers[index] as LayerMeta;
  const place = locateLayer(table.stops, tolerances, meta.mean_abs);
  const figures = readFigures(table, index, tolerances, place);
  const { tauStops } = table;
  const tau = locate(tauStops, tolerances.tau);
  const dormant = (stop: number): number =>
    stop < tauStops.length
      ? (table.dormant[index * tauStops.length + stop] as number)
      : neuronsOf(meta);
  return {
    meta,
    threshold: thresholdOf(tolerances, meta.mean_abs),
    place,
    lower: { ...figures.lower, dormant: dormant(tau.lower) },
    upper: { ...figures.upper, dormant: dormant(tau.upper) },
    exact: figures.exact,
  };
}

/** How many there are of what can be dormant: channels where a channel has several units. */
export function neuronsOf({ channels, units }: LayerMeta): number {
  return channels ?? units;
}
