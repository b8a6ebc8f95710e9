/** Draws the share of inactive units over the tolerance, and where the tolerances in force are on it. */

import { formatTolerance } from "../reading/format";
import { decades, ticks } from "../reading/scale";
import type { TableSnapshot } from "../reading/snapshot";
import { element } from "../ui/dom";
import {
  type AllCurves,
  allCurves,
  type InForce,
  type LayerCurve,
  layerCurve,
  placeOfShare,
} from "./share_curves";

interface Style {
  readonly font: string;
  readonly text: string;
  readonly muted: string;
  readonly line: string;
  readonly ground: string;
  readonly accent: string;
  readonly bar: string;
  readonly dead: string;
}

/** In CSS pixels; the style sheet lays the sliders over the same edges. */
const LEFT = 44;
const RIGHT = 16;
const TOP = 8;
const BOTTOM = 18;
const LARGEST_TYPE = 12;
const TICK_PIXELS = 74;
/** Stops that lie closer are not marked one by one. */
const STOP_PIXELS = 5;

export class ToleranceCurve {
  readonly #node = element("canvas", {
    class: "iua-curve-canvas",
    attributes: { "aria-hidden": "true" },
  });
  /** All but what is in force: drawn anew only when it changes, not in a step of the slider. */
  readonly #still = element("canvas");
  #stillFits = false;
  #table: TableSnapshot | null = null;
  #layer = -1;
  #deadAt = 1;
  #curve: LayerCurve | null = null;
  #all: AllCurves | null = null;
  #inForce: InForce | null = null;
  #width = 0;
  #height = 0;
  #style: Style | null = null;

  constructor(signal: AbortSignal) {
    // What the page has laid out is read here only: in a step of the slider it would cost a layout.
    const observer = new ResizeObserver(() => {
      this.#width = this.#node.clientWidth;
      this.#height = this.#node.clientHeight;
      this.#stillFits = false;
      this.#draw();
    });
    observer.observe(this.#node);
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  }

  /** `inForce` is null where nothing of the layer has been counted. */
  update(
    table: TableSnapshot | null,
    layer: number,
    deadShare: number,
    inForce: InForce | null,
  ): void {
    const changed = table !== this.#table;
    if (changed) this.#all = table === null ? null : allCurves(table);
    if (changed || layer !== this.#layer || deadShare !== this.#deadAt) {
      this.#curve = table === null || inForce === null ? null : layerCurve(table, layer, deadShare);
      this.#stillFits = false;
    }
    this.#table = table;
    this.#layer = layer;
    this.#deadAt = deadShare;
    this.#inForce = inForce;
    this.#draw();
  }

  /** Draw again with the colors of the page as they are now. */
  recolor(): void {
    this.#style = null;
    this.#stillFits = false;
    this.#draw();
  }

  #styles(): Style {
    if (this.#style === null) {
      const style = getComputedStyle(this.#node);
      const color = (name: string): string => style.getPropertyValue(`--iua-${name}`).trim();
      this.#style = {
        font: `${Math.min(LARGEST_TYPE, 11 * (Number(color("type")) || 1))}px ${style.fontFamily}`,
        text: color("text"),
        muted: color("muted"),
        line: color("line"),
        ground: color("ground"),
        accent: color("accent"),
        bar: color("bar"),
        dead: color("dead"),
      };
    }
    return this.#style;
  }

  #draw(): void {
    const context = this.#node.getContext("2d");
    if (this.#width === 0 || this.#height === 0 || context === null) return;
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [this.#width, this.#height].map((size) => Math.round(size * ratio)) as [
      number,
      number,
    ];
    if (this.#node.width !== wide || this.#node.height !== high) {
      this.#node.width = wide;
      this.#node.height = high;
      this.#stillFits = false;
    }
    const style = this.#styles();
    if (!this.#stillFits) this.#drawStill(ratio, style);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, wide, high);
    context.drawImage(this.#still, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.#curve === null || this.#inForce === null) return;
    this.#drawInForce(context, this.#curve, this.#inForce, style);
  }

  #drawStill(ratio: number, style: Style): void {
    const context = this.#still.getContext("2d");
    if (context === null) return;
    this.#stillFits = true;
    this.#still.width = this.#node.width;
    this.#still.height = this.#node.height;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#drawFrame(context, this.#table?.stops ?? [], style);
    if (this.#all !== null) this.#drawAll(context, this.#all, style);
    if (this.#curve !== null) this.#drawCurve(context, this.#curve, style);
  }

  get #inner(): number {
    return this.#width - LEFT - RIGHT;
  }

  #x(place: number): number {
    const last = Math.max(1, (this.#table?.stops.length ?? 1) - 1);
    return LEFT + (place / last) * this.#inner;
  }

  #y(share: number): number {
    return TOP + (1 - share) * (this.#height - TOP - BOTTOM);
  }

  #drawFrame(context: CanvasRenderingContext2D, stops: readonly number[], style: Style): void {
    context.font = style.font;
    context.lineWidth = 1;
    context.strokeStyle = style.line;
    context.fillStyle = style.muted;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const share of [0, 0.5, 1]) {
      const y = Math.round(this.#y(share)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, y);
      context.lineTo(this.#width - RIGHT, y);
      context.stroke();
      if (share > 0) context.fillText(`${100 * share} %`, LEFT - 8, y);
    }
    this.#drawStops(context, stops, style);
    context.textBaseline = "alphabetic";
    const base = this.#height - 4;
    context.fillStyle = style.text;
    context.fillText("atol", LEFT - 8, base);
    context.fillStyle = style.muted;
    context.textAlign = "center";
    const gap = TICK_PIXELS / Math.max(TICK_PIXELS, this.#inner);
    for (const { stop, position } of ticks(stops, gap)) {
      context.fillText(formatTolerance(stop), LEFT + position * this.#inner, base);
    }
  }

  /** Where counts are exact. */
  #drawStops(context: CanvasRenderingContext2D, stops: readonly number[], style: Style): void {
    const base = Math.round(this.#y(0)) + 1;
    const last = Math.max(1, stops.length - 1);
    const mark = (position: number, length: number): void => {
      context.fillRect(Math.round(LEFT + position * this.#inner), base, 1, length);
    };
    context.fillStyle = style.muted;
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

  #drawAll(context: CanvasRenderingContext2D, all: AllCurves, style: Style): void {
    if (all.kind === "lines") {
      context.strokeStyle = style.bar;
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
      context.fillStyle = style.bar;
      context.globalAlpha = 0.16;
      this.#fillBetween(context, least, most);
      context.globalAlpha = 0.28;
      this.#fillBetween(context, first, third);
    }
    context.globalAlpha = 1;
  }

  #drawCurve(context: CanvasRenderingContext2D, curve: LayerCurve, style: Style): void {
    context.lineJoin = "round";
    context.lineWidth = 1.5;
    context.strokeStyle = style.dead;
    context.setLineDash([4, 3]);
    this.#trace(context, curve.dead);
    context.stroke();
    context.setLineDash([]);
    context.lineWidth = 2;
    context.strokeStyle = style.accent;
    this.#trace(context, curve.inactive);
    context.stroke();
  }

  /** The handle at atol; from it a line along which rtol takes the threshold, to a ring on the curve. */
  #drawInForce(
    context: CanvasRenderingContext2D,
    curve: LayerCurve,
    { inactive: [low, high], atol, threshold }: InForce,
    style: Style,
  ): void {
    const handle = this.#x(atol);
    const reached = this.#x(threshold ?? Math.max(atol, placeOfShare(curve.inactive, low)));
    const y = this.#y(low);
    context.strokeStyle = style.text;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(Math.round(handle) + 0.5, TOP - 6);
    context.lineTo(Math.round(handle) + 0.5, this.#y(0));
    context.stroke();
    context.strokeStyle = style.accent;
    if (high > low) {
      context.lineWidth = 5;
      context.lineCap = "round";
      context.beginPath();
      context.moveTo(reached, y);
      context.lineTo(reached, this.#y(high));
      context.stroke();
      context.lineCap = "butt";
    }
    context.fillStyle = style.ground;
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
    context.fillStyle = style.accent;
    context.strokeStyle = style.ground;
    this.#dot(context, handle, y, 6.5);
  }

  #dot(context: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }

  node(): HTMLElement {
    return this.#node;
  }
}
