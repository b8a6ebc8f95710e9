/** The places of cells in a view of pixels. */

/** Where the cells lie in the view: cell 0 starts at the origin, a cell is `scale` pixels. */
export interface Placement {
  readonly originX: number;
  readonly originY: number;
  readonly scaleX: number;
  readonly scaleY: number;
}

interface PixelSpan {
  readonly from: number;
  readonly to: number;
}

/** Pixels that cells from `start` cover on one axis, at least one, in view or not. */
export function pixelExtent(
  origin: number,
  scale: number,
  start: number,
  cells: number,
): PixelSpan {
  const from = Math.round(origin + start * scale);
  return { from, to: Math.max(from + 1, Math.round(origin + (start + cells) * scale)) };
}

/** Those of them that are in view. */
export function pixelSpan(
  origin: number,
  scale: number,
  start: number,
  cells: number,
  pixels: number,
): PixelSpan {
  const { from, to } = pixelExtent(origin, scale, start, cells);
  return { from: Math.max(0, from), to: Math.min(pixels, to) };
}
