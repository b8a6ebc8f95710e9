/** Draws the timeline on a canvas, in CSS pixels: axes, lines or strip, and alarms. */

import { buildPalette } from "../canvas/color";
import { DEAD, EMPTY_LEVEL, levelOfShade, shadeAt } from "../canvas/levels";
import type { Inks } from "../canvas/picture_paint";
import { formatInteger, formatShare } from "../reading/format";
import type { History } from "../reading/history";
import type { Measure, Shares } from "../reading/history_reading";
import type { PlotStyle } from "../ui/plot_style";
import { StepScale } from "./step_scale";
import { stripCells } from "./strip_cells";

/** As the tolerances above have it, so that the axes line up. */
export const LEFT = 44;
const RIGHT = 16;
/** Alarms stand in here. */
const TOP = 12;
const BOTTOM = 18;
/** The scale ends at the first of these that all shares reach at most. */
const ENDS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];

export type TimelineKind = "lines" | "strip";

/** What is drawn. */
export interface TimelineContent {
  readonly history: History;
  readonly shares: Shares;
  readonly measure: Measure;
  readonly kind: TimelineKind;
  /** The selected layer's place; -1 where it is not there. */
  readonly layer: number;
}

/** The end of the scale for shares up to the greatest. */
export function scaleEnd(shares: Float32Array): number {
  let most = 0;
  for (const share of shares) if (share > most) most = share;
  return ENDS.find((end) => most <= end) ?? 1;
}

export class TimelineDrawing {
  readonly content: TimelineContent;
  readonly scale: StepScale;
  readonly #width: number;
  readonly #height: number;
  readonly #end: number;

  constructor(content: TimelineContent, width: number, height: number) {
    this.content = content;
    this.#width = width;
    this.#height = height;
    this.scale = new StepScale(content.history.steps, LEFT, width - LEFT - RIGHT);
    this.#end = content.kind === "strip" ? 1 : scaleEnd(content.shares.upper);
  }

