/** Places a layer's cells in a view, and limits the zoom. */

import type { Layout } from "../reading/layout";
import type { Placement } from "../ui/placement";
import type { Size, Viewport } from "./viewport";

const MARGIN = 6;
const LARGEST_CELL = 72;
/** A picture whose proportions differ from the view's by more than this is stretched to fill it. */
const STRETCH_FROM = 3;
const WIDEST_SINGLE_CELL = 96;
/** Channels are shown whole while their units are smaller than this and they than that. */
const SMALLEST_ELEMENT = 1;
const SMALLEST_TILE = 24;

/** The whole layer in the view, in CSS pixels. */
export function fitLayout(layout: Layout, view: Size): Placement {
  const width = Math.max(1, view.width - 2 * MARGIN);
  const height = Math.max(1, view.height - 2 * MARGIN);
  let scaleX = width / layout.width;
  let scaleY = height / layout.height;
  const mismatch = Math.max(scaleX / scaleY, scaleY / scaleX);
  if (layout.kind === "mosaic" || mismatch <= STRETCH_FROM) {
    scaleX = Math.min(scaleX, scaleY, WIDEST_SINGLE_CELL);
    scaleY = scaleX;
  }
  scaleX = Math.min(scaleX, WIDEST_SINGLE_CELL);
  scaleY = Math.min(scaleY, WIDEST_SINGLE_CELL);
  return {
    originX: (view.width - layout.width * scaleX) / 2,
    originY: (view.height - layout.height * scaleY) / 2,
    scaleX,
    scaleY,
  };
}

/** Where cells lie after zooming and panning. */
export function placeCells(fit: Placement, { k, x, y }: Viewport): Placement {
  return {
    originX: x + k * fit.originX,
    originY: y + k * fit.originY,
    scaleX: k * fit.scaleX,
    scaleY: k * fit.scaleY,
  };
}

export function scaledPlacement(at: Placement, ratio: number): Placement {
  return {
    originX: at.originX * ratio,
    originY: at.originY * ratio,
    scaleX: at.scaleX * ratio,
    scaleY: at.scaleY * ratio,
  };
}

/** How far to zoom in at most: until a cell is as large as it need be. */
export function mostZoom(fit: Placement): number {
  return Math.max(2, LARGEST_CELL / Math.min(fit.scaleX, fit.scaleY));
}

/** True where a tile is one patch, for its units are too small and there are too many tiles. */
export function showsTiles(layout: Layout, at: Placement): boolean {
  return (
    layout.kind === "mosaic" &&
    Math.min(at.scaleX, at.scaleY) < SMALLEST_ELEMENT &&
    Math.min(layout.tileWidth * at.scaleX, layout.tileHeight * at.scaleY) < SMALLEST_TILE
  );
}
