/** From a pyramid to the pixels of a view: one level a pixel, no unit left out. */

import { EMPTY_LEVEL } from "./colour";
import type { Pyramid } from "./pooling";

/** Where the cells lie in the view: cell 0 starts at the origin, a cell is `scale` pixels. */
export interface Placement {
  readonly originX: number;
  readonly originY: number;
  readonly scaleX: number;
  readonly scaleY: number;
}

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

/** Cells wider than a pixel: each pixel shows the cell under its centre. */
function spansByPixel(axis: Axis): Spans {
  const pixel = new Int32Array(axis.pixels);
  const offset = new Int32Array(axis.pixels);
  const pitch = axis.tileCells + axis.gap;
  const cellAt = (position: number): number => Math.floor((position - axis.origin) / axis.scale);
  let length = 0;
  for (let at = 0; at < axis.pixels; at++) {
    const cell = cellAt(at + 0.5);
    if (cell < 0 || (axis.lined && cellAt(at + 1.5) !== cell)) continue;
    const tile = Math.floor(cell / pitch);
    const within = cell - tile * pitch;
    if (tile >= axis.tiles || within >= axis.tileCells) continue;
    pixel[length] = at;
    offset[length] = tile * axis.tileStride + within * axis.cellStride;
    length++;
  }
  return { pixel, offset, length };
}

/** Cells narrower than a pixel: each pooled cell goes to the pixel under its centre. */
function spansByCell(axis: Axis): Spans {
  const step = 2 ** axis.depth;
  const pooledCells = Math.ceil(axis.tileCells / step);
  const pixel = new Int32Array(axis.tiles * pooledCells);
  const offset = new Int32Array(axis.tiles * pooledCells);
  const pitch = axis.tileCells + axis.gap;
  let length = 0;
  for (let tile = 0; tile < axis.tiles; tile++) {
    for (let cell = 0; cell < pooledCells; cell++) {
      const start = cell * step;
      const centre = (start + Math.min(start + step, axis.tileCells)) / 2;
      const at = Math.floor(axis.origin + (tile * pitch + centre) * axis.scale);
      if (at < 0 || at >= axis.pixels) continue;
      pixel[length] = at;
      offset[length] = tile * axis.tileStride + cell * axis.cellStride;
      length++;
    }
  }
  return { pixel, offset, length };
}

function spans(axis: Axis): Spans {
  return axis.scale >= 1 ? spansByPixel(axis) : spansByCell(axis);
}

/** Fill `out` (width by height) with levels; EMPTY_LEVEL where no unit lies. */
export function rasterise(
  pyramid: Pyramid,
  placement: Placement,
  width: number,
  height: number,
  out: Uint8Array,
): void {
  const { layout } = pyramid;
  const { originX, originY, scaleX, scaleY } = placement;
  const depth = Math.max(0, Math.floor(-Math.log2(Math.max(scaleX, scaleY))));
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
    gap: layout.gap,
    tileStride: area * layout.across,
    cellStride: tileWidth,
    origin: originY,
    scale: scaleY,
    pixels: height,
    depth,
    lined,
  });
  out.fill(EMPTY_LEVEL);
  let previousOffset = -1;
  let previousLine = 0;
  for (let row = 0; row < rows.length; row++) {
    const line = (rows.pixel[row] as number) * width;
    const rowOffset = rows.offset[row] as number;
    if (rowOffset === previousOffset) {
      out.copyWithin(line, previousLine, previousLine + width);
      continue;
    }
    for (let column = 0; column < columns.length; column++) {
      const source = rowOffset + (columns.offset[column] as number);
      if (source >= data.length) continue;
      const level = data[source] as number;
      const target = line + (columns.pixel[column] as number);
      if (level > (out[target] as number)) out[target] = level;
    }
    previousOffset = rowOffset;
    previousLine = line;
  }
}
