/** A layer's levels at halved resolutions: each pooled cell keeps the highest, or the mean of shades. */

import type { Layout } from "../reading/layout";
import { EMPTY_LEVEL, LAST_SIGNAL, type Pooling } from "./levels";

/** Tiles of pooled cells, tile after tile; a tile is never pooled with its neighbor. */
interface PooledTiles {
  readonly data: Uint8Array;
  readonly tileWidth: number;
  readonly tileHeight: number;
}

/** The mean of shades; where there are none, the highest of the levels that are no shades. */
export function meanLevel(sum: number, shades: number, others: number): number {
  if (shades > 0) return (sum / shades + 0.5) | 0;
  return Math.min(others, LAST_SIGNAL);
}

/** Where the cells of each pixel begin among those of a row: the cells of a pixel are neighbors. */
export interface Runs {
  readonly first: number;
  readonly last: number;
  /** Of pixel `first + n`, and one more for the end. */
  readonly start: Int32Array;
}

/**
 * Two rows of cells into one of pixels. The maximum of two levels is taken without a branch: levels
 * are as good as random, and a processor that guesses wrong at every other unit takes thrice as long.
 */
export function drawTwoRows(
  data: Uint8Array,
  offset: Int32Array,
  { first, last, start }: Runs,
  within: number,
  upper: number,
  lower: number,
  line: number,
  out: Uint8Array,
): void {
  let column = 0;
  for (let at = first; at <= last; at++) {
    const end = Math.min(start[at - first + 1] as number, within);
    let highest = out[line + at] as number;
    for (; column < end; column++) {
      const place = offset[column] as number;
      let less = highest - (data[upper + place] as number);
      highest -= less & (less >> 31);
      less = highest - (data[lower + place] as number);
      highest -= less & (less >> 31);
    }
    out[line + at] = highest;
  }
}

/** Rows of cells into one of pixels, each the mean of its shades. */
export class RowOfMeans {
  readonly #offset: Int32Array;
  readonly #runs: Runs;
  readonly #sum: Float64Array;
  readonly #shades: Uint32Array;
  /** Levels that are no shades, joined bit by bit. */
  readonly #others: Uint8Array;

  constructor(offset: Int32Array, runs: Runs) {
    this.#offset = offset;
    this.#runs = runs;
    this.#sum = new Float64Array(runs.last + 1);
    this.#shades = new Uint32Array(runs.last + 1);
    this.#others = new Uint8Array(runs.last + 1);
  }

  /** Without a branch on a level, for the reason that `drawTwoRows` has. */
  add(data: Uint8Array, within: number, row: number): void {
    const { first, last, start } = this.#runs;
    const offset = this.#offset;
    let column = 0;
    for (let at = first; at <= last; at++) {
      const end = Math.min(start[at - first + 1] as number, within);
      let sum = 0;
      let shades = 0;
      let others = 0;
      for (; column < end; column++) {
        const level = data[row + (offset[column] as number)] as number;
        const shade = (LAST_SIGNAL - level) >> 31;
        sum += level & shade;
        shades -= shade;
        others |= level & ~shade;
      }
      (this.#sum[at] as number) += sum;
      (this.#shades[at] as number) += shades;
      (this.#others[at] as number) |= others;
    }
  }

  /** Write the means so far, and begin anew. */
  write(out: Uint8Array, line: number): void {
    for (let at = this.#runs.first; at <= this.#runs.last; at++) {
      const [sum, shades, others] = [this.#sum[at], this.#shades[at], this.#others[at]];
      const level = meanLevel(sum as number, shades as number, others as number);
      if (level !== EMPTY_LEVEL) out[line + at] = level;
    }
    this.#sum.fill(0);
    this.#shades.fill(0);
    this.#others.fill(0);
  }
}

export function halve(source: PooledTiles, tiles: number, pooling: Pooling): PooledTiles {
  const { tileWidth: width, tileHeight: height, data } = source;
  const halfWidth = Math.ceil(width / 2);
  const halfHeight = Math.ceil(height / 2);
  const pooled = new Uint8Array(tiles * halfWidth * halfHeight);
  const offset = Int32Array.from({ length: width }, (_, column) => column);
  const start = Int32Array.from({ length: halfWidth + 1 }, (_, at) => Math.min(2 * at, width));
  const runs = { first: 0, last: halfWidth - 1, start };
  const means = pooling === "mean" ? new RowOfMeans(offset, runs) : null;
  // The last row of a grid may be cut short.
  const within = (row: number): number => Math.max(0, Math.min(width, data.length - row));
  for (let line = 0; line < tiles * halfHeight; line++) {
    const y = 2 * (line % halfHeight);
    const upper = (Math.floor(line / halfHeight) * height + y) * width;
    const lower = y + 1 < height ? upper + width : upper;
    const target = line * halfWidth;
    if (means !== null) {
      means.add(data, within(upper), upper);
      if (lower !== upper) means.add(data, within(lower), lower);
      means.write(pooled, target);
    } else {
      drawTwoRows(data, offset, runs, within(lower), upper, lower, target, pooled);
      if (within(lower) < within(upper)) {
        drawTwoRows(data, offset, runs, within(upper), upper, upper, target, pooled);
      }
    }
  }
  return { data: pooled, tileWidth: halfWidth, tileHeight: halfHeight };
}

export class Pyramid {
  readonly layout: Layout;
  readonly pooling: Pooling;
  readonly #levels: PooledTiles[];
  #tiles: Uint8Array | null = null;

  constructor(layout: Layout, levels: Uint8Array, pooling: Pooling) {
    this.layout = layout;
    this.pooling = pooling;
    this.#levels = [{ data: levels, tileWidth: layout.tileWidth, tileHeight: layout.tileHeight }];
  }

  /** Cells pooled 2^depth by 2^depth, made when first asked for. */
  at(depth: number): PooledTiles {
    for (let made = this.#levels.length; made <= depth; made++) {
      const source = this.#levels[made - 1] as PooledTiles;
      this.#levels.push(halve(source, this.layout.tiles, this.pooling));
    }
    return this.#levels[depth] as PooledTiles;
  }

  /** One level a tile: all its units pooled. */
  tiles(): Uint8Array {
    this.#tiles ??= poolTiles(this.at(0).data, this.layout, this.pooling);
    return this.#tiles;
  }
}

function poolTiles(levels: Uint8Array, layout: Layout, pooling: Pooling): Uint8Array {
  const area = layout.tileWidth * layout.tileHeight;
  const pooled = new Uint8Array(layout.tiles);
  for (let tile = 0; tile < layout.tiles; tile++) {
    const end = Math.min((tile + 1) * area, levels.length);
    let highest = EMPTY_LEVEL;
    let sum = 0;
    let shades = 0;
    for (let unit = tile * area; unit < end; unit++) {
      const level = levels[unit] as number;
      if (level > highest) highest = level;
      if (level > LAST_SIGNAL) {
        sum += level;
        shades++;
      }
    }
    pooled[tile] = pooling === "mean" ? meanLevel(sum, shades, highest) : highest;
  }
  return pooled;
}
