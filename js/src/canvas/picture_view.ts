/** The part of a layer that is in view: its layout, the size of the view, zoom and pan. */

import { type Layout, layoutUnits } from "../reading/layout";
import type { Placement } from "../ui/placement";
import { fitLayout, mostZoom, placeCells, showsTiles } from "./cell_placement";
import {
  clampViewport,
  type Point,
  panned,
  pinched,
  type Size,
  type Viewport,
  WHOLE,
  type Wheel,
  wheelFactor,
  zoomAbout,
} from "./viewport";

/** Until then the size of a view that is new on its page is not settled. */
const SETTLED_AFTER_MS = 250;

export interface LaidOut {
  readonly layer: string;
  readonly shape: readonly number[];
  /** Units or channels a row; null for as many as fit best. */
  readonly across: number | null;
}

export class PictureView {
  readonly #onMove: () => void;
  /** Units or channels a row by layer: they change only when that is asked for. */
  readonly #kept = new Map<string, number>();
  #units: LaidOut | null = null;
  #layout: Layout | null = null;
  #laidAt = 0;
  #fit: Placement = { originX: 0, originY: 0, scaleX: 1, scaleY: 1 };
  #viewport: Viewport = WHOLE;
  #size: Size = { width: 0, height: 0 };

  constructor(onMove: () => void) {
    this.#onMove = onMove;
  }

  get layout(): Layout | null {
    return this.#layout;
  }

  /** In CSS pixels. */
  get size(): Size {
    return this.#size;
  }

  get zoom(): number {
    return this.#viewport.k;
  }

  get middle(): Point {
    return { x: this.#size.width / 2, y: this.#size.height / 2 };
  }

  get placement(): Placement {
    return placeCells(this.#fit, this.#viewport);
  }

  /** How many units or channels are in a row. */
  get across(): number | null {
    if (this.#layout === null) return null;
    return this.#layout.kind === "mosaic" ? this.#layout.across : this.#layout.width;
  }

  /** What one patch of color stands for where a CSS pixel has `ratio` pixels. */
  grain(ratio: number): "unit" | "pixel" | "channel" {
    if (this.#layout === null) return "unit";
    const at = this.placement;
    if (showsTiles(this.#layout, at)) return "channel";
    return Math.min(at.scaleX, at.scaleY) * ratio < 1 ? "pixel" : "unit";
  }

  cellAt({ x, y }: Point): Point {
    const { originX, originY, scaleX, scaleY } = this.placement;
    return { x: (x - originX) / scaleX, y: (y - originY) / scaleY };
  }

  /** Lay units out; false where they are laid out so already. */
  lay(units: LaidOut): boolean {
    const before = this.#units;
    const sameLayer = before?.layer === units.layer && before.shape.join() === units.shape.join();
    const same = this.#layout !== null && sameLayer && before.across === units.across;
    this.#units = units;
    if (!same) this.#layOut(sameLayer);
    return !same;
  }

  /** Lay out in as many columns as fit best now. */
  layAnew(): void {
    this.#layOut(true);
  }

  /** Take another size; true where the units are laid out anew in it. */
  resize(size: Size): boolean {
    const middle = this.cellAt(this.middle);
    this.#size = size;
    const settled = performance.now() - this.#laidAt > SETTLED_AFTER_MS;
    if (this.#layout === null || (!settled && this.#viewport.k === 1)) {
      this.#layOut(this.#layout !== null);
      return true;
    }
    this.#fit = fitLayout(this.#layout, size);
    this.#showInMiddle(middle);
    return false;
  }

  /** In as many columns as before, if there are any to keep and they are not to be found anew. */
  #layOut(anew: boolean): void {
    const { width, height } = this.#size;
    if (this.#units === null || width === 0 || height === 0) return;
    const { layer, shape, across } = this.#units;
    const key = `${layer} ${shape.join()}`;
    if (anew) this.#kept.delete(key);
    this.#layout = layoutUnits(shape, width / height, across ?? this.#kept.get(key) ?? null);
    this.#fit = fitLayout(this.#layout, this.#size);
    if (!anew) this.#laidAt = performance.now();
    this.#kept.set(key, this.across as number);
  }

  #showInMiddle(cell: Point): void {
    const k = Math.min(this.#viewport.k, this.#mostZoom);
    const { originX, originY, scaleX, scaleY } = this.#fit;
    const { x, y } = this.middle;
    this.#move({
      k,
      x: x - k * (originX + cell.x * scaleX),
      y: y - k * (originY + cell.y * scaleY),
    });
  }

  get #mostZoom(): number {
    return mostZoom(this.#fit);
  }

  #move(viewport: Viewport): void {
    this.#viewport = clampViewport(viewport, this.#size, this.#mostZoom);
    this.#onMove();
  }

  zoomBy(factor: number, at: Point = this.middle): void {
    this.#move(zoomAbout(this.#viewport, at, factor, this.#mostZoom));
  }

  turnWheel(wheel: Wheel, at: Point): void {
    this.zoomBy(wheelFactor(wheel, this.#size.height), at);
  }

  pinch(before: readonly [Point, Point], after: readonly [Point, Point]): void {
    this.#move(pinched(this.#viewport, before, after, this.#mostZoom));
  }

  panBy(dx: number, dy: number): void {
    this.#move(panned(this.#viewport, dx, dy));
  }

  showWhole(): void {
    this.#move(WHOLE);
  }

  /** Pan so far that a point is in view, a quarter of the view from its edge where it was not. */
  panTo({ x, y }: Point): void {
    const out = (value: number, size: number): number =>
      value < 0 ? -value + size / 4 : value > size ? size - value - size / 4 : 0;
    const dx = out(x, this.#size.width);
    const dy = out(y, this.#size.height);
    if (dx !== 0 || dy !== 0) this.panBy(dx, dy);
  }
}
