/** The parts of the plot of shares over the tolerance, drawn on a canvas in CSS pixels. */

import type { Size } from "../canvas/viewport";
import { formatTolerance } from "../reading/format";
import { decades, ticks } from "../reading/scale";
import type { PlotStyle } from "../ui/plot_style";
import { type AllCurves, type InForce, type LayerCurve, placeOfShare } from "./share_curves";

/** In CSS pixels; the style sheet lays the sliders over the same edges. */
const LEFT = 44;
const RIGHT = 16;
const TOP = 8;
const BOTTOM = 18;
const TICK_PIXELS = 74;
/** Stops that lie closer are not marked one by one. */
const STOP_PIXELS = 5;

export class CurvePlot {
  readonly #size: Size;
  readonly #stops: readonly number[];
  readonly #style: PlotStyle;

  constructor(size: Size, stops: readonly number[], style: PlotStyle) {
    this.#size = size;
    this.#stops = stops;
    this.#style = style;
  }

  get #inner(): number {
    return this.#size.width - LEFT - RIGHT;
  }

  #x(place: number): number {
    return LEFT + (place / Math.max(1, this.#stops.length - 1)) * this.#inner;
  }

  #y(share: number): number {
    return TOP + (1 - share) * (this.#size.height - TOP - BOTTOM);
  }

  /** Axes, and where counts are exact. */
  drawFrame(context: CanvasRenderingContext2D): void {
    context.font = this.#style.font;
    context.lineWidth = 1;
    context.strokeStyle = this.#style.line;
    context.fillStyle = this.#style.muted;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const share of [0, 0.5, 1]) {
      const y = Math.round(this.#y(share)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, y);
      context.lineTo(this.#size.width - RIGHT, y);
      context.stroke();
      if (share > 0) context.fillText(`${100 * share} %`, LEFT - 8, y);
    }
    this.#drawStops(context);
    context.textBaseline = "alphabetic";
    const base = this.#size.height - 4;
    context.fillStyle = this.#style.text;
    context.fillText("atol", LEFT - 8, base);
    context.fillStyle = this.#style.muted;
    context.textAlign = "center";
    const gap = TICK_PIXELS / Math.max(TICK_PIXELS, this.#inner);
    for (const { stop, position } of ticks(this.#stops, gap)) {
      context.fillText(formatTolerance(stop), LEFT + position * this.#inner, base);
    }
  }

  #drawStops(context: CanvasRenderingContext2D): void {
    const stops = this.#stops;
    const base = Math.round(this.#y(0)) + 1;
    const last = Math.max(1, stops.length - 1);
    const mark = (position: number, length: number): void => {
      context.fillRect(Math.round(LEFT + position * this.#inner), base, 1, length);
    };
    context.fillStyle = this.#style.muted;
    context.globalAlpha = 0.55;
    if (this.#inner / last >= STOP_PIXELS) {
      for (let place = 0; place < stops.length; place++) mark(place / last, 2);
    }
    for (const position of decades(stops)) mark(position, 4);
    context.globalAlpha = 1;
  }

  #trace(context: CanvasRenderingContext2D, curve: Float64Array): void {
    context.beginPath();
    for (let place = 0; place < curve.length; place++) {
      context.lineTo(this.#x(place), this.#y(curve[place] as number));
    }
  }

  #fillBetween(context: CanvasRenderingContext2D, low: Float64Array, high: Float64Array): void {
    context.beginPath();
    for (let place = 0; place < low.length; place++) {
      context.lineTo(this.#x(place), this.#y(low[place] as number));
    }
    for (let place = high.length - 1; place >= 0; place--) {
      context.lineTo(this.#x(place), this.#y(high[place] as number));
    }
    context.closePath();
    context.fill();
  }

  /** All layers, as lines or as bands. */
  drawAll(context: CanvasRenderingContext2D, all: AllCurves): void {
    if (all.kind === "lines") {
      context.strokeStyle = this.#style.bar;
      context.globalAlpha = 0.45;
      for (const curve of all.curves) {
        this.#trace(context, curve);
        context.stroke();
      }
    } else {
      const [least, first, third, most] = all.curves as [
        Float64Array,
        Float64Array,
        Float64Array,
        Float64Array,
      ];
      context.fillStyle = this.#style.bar;
      context.globalAlpha = 0.16;
      this.#fillBetween(context, least, most);
      context.globalAlpha = 0.28;
      this.#fillBetween(context, first, third);
    }
    context.globalAlpha = 1;
  }

  /** The layer on show: inactive units, and dead ones. */
  drawCurve(context: CanvasRenderingContext2D, curve: LayerCurve): void {
    context.lineJoin = "round";
    context.lineWidth = 1.5;
    context.strokeStyle = this.#style.dead;
    context.setLineDash([4, 3]);
    this.#trace(context, curve.dead);
    context.stroke();
    context.setLineDash([]);
    context.lineWidth = 2;
    context.strokeStyle = this.#style.accent;
    this.#trace(context, curve.inactive);
    context.stroke();
  }

  /** The handle at atol; from it a line along which rtol takes the threshold, to a ring on the curve. */
  drawInForce(
    context: CanvasRenderingContext2D,
    curve: LayerCurve,
    { inactive: [low, high], atol, threshold }: InForce,
  ): void {
    const handle = this.#x(atol);
    const reached = this.#x(threshold ?? Math.max(atol, placeOfShare(curve.inactive, low)));
    const y = this.#y(low);
    context.strokeStyle = this.#style.text;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(Math.round(handle) + 0.5, TOP - 6);
    context.lineTo(Math.round(handle) + 0.5, this.#y(0));
    context.stroke();
    context.strokeStyle = this.#style.accent;
    if (high > low) {
      context.lineWidth = 5;
      context.lineCap = "round";
      context.beginPath();
      context.moveTo(reached, y);
      context.lineTo(reached, this.#y(high));
      context.stroke();
      context.lineCap = "butt";
    }
    context.fillStyle = this.#style.ground;
    context.lineWidth = 2;
    if (reached > handle + 1) {
      context.setLineDash([2, 2]);
      context.beginPath();
      context.moveTo(handle, y);
      context.lineTo(reached, y);
      context.stroke();
      context.setLineDash([]);
      this.#dot(context, reached, y, 4);
    }
    context.fillStyle = this.#style.accent;
    context.strokeStyle = this.#style.ground;
    this.#dot(context, handle, y, 6.5);
  }

  #dot(context: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}
