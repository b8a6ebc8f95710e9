/** The picture of a layer's units: painting, zoom, pan, and which unit lies under a point. */

import { select } from "d3-selection";
import {
  type D3ZoomEvent,
  type ZoomBehavior,
  type ZoomTransform,
  zoom,
  zoomIdentity,
} from "d3-zoom";
import { buildPalette, DEAD_LEVEL, parseHex, type Rgb } from "../core/colour";
import { type Cell, cellOf, highestUnitIn, type Layout, layoutUnits, unitAt } from "../core/layout";
import { Pyramid } from "../core/pooling";
import { type Placement, rasterise } from "../core/raster";
import { element, setAttribute } from "./dom";

const MARGIN = 6;
const LARGEST_CELL = 72;
/** A matrix whose proportions differ from the view's by more than this is stretched to fill it. */
const STRETCH_FROM = 3;
const CROSS_FROM = 16;
const CROSSES_MOST = 4000;
const WIDEST_SINGLE_CELL = 96;
/** Dead units this few are drawn at least this large, in CSS pixels. */
const LONE_DEAD_MOST = 64;
const LONE_DEAD_SIZE = 4;

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface UnitCanvasOptions {
  /** The picture moved or was repainted: what lies under a point may have changed. */
  readonly onPaint: () => void;
  /** The wheel turned without focus or Ctrl, so that the page scrolls. */
  readonly onWheelRefused: () => void;
}

/** The dead units when they are few, none when they are many. */
function fewDead(levels: Uint8Array): number[] {
  const dead: number[] = [];
  for (
    let unit = levels.indexOf(DEAD_LEVEL);
    unit >= 0;
    unit = levels.indexOf(DEAD_LEVEL, unit + 1)
  ) {
    if (dead.length === LONE_DEAD_MOST) return [];
    dead.push(unit);
  }
  return dead;
}

export class UnitCanvas {
  readonly #options: UnitCanvasOptions;
  readonly #canvas = element("canvas", { class: "iua-canvas", attributes: { tabindex: "0" } });
  readonly #zoom: ZoomBehavior<HTMLCanvasElement, unknown>;
  #transform: ZoomTransform = zoomIdentity;
  #shape: readonly number[] | null = null;
  #levels: Uint8Array = new Uint8Array();
  #loneDead: readonly number[] = [];
  #layout: Layout | null = null;
  #pyramid: Pyramid | null = null;
  #palette: Uint32Array = new Uint32Array();
  #outlineColour = "";
  #deadColour = "";
  #width = 0;
  #height = 0;
  #ratio = 1;
  #frame = 0;
  #outlined: number | null = null;