  get #layers(): number {
    return this.content.history.layers.length;
  }

  get #inner(): number {
    return Math.max(1, this.#height - TOP - BOTTOM);
  }

  #y(share: number): number {
    return TOP + (1 - share / this.#end) * this.#inner;
  }

  /** The layer whose line or row is nearest to a point. */
  layerAt(x: number, y: number): number {
    if (this.content.kind === "strip") {
      const row = Math.floor(((y - TOP) / this.#inner) * this.#layers);
      return Math.min(this.#layers - 1, Math.max(0, row));
    }
    const from = this.scale.lookAt(x) * this.#layers;
    let nearest = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let layer = 0; layer < this.#layers; layer++) {
      const away = Math.abs(this.#y(this.content.shares.lower[from + layer] as number) - y);
      // Of lines that lie on each other the selected one is on top.
      if (away < least || (away === least && layer === this.content.layer)) {
        least = away;
        nearest = layer;
      }
    }
    return nearest;
  }

  draw(context: CanvasRenderingContext2D, style: PlotStyle, inks: Inks, ratio: number): void {
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.#width, this.#height);
    context.font = style.font;
    this.#drawSteps(context, style);
    if (this.content.kind === "strip") this.#drawStrip(context, style, inks, ratio);
    else this.#drawLines(context, style);
    this.#drawAlarms(context, style);
  }

  /** Where a moment is, for a picture without handles. */
  drawMoment(
    context: CanvasRenderingContext2D,
    step: number,
    color: string,
    dashed: boolean,
  ): void {
    const x = this.scale.x(step);
    context.strokeStyle = color;
    context.lineWidth = 2;
    context.setLineDash(dashed ? [4, 3] : []);
    context.beginPath();
    context.moveTo(x, 2);
    context.lineTo(x, this.#height - BOTTOM);
    context.stroke();
    context.setLineDash([]);
  }

  #drawSteps(context: CanvasRenderingContext2D, style: PlotStyle): void {
    const base = this.#height - 4;
    context.textBaseline = "alphabetic";
    context.textAlign = "right";
    context.fillStyle = style.text;
    context.fillText("step", LEFT - 8, base);
    context.textAlign = "center";
    for (const step of this.scale.ticks()) {
      const x = Math.round(this.scale.x(step));
      context.fillStyle = style.line;
      context.fillRect(x, this.#height - BOTTOM, 1, 4);
      context.fillStyle = style.muted;
      context.fillText(formatInteger(step), x, base);
    }
  }

  #drawLines(context: CanvasRenderingContext2D, style: PlotStyle): void {
    context.lineWidth = 1;
    context.strokeStyle = style.line;
    context.fillStyle = style.muted;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const share of [0, this.#end / 2, this.#end]) {
      const y = Math.round(this.#y(share)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, y);
      context.lineTo(this.#width - RIGHT, y);
      context.stroke();
      if (share > 0) context.fillText(formatShare(share).replace(".0 ", " "), LEFT - 8, y);
    }
    const { layer: selected, measure } = this.content;
    context.lineJoin = "round";
    context.strokeStyle = style.bar;
    context.lineWidth = 1.25;
    context.globalAlpha = 0.6;
    for (let layer = 0; layer < this.#layers; layer++) {
      if (layer !== selected) this.#trace(context, layer);
    }
    context.globalAlpha = 1;
    if (selected < 0) return;
    const color = measure === "dead" || measure === "newly dead" ? style.dead : style.accent;
    context.fillStyle = color;
    context.strokeStyle = color;
    this.#fillRange(context, selected);
    context.lineWidth = 2;
    this.#trace(context, selected);
  }

  /** A line over the looks at which the layer was counted; a single look is a dot. */
  #trace(context: CanvasRenderingContext2D, layer: number): void {
    const { steps } = this.scale;
    const { lower } = this.content.shares;
    let drawing = false;
    context.beginPath();
    for (let look = 0; look < steps.length; look++) {
      const share = lower[look * this.#layers + layer] as number;
      if (Number.isNaN(share)) {
        drawing = false;
        continue;
      }
      const [x, y] = [this.scale.x(steps[look] as number), this.#y(share)];
      if (drawing) context.lineTo(x, y);
      else {
        context.moveTo(x, y);
        context.lineTo(x + 0.5, y);
      }
      drawing = true;
    }
    context.stroke();
  }

  /** Between the bounds, where a layer's figures are not exact. */
  #fillRange(context: CanvasRenderingContext2D, layer: number): void {
    const { lower, upper } = this.content.shares;
    if (upper === lower) return;
    const { steps } = this.scale;
    const known = steps.flatMap((step, look) => {
      const at = look * this.#layers + layer;
      const [low, high] = [lower[at] as number, upper[at] as number];
      return Number.isNaN(low) ? [] : [{ x: this.scale.x(step), low, high }];
    });
    context.globalAlpha = 0.2;
    context.beginPath();
    for (const { x, low } of known) context.lineTo(x, this.#y(low));
    for (const { x, high } of known.reverse()) context.lineTo(x, this.#y(high));
    context.closePath();
    context.fill();
    context.globalAlpha = 1;
  }

  #drawStrip(context: CanvasRenderingContext2D, style: PlotStyle, inks: Inks, ratio: number): void {
    const width = Math.max(1, Math.round((this.#width - LEFT - RIGHT) * ratio));
    const height = Math.max(1, Math.round(this.#inner * ratio));
    const edges = this.scale.edges().map((edge) => (edge - LEFT) * ratio);
    const { shares, layer } = this.content;
    const cells = stripCells(shares.lower, this.#layers, edges, width, height);
    const palette = buildPalette(inks.map, inks.signals, "mean");
    const image = new ImageData(width, cells.rows);
    const pixels = new Uint32Array(image.data.buffer);
    for (let cell = 0; cell < pixels.length; cell++) {
      pixels[cell] = palette[levelOf(cells.shares[cell] as number)] as number;
    }
    const rows = document.createElement("canvas");
    rows.width = width;
    rows.height = cells.rows;
    rows.getContext("2d")?.putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(rows, LEFT, TOP, width / ratio, height / ratio);
    this.#drawRows(context, style, layer);
  }

  /** Which row is the first, the last, and the selected layer's. */
  #drawRows(context: CanvasRenderingContext2D, style: PlotStyle, layer: number): void {
    const row = this.#inner / this.#layers;
    context.textAlign = "right";
    context.fillStyle = style.muted;
    context.textBaseline = "top";
    context.fillText("1", LEFT - 8, TOP);
    context.textBaseline = "bottom";
    if (this.#layers > 1)
      context.fillText(formatInteger(this.#layers), LEFT - 8, TOP + this.#inner);
    if (layer < 0) return;
    const y = TOP + layer * row;
    const [from, to] = [LEFT - 1, this.#width - RIGHT + 1];
    context.strokeStyle = style.accent;
    context.lineWidth = 1.5;
    if (row >= 4) context.strokeRect(from, y, to - from, row);
    context.fillStyle = style.accent;
    const middle = y + row / 2;
    for (const [x, way] of [
      [from, -1],
      [to, 1],
    ] as const) {
      context.beginPath();
      context.moveTo(x, middle);
      context.lineTo(x + way * 5, middle - 4);
      context.lineTo(x + way * 5, middle + 4);
      context.fill();
    }
  }

  #drawAlarms(context: CanvasRenderingContext2D, style: PlotStyle): void {
    context.fillStyle = style.dead;
    for (const { step } of this.content.history.alarms) {
      const x = this.scale.x(step);
      context.beginPath();
      context.moveTo(x - 4, 2);
      context.lineTo(x + 4, 2);
      context.lineTo(x, 9);
      context.fill();
    }
  }
}

/** The level of a share, in the palette of the heatmap: dead where it is all. */
function levelOf(share: number): number {
  if (Number.isNaN(share)) return EMPTY_LEVEL;
  return share === 1 ? DEAD : levelOfShade(shadeAt(share), "mean");
}
