/** A layer's levels at halved resolutions: each pooled cell keeps the highest, or the mean. */

import type { Layout } from "./layout";
import { DEAD, EMPTY_LEVEL, NOT_FINITE, type Pooling, SHADES } from "./levels";

/** Tiles of pooled cells, tile after tile; a tile is never pooled with its neighbour. */
export interface PooledTiles {
  readonly data: Uint8Array;
  readonly tileWidth: number;
  readonly tileHeight: number;
}

/** Beside how many levels went into a sum: that there were units besides which are not finite. */
export const NOT_FINITE_UNIT = 2 ** 24;
const NUMBER = NOT_FINITE_UNIT - 1;

export function joinNumbers(one: number, other: number): number {
  return ((one & NUMBER) + (other & NUMBER)) | ((one | other) & NOT_FINITE_UNIT);
}

/** The mean of levels: dead only where all are dead, not finite where none is finite. */
export function meanLevel(sum: number, number: number): number {
  const finite = number & NUMBER;
  if (finite > 0) {
    const mean = (sum / finite + 0.5) | 0;
    return mean <= SHADES ? mean : sum === finite * DEAD.mean ? DEAD.mean : SHADES;
  }
  return number > 0 ? NOT_FINITE.mean : EMPTY_LEVEL;
}

function halveByMean(source: PooledTiles, tiles: number): PooledTiles {
  const { tileWidth: width, tileHeight: height, data } = source;
  const halfWidth = Math.ceil(width / 2);
  const halfHeight = Math.ceil(height / 2);
  const pooled = new Uint8Array(tiles * halfWidth * halfHeight);
  const sum = new Uint32Array(halfWidth);
  const number = new Uint32Array(halfWidth);
  for (let tile = 0; tile < tiles; tile++) {
    for (let y = 0; y < height; y++) {
      const from = (tile * height + y) * width;
      const end = Math.min(from + width, data.length);
      for (let entry = from; entry < end; entry++) {
        const target = (entry - from) >> 1;
        const level = data[entry] as number;
        if (level === NOT_FINITE.mean) (number[target] as number) |= NOT_FINITE_UNIT;
        else if (level !== EMPTY_LEVEL) {
          (sum[target] as number) += level;
          (number[target] as number)++;
        }
      }
      if (y % 2 === 0 && y < height - 1) continue;
      const to = (tile * halfHeight + (y >> 1)) * halfWidth;
      for (let at = 0; at < halfWidth; at++) {
        pooled[to + at] = meanLevel(sum[at] as number, number[at] as number);
      }
      sum.fill(0);
      number.fill(0);
    }
  }
  return { data: pooled, tileWidth: halfWidth, tileHeight: halfHeight };
}

function halveByHighest(source: PooledTiles, tiles: number): PooledTiles {
  const { tileWidth: width, tileHeight: height, data } = source;
  const halfWidth = Math.ceil(width / 2);
  const halfHeight = Math.ceil(height / 2);
  const pooled = new Uint8Array(tiles * halfWidth * halfHeight);
  for (let tile = 0; tile < tiles; tile++) {
    for (let y = 0; y < height; y++) {
      const from = (tile * height + y) * width;
      const to = (tile * halfHeight + (y >> 1)) * halfWidth;
      const end = Math.min(from + width, data.length);
      for (let entry = from; entry < end; entry++) {
        const target = to + ((entry - from) >> 1);
        const level = data[entry] as number;
        if (level > (pooled[target] as number)) pooled[target] = level;
      }
    }
  }
  return { data: pooled, tileWidth: halfWidth, tileHeight: halfHeight };
}

export function halve(source: PooledTiles, tiles: number, pooling: Pooling): PooledTiles {
  return pooling === "mean" ? halveByMean(source, tiles) : halveByHighest(source, tiles);
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
    let number = 0;
    for (let unit = tile * area; unit < end; unit++) {
      const level = levels[unit] as number;
      if (level > highest) highest = level;
      if (level === NOT_FINITE.mean) number |= NOT_FINITE_UNIT;
      else {
        sum += level;
        number++;
      }
    }
    pooled[tile] = pooling === "mean" ? meanLevel(sum, number) : highest;
  }
  return pooled;
}
