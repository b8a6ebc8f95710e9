/** What share of each pixel's area is of dead units, or of such that are not finite. */

import type { Layout } from "./layout";
import { type Placement, pixelExtent } from "./placement";

/** The pixels of a tile that are in view. */
export interface TileBox {
  readonly tile: number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  /** Whether that is all of the tile. */
  readonly whole: boolean;
}

interface Side {
  readonly from: number;
  readonly to: number;
  readonly first: number;
  readonly last: number;
}

function sides(
  tiles: number,
  cells: number,
  gap: number,
  origin: number,
  scale: number,
  pixels: number,
): Side[] {
  return Array.from({ length: tiles }, (_, at) => {
    const { from, to } = pixelExtent(origin, scale, at * (cells + gap), cells);
    return { from, to, first: Math.max(0, from), last: Math.min(pixels, to) };
  });
}

/** Which cells lie under the pixels of a tile on one axis, and with what part of a pixel each. */
interface Overlaps {
  /** Of each pixel in view. */
  readonly first: Int32Array;
  /** Of each pixel in view, and one more for the end; into `parts`. */
  readonly start: Int32Array;
  readonly parts: Float64Array;
}

function overlapsOf(cells: number, { from, to, first, last }: Side): Overlaps {
  const pixels = to - from;
  const under = new Int32Array(last - first);
  const start = new Int32Array(last - first + 1);
  const parts: number[] = [];
  for (let at = first; at < last; at++) {
    const begin = ((at - from) * cells) / pixels;
    const end = ((at - from + 1) * cells) / pixels;
    under[at - first] = Math.floor(begin);
    for (let cell = Math.floor(begin); cell < Math.min(end, cells); cell++) {
      parts.push(((Math.min(end, cell + 1) - Math.max(begin, cell)) * pixels) / cells);
    }
    start[at - first + 1] = parts.length;
  }
  return { first: under, start, parts: Float64Array.from(parts) };
}

export class AreaShares {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly TileBox[];
  readonly #layout: Layout;
  readonly #across: readonly Side[];
  readonly #down: readonly Side[];
  readonly #overlaps = new Map<string, Overlaps>();

  constructor(layout: Layout, at: Placement, width: number, height: number) {
    this.width = width;
    this.height = height;
    this.#layout = layout;
    const { tileWidth, tileHeight, gap, rowGap, across, tiles } = layout;
    const rows = Math.ceil(tiles / across);
    this.#across = sides(across, tileWidth, gap, at.originX, at.scaleX, width);
    this.#down = sides(rows, tileHeight, rowGap, at.originY, at.scaleY, height);
    const boxes: TileBox[] = [];
    for (const [row, down] of this.#down.entries()) {
      if (down.first >= down.last) continue;
      for (const [column, side] of this.#across.entries()) {
        const tile = row * across + column;
        if (side.first >= side.last || tile >= tiles) continue;
        boxes.push({
          tile,
          left: side.first,
          right: side.last,
          top: down.first,
          bottom: down.last,
          whole:
            side.first === side.from &&
            side.last === side.to &&
            down.first === down.from &&
            down.last === down.to,
        });
      }
    }
    this.boxes = boxes;
  }

  #overlapsOf(cells: number, side: Side): Overlaps {
    const { from, to, first, last } = side;
    const key = `${cells} ${to - from} ${first - from} ${last - from}`;
    let overlaps = this.#overlaps.get(key);
    if (overlaps === undefined) {
      overlaps = overlapsOf(cells, side);
      this.#overlaps.set(key, overlaps);
    }
    return overlaps;
  }

  /**
   * Write into `out` what share of each pixel units of a level have, and return the sum in each box;
   * `levels` are by place.
   */
  of(level: number, levels: Uint8Array, out: Float32Array): Float64Array {
    out.fill(0);
    const { tileWidth, tileHeight, across } = this.#layout;
    const area = tileWidth * tileHeight;
    const counted = new Uint8Array(256);
    counted[level] = 1;
    return Float64Array.from(this.boxes, ({ tile, left, right, top, bottom }) => {
      const columns = this.#overlapsOf(tileWidth, this.#across[tile % across] as Side);
      const rows = this.#overlapsOf(tileHeight, this.#down[Math.floor(tile / across)] as Side);
      const line = new Float64Array(right - left);
      let before = -1;
      let inLine = 0;
      let sum = 0;
      for (let y = 0; y < bottom - top; y++) {
        const start = (top + y) * this.width + left;
        const first = rows.first[y] as number;
        const end = rows.start[y + 1] as number;
        for (let entry = rows.start[y] as number; entry < end; entry++) {
          const row = first + entry - (rows.start[y] as number);
          if (row !== before) {
            before = row;
            inLine = drawLine(columns, levels, tile * area + row * tileWidth, counted, line);
          }
          if (inLine === 0) continue;
          const part = rows.parts[entry] as number;
          sum += part * inLine;
          for (let x = 0; x < line.length; x++) {
            (out[start + x] as number) += part * (line[x] as number);
          }
        }
      }
      if ((tile + 1) * area <= levels.length) return sum;
      return this.#ofPart(tile, left, top, columns, rows, out);
    });
  }

  /** Under the last row of a grid, which may be cut short, a share is of what there is. */
  #ofPart(
    tile: number,
    left: number,
    top: number,
    columns: Overlaps,
    rows: Overlaps,
    out: Float32Array,
  ): number {
    const { units, tileWidth, tileHeight } = this.#layout;
    const filled = units - tile * tileWidth * tileHeight - (tileHeight - 1) * tileWidth;
    let sum = 0;
    for (const [y, firstRow] of rows.first.entries()) {
      const end = rows.start[y + 1] as number;
      const cut = firstRow + end - (rows.start[y] as number) === tileHeight;
      const part = cut ? (rows.parts[end - 1] as number) : 0;
      for (const [x, firstColumn] of columns.first.entries()) {
        const at = (top + y) * this.width + left + x;
        let missing = 0;
        if (part > 0) {
          const from = columns.start[x] as number;
          for (let entry = from; entry < (columns.start[x + 1] as number); entry++) {
            if (firstColumn + entry - from >= filled) missing += columns.parts[entry] as number;
          }
        }
        const there = 1 - part * missing;
        if (there > 1e-3) (out[at] as number) /= there;
        sum += out[at] as number;
      }
    }
    return sum;
  }
}

/** One row of cells, and its sum. */
function drawLine(
  { first, start, parts }: Overlaps,
  levels: Uint8Array,
  row: number,
  counted: Uint8Array,
  line: Float64Array,
): number {
  let all = 0;
  for (let x = 0; x < line.length; x++) {
    const from = start[x] as number;
    const end = start[x + 1] as number;
    const cell = row + (first[x] as number) - from;
    let sum = 0;
    for (let entry = from; entry < end && cell + entry < levels.length; entry++) {
      sum += (parts[entry] as number) * (counted[levels[cell + entry] as number] as number);
    }
    line[x] = sum;
    all += sum;
  }
  return all;
}
