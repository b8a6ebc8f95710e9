/** The share of inactive units over the tolerance that matters; drag on it to set that. */

import { formatBracket, formatShare, formatTolerance } from "../core/format";
import { nearestStop, ticks } from "../core/scale";
import {
  type AllCurves,
  type Axis,
  allCurves,
  axisOf,
  curveKey,
  type LayerCurve,
  layerCurve,
} from "../core/share_curves";
import type { TableSnapshot } from "../core/snapshot";
import { positionAmong, type Tolerances } from "../core/threshold";
import { element, setAttribute, setText } from "./dom";

export interface ToleranceCurveOptions {
  readonly onInput: (changes: Partial<Tolerances>) => void;
  readonly onSettle: () => void;
}

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

/** In CSS pixels: what the margins have room for. */
const LARGEST_TYPE = 12;
const LEFT = 44;
const RIGHT = 12;
const TOP = 8;
const BOTTOM = 20;
const TICK_PIXELS = 74;
const PAGE = 6;
/** All other curves follow a drag of the tolerance they do not run over only when it rests. */
const REST_MS = 120;

export class ToleranceCurve {
  readonly #options: ToleranceCurveOptions;
  readonly #canvas = element("canvas", {
    class: "iua-curve-canvas",
    attributes: { role: "slider", tabindex: "0", "aria-valuemin": "0" },
  });
  readonly #title = element("span", { class: "iua-curve-title" });
  readonly #value = element("span", { class: "iua-curve-value" });
  readonly #node: HTMLElement;
  #table: TableSnapshot | null = null;
  #tolerances: Tolerances | null = null;
  #axis: Axis | null = null;
  #curve: LayerCurve | null = null;
  #curveFor = "";
  #all: AllCurves | null = null;
  #allFor = "";
  #allTimer: ReturnType<typeof setTimeout> | null = null;
  #width = 0;
  #height = 0;
  #style: Style | null = null;
  #dragging = false;

  constructor(options: ToleranceCurveOptions, signal: AbortSignal) {
    this.#options = options;
    const legend = (kind: string, text: string): HTMLElement =>
      element("span", { class: `iua-curve-key iua-curve-key-${kind}`, text });
    this.#node = element(
      "div",
      { class: "iua-curve-panel" },
      element(
        "div",
        { class: "iua-curve-head" },
        this.#title,
        this.#value,
        element(
          "span",
          { class: "iua-curve-keys", attributes: { "aria-hidden": "true" } },
          legend("inactive", "inactive"),
          legend("dead", "dead"),
          legend("all", "all layers"),
        ),
      ),
      this.#canvas,
    );
    this.#listen(signal);
  }

  #listen(signal: AbortSignal): void {
    const canvas = this.#canvas;
    canvas.addEventListener(
      "pointerdown",
      (event) => {
        if (event.button !== 0 || this.#axis === null) return;
        canvas.setPointerCapture(event.pointerId);
        this.#dragging = true;
        this.#slide(event);
        canvas.focus({ preventScroll: true });
        event.preventDefault();
      },
      { signal },
    );
    canvas.addEventListener("pointermove", (event) => this.#dragging && this.#slide(event), {
      signal,
    });
    for (const type of ["pointerup", "pointercancel", "lostpointercapture"] as const) {
      canvas.addEventListener(
        type,
        () => {
          if (!this.#dragging) return;
          this.#dragging = false;
          this.#options.onSettle();
        },
        { signal },
      );
    }
    canvas.addEventListener("keydown", (event) => this.#press(event), { signal });
    // What the page has laid out is read here only: in a step of the slider it would cost a layout.
    const observer = new ResizeObserver(() => {
      this.#width = this.#canvas.clientWidth;
      this.#height = this.#canvas.clientHeight;
      this.#draw();
    });
    observer.observe(canvas);
    signal.addEventListener(
      "abort",
      () => {
        observer.disconnect();
        if (this.#allTimer !== null) clearTimeout(this.#allTimer);
      },
      { once: true },
    );
  }

  #slide(event: PointerEvent): void {
    const last = (this.#axis?.stops.length ?? 1) - 1;
    const share = (event.offsetX - LEFT) / Math.max(1, this.#width - LEFT - RIGHT);
    this.#set(Math.round(Math.min(1, Math.max(0, share)) * last));
  }

  #press(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey || this.#axis === null) return;
    const place = this.#place();
    const last = this.#axis.stops.length - 1;
    const steps: Record<string, number> = {
      ArrowRight: place + 1,
      ArrowUp: place + 1,
      ArrowLeft: place - 1,
      ArrowDown: place - 1,
      PageUp: place + PAGE,
      PageDown: place - PAGE,
      Home: 0,
      End: last,
    };
    const wanted = steps[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    this.#set(Math.min(last, Math.max(0, wanted)));
    this.#options.onSettle();
  }

  /** The stop nearest to the tolerance in force. */
  #place(): number {
    if (this.#axis === null || this.#tolerances === null) return 0;
    return nearestStop(this.#axis.stops, this.#tolerances[this.#axis.name]);
  }

  #set(place: number): void {
    const axis = this.#axis;
    const value = axis?.stops[place];
    if (axis === null || value === undefined || this.#tolerances?.[axis.name] === value) return;
    this.#options.onInput({ [axis.name]: value });
  }

  update(table: TableSnapshot | null, layer: string, tolerances: Tolerances): void {
    const index = table?.layers.findIndex(({ name }) => name === layer) ?? -1;
    const counted = (table?.layers[index]?.probes ?? 0) > 0;
    this.#node.hidden = table === null || !counted;
    if (table === null || !counted) return;
    if (table !== this.#table) this.#curveFor = this.#allFor = "";
    // While a hand is on it the axis stays, though rtol may have come to 0.
    const axis =
      this.#dragging && this.#axis !== null
        ? this.#axis.name === "rtol"
          ? { name: "rtol" as const, stops: table.rtolStops }
          : { name: "atol" as const, stops: table.stops }
        : axisOf(table, tolerances);
    this.#table = table;
    this.#tolerances = tolerances;
    this.#axis = axis;
    const key = curveKey(axis, tolerances);
    if (this.#curveFor !== `${index} ${key}`) {
      this.#curveFor = `${index} ${key}`;
      this.#curve = layerCurve(table, index, tolerances, axis);
    }
    if (this.#allFor !== key) this.#followAll(key);
    setText(this.#title, `${axis.name} for ${layer}`);
    this.#title.title = layer;
    this.#tell(axis, tolerances);
    this.#draw();
  }

  #followAll(key: string): void {
    const compute = (): void => {
      if (this.#table === null || this.#tolerances === null || this.#axis === null) return;
      this.#allTimer = null;
      this.#allFor = curveKey(this.#axis, this.#tolerances);
      this.#all = allCurves(this.#table, this.#tolerances, this.#axis);
    };
    const sameAxis = this.#allFor !== "" && this.#allFor.split(" ")[0] === key.split(" ")[0];
    if (!sameAxis) {
      compute();
      return;
    }
    if (this.#allTimer !== null) clearTimeout(this.#allTimer);
    this.#allTimer = setTimeout(() => {
      compute();
      this.#draw();
    }, REST_MS);
  }

  #tell(axis: Axis, tolerances: Tolerances): void {
    const place = this.#place();
    const value = tolerances[axis.name];
    const [low, high] = this.#shareAt(positionAmong(axis.stops, value));
    const share = formatBracket(low, high, formatShare);
    setText(this.#value, `${share} inactive`);
    setAttribute(this.#canvas, "aria-label", `${axis.name}, on the curve of inactive units`);
    setAttribute(this.#canvas, "aria-valuemax", String(axis.stops.length - 1));
    setAttribute(this.#canvas, "aria-valuenow", String(place));
    setAttribute(
      this.#canvas,
      "aria-valuetext",
      `${axis.name} ${formatTolerance(value)}: ${share} of the units inactive`,
    );
  }

  /** Bounds on the share at a place that may lie between two stops. */
  #shareAt(position: number): readonly [number, number] {
    const curve = this.#curve;
    if (curve === null) return [0, 0];
    const below = Math.floor(position);
    const above = Math.min(Math.ceil(position), curve.upper.length - 1);
    return [curve.lower[below] ?? 0, curve.upper[above] ?? 0];
  }

  /** Draw again with the colours of the page as they are now. */
  recolour(): void {
    this.#style = null;
    this.#draw();
  }

  #styles(): Style {
    if (this.#style === null) {
      const style = getComputedStyle(this.#canvas);
      const colour = (name: string): string => style.getPropertyValue(`--iua-${name}`).trim();
      this.#style = {
        font: `${Math.min(LARGEST_TYPE, 11 * (Number(colour("type")) || 1))}px ${style.fontFamily}`,
        text: colour("text"),
        muted: colour("muted"),
        line: colour("line"),
        ground: colour("ground"),
        accent: colour("accent"),
        bar: colour("bar"),
        dead: colour("dead"),
      };
    }
    return this.#style;
  }

  #draw(): void {
    const context = this.#canvas.getContext("2d");
    const axis = this.#axis;
    const [width, height] = [this.#width, this.#height];
    if (width === 0 || context === null || axis === null || this.#tolerances === null) return;
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.#canvas.width !== wide || this.#canvas.height !== high) {
      this.#canvas.width = wide;
      this.#canvas.height = high;
    }
    const style = this.#styles();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.#drawFrame(context, axis, style);
    this.#drawAll(context, style);
    this.#drawCurve(context, style);
    this.#drawPosition(context, axis, this.#tolerances, style);
  }

  #x(place: number): number {
    const last = Math.max(1, (this.#axis?.stops.length ?? 1) - 1);
    return LEFT + (place / last) * (this.#width - LEFT - RIGHT);
  }

  #y(share: number): number {
    return TOP + (1 - share) * (this.#height - TOP - BOTTOM);
  }

  #drawFrame(context: CanvasRenderingContext2D, axis: Axis, style: Style): void {
    context.font = style.font;
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const share of [0, 0.5, 1]) {
      const y = Math.round(this.#y(share)) + 0.5;
      context.strokeStyle = style.line;
      context.beginPath();
      context.moveTo(LEFT, y);
      context.lineTo(this.#width - RIGHT, y);
      context.stroke();
      context.fillStyle = style.muted;
      context.fillText(`${100 * share} %`, LEFT - 6, y);
    }
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    const gap = TICK_PIXELS / Math.max(TICK_PIXELS, this.#width - LEFT - RIGHT);
    for (const { stop, position } of ticks(axis.stops, gap)) {
      const x = LEFT + position * (this.#width - LEFT - RIGHT);
      context.fillText(formatTolerance(stop), x, this.#height - 5);
    }
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

  #drawAll(context: CanvasRenderingContext2D, style: Style): void {
    const all = this.#all;
    if (all === null) return;
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

  #drawCurve(context: CanvasRenderingContext2D, style: Style): void {
    const curve = this.#curve;
    if (curve === null) return;
    context.lineJoin = "round";
    context.fillStyle = style.accent;
    context.globalAlpha = 0.25;
    this.#fillBetween(context, curve.lower, curve.upper);
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.strokeStyle = style.dead;
    context.setLineDash([4, 3]);
    this.#trace(context, curve.dead);
    context.stroke();
    context.setLineDash([]);
    context.lineWidth = 2;
    context.strokeStyle = style.accent;
    this.#trace(context, curve.lower);
    context.stroke();
  }

  #drawPosition(
    context: CanvasRenderingContext2D,
    axis: Axis,
    tolerances: Tolerances,
    style: Style,
  ): void {
    const position = positionAmong(axis.stops, tolerances[axis.name]);
    const [low, high] = this.#shareAt(position);
    const x = this.#x(position);
    context.strokeStyle = style.text;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(Math.round(x) + 0.5, TOP - 4);
    context.lineTo(Math.round(x) + 0.5, this.#y(0));
    context.stroke();
    if (high > low) {
      context.lineWidth = 5;
      context.lineCap = "round";
      context.strokeStyle = style.accent;
      context.beginPath();
      context.moveTo(x, this.#y(low));
      context.lineTo(x, this.#y(high));
      context.stroke();
      context.lineCap = "butt";
    }
    context.lineWidth = 2;
    context.fillStyle = style.accent;
    context.strokeStyle = style.ground;
    context.beginPath();
    context.arc(x, this.#y(low), 5.5, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }

  node(): HTMLElement {
    return this.#node;
  }
}
