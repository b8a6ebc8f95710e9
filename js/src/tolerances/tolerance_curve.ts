/** The canvas of the curve: draws it anew where it has changed, and the tolerances in force over it. */

import type { TableSnapshot } from "../reading/snapshot";
import { element } from "../ui/dom";
import { type PlotStyle, plotStyleAt } from "../ui/plot_style";
import { CurvePlot } from "./curve_plot";
import {
  type AllCurves,
  allCurves,
  type InForce,
  type LayerCurve,
  layerCurve,
} from "./share_curves";

export class ToleranceCurve {
  readonly #node = element("canvas", {
    class: "iua-curve-canvas",
    attributes: { "aria-hidden": "true" },
  });
  /** All but what is in force: drawn anew only when it changes, not in a step of the slider. */
  readonly #still = element("canvas");
  /** As it is drawn on `still`; null where that is to be drawn anew. */
  #plot: CurvePlot | null = null;
  #table: TableSnapshot | null = null;
  #layer = -1;
  #deadAt = 1;
  #curve: LayerCurve | null = null;
  #all: AllCurves | null = null;
  #inForce: InForce | null = null;
  #width = 0;
  #height = 0;
  #style: PlotStyle | null = null;

  constructor(signal: AbortSignal) {
    // What the page has laid out is read here only: in a step of the slider it would cost a layout.
    const observer = new ResizeObserver(() => {
      this.#width = this.#node.clientWidth;
      this.#height = this.#node.clientHeight;
      this.#plot = null;
      this.#draw();
    });
    observer.observe(this.#node);
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  }

  /** `inForce` is null where nothing of the layer has been counted. */
  update(
    table: TableSnapshot | null,
    layer: number,
    deadAt: number,
    inForce: InForce | null,
  ): void {
    const changed = table !== this.#table;
    if (changed) this.#all = table === null ? null : allCurves(table);
    if (changed || layer !== this.#layer || deadAt !== this.#deadAt) {
      this.#curve = table === null || inForce === null ? null : layerCurve(table, layer, deadAt);
      this.#plot = null;
    }
    this.#table = table;
    this.#layer = layer;
    this.#deadAt = deadAt;
    this.#inForce = inForce;
    this.#draw();
  }

  /** Draw again with the colors of the page as they are now. */
  recolor(): void {
    this.#style = null;
    this.#plot = null;
    this.#draw();
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
      this.#plot = null;
    }
    this.#plot ??= this.#drawStill(ratio);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, wide, high);
    context.drawImage(this.#still, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.#curve === null || this.#inForce === null) return;
    this.#plot.drawInForce(context, this.#curve, this.#inForce);
  }

  #drawStill(ratio: number): CurvePlot {
    const size = { width: this.#width, height: this.#height };
    this.#style ??= plotStyleAt(this.#node);
    const plot = new CurvePlot(size, this.#table?.stops ?? [], this.#style);
    const context = this.#still.getContext("2d");
    if (context === null) return plot;
    this.#still.width = this.#node.width;
    this.#still.height = this.#node.height;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    plot.drawFrame(context);
    if (this.#all !== null) plot.drawAll(context, this.#all);
    if (this.#curve !== null) plot.drawCurve(context, this.#curve);
    return plot;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
