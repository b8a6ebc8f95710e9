/** Rings around lone units, on a canvas of their own: they are no part of the picture's area. */

import { element } from "../ui/dom";
import type { Placement } from "../ui/placement";
import { cssColor, unpackColor } from "./color";
import { LIVE, type LoneUnit, loneUnits } from "./lone_units";
import type { UnitPainter } from "./unit_painter";
import type { UnitPlaces } from "./unit_places";

const RADIUS = 4.5;
const WIDTH = 1.75;
const HALO_WIDTH = 4;

interface RingInks {
  readonly palette: Uint32Array;
  /** Around rings of light colors, and of others. */
  readonly dark: string;
  readonly light: string;
}

export class UnitRings {
  readonly #canvas = element("canvas", {
    class: "iua-canvas iua-rings",
    attributes: { "aria-hidden": "true", hidden: "" },
  });
  lone: readonly LoneUnit[] = [];

  /** Look for lone units in what was painted, and draw rings around them. */
  draw(
    painter: UnitPainter,
    places: UnitPlaces,
    at: Placement,
    ratio: number,
    { palette, dark, light }: RingInks,
  ): void {
    const { layout, levels } = places;
    this.lone = painter.mixed ? loneUnits(painter, layout, levels, at, ratio) : [];
    this.#canvas.hidden = this.lone.length === 0;
    if (this.lone.length === 0) return;
    this.#canvas.width = painter.width;
    this.#canvas.height = painter.height;
    const context = this.#canvas.getContext("2d");
    if (context === null) return;
    for (const { kind, place } of this.lone) {
      const cell = places.cellOf(places.unitIn(place));
      const x = at.originX + (cell.x + 0.5) * at.scaleX;
      const y = at.originY + (cell.y + 0.5) * at.scaleY;
      const color = cssColor(unpackColor(palette[levels[place] as number] as number));
      for (const [width, ink] of [
        [HALO_WIDTH, kind === LIVE ? dark : light],
        [WIDTH, color],
      ] as const) {
        context.beginPath();
        context.arc(x, y, RADIUS * ratio, 0, 2 * Math.PI);
        context.lineWidth = width * ratio;
        context.strokeStyle = ink;
        context.stroke();
      }
    }
  }

  /** The place of the ringed unit at a point in CSS pixels. */
  placeAt(x: number, y: number, places: UnitPlaces, at: Placement): number | null {
    let best: number | null = null;
    let nearest = RADIUS + WIDTH / 2;
    for (const { place } of this.lone) {
      const cell = places.cellOf(places.unitIn(place));
      const dx = at.originX + (cell.x + 0.5) * at.scaleX - x;
      const dy = at.originY + (cell.y + 0.5) * at.scaleY - y;
      if (Math.hypot(dx, dy) >= nearest) continue;
      best = place;
      nearest = Math.hypot(dx, dy);
    }
    return best;
  }

  /** Draw them over a copy of the picture. */
  drawOver(context: CanvasRenderingContext2D): void {
    if (this.lone.length > 0) context.drawImage(this.#canvas, 0, 0);
  }

  node(): HTMLCanvasElement {
    return this.#canvas;
  }
}
