/** Repaints a few pixels on edges between units, so that a level covers the area its units have. */

import type { AreaShares, TileBox } from "./area_shares";
import { EMPTY_LEVEL, LAST_SIGNAL } from "./levels";

/** A pixel that others have this much of is given before one that they have less of. */
const GIVEN_FIRST = 0.4;
/** Less of a pixel than this is rounding error of a sum. */
const NOTHING = 1e-4;

/** Of a rectangle's pixels, how far apart two that come one after the other are. */
function strideFor(pixels: number): number {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  let stride = Math.max(1, Math.round(0.618 * pixels));
  while (divisor(stride, pixels) !== 1) stride++;
  return stride;
}

/** A shade beside a pixel, or the darkest where there is none. */
function shadeBeside(levels: Uint8Array, width: number, at: number, darkest: number): number {
  for (const beside of [at - 1, at + 1, at - width, at + width]) {
    const level = levels[beside] ?? EMPTY_LEVEL;
    if (level > LAST_SIGNAL) return level;
  }
  return darkest;
}

/**
 * Let `wanted` pixels of a box have a level, changing as few as that takes: such that lie over the
 * edge between a unit of that level and another, here and there. `levels` are of pixels, `units`
 * by place.
 */
export function settleOwn(
  level: number,
  wanted: number,
  box: TileBox,
  areas: AreaShares,
  units: Uint8Array,
  levels: Uint8Array,
  darkest: number,
): void {
  const { left, right, top, bottom } = box;
  let own = 0;
  for (let y = top; y < bottom; y++) {
    const end = y * areas.width + right;
    for (let at = y * areas.width + left; at < end; at++) if (levels[at] === level) own++;
  }
  let rest = Math.abs(wanted - own);
  const more = wanted > own;
  const wide = right - left;
  const pixels = wide * (bottom - top);
  const stride = strideFor(pixels);
  for (const least of [GIVEN_FIRST, NOTHING]) {
    for (let step = 0, place = 0; rest > 0 && step < pixels; step++) {
      place = (place + stride) % pixels;
      const x = left + (place % wide);
      const y = top + Math.floor(place / wide);
      const at = y * areas.width + x;
      const before = levels[at] as number;
      if (more ? before <= LAST_SIGNAL : before !== level) continue;
      const share = areas.at(box, x, y, level, units);
      if ((more ? share : 1 - share) < least) continue;
      levels[at] = more ? level : shadeBeside(levels, areas.width, at, darkest);
      rest--;
    }
  }
}
