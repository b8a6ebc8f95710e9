/** The place of a threshold among the stops, and the columns that bracket it. */

/** What rtol is relative to; with the last two every unit has a threshold of its own. */
export type Scale = "zero" | "layer_mean" | "unit_rms" | "unit_max";

export interface Tolerances {
  readonly rtol: number;
  readonly atol: number;
  readonly scale: Scale;
  /** A unit is dead when it is inactive on at least this share of its finite probes. */
  readonly dead_at: number;
  /** Dormant is what has a mean |x| of at most this times its layer's. */
  readonly tau: number;
}

function isUnitScale(scale: Scale): boolean {
  return scale === "unit_rms" || scale === "unit_max";
}

/** Two positions: the true value lies between them; it is the lower one's when exact. */
export interface Place {
  readonly lower: number;
  readonly upper: number;
  readonly exact: boolean;
}

/** What a threshold depends on. */
export type Threshold = Omit<Tolerances, "dead_at" | "tau">;

/** Whether every unit has a threshold of its own. */
export function isPerUnit({ rtol, scale }: Threshold): boolean {
  return rtol !== 0 && isUnitScale(scale);
}

export function sameThresholds(one: Threshold, other: Threshold): boolean {
  if (one.atol !== other.atol) return false;
  const uniform = ({ rtol, scale }: Threshold): boolean => rtol === 0 || scale === "zero";
  if (uniform(one) && uniform(other)) return true;
  return one.rtol === other.rtol && one.scale === other.scale;
}

/**
 * On how many of the probes a unit must be inactive to be dead: their product in exact arithmetic,
 * rounded up, where the share stands for the decimal number it prints as. Python does the same.
 */
export function probesNeeded(probes: number, deadAt: number): number {
  if (deadAt === 1) return Math.max(1, probes);
  const [digits = "1", exponent = "0"] = String(deadAt).split("e");
  const [whole = "", fraction = ""] = digits.split(".");
  const divisor = 10n ** BigInt(fraction.length - Number(exponent));
  const product = BigInt(whole + fraction) * BigInt(probes);
  return Math.max(1, Number((product + divisor - 1n) / divisor));
}

/** The threshold of a layer; NaN where units have their own, or it depends on an unknown mean. */
export function thresholdOf(tolerances: Threshold, meanAbs: number | null): number {
  const { atol, rtol, scale } = tolerances;
  if (scale === "zero" || rtol === 0) return atol;
  if (isUnitScale(scale)) return Number.NaN;
  return meanAbs === null || !Number.isFinite(meanAbs) ? Number.NaN : atol + rtol * meanAbs;
}

/** Index of the largest stop that is at most `value`; stops ascend and start at 0. */
export function stopAtMost(stops: readonly number[], value: number): number {
  let low = 0;
  let high = stops.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((stops[middle] as number) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Columns around a threshold, among K stops and the last column K (any finite value). */
export function locate(stops: readonly number[], threshold: number): Place {
  const lower = stopAtMost(stops, threshold);
  const exact = stops[lower] === threshold;
  return { lower, upper: exact ? lower : lower + 1, exact };
}

/** Columns around a layer's threshold; when the layer's mean is unknown, all that it could be. */
export function locateLayer(
  stops: readonly number[],
  tolerances: Threshold,
  meanAbs: number | null,
): Place {
  const threshold = thresholdOf(tolerances, meanAbs);
  if (!Number.isNaN(threshold)) return locate(stops, threshold);
  return { lower: stopAtMost(stops, tolerances.atol), upper: stops.length, exact: false };
}

/**
 * Narrow a place among all columns to the columns at hand: positions in `columns`, where -1 means
 * that nothing at hand lies below and `columns.length` that nothing lies above.
 */
export function locateAmong(columns: readonly number[], place: Place): Place {
  let lower = -1;
  let upper = columns.length;
  for (let position = 0; position < columns.length; position++) {
    const column = columns[position] as number;
    if (column <= place.lower) lower = position;
    if (column >= place.upper) {
      upper = position;
      break;
    }
  }
  return { lower, upper, exact: place.exact && lower === upper };
}

/** Position of a threshold on an axis of stop indices, between two stops by their logarithms. */
export function positionAmong(stops: readonly number[], threshold: number): number {
  if (Number.isNaN(threshold)) return 0;
  const lower = stopAtMost(stops, threshold);
  const below = stops[lower] as number;
  const above = stops[lower + 1];
  if (above === undefined || threshold <= below) return lower;
  if (below === 0) return lower + 0.5;
  return lower + Math.log(threshold / below) / Math.log(above / below);
}
