/** The scale of a slider: from a number to a stop and back. */

/** Index of the nearest stop by logarithm; zero is nearest only to itself. */
export function nearestStop(stops: readonly number[], value: number): number {
  let best = 0;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (let index = 0; index < stops.length; index++) {
    const stop = stops[index] as number;
    if (stop === value) return index;
    if (stop <= 0 || value <= 0) continue;
    const distance = Math.abs(Math.log(value / stop));
    if (distance < bestDistance) {
      best = index;
      bestDistance = distance;
    }
  }
  return best;
}

type Parsed =
  | { readonly ok: true; readonly value: number }
  | { readonly ok: false; readonly reason: string };

const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

/** A tolerance as typed by a person. */
export function parseTolerance(text: string): Parsed {
  const trimmed = text.trim();
  if (trimmed === "") return { ok: false, reason: "Type a number, such as 1e-3." };
  if (!NUMBER.test(trimmed)) {
    return { ok: false, reason: `“${trimmed}” is not a number. Type one such as 0.01 or 1e-3.` };
  }
  const value = Number(trimmed);
  if (!Number.isFinite(value)) return { ok: false, reason: "A tolerance must be finite." };
  if (value < 0) return { ok: false, reason: "A tolerance cannot be negative." };
  return { ok: true, value: value === 0 ? 0 : value };
}

interface Tick {
  /** From 0 (first stop) to 1 (last stop). */
  readonly position: number;
  readonly stop: number;
}

function isPowerOfTen(value: number): boolean {
  const power = Math.round(Math.log10(value));
  return Math.abs(value / 10 ** power - 1) < 1e-9;
}

/** Where the powers of ten lie, from 0 (first stop) to 1 (last stop). */
export function decades(stops: readonly number[]): number[] {
  return stops.flatMap((stop, index) =>
    stop > 0 && isPowerOfTen(stop) ? [index / (stops.length - 1)] : [],
  );
}

/** Powers of ten to label, at least `gap` apart. */
export function ticks(stops: readonly number[], gap: number): Tick[] {
  const last = stops.length - 1;
  if (last < 1) return [];
  const tick = (index: number): Tick => ({
    position: index / last,
    stop: stops[index] as number,
  });
  const chosen = [tick(0), tick(last)];
  for (let index = last - 1; index > 0; index--) {
    const candidate = tick(index);
    if (!isPowerOfTen(candidate.stop)) continue;
    if (chosen.every((other) => Math.abs(other.position - candidate.position) >= gap)) {
      chosen.push(candidate);
    }
  }
  return chosen.sort((a, b) => a.position - b.position);
}
