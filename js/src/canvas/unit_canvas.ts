/** The picture of a layer's units: painting, zoom, pan, and which unit lies under a point. */

import { type Layout, layoutUnits } from "../reading/layout";
import { element, setAttribute } from "../ui/dom";
import type { Placement } from "../ui/placement";
import { fitLayout, mostZoom, placeCells, scaledPlacement, showsTiles } from "./cell_placement";
import {
  buildPalette,
  type ColorMap,
  cssColor,
  packColor,
  type Signals,
  unpackColor,
} from "./color";
import { type Box, clearMarks, drawContour, markUnits } from "./contour";
import { type Click, Gestures } from "./gestures";
import { DEAD, NOT_FINITE, type Pooling } from "./levels";
import type { LoneUnit } from "./lone_units";
import { crossOut, LEAST_MARK, labelTiles, numberUnits } from "./unit_marks";
import { UnitPainter } from "./unit_painter";
import { UnitPlaces } from "./unit_places";
import { UnitRings } from "./unit_rings";
import type { SharedPixel } from "./unit_tips";
import {
  clampViewport,
  type Point,
  panned,
  pinched,
  type Viewport,
  WHOLE,
  wheelFactor,
  zoomAbout,
} from "./viewport";

/** A view of more pixels than this is drawn at a lower resolution. */
const PIXELS_MOST = 4_000_000;

/** Until then the size of a view that is new on its page is not settled. */
const SETTLED_AFTER_MS = 250;

export interface UnitPicture {
  readonly layer: string;
  readonly shape: readonly number[];
  /** One level a unit, encoded for the rule of pooling. */
  readonly levels: Uint8Array;
  readonly pooling: Pooling;
  /** Units by the place they are drawn in; null where that is their index. */
  readonly order: Uint32Array | null;
  /** Units or channels a row; null for as many as fit best. */
  readonly across: number | null;
  /** How many units are so. */
  readonly notFinite: number;
  readonly dead: number;
}

export interface Inks {
  readonly map: ColorMap;
  readonly signals: Signals;
  readonly text: string;
  readonly outline: Signals["ground"];
  readonly halo: Signals["ground"];
  readonly font: string;
}

export interface UnitCanvasOptions {
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
  readonly #rings = new UnitRings();
  readonly #hovered = element("div", { class: "iua-hovered", attributes: { hidden: "" } });
  readonly #region = element("div", { class: "iua-region", attributes: { hidden: "" } });
  #view: Viewport = WHOLE;
  #picture: UnitPicture | null = null;
  #layout: Layout | null = null;
  #fit: Placement = { originX: 0, originY: 0, scaleX: 1, scaleY: 1 };
  #places: UnitPlaces | null = null;
  #painter: UnitPainter | null = null;
  /** Units or channels a row by layer: they change only when that is asked for. */
  readonly #kept = new Map<string, number>();
  #laidAt = 0;
  #selected: readonly number[] = [];
  #inks: Inks | null = null;
  #palette: Uint32Array | null = null;
  #width = 0;
  #height = 0;
  #ratio = 1;
  #frame = 0;
  #outlined: number | null = null;
  #image: ImageData | null = null;
  #mask = new Uint8Array();

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
        onWheel: (event, at) => this.#zoomAt(at, wheelFactor(event, this.#height)),
        onPan: (dx, dy) => this.panBy(dx, dy),
        onPinch: (before, after) => this.#move(pinched(this.#view, before, after, this.#mostK())),
        onHover: (at) => options.onHover(at),
        onClick: (click) => options.onClick(click),
        onDoubleClick: () => options.onDoubleClick(),
        onRegion: (corners, done) => this.#drawRegion(corners, done),
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
    return [this.#rings.node(), this.#hovered, this.#region];
  }

  /** Show units; the view is kept if asked, while it still fits. */
  show(picture: UnitPicture, keepView: boolean): void {
    const before = this.#picture;
    const sameLayer =
      before?.layer === picture.layer && before.shape.join() === picture.shape.join();
    const sameLayout = this.#layout !== null && sameLayer && before.across === picture.across;
    if (before?.pooling !== picture.pooling) this.#palette = null;
    this.#picture = picture;
    if (!sameLayout) this.#lay(sameLayer);
    this.#pool();
    if (!keepView || !sameLayout) this.showWhole();
    this.requestPaint();
  }

