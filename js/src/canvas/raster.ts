/** Rasterizes a pyramid: one level a pixel, pooled from all units under it. */

import { type Layout, tileCell } from "../reading/layout";
import { type Placement, pixelExtent, pixelSpan } from "../ui/placement";
import { EMPTY_LEVEL } from "./levels";
import { drawTwoRows, type Pyramid, RowOfMeans, type Runs } from "./pooling";

/** Cells at least this many pixels wide get a line between them. */
export const GRID_LINE_FROM = 7;

interface Axis {
  readonly tiles: number;
  readonly tileCells: number;
  readonly gap: number;
  readonly tileStride: number;
  readonly cellStride: number;
  readonly origin: number;
  readonly scale: number;
  readonly pixels: number;
  readonly depth: number;
  readonly lined: boolean;
}

/** Pairs (pixel, offset into the pooled data) of what an axis shows, by ascending pixel. */
interface Spans {
  readonly pixel: Int32Array;
  readonly offset: Int32Array;
  readonly length: number;
}

/**
 * A tile has whole pixels. Cells wider than a pixel: each pixel shows the cell under its center;
 * narrower: each pooled cell goes to the pixel under its own.
 */
function spans(axis: Axis): Spans {
  const { tiles, tileCells, depth } = axis;
  const step = 2 ** depth;
  const pooledCells = Math.ceil(tileCells / step);
  const most = axis.pixels + tiles * pooledCells;
  const pixel = new Int32Array(most);
  const offset = new Int32Array(most);
  let length = 0;
  const add = (at: number, tile: number, cell: number): void => {
    pixel[length] = at;
    offset[length] = tile * axis.tileStride + cell * axis.cellStride;
    length++;
  };
  for (let tile = 0; tile < tiles; tile++) {
    const start = tile * (tileCells + axis.gap);
    const { from, to } = pixelExtent(axis.origin, axis.scale, start, tileCells);
    const perPixel = tileCells / (to - from);
    if (perPixel <= 1) {
      const cellAt = (at: number): number => Math.floor((at - from + 0.5) * perPixel);
      for (let at = Math.max(0, from); at < Math.min(axis.pixels, to); at++) {
        const cell = cellAt(at);
        if (axis.lined && cellAt(at + 1) !== cell) continue;
        add(at, tile, Math.floor(cell / step));
      }
    } else {
      for (let cell = 0; cell < pooledCells; cell++) {
        const center = (cell * step + Math.min((cell + 1) * step, tileCells)) / 2;
        const at = from + Math.floor(center / perPixel);
        if (at >= 0 && at < axis.pixels) add(at, tile, cell);
      }
    }
  }
  return { pixel, offset, length };
}

/** Up to this many cells are pooled anew for each picture; more, from cells pooled before. */
const CELLS_AT_ONCE = 1_500_000;

/** How often to halve: seldom enough that a pooled cell is no larger than a pixel. */
export function depthFor(layout: Layout, at: Placement, width: number, height: number): number {
  const seen =
    Math.min(layout.width, width / at.scaleX) * Math.min(layout.height, height / at.scaleY);
  // A tile has whole pixels, so that its cells may be a little larger than the scale says.
  const largest = Math.max(at.scaleX + 1 / layout.tileWidth, at.scaleY + 1 / layout.tileHeight);
  const most = Math.floor(-Math.log2(largest));
  const wanted = Math.ceil(Math.log2(seen / CELLS_AT_ONCE) / 2);
  return Math.max(0, Math.min(most, wanted));
}

