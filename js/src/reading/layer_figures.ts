/** Lower and upper bounds on the figures of one layer; where it was recounted, both are the figure. */

import type { LayerMeta, NumericArray, TableSnapshot } from "./snapshot";
import {
  isPerUnit,
  locate,
  type Place,
  probesNeeded,
  sameThresholds,
  stopAtMost,
  type Tolerances,
} from "./threshold";

export interface Figures {
  readonly mean: number;
  /** NaN where it is not known. */
  readonly std: number;
  readonly dead: number;
  readonly deadChannels: number;
}

interface FigureBounds {
  readonly lower: Figures;
  readonly upper: Figures;
  readonly exact: boolean;
}

export function readFigures(
  table: TableSnapshot,
  index: number,
  tolerances: Tolerances,
  place: Place,
): FigureBounds {
  const { recount } = table;
  if (recount !== null && sameThresholds(recount.at, tolerances)) {
    const figures = {
      mean: recount.mean[index] as number,
      std: recount.std[index] as number,
      dead: recount.dead[index] as number,
      deadChannels: recount.deadChannels[index] as number,
    };
    return forShare(table, index, tolerances, { lower: figures, upper: figures, exact: true });
  }
  const bounds = isPerUnit(tolerances)
    ? perUnit(table, index, tolerances)
    : between(table, index, place);
  return forShare(table, index, tolerances, bounds);
}

function between(table: TableSnapshot, index: number, place: Place): FigureBounds {
  const row = index * (table.stops.length + 1);
  const at = (column: number, dead: NumericArray, deadChannels: NumericArray): Figures => ({
    mean: table.mean[row + column] as number,
    std: table.std[row + column] as number,
    dead: dead[row + column] as number,
    deadChannels: deadChannels[row + column] as number,
  });
  return {
    lower: at(place.lower, table.dead, table.deadChannels),
    upper: at(place.upper, table.deadUpper, table.deadChannelsUpper),
    exact: place.exact,
  };
}

const NEARBY = 6;

/**
 * With the curves over rtol that were sent for one atol. For another atol they bound from one side;
 * for the other, `atol + rtol * s` is at most the larger of `atol / (1 - rtol / r)` and `r * s`, for
 * any larger stop `r`: what is inactive there is so at one of these two, for which there are curves.
 */
function perUnit(table: TableSnapshot, index: number, tolerances: Tolerances): FigureBounds {
  const { atol, rtol, scale } = tolerances;
  const { unitScales, rtolStops, stops } = table;
  const { channels } = table.layers[index] as LayerMeta;
  const which = unitScales.scales.indexOf(scale);
  const row = index * (stops.length + 1);
  const column = stopAtMost(stops, atol);
  const layers = table.layers.length;
  const curve = (values: NumericArray, side: 0 | 1, stop: number): number =>
    values[((which * 2 + side) * layers + index) * rtolStops.length + stop] as number;
  const finite = table.mean[row + stops.length] as number;
  const everFinite = table.dead[row + stops.length] as number;
  const near = locate(rtolStops, rtol);
  const known = which >= 0;

  const lower = (values: NumericArray, curves: NumericArray): number => {
    const absolute = values[row + column] as number;
    return known && atol >= unitScales.atol
      ? Math.max(absolute, curve(curves, 0, near.lower))
      : absolute;
  };
  const upper = (values: NumericArray, curves: NumericArray, most: number): number => {
    if (!known) return most;
    if (atol <= unitScales.atol) {
      return near.upper < rtolStops.length ? curve(curves, 1, near.upper) : most;
    }
    const zeros = values[row] as number;
    let best = most;
    for (let stop = near.lower + 1; stop <= near.lower + NEARBY; stop++) {
      const larger = rtolStops[stop];
      if (larger === undefined) break;
      const share = (1 - rtol / larger) * (1 - 1e-9);
      const place = locate(stops, atol / share);
      best = Math.min(best, (values[row + place.upper] as number) + curve(curves, 1, stop) - zeros);
    }
    return best;
  };
  const meanLower = lower(table.mean, unitScales.mean);
  const meanUpper = Math.max(meanLower, upper(table.mean, unitScales.mean, finite));
  const deadLower = lower(table.dead, unitScales.dead);
  const deadUpper = upper(table.deadUpper, unitScales.dead, everFinite);
  const wholeChannels = atol <= unitScales.atol && known && near.upper < rtolStops.length;
  return {
    lower: {
      mean: meanLower,
      std: Number.NaN,
      dead: deadLower,
      deadChannels: lower(table.deadChannels, unitScales.deadChannels),
    },
    upper: {
      mean: meanUpper,
      std: Number.NaN,
      dead: Math.max(deadLower, deadUpper),
      deadChannels: wholeChannels ? curve(unitScales.deadChannels, 1, near.upper) : (channels ?? 0),
    },
    exact: meanLower === meanUpper && deadLower === deadUpper,
  };
}

/**
 * What is dead was counted for one share of the probes. For another there are bounds: a unit that is
 * inactive more often is so less rarely, and the counts of all units have a known sum.
 */
function forShare(
  table: TableSnapshot,
  index: number,
  { dead_at }: Tolerances,
  bounds: FigureBounds,
): FigureBounds {
  if (dead_at === table.deadAt) return bounds;
  const { probes, channels, finite_probes } = table.layers[index] as LayerMeta;
  if (finite_probes === 0) return bounds;
  const { lower, upper } = bounds;
  // Of units that were finite on more probes, more of these are needed, and more may be missing.
  const needed = probesNeeded(finite_probes, dead_at);
  const last = (index + 1) * (table.stops.length + 1) - 1;
  const everFinite = table.dead[last] as number;
  const finite = table.mean[last] as number;
  const looser = dead_at < table.deadAt;
  const atMost = Math.floor((upper.mean * probes) / needed + 1e-6);
  const notDead = Math.floor(
    ((finite - lower.mean) * probes) / (finite_probes - needed + 1) + 1e-6,
  );
  const deadLower = Math.max(looser ? lower.dead : 0, everFinite - notDead, 0);
  const deadUpper = Math.max(deadLower, Math.min(looser ? everFinite : upper.dead, atMost));
  return {
    lower: { ...lower, dead: deadLower, deadChannels: looser ? lower.deadChannels : 0 },
    upper: {
      ...upper,
      dead: deadUpper,
      deadChannels: looser ? (channels ?? 0) : upper.deadChannels,
    },
    exact: bounds.exact && deadLower === deadUpper && channels === null,
  };
}