  #pool(): void {
    if (this.#picture === null || this.#layout === null) return;
    const { levels, order, pooling } = this.#picture;
    this.#places = new UnitPlaces(this.#layout, levels, order, pooling);
  }

  select(units: readonly number[]): void {
    if (units === this.#selected) return;
    this.#selected = units;
    this.requestPaint();
  }

  setInks(inks: Inks): void {
    this.#inks = inks;
    this.#palette = null;
    this.requestPaint();
  }

  /** Fit the view's size in CSS pixels at a device-pixel ratio; its middle stays in the middle. */
  resize(width: number, height: number, ratio: number): void {
    const bounded = Math.min(ratio, Math.sqrt(PIXELS_MOST / (width * height)));
    const sameSize = width === this.#width && height === this.#height;
    if (sameSize && bounded === this.#ratio) return;
    const middle = this.#cellAt({ x: this.#width / 2, y: this.#height / 2 });
    this.#width = width;
    this.#height = height;
    this.#ratio = bounded;
    this.#canvas.width = Math.max(1, Math.round(width * bounded));
    this.#canvas.height = Math.max(1, Math.round(height * bounded));
    this.#painter = null;
    this.#image = null;
    if (!sameSize) {
      const settled = performance.now() - this.#laidAt > SETTLED_AFTER_MS;
      if (this.#layout === null || (!settled && this.#view.k === 1)) {
        this.#lay(this.#layout !== null);
        this.#pool();
        this.showWhole();
      } else {
        this.#fit = fitLayout(this.#layout, { width, height });
        this.#showInMiddle(middle);
      }
    }
    this.paint();
  }

  /** Lay out, in as many columns as before if there are any to keep. */
  #lay(anew: boolean): void {
    const picture = this.#picture;
    if (picture === null || this.#width === 0 || this.#height === 0) return;
    const { layer, shape } = picture;
    const key = `${layer} ${shape.join()}`;
    if (anew) this.#kept.delete(key);
    const across = picture.across ?? this.#kept.get(key) ?? null;
    const size = { width: this.#width, height: this.#height };
    this.#layout = layoutUnits(shape, size.width / size.height, across);
    this.#fit = fitLayout(this.#layout, size);
    if (!anew) this.#laidAt = performance.now();
    this.#kept.set(key, this.across() as number);
  }

  #cellAt({ x, y }: Point): Point {
    const { originX, originY, scaleX, scaleY } = this.#placement();
    return { x: (x - originX) / scaleX, y: (y - originY) / scaleY };
  }

  #showInMiddle(cell: Point): void {
    const k = Math.min(this.#view.k, this.#mostK());
    const { originX, originY, scaleX, scaleY } = this.#fit;
    this.#move({
      k,
      x: this.#width / 2 - k * (originX + cell.x * scaleX),
      y: this.#height / 2 - k * (originY + cell.y * scaleY),
    });
  }

  #placement(): Placement {
    return placeCells(this.#fit, this.#view);
  }

  #mostK(): number {
    return mostZoom(this.#fit);
  }

  #move(view: Viewport): void {
    const size = { width: this.#width, height: this.#height };
    this.#view = clampViewport(view, size, this.#mostK());
    setAttribute(this.#canvas, "data-zoom", this.#view.k.toFixed(3));
    // While the whole layer is shown, one finger scrolls the page.
    this.#canvas.classList.toggle("iua-zoomed", this.#view.k > 1);
    this.#placeHovered();
    this.requestPaint();
  }

  #zoomAt(at: Point, factor: number): void {
    this.#move(zoomAbout(this.#view, at, factor, this.#mostK()));
  }

  zoomBy(factor: number): void {
    this.#zoomAt({ x: this.#width / 2, y: this.#height / 2 }, factor);
  }

  panBy(dx: number, dy: number): void {
    this.#move(panned(this.#view, dx, dy));
  }

  showWhole(): void {
    this.#move(WHOLE);
  }

