/** How much of each pixel is covered by dead units, and how much by units that are not finite. */

import type { Layout } from "../reading/layout";
import { type Placement, pixelExtent } from "../ui/placement";

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

/** Less of a pixel than this is rounding error of a sum. */
const NOTHING = 1e-3;

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

interface Under {
  readonly begin: number;
  readonly end: number;
}

/** From where to where the cells of a tile lie under a pixel. */
function cellsUnder(cells: number, { from, to }: Side, at: number): Under {
  const perPixel = cells / (to - from);
  return { begin: (at - from) * perPixel, end: Math.min(cells, (at - from + 1) * perPixel) };
}

function overlap({ begin, end }: Under, cell: number): number {
  return Math.min(end, cell + 1) - Math.max(begin, cell);
}

function overlapsOf(cells: number, side: Side): Overlaps {
  const { from, to, first, last } = side;
  const under = new Int32Array(last - first);
  const start = new Int32Array(last - first + 1);
  const parts: number[] = [];
  for (let at = first; at < last; at++) {
    const here = cellsUnder(cells, side, at);
    under[at - first] = Math.floor(here.begin);
    for (let cell = Math.floor(here.begin); cell < here.end; cell++) {
      parts.push((overlap(here, cell) * (to - from)) / cells);
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
      return sum + this.#fillUp(tile, left, top, columns, rows, out);
    });
  }

  /** What share of one pixel units of a level have. */
  at({ tile }: TileBox, x: number, y: number, level: number, levels: Uint8Array): number {
    const { tileWidth, tileHeight, across } = this.#layout;
    const columns = cellsUnder(tileWidth, this.#across[tile % across] as Side, x);
    const rows = cellsUnder(tileHeight, this.#down[Math.floor(tile / across)] as Side, y);
    let sum = 0;
    for (let row = Math.floor(rows.begin); row < rows.end; row++) {
      const line = (tile * tileHeight + row) * tileWidth;
      for (let column = Math.floor(columns.begin); column < columns.end; column++) {
        if (levels[line + column] !== level) continue;
        sum += overlap(rows, row) * overlap(columns, column);
      }
    }
    return sum / ((rows.end - rows.begin) * (columns.end - columns.begin));
  }

  /** Under the last row of a grid, which is cut short, shares are of what there is: by how much more. */
  #fillUp(
    tile: number,
    left: number,
    top: number,
    columns: Overlaps,
    rows: Overlaps,
    out: Float32Array,
  ): number {
    const { units, tileWidth, tileHeight } = this.#layout;
    const filled = units - tile * tileWidth * tileHeight - (tileHeight - 1) * tileWidth;
    let more = 0;
    for (let y = rows.first.length - 1; y >= 0; y--) {
      const end = rows.start[y + 1] as number;
      const lastRow = (rows.first[y] as number) + end - (rows.start[y] as number);
      if (lastRow < tileHeight) break;
      const part = rows.parts[end - 1] as number;
      for (let x = 0; x < columns.first.length; x++) {
        let missing = 0;
        const from = columns.start[x] as number;
        const shift = (columns.first[x] as number) - from;
        for (let entry = from; entry < (columns.start[x + 1] as number); entry++) {
          if (shift + entry >= filled) missing += columns.parts[entry] as number;
        }
        const there = 1 - part * missing;
        if (missing === 0 || there < NOTHING) continue;
        const at = (top + y) * this.width + left + x;
        const share = out[at] as number;
        out[at] = share / there;
        more += share / there - share;
      }
    }
    return more;
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