/** Fill `out` (width by height) with levels; EMPTY_LEVEL where no unit lies. */
export function rasterize(
  pyramid: Pyramid,
  placement: Placement,
  width: number,
  height: number,
  out: Uint8Array,
): void {
  const { layout } = pyramid;
  const { originX, originY, scaleX, scaleY } = placement;
  const depth = depthFor(layout, placement, width, height);
  const { data, tileWidth, tileHeight } = pyramid.at(depth);
  const area = tileWidth * tileHeight;
  const lined = Math.min(scaleX, scaleY) >= GRID_LINE_FROM;
  const columns = spans({
    tiles: layout.across,
    tileCells: layout.tileWidth,
    gap: layout.gap,
    tileStride: area,
    cellStride: 1,
    origin: originX,
    scale: scaleX,
    pixels: width,
    depth,
    lined,
  });
  const rows = spans({
    tiles: Math.ceil(layout.tiles / layout.across),
    tileCells: layout.tileHeight,
    gap: layout.rowGap,
    tileStride: area * layout.across,
    cellStride: tileWidth,
    origin: originY,
    scale: scaleY,
    pixels: height,
    depth,
    lined,
  });
  out.fill(EMPTY_LEVEL);
  // A cell alone in its pixel needs no mean.
  if (pyramid.pooling === "mean" && Math.min(scaleX, scaleY) < 1) {
    drawMeans(data, columns, rows, width, out);
  } else drawHighest(data, columns, rows, width, out);
}

/** How many of the columns, which ascend, hold data in a row. */
function columnsWithin(columns: Spans, rowOffset: number, length: number): number {
  let within = columns.length;
  while (within > 0 && rowOffset + (columns.offset[within - 1] as number) >= length) within--;
  return within;
}

function runsOf({ pixel, length }: Spans): Runs {
  if (length === 0) return { first: 0, last: -1, start: new Int32Array(1) };
  const first = pixel[0] as number;
  const last = pixel[length - 1] as number;
  const start = new Int32Array(last - first + 2);
  let column = 0;
  for (let at = first; at <= last; at++) {
    while (column < length && (pixel[column] as number) < at) column++;
    start[at - first] = column;
  }
  start[last - first + 1] = length;
  return { first, last, start };
}

function drawHighest(
  data: Uint8Array,
  columns: Spans,
  rows: Spans,
  width: number,
  out: Uint8Array,
): void {
  const runs = runsOf(columns);
  let previousOffset = -1;
  let previousLine = 0;
  for (let row = 0; row < rows.length; row++) {
    const pixel = rows.pixel[row] as number;
    const line = pixel * width;
    const rowOffset = rows.offset[row] as number;
    if (rowOffset === previousOffset) {
      out.copyWithin(line, previousLine, previousLine + width);
      continue;
    }
    const draw = (within: number, upper: number, lower: number): void =>
      drawTwoRows(data, columns.offset, runs, within, upper, lower, line, out);
    const within = columnsWithin(columns, rowOffset, data.length);
    previousOffset = rowOffset;
    if (row + 1 < rows.length && rows.pixel[row + 1] === pixel) {
      row++;
      previousOffset = rows.offset[row] as number;
      const alike = columnsWithin(columns, previousOffset, data.length);
      draw(alike, rowOffset, previousOffset);
      if (alike < within) draw(within, rowOffset, rowOffset);
    } else draw(within, rowOffset, rowOffset);
    previousLine = line;
  }
}

function drawMeans(
  data: Uint8Array,
  columns: Spans,
  rows: Spans,
  width: number,
  out: Uint8Array,
): void {
  const means = new RowOfMeans(columns.offset, runsOf(columns));
  for (let row = 0; row < rows.length; row++) {
    const rowOffset = rows.offset[row] as number;
    means.add(data, columnsWithin(columns, rowOffset, data.length), rowOffset);
    const line = rows.pixel[row] as number;
    if (row + 1 < rows.length && rows.pixel[row + 1] === line) continue;
    means.write(out, line * width);
  }
}

/** Fill `out` with each tile in one level, where its units would be too small to be told apart. */
export function rasterizeTiles(
  pyramid: Pyramid,
  placement: Placement,
  width: number,
  height: number,
  out: Uint8Array,
): void {
  const { layout } = pyramid;
  const levels = pyramid.tiles();
  out.fill(EMPTY_LEVEL);
  for (let tile = 0; tile < layout.tiles; tile++) {
    const { x, y } = tileCell(layout, tile);
    const from = pixelSpan(placement.originX, placement.scaleX, x, layout.tileWidth, width);
    const rows = pixelSpan(placement.originY, placement.scaleY, y, layout.tileHeight, height);
    const level = levels[tile] as number;
    for (let row = rows.from; row < rows.to; row++) {
      const line = row * width;
      for (let at = line + from.from; at < line + from.to; at++) {
        if (level > (out[at] as number)) out[at] = level;
      }
    }
  }
}
