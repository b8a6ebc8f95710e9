/** The threshold of one unit, and the tolerances that put it where a person wants it. */

import { nearestStop } from "../reading/scale";
import type { LayerMeta, UnitsSnapshot } from "../reading/snapshot";
import type { Tolerances } from "../reading/threshold";

/** What rtol is multiplied with for one unit; null where that is not known. */
export function scaleOfUnit(
  { scale }: Tolerances,
  meta: LayerMeta,
  snapshot: UnitsSnapshot,
  unit: number,
): number | null {
  switch (scale) {
    case "zero":
      return 0;
    case "layer_mean":
      return meta.mean_abs;
    case "unit_rms":
      return snapshot.rms?.[unit] ?? null;
    case "unit_max":
      return snapshot.max_abs?.[unit] ?? null;
  }
}

/** NaN where it depends on what is not known. */
export function unitThreshold({ atol, rtol }: Tolerances, scale: number | null): number {
  if (rtol === 0) return atol;
  return scale === null ? Number.NaN : atol + rtol * scale;
}

function nearest(stops: readonly number[], value: number): number {
  return stops[nearestStop(stops, value)] ?? value;
}

/**
 * Tolerances with the threshold nearest to the one wanted: of the two, the one that matters more
 * now is moved, and the other only where it stands in the way.
 */
export function tolerancesAt(
  wanted: number,
  { atol, rtol }: Tolerances,
  scale: number | null,
  stops: readonly number[],
  rtolStops: readonly number[],
): Partial<Tolerances> {
  if (rtol === 0 || scale === null || !(scale > 0)) return { atol: nearest(stops, wanted) };
  const relative = rtol * scale;
  if (relative >= atol) {
    if (wanted > atol) return { rtol: nearest(rtolStops, (wanted - atol) / scale) };
    return { rtol: 0, atol: nearest(stops, wanted) };
  }
  if (wanted > relative) return { atol: nearest(stops, wanted - relative) };
  return { atol: 0, rtol: nearest(rtolStops, wanted / scale) };
}
