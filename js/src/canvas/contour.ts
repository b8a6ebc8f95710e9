/** Outlines of selected units, drawn in pixels: any number of units, at any zoom. */

import { cellOf, type Layout } from "../reading/layout";
import { type Placement, pixelSpan } from "../ui/placement";

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/**
 * Mark the pixels of units in `mask` (width by height, all zero before), each at least `least`
 * pixels wide and high, and return the box around those in view, or null when there is none.
 */
export function markUnits(
  layout: Layout,
  places: Iterable<number>,
  at: Placement,
  width: number,
  height: number,
  least: number,
  mask: Uint8Array,
): Box | null {
  const box: Box = { left: width, top: height, right: 0, bottom: 0 };
  const growX = Math.max(0, (least / at.scaleX - 1) / 2);
  const growY = Math.max(0, (least / at.scaleY - 1) / 2);
  for (const place of places) {
    const { x, y } = cellOf(layout, place);
    const across = pixelSpan(at.originX, at.scaleX, x - growX, 1 + 2 * growX, width);
    if (across.from >= across.to) continue;
    const down = pixelSpan(at.originY, at.scaleY, y - growY, 1 + 2 * growY, height);
    if (down.from >= down.to) continue;
    for (let row = down.from; row < down.to; row++) {
      mask.fill(1, row * width + across.from, row * width + across.to);
    }
    box.left = Math.min(box.left, across.from);
    box.right = Math.max(box.right, across.to);
    box.top = Math.min(box.top, down.from);
    box.bottom = Math.max(box.bottom, down.to);
  }
  return box.right > box.left ? box : null;
}

/**
 * Draw around what is marked: `ink` inside the edge, `halo` outside it, each `thick` pixels. The
 * edge of the view is no edge.
 */
export function drawContour(
  mask: Uint8Array,
  box: Box,
  width: number,
  height: number,
  thick: number,
  ink: number,
  halo: number,
  pixels: Uint32Array,
): void {
  const fromY = Math.max(0, box.top - thick);
  const toY = Math.min(height, box.bottom + thick);
  const fromX = Math.max(0, box.left - thick);
  const toX = Math.min(width, box.right + thick);
  for (let y = fromY; y < toY; y++) {
    const up = Math.max(0, y - thick) * width;
    const down = Math.min(height - 1, y + thick) * width;
    const line = y * width;
    for (let x = fromX; x < toX; x++) {
      const here = mask[line + x];
      const left = Math.max(0, x - thick);
      const right = Math.min(width - 1, x + thick);
      if (
        mask[up + x] !== here ||
        mask[down + x] !== here ||
        mask[line + left] !== here ||
        mask[line + right] !== here
      ) {
        pixels[line + x] = here === 1 ? ink : halo;
      }
    }
  }
}

export function clearMarks(mask: Uint8Array, box: Box, width: number): void {
  for (let row = box.top; row < box.bottom; row++) {
    mask.fill(0, row * width + box.left, row * width + box.right);
  }
}
