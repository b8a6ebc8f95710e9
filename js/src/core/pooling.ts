/** A layer's levels at halved resolutions; each pooled cell keeps the highest level it covers. */

import { EMPTY_LEVEL } from "./colour";
import type { Layout } from "./layout";

/** Tiles of pooled cells, tile after tile; a tile is never pooled with its neighbour. */
export interface PooledTiles {
  readonly data: Uint8Array;
  readonly tileWidth: number;
  readonly tileHeight: number;
}

export function halve(source: PooledTiles, tiles: number): PooledTiles {
  const { tileWidth: width, tileHeight: height, data } = source;
  const halfWidth = Math.ceil(width / 2);
  const halfHeight = Math.ceil(height / 2);
  const pooled = new Uint8Array(tiles * halfWidth * halfHeight).fill(EMPTY_LEVEL);
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

export class Pyramid {
  readonly layout: Layout;
  readonly #levels: PooledTiles[];

  constructor(layout: Layout, levels: Uint8Array) {
    this.layout = layout;
    this.#levels = [{ data: levels, tileWidth: layout.tileWidth, tileHeight: layout.tileHeight }];
  }

  /** Cells pooled 2^depth by 2^depth, made when first asked for. */
  at(depth: number): PooledTiles {
    for (let made = this.#levels.length; made <= depth; made++) {
      this.#levels.push(halve(this.#levels[made - 1] as PooledTiles, this.layout.tiles));
    }
    return this.#levels[depth] as PooledTiles;
  }
}
