/** The picture of a layer's units: what is shown, how it is moved, and which unit lies at a point. */

import { element, setAttribute } from "../ui/dom";
import { type Click, Gestures } from "./gestures";
import type { Pooling } from "./levels";
import type { LoneUnit } from "./lone_units";
import { PictureOverlays } from "./picture_overlays";
import { type Inks, PicturePaint } from "./picture_paint";
import { type LaidOut, PictureView } from "./picture_view";
import { LEAST_MARK } from "./unit_marks";
import type { Counts } from "./unit_painter";
import { UnitPlaces } from "./unit_places";
import type { SharedPixel } from "./unit_tips";
import type { Point } from "./viewport";

/** A view of more pixels than this is drawn at a lower resolution. */
const PIXELS_MOST = 4_000_000;

export interface UnitPicture extends LaidOut, Counts {
  /** One level a unit, encoded for the rule of pooling. */
  readonly levels: Uint8Array;
  readonly pooling: Pooling;
  /** Units by the place they are drawn in; null where that is their index. */
  readonly order: Uint32Array | null;
}

interface UnitCanvasOptions {
  /** The picture moved or was repainted: what lies under a point may have changed. */
  readonly onPaint: () => void;
  /** The wheel turned without focus or Ctrl, so that the page scrolls. */
  readonly onWheelRefused: () => void;
  readonly onHover: (at: Point | null) => void;
  readonly onClick: (click: Click) => void;
  readonly onDoubleClick: () => void;
  /** A rectangle was drawn around units. */
  readonly onRegion: (corners: readonly [Point, Point]) => void;
}