  /** The whole layer, in as many columns as fit the view best now. */
  reset(): void {
    this.#lay(true);
    this.#pool();
    this.showWhole();
  }

  /** How many units or channels are in a row as it is drawn. */
  across(): number | null {
    if (this.#layout === null) return null;
    return this.#layout.kind === "mosaic" ? this.#layout.across : this.#layout.width;
  }

  /** What one patch of color stands for. */
  grain(): "unit" | "pixel" | "channel" {
    if (this.#layout === null) return "unit";
    const at = this.#placement();
    if (showsTiles(this.#layout, at)) return "channel";
    return Math.min(at.scaleX, at.scaleY) * this.#ratio < 1 ? "pixel" : "unit";
  }

  /** The unit at a point; where several share it, one that is ringed, or else the foremost. */
  unitAt(point: Point): number | null {
    const places = this.#places;
    if (places === null) return null;
    const at = this.#placement();
    const cell = this.#cellAt(point);
    const ringed = this.#rings.placeAt(point.x, point.y, places, at);
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
    const to = this.#cellAt({ x: left + step, y: top + step });
    return this.#places?.shared(this.#cellAt({ x: left, y: top }), to) ?? { units: 0, dead: 0 };
  }

  /** What is ringed: units of a kind that would else be overlooked. */
  lone(): readonly LoneUnit[] {
    return this.#rings.lone;
  }

  /** Units within a rectangle between two points, the first `most` of them. */
  unitsBetween([a, b]: readonly [Point, Point], most: number): { units: number[]; total: number } {
    const from = this.#cellAt({ x: Math.min(a.x, b.x), y: Math.min(a.y, b.y) });
    const to = this.#cellAt({ x: Math.max(a.x, b.x), y: Math.max(a.y, b.y) });
    return this.#places?.between(from, to, most) ?? { units: [], total: 0 };
  }

  centerOf(unit: number): Point | null {
    if (this.#places === null) return null;
    const { originX, originY, scaleX, scaleY } = this.#placement();
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
    if (this.#view.k === 1) return first;
    return this.unitAt({ x: this.#width / 2, y: this.#height / 2 }) ?? first;
  }

  reveal(unit: number): void {
    const at = this.centerOf(unit);
    if (at === null) return;
    const out = (value: number, size: number): number =>
      value < 0 ? -value + size / 4 : value > size ? size - value - size / 4 : 0;
    const dx = out(at.x, this.#width);
    const dy = out(at.y, this.#height);
    if (dx !== 0 || dy !== 0) this.panBy(dx, dy);
  }

  outline(unit: number | null): void {
    if (unit === this.#outlined) return;
    this.#outlined = unit;
    this.#placeHovered();
  }

  #placeHovered(): void {
    const at = this.#outlined === null ? null : this.centerOf(this.#outlined);
    this.#hovered.hidden = at === null;
    if (at === null) return;
    const { scaleX, scaleY } = this.#placement();
    const width = Math.max(scaleX, 4);
    const height = Math.max(scaleY, 4);
    const { style } = this.#hovered;
    style.width = `${width}px`;
    style.height = `${height}px`;
    style.transform = `translate(${at.x - width / 2}px, ${at.y - height / 2}px)`;
  }

  #drawRegion(corners: readonly [Point, Point] | null, done: boolean): void {
    this.#region.hidden = corners === null || done;
    if (corners === null) return;
    const [a, b] = corners;
    const { style } = this.#region;
    style.width = `${Math.abs(a.x - b.x)}px`;
    style.height = `${Math.abs(a.y - b.y)}px`;
    style.transform = `translate(${Math.min(a.x, b.x)}px, ${Math.min(a.y, b.y)}px)`;
    if (done) this.#options.onRegion(corners);
  }

  /** What is in view, painted this much finer than its size, as a data URL. */
  image(ratio: number): string {
    const [width, height, before] = [this.#width, this.#height, this.#ratio];
    this.resize(width, height, Math.max(ratio, before));
    const both = element("canvas");
    both.width = this.#canvas.width;
    both.height = this.#canvas.height;
    const context = both.getContext("2d");
    if (context !== null) {
      context.drawImage(this.#canvas, 0, 0);
      this.#rings.drawOver(context);
    }
    this.resize(width, height, before);
    return both.toDataURL();
  }

  requestPaint(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.paint();
    });
  }

  paint(): void {
    const { width, height } = this.#canvas;
    const context = this.#canvas.getContext("2d");
    const [places, picture, inks] = [this.#places, this.#picture, this.#inks];
    if (places === null || picture === null || inks === null || context === null) return;
    if (this.#image === null) {
      this.#image = context.createImageData(width, height);
      this.#mask = new Uint8Array(0);
    }
    this.#painter ??= new UnitPainter(width, height);
    this.#palette ??= buildPalette(inks.map, inks.signals, picture.pooling);
    const css = this.#placement();
    const at = scaledPlacement(css, this.#ratio);
    this.#painter.paint(places.pyramid, css, at, picture);
    const pixels = new Uint32Array(this.#image.data.buffer);
    const palette = this.#palette;
    const drawn = this.#painter.levels;
    for (let pixel = 0; pixel < pixels.length; pixel++) {
      pixels[pixel] = palette[drawn[pixel] as number] as number;
    }
    if (picture.notFinite > 0) this.#hatch(pixels, width, inks.signals.ground);
    this.#outlineSelected(places, at, pixels, width, height, inks);
    context.putImageData(this.#image, 0, 0);
    this.#mark(context, places, at, inks);
    this.#rings.draw(this.#painter, places, at, this.#ratio, {
      palette,
      dark: cssColor(inks.outline),
      light: cssColor(inks.halo),
    });
    setAttribute(this.#canvas, "data-rings", String(this.#rings.lone.length));
    this.#options.onPaint();
  }

  /** Not finite is a pattern, so that it is told apart without its color too. */
  #hatch(pixels: Uint32Array, width: number, ground: Signals["ground"]): void {
    const drawn = (this.#painter as UnitPainter).levels;
    const other = packColor(ground);
    const step = Math.max(1, Math.round(2 * this.#ratio));
    for (let pixel = 0; pixel < pixels.length; pixel++) {
      if (drawn[pixel] !== NOT_FINITE) continue;
      const stripe = (pixel % width) + Math.floor(pixel / width);
      if (Math.floor(stripe / step) % 2 === 1) pixels[pixel] = other;
    }
  }

  #outlineSelected(
    places: UnitPlaces,
    at: Placement,
    pixels: Uint32Array,
    width: number,
    height: number,
    inks: Inks,
  ): void {
    if (this.#selected.length === 0) return;
    if (this.#mask.length !== pixels.length) this.#mask = new Uint8Array(pixels.length);
    const selected = places.placesOf(this.#selected);
    const least = Math.round(LEAST_MARK * this.#ratio);
    const box: Box | null = markUnits(
      places.layout,
      selected,
      at,
      width,
      height,
      least,
      this.#mask,
    );
    if (box === null) return;
    const thick = Math.max(1, Math.round(1.5 * this.#ratio));
    const ink = packColor(inks.outline);
    const halo = packColor(inks.halo);
    drawContour(this.#mask, box, width, height, thick, ink, halo, pixels);
    clearMarks(this.#mask, box, width);
  }

  #mark(context: CanvasRenderingContext2D, places: UnitPlaces, at: Placement, inks: Inks): void {
    const { layout, levels } = places;
    const marked = { layout, at, ratio: this.#ratio, levels };
    const palette = this.#palette as Uint32Array;
    labelTiles(context, marked, inks.font, inks.text);
    crossOut(context, marked, DEAD);
    const unitOf = (place: number): number => places.unitIn(place);
    const inkOf = (level: number): string => inkOn(palette[level] as number);
    const hatched = { level: NOT_FINITE, color: cssColor(inks.signals.notFinite) };
    numberUnits(context, marked, inks.font, unitOf, inkOf, hatched);
  }
}

/** Black or white, whichever is legible on a packed color. */
function inkOn(packed: number): string {
  const [red, green, blue] = unpackColor(packed);
  return 0.3 * red + 0.59 * green + 0.11 * blue > 140 ? "#11161d" : "#ffffff";
}