  constructor(options: UnitCanvasOptions, signal: AbortSignal) {
    this.#options = options;
    this.#zoom = zoom<HTMLCanvasElement, unknown>()
      .filter((event: Event) => this.#allows(event))
      .on("zoom", (event: D3ZoomEvent<HTMLCanvasElement, unknown>) => {
        this.#transform = event.transform;
        setAttribute(this.#canvas, "data-zoom", event.transform.k.toFixed(3));
        this.requestPaint();
      });
    const selection = select<HTMLCanvasElement, unknown>(this.#canvas)
      .call(this.#zoom)
      .on("dblclick.zoom", () => this.reset());
    this.#canvas.addEventListener(
      "pointerdown",
      () => this.#canvas.focus({ preventScroll: true }),
      { signal },
    );
    signal.addEventListener(
      "abort",
      () => {
        selection.on(".zoom", null);
        cancelAnimationFrame(this.#frame);
      },
      { once: true },
    );
  }

  #allows(event: Event): boolean {
    if (event instanceof WheelEvent) {
      const allowed = event.ctrlKey || event.metaKey || this.#canvas.matches(":focus");
      if (!allowed) this.#options.onWheelRefused();
      return allowed;
    }
    if (event instanceof MouseEvent) return event.button === 0 && !event.ctrlKey;
    return true;
  }

  node(): HTMLCanvasElement {
    return this.#canvas;
  }

  /** Show units of this shape at these levels; the view is kept while the shape is. */
  setUnits(shape: readonly number[], levels: Uint8Array, keepView: boolean): void {
    const sameShape = this.#shape !== null && this.#shape.join() === shape.join();
    this.#shape = shape;
    this.#levels = levels;
    this.#loneDead = fewDead(levels);
    if (sameShape && this.#layout !== null) this.#pyramid = new Pyramid(this.#layout, levels);
    else this.#lay();
    if (!keepView || !sameShape) this.reset();
    this.requestPaint();
  }

  setColours(ground: string, dead: string, outline: string): void {
    const rgb = (text: string, fallback: Rgb): Rgb =>
      /^#[0-9a-f]{6}$/i.test(text) ? parseHex(text) : fallback;
    this.#palette = buildPalette(rgb(ground, [228, 231, 236]), rgb(dead, [232, 64, 42]));
    this.#outlineColour = outline;
    this.#deadColour = dead;
    this.requestPaint();
  }

  /** Fit the view's size in CSS pixels at a device-pixel ratio. */
  resize(width: number, height: number, ratio: number): void {
    if (width === this.#width && height === this.#height && ratio === this.#ratio) return;
    this.#width = width;
    this.#height = height;
    this.#ratio = ratio;
    this.#canvas.width = Math.max(1, Math.round(width * ratio));
    this.#canvas.height = Math.max(1, Math.round(height * ratio));
    const before = this.#layout;
    this.#lay();
    if (before?.width !== this.#layout?.width || before?.height !== this.#layout?.height) {
      this.reset();
    }
    this.paint();
  }

  #lay(): void {
    if (this.#shape === null || this.#width === 0 || this.#height === 0) return;
    this.#layout = layoutUnits(this.#shape, this.#width / this.#height);
    this.#pyramid = new Pyramid(this.#layout, this.#levels);
    const { scaleX, scaleY } = this.#fit(this.#layout);
    const most = Math.max(2, LARGEST_CELL / Math.min(scaleX, scaleY));
    const box: [[number, number], [number, number]] = [
      [0, 0],
      [this.#width, this.#height],
    ];
    this.#zoom.scaleExtent([1, most]).extent(box).translateExtent(box);
  }

  /** The whole layer in the view, in CSS pixels. */
  #fit(layout: Layout): Placement {
    const width = Math.max(1, this.#width - 2 * MARGIN);
    const height = Math.max(1, this.#height - 2 * MARGIN);
    let scaleX = width / layout.width;
    let scaleY = height / layout.height;
    const mismatch = Math.max(scaleX / scaleY, scaleY / scaleX);
    if (layout.kind !== "matrix" || mismatch <= STRETCH_FROM) {
      scaleX = Math.min(scaleX, scaleY, WIDEST_SINGLE_CELL);
      scaleY = scaleX;
    }
    return {
      originX: (this.#width - layout.width * scaleX) / 2,
      originY: (this.#height - layout.height * scaleY) / 2,
      scaleX,
      scaleY,
    };
  }

  /** Where cells lie now, in CSS pixels. */
  #placement(layout: Layout): Placement {
    const fit = this.#fit(layout);
    const { k, x, y } = this.#transform;
    return {
      originX: x + k * fit.originX,
      originY: y + k * fit.originY,
      scaleX: k * fit.scaleX,
      scaleY: k * fit.scaleY,
    };
  }

  /** True when several units share a pixel. */
  pooled(): boolean {
    if (this.#layout === null) return false;
    const { scaleX, scaleY } = this.#placement(this.#layout);
    return Math.min(scaleX, scaleY) * this.#ratio < 1;
  }

  unitAt(point: Point): number | null {
    if (this.#layout === null) return null;
    const { originX, originY, scaleX, scaleY } = this.#placement(this.#layout);
    const x = (point.x - originX) / scaleX;
    const y = (point.y - originY) / scaleY;
    if (Math.min(scaleX, scaleY) >= 1) return unitAt(this.#layout, x, y);
    const reach = {
      x: Math.max(1, LONE_DEAD_SIZE / scaleX),
      y: Math.max(1, LONE_DEAD_SIZE / scaleY),
    };
    const from = { x: Math.max(0, x - reach.x / 2), y: Math.max(0, y - reach.y / 2) };
    return highestUnitIn(this.#layout, this.#levels, from, {
      x: from.x + reach.x,
      y: from.y + reach.y,
    });
  }

  centreOf(unit: number): Point | null {
    if (this.#layout === null) return null;
    const { originX, originY, scaleX, scaleY } = this.#placement(this.#layout);
    const cell = cellOf(this.#layout, unit);
    return { x: originX + (cell.x + 0.5) * scaleX, y: originY + (cell.y + 0.5) * scaleY };
  }

  /** The unit next to one in a direction, across gaps; itself at the edge. */
  neighbour(unit: number, dx: number, dy: number): number {
    if (this.#layout === null) return unit;
    const cell: Cell = cellOf(this.#layout, unit);
    for (let step = 1; step <= this.#layout.gap + 1; step++) {
      const x = cell.x + dx * step + 0.5;
      const y = cell.y + dy * step + 0.5;
      const found = unitAt(this.#layout, x, y);
      if (found !== null) return found;
    }
    return unit;
  }

  reveal(unit: number): void {
    const at = this.centreOf(unit);
    if (at === null) return;
    const out = (value: number, size: number): number =>
      value < 0 ? -value + size / 4 : value > size ? size - value - size / 4 : 0;
    const dx = out(at.x, this.#width);
    const dy = out(at.y, this.#height);
    if (dx !== 0 || dy !== 0) this.panBy(dx, dy);
  }

  zoomBy(factor: number): void {
    this.#zoom.scaleBy(select<HTMLCanvasElement, unknown>(this.#canvas), factor);
  }

  panBy(dx: number, dy: number): void {
    const { k } = this.#transform;
    this.#zoom.translateBy(select<HTMLCanvasElement, unknown>(this.#canvas), dx / k, dy / k);
  }

  reset(): void {
    this.#zoom.transform(select<HTMLCanvasElement, unknown>(this.#canvas), zoomIdentity);
  }

  outline(unit: number | null): void {
    if (unit === this.#outlined) return;
    this.#outlined = unit;
    this.requestPaint();
  }

  /** What is in view, painted this much finer than its size, as a data URL. */
  image(ratio: number): string {
    const [width, height, before] = [this.#width, this.#height, this.#ratio];
    this.resize(width, height, Math.max(ratio, before));
    const image = this.#canvas.toDataURL();
    this.resize(width, height, before);
    return image;
  }

  requestPaint(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.paint();
    });
  }

  paint(): void {
    const layout = this.#layout;
    const context = this.#canvas.getContext("2d");
    if (layout === null || this.#pyramid === null || context === null) return;
    if (this.#palette.length === 0) return;
    const { width, height } = this.#canvas;
    const css = this.#placement(layout);
    const placement: Placement = {
      originX: css.originX * this.#ratio,
      originY: css.originY * this.#ratio,
      scaleX: css.scaleX * this.#ratio,
      scaleY: css.scaleY * this.#ratio,
    };
    const picture = new Uint8Array(width * height);
    rasterise(this.#pyramid, placement, width, height, picture);
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let at = 0; at < pixels.length; at++) {
      pixels[at] = this.#palette[picture[at] as number] as number;
    }
    context.putImageData(image, 0, 0);
    this.#enlargeDead(context, layout, placement);
    this.#crossDead(context, layout, placement);
    this.#drawOutline(context, layout, placement);
    this.#options.onPaint();
  }

  /** A few dead units among very many are not to be overlooked. */
  #enlargeDead(context: CanvasRenderingContext2D, layout: Layout, at: Placement): void {
    const least = LONE_DEAD_SIZE * this.#ratio;
    if (Math.min(at.scaleX, at.scaleY) >= least) return;
    const width = Math.max(least, at.scaleX);
    const height = Math.max(least, at.scaleY);
    context.fillStyle = this.#deadColour;
    for (const unit of this.#loneDead) {
      const cell = cellOf(layout, unit);
      const x = at.originX + (cell.x + 0.5) * at.scaleX;
      const y = at.originY + (cell.y + 0.5) * at.scaleY;
      context.fillRect(Math.round(x - width / 2), Math.round(y - height / 2), width, height);
    }
  }

  /** A second sign of death beside colour, once cells are large enough to carry it. */
  #crossDead(context: CanvasRenderingContext2D, layout: Layout, at: Placement): void {
    const size = Math.min(at.scaleX, at.scaleY);
    if (size < CROSS_FROM * this.#ratio) return;
    const { width, height } = this.#canvas;
    const fromX = Math.max(0, Math.floor(-at.originX / at.scaleX));
    const fromY = Math.max(0, Math.floor(-at.originY / at.scaleY));
    const toX = Math.min(layout.width, Math.ceil((width - at.originX) / at.scaleX));
    const toY = Math.min(layout.height, Math.ceil((height - at.originY) / at.scaleY));
    if ((toX - fromX) * (toY - fromY) > CROSSES_MOST) return;
    const arm = Math.min(size * 0.18, 7 * this.#ratio);
    context.beginPath();
    for (let y = fromY; y < toY; y++) {
      for (let x = fromX; x < toX; x++) {
        const unit = unitAt(layout, x + 0.5, y + 0.5);
        if (unit === null || this.#levels[unit] !== DEAD_LEVEL) continue;
        const centreX = at.originX + (x + 0.5) * at.scaleX;
        const centreY = at.originY + (y + 0.5) * at.scaleY;
        context.moveTo(centreX - arm, centreY - arm);
        context.lineTo(centreX + arm, centreY + arm);
        context.moveTo(centreX - arm, centreY + arm);
        context.lineTo(centreX + arm, centreY - arm);
      }
    }
    context.lineWidth = 1.5 * this.#ratio;
    context.strokeStyle = "rgb(255 255 255 / 0.9)";
    context.stroke();
  }

  #drawOutline(context: CanvasRenderingContext2D, layout: Layout, at: Placement): void {
    if (this.#outlined === null || this.#outlined >= layout.units) return;
    const cell = cellOf(layout, this.#outlined);
    const grow = Math.max(1.5, (5 - Math.min(at.scaleX, at.scaleY)) / 2);
    const x = at.originX + cell.x * at.scaleX - grow;
    const y = at.originY + cell.y * at.scaleY - grow;
    const width = at.scaleX + 2 * grow - 1;
    const height = at.scaleY + 2 * grow - 1;
    context.lineWidth = 3 * this.#ratio;
    context.strokeStyle = "rgb(255 255 255 / 0.85)";
    context.strokeRect(x, y, width, height);
    context.lineWidth = 1.5 * this.#ratio;
    context.strokeStyle = this.#outlineColour;
    context.strokeRect(x, y, width, height);
  }
}