export class UnitCanvas {
  readonly #options: UnitCanvasOptions;
  readonly #canvas = element("canvas", { class: "iua-canvas", attributes: { tabindex: "0" } });
  readonly view = new PictureView(() => this.#moved());
  readonly #paint = new PicturePaint(this.#canvas);
  readonly #overlays = new PictureOverlays();
  #picture: UnitPicture | null = null;
  #places: UnitPlaces | null = null;
  #selected: readonly number[] = [];
  #outlined: number | null = null;
  #ratio = 1;
  #frame = 0;

  constructor(options: UnitCanvasOptions, signal: AbortSignal) {
    this.#options = options;
    new Gestures(
      this.#canvas,
      {
        allowsWheel: (event) => {
          const allowed = event.ctrlKey || event.metaKey || this.#canvas.matches(":focus");
          if (!allowed) options.onWheelRefused();
          return allowed;
        },
        onWheel: (event, at) => this.view.turnWheel(event, at),
        onPan: (dx, dy) => this.view.panBy(dx, dy),
        onPinch: (before, after) => this.view.pinch(before, after),
        onHover: (at) => options.onHover(at),
        onClick: (click) => options.onClick(click),
        onDoubleClick: () => options.onDoubleClick(),
        onRegion: (corners, done) => {
          this.#overlays.showRegion(done ? null : corners);
          if (done && corners !== null) options.onRegion(corners);
        },
      },
      signal,
    );
    this.#canvas.addEventListener("pointerleave", () => options.onHover(null), { signal });
    signal.addEventListener("abort", () => cancelAnimationFrame(this.#frame), { once: true });
  }

  node(): HTMLCanvasElement {
    return this.#canvas;
  }

  /** What lies over the canvas: rings, the unit pointed at, and a rectangle while it is drawn. */
  overlays(): HTMLElement[] {
    return [this.#paint.rings, ...this.#overlays.nodes()];
  }

  // What is shown.

  /** Show units; the view is kept if asked, while it still fits. */
  show(picture: UnitPicture, keepView: boolean): void {
    this.#picture = picture;
    const anew = this.view.lay(picture);
    this.#placeUnits();
    if (!keepView || anew) this.view.showWhole();
    this.#requestPaint();
  }

  #placeUnits(): void {
    const { layout } = this.view;
    if (this.#picture === null || layout === null) return;
    const { levels, order, pooling } = this.#picture;
    this.#places = new UnitPlaces(layout, levels, order, pooling);
  }

  select(units: readonly number[]): void {
    if (units === this.#selected) return;
    this.#selected = units;
    this.#requestPaint();
  }

  outline(unit: number | null): void {
    if (unit === this.#outlined) return;
    this.#outlined = unit;
    this.#showOutlined();
  }

  #showOutlined(): void {
    const at = this.#outlined === null ? null : this.centerOf(this.#outlined);
    this.#overlays.outline(at, this.view.placement);
  }

  setInks(inks: Inks): void {
    this.#paint.setInks(inks);
    this.#requestPaint();
  }

  #requestPaint(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paintNow();
    });
  }

  #paintNow(): void {
    const [places, picture] = [this.#places, this.#picture];
    if (places === null || picture === null) return;
    const { placement } = this.view;
    if (!this.#paint.paint(places, placement, this.#ratio, picture, this.#selected)) return;
    setAttribute(this.#canvas, "data-rings", String(this.lone().length));
    this.#options.onPaint();
  }

  /** What is in view, painted this much finer than its size, as a data URL. */
  image(ratio: number): string {
    const [{ width, height }, before] = [this.view.size, this.#ratio];
    this.resize(width, height, Math.max(ratio, before));
    const image = this.#paint.copy();
    this.resize(width, height, before);
    return image.toDataURL();
  }

  // What is in view.

  /** Fit the view's size in CSS pixels at a device-pixel ratio; its middle stays in the middle. */
  resize(width: number, height: number, ratio: number): void {
    const bounded = Math.min(ratio, Math.sqrt(PIXELS_MOST / (width * height)));
    const { size } = this.view;
    const sameSize = width === size.width && height === size.height;
    if (sameSize && bounded === this.#ratio) return;
    this.#ratio = bounded;
    const pixels = (length: number): number => Math.max(1, Math.round(length * bounded));
    this.#paint.resize(pixels(width), pixels(height));
    if (!sameSize && this.view.resize({ width, height })) {
      this.#placeUnits();
      this.view.showWhole();
    }
    this.#paintNow();
  }

  #moved(): void {
    const { zoom } = this.view;
    setAttribute(this.#canvas, "data-zoom", zoom.toFixed(3));
    // While the whole layer is shown, one finger scrolls the page.
    this.#canvas.classList.toggle("iua-zoomed", zoom > 1);
    this.#showOutlined();
    this.#requestPaint();
  }

  /** The whole layer, in as many columns as fit the view best now. */
  reset(): void {
    this.view.layAnew();
    this.#placeUnits();
    this.view.showWhole();
  }

  reveal(unit: number): void {
    const at = this.centerOf(unit);
    if (at !== null) this.view.panTo(at);
  }

  /** What one patch of color stands for. */
  grain(): "unit" | "pixel" | "channel" {
    return this.view.grain(this.#ratio);
  }

  /** What is ringed: units of a kind that would else be overlooked. */
  lone(): readonly LoneUnit[] {
    return this.#paint.lone;
  }

  // Which unit lies where.

  /** The unit at a point; where several share it, one that is ringed, or else the foremost. */
  unitAt(point: Point): number | null {
    const places = this.#places;
    if (places === null) return null;
    const at = this.view.placement;
    const cell = this.view.cellAt(point);
    const ringed = this.#paint.ringedAt(point.x, point.y, places, at);
    if (ringed !== null) return places.unitIn(ringed);
    if (this.grain() === "channel") return places.inChannelAt(cell);
    if (Math.min(at.scaleX, at.scaleY) >= 1) return places.at(cell);
    const reach = {
      x: Math.max(1, LEAST_MARK / at.scaleX),
      y: Math.max(1, LEAST_MARK / at.scaleY),
    };
    const from = { x: cell.x - reach.x / 2, y: cell.y - reach.y / 2 };
    return places.within(from, { x: from.x + reach.x, y: from.y + reach.y });
  }

  /** What shares the pixel at a point. */
  sharedAt(point: Point): SharedPixel {
    const step = 1 / this.#ratio;
    const left = Math.floor(point.x / step) * step;
    const top = Math.floor(point.y / step) * step;
    const from = this.view.cellAt({ x: left, y: top });
    const to = this.view.cellAt({ x: left + step, y: top + step });
    return this.#places?.shared(from, to) ?? { units: 0, signals: [] };
  }

  /** Units within a rectangle between two points, the first `most` of them. */
  unitsBetween([a, b]: readonly [Point, Point], most: number): { units: number[]; total: number } {
    const from = this.view.cellAt({ x: Math.min(a.x, b.x), y: Math.min(a.y, b.y) });
    const to = this.view.cellAt({ x: Math.max(a.x, b.x), y: Math.max(a.y, b.y) });
    return this.#places?.between(from, to, most) ?? { units: [], total: 0 };
  }

  centerOf(unit: number): Point | null {
    if (this.#places === null) return null;
    const { originX, originY, scaleX, scaleY } = this.view.placement;
    const cell = this.#places.cellOf(unit);
    return { x: originX + (cell.x + 0.5) * scaleX, y: originY + (cell.y + 0.5) * scaleY };
  }

  /** The unit next to one in a direction, across gaps; itself at the edge. */
  neighbor(unit: number, dx: number, dy: number): number {
    return this.#places?.neighbor(unit, dx, dy) ?? unit;
  }

  /** Where the keyboard begins: the unit in the middle, or the first while all are shown. */
  firstInView(): number {
    const first = this.#places?.unitIn(0) ?? 0;
    return this.view.zoom === 1 ? first : (this.unitAt(this.view.middle) ?? first);
  }
}
