/** One unit's histogram of |x|: counts between stops, and where the threshold is among them. */

import type { UnitsSnapshot } from "../reading/snapshot";

interface Bin {
  /** Exclusive, but for the first bin, which is zero exactly. */
  readonly from: number;
  /** Inclusive; infinite for what lies above every stop. */
  readonly to: number;
  readonly count: number;
}

export interface UnitHistogram {
  readonly bins: readonly Bin[];
  /** Responses that were NaN or infinite; null where that was not sent. */
  readonly notFinite: number | null;
}

/** Differences of a unit's cumulative counts, between the stops that were sent. */
export function unitHistogram(snapshot: UnitsSnapshot, unit: number): UnitHistogram {
  const { columns, stops, units, counts, probes } = snapshot;
  const bins: Bin[] = [];
  let before = 0;
  let from = 0;
  columns.forEach((column, position) => {
    const total = counts[position * units + unit] as number;
    const to = stops[column] ?? Number.POSITIVE_INFINITY;
    bins.push({ from, to, count: total - before });
    before = total;
    from = to;
  });
  const whole = columns[columns.length - 1] === stops.length;
  return { bins, notFinite: whole ? probes - before : null };
}

/**
 * Where magnitudes are on the axis, from 0 to 1: zero has a slot of its own at the left, what lies
 * above the last stop one at the right, and between them is the logarithm.
 */
export interface MagnitudeAxis {
  readonly first: number;
  readonly last: number;
}

export const SLOT = 0.07;

export function magnitudeAxis(stops: readonly number[]): MagnitudeAxis {
  const last = stops[stops.length - 1] ?? 1;
  // One step left of the first stop above zero, as wide as the step right of it.
  const first = stops[1] ?? 1;
  const second = stops[2] ?? first;
  return { first: (first * first) / Math.max(second, first * 1.01), last };
}

export function placeOf(axis: MagnitudeAxis, value: number): number {
  if (value <= axis.first) return SLOT;
  if (value > axis.last) return 1;
  const place = Math.log(value / axis.first) / Math.log(axis.last / axis.first);
  return SLOT + (1 - 2 * SLOT) * place;
}

export function valueAt(axis: MagnitudeAxis, place: number): number {
  if (place <= SLOT) return 0;
  const within = Math.min(1, (place - SLOT) / (1 - 2 * SLOT));
  return axis.first * (axis.last / axis.first) ** within;
}

const MOST_POWERS = 5;

/** Powers of ten to label the axis with. */
export function powersOn(axis: MagnitudeAxis): number[] {
  const from = Math.ceil(Math.log10(axis.first) - 1e-9);
  const to = Math.floor(Math.log10(axis.last) + 1e-9);
  const step = Math.max(1, Math.ceil((to - from + 1) / MOST_POWERS));
  const powers: number[] = [];
  for (let power = to; power >= from; power -= step) powers.unshift(Number(`1e${power}`));
  return powers;
}

export interface Bar {
  readonly from: number;
  readonly to: number;
  /** From 0 to 1; 1 is the tallest bar between the slots. */
  readonly height: number;
  /** Taller than can be drawn beside the others. */
  readonly cut: boolean;
  readonly bin: Bin;
}

/** Bars whose areas stand for counts; the slots of zero and above are drawn as one decade would. */
export function barsOf(histogram: UnitHistogram, axis: MagnitudeAxis): Bar[] {
  const decade = ((1 - 2 * SLOT) * Math.LN10) / Math.log(axis.last / axis.first);
  const raw = histogram.bins.map((bin, index) => {
    const zero = index === 0 && bin.to === 0;
    const above = bin.to === Number.POSITIVE_INFINITY;
    const from = zero ? 0 : above ? 1 - SLOT : placeOf(axis, bin.from);
    const to = zero ? SLOT : above ? 1 : placeOf(axis, bin.to);
    const slot = zero || above;
    return { bin, from, to, slot, density: bin.count / (slot ? decade : to - from) };
  });
  const between = raw.filter((bar) => !bar.slot).map((bar) => bar.density);
  const tallest = Math.max(...between, 0) || Math.max(...raw.map((bar) => bar.density), 0);
  return raw.map(({ bin, from, to, density }) => ({
    bin,
    from,
    to,
    height: tallest > 0 ? Math.min(1, density / tallest) : 0,
    cut: density > tallest,
  }));
}
