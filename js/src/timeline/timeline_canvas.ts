/** The canvas of the timeline, drawn anew where what it shows, its size or its colors have changed. */

import { inksAt } from "../canvas/picture_inks";
import { element } from "../ui/dom";
import { followPixelSize } from "../ui/pixel_size";
import { plotStyleAt } from "../ui/plot_style";
import { type TimelineContent, TimelineDrawing } from "./timeline_drawing";

/** A picture for a file is this much finer than its size on the page. */
const IMAGE_RATIO = 2;

export interface TimelineImage {
  /** A data URL. */
  readonly image: string;
  readonly width: number;
  readonly height: number;
}

export class TimelineCanvas {
  readonly #node = element("canvas", {
    class: "iua-timeline-canvas",
    attributes: { "aria-hidden": "true" },
  });
  readonly #onDraw: (drawing: TimelineDrawing) => void;
  #content: TimelineContent | null = null;
  #width = 0;
  #height = 0;
  /** What is drawn; null before there is anything. */
  drawing: TimelineDrawing | null = null;

  constructor(onDraw: (drawing: TimelineDrawing) => void, signal: AbortSignal) {
    this.#onDraw = onDraw;
    followPixelSize(this.#node, () => this.#resize(), signal);
  }

  #resize(): void {
    this.#width = this.#node.clientWidth;
    this.#height = this.#node.clientHeight;
    this.#draw();
  }

  update(content: TimelineContent): void {
    this.#content = content;
    this.#draw();
  }

  /** Draw again with the colors of the page as they are now. */
  recolor(): void {
    this.#draw();
  }

  #draw(): void {
    const content = this.#content;
    if (content === null || this.#width === 0 || this.#height === 0) return;
    this.drawing = new TimelineDrawing(content, this.#width, this.#height);
    this.#drawOn(this.#node, this.drawing, window.devicePixelRatio || 1);
    this.#onDraw(this.drawing);
  }

  #drawOn(
    canvas: HTMLCanvasElement,
    drawing: TimelineDrawing,
    ratio: number,
  ): CanvasRenderingContext2D | null {
    const [wide, high] = [Math.round(this.#width * ratio), Math.round(this.#height * ratio)];
    if (canvas.width !== wide) canvas.width = wide;
    if (canvas.height !== high) canvas.height = high;
    const context = canvas.getContext("2d");
    const style = plotStyleAt(this.#node);
    if (context !== null) drawing.draw(context, style, inksAt(this.#node, "blue"), ratio);
    return context;
  }

  /** As it stands, with the moments marked, for a file. */
  image(moment: number, against: number | null): TimelineImage | null {
    const { drawing } = this;
    if (drawing === null) return null;
    const canvas = document.createElement("canvas");
    const context = this.#drawOn(canvas, drawing, IMAGE_RATIO);
    if (context === null) return null;
    const { text, accent } = plotStyleAt(this.#node);
    if (against !== null) drawing.drawMoment(context, against, text, true);
    drawing.drawMoment(context, moment, accent, false);
    return { image: canvas.toDataURL(), width: this.#width, height: this.#height };
  }

  node(): HTMLElement {
    return this.#node;
  }
}
