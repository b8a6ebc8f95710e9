/** One unit's histogram of |x| on a logarithmic axis, with a threshold that can be dragged. */

import { formatShare, formatThreshold } from "../reading/format";
import { nearestStop } from "../reading/scale";
import { element, setAttribute, setText, svg } from "../ui/dom";
import {
  type Bar,
  barsOf,
  type MagnitudeAxis,
  magnitudeAxis,
  placeOf,
  powersOn,
  SLOT,
  type UnitHistogram,
  valueAt,
} from "./unit_histogram";

const WIDTH = 1000;
const HEIGHT = 100;
const CROWDED = 0.3;

interface MagnitudePlotOptions {
  /** The threshold is wanted here, a stop. */
  readonly onInput: (threshold: number) => void;
  readonly onSettle: () => void;
}

type Side = "inactive" | "unsure" | "active";

export class MagnitudePlot {
  readonly #options: MagnitudePlotOptions;
  readonly #paths: Readonly<Record<Side, SVGPathElement>> = {
    inactive: svg("path", { class: "iua-mag-inactive" }),
    unsure: svg("path", { class: "iua-mag-unsure" }),
    active: svg("path", { class: "iua-mag-active" }),
  };
  readonly #handle = element("div", {
    class: "iua-threshold",
    attributes: { role: "slider", tabindex: "0", "aria-label": "threshold", "aria-valuemin": "0" },
  });
  readonly #ticks = element("div", {
    class: "iua-mag-ticks",
    attributes: { "aria-hidden": "true" },
  });
  readonly #zero = element("span", { class: "iua-mag-zero" });
  readonly #above = element("span", { class: "iua-mag-above" });
  readonly #area: HTMLElement;
  readonly #node: HTMLElement;
  #axis: MagnitudeAxis = { first: 1, last: 1 };
  #stops: readonly number[] = [];
  #threshold = 0;

  constructor(options: MagnitudePlotOptions, signal: AbortSignal) {
    this.#options = options;
    this.#area = element("div", { class: "iua-mag-area" });
    this.#area.append(
      svg(
        "svg",
        {
          viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
          preserveAspectRatio: "none",
          "aria-hidden": "true",
        },
        ...Object.values(this.#paths),
      ),
      this.#zero,
      this.#above,
      this.#handle,
    );
    this.#node = element("div", { class: "iua-magnitudes" }, this.#area, this.#ticks);
    this.#listen(signal);
  }

  #listen(signal: AbortSignal): void {
    const area = this.#area;
    let dragging = false;
    const drag = (event: PointerEvent): void => {
      const box = area.getBoundingClientRect();
      const place = (event.clientX - box.left) / box.width;
      this.#want(this.#stops[nearestStop(this.#stops, valueAt(this.#axis, place))] ?? 0);
    };
    area.addEventListener(
      "pointerdown",
      (event) => {
        if (event.button !== 0) return;
        dragging = true;
        if (event.isTrusted) area.setPointerCapture(event.pointerId);
        this.#handle.focus({ preventScroll: true });
        event.preventDefault();
        drag(event);
      },
      { signal },
    );
    area.addEventListener("pointermove", (event) => dragging && drag(event), { signal });
    for (const type of ["pointerup", "pointercancel"] as const) {
      area.addEventListener(
        type,
        () => {
          if (dragging) this.#options.onSettle();
          dragging = false;
        },
        { signal },
      );
    }
    this.#handle.addEventListener("keydown", (event) => this.#key(event), { signal });
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.#stops.length - 1;
    const here = nearestStop(this.#stops, this.#threshold);
    const to: Readonly<Record<string, number>> = {
      ArrowLeft: here - 1,
      ArrowDown: here - 1,
      ArrowRight: here + 1,
      ArrowUp: here + 1,
      PageDown: here - 10,
      PageUp: here + 10,
      Home: 0,
      End: last,
    };
    const wanted = to[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.#want(this.#stops[Math.min(last, Math.max(0, wanted))] ?? 0);
    this.#options.onSettle();
  }

  #want(threshold: number): void {
    if (threshold !== this.#threshold) this.#options.onInput(threshold);
  }

  update(histogram: UnitHistogram, stops: readonly number[], threshold: number): void {
    if (stops !== this.#stops) this.#setStops(stops);
    this.#threshold = threshold;
    const known = !Number.isNaN(threshold);
    const bars = barsOf(histogram, this.#axis);
    const shapes: Record<Side, string> = { inactive: "", unsure: "", active: "" };
    for (const bar of bars) shapes[sideOf(bar, threshold)] += outline(bar);
    for (const side of ["inactive", "unsure", "active"] as const) {
      setAttribute(this.#paths[side], "d", shapes[side]);
    }
    this.#label(bars);
    this.#handle.hidden = !known;
    this.#handle.style.left = `${100 * placeOf(this.#axis, known ? threshold : 0)}%`;
    setAttribute(this.#handle, "aria-valuemax", String(Math.max(0, stops.length - 1)));
    setAttribute(this.#handle, "aria-valuenow", String(nearestStop(stops, known ? threshold : 0)));
    setAttribute(this.#handle, "aria-valuetext", known ? formatThreshold(threshold) : "unknown");
  }

  /** The share in each slot, where its bar is too tall to be compared. */
  #label(bars: readonly Bar[]): void {
    const all = bars.reduce((sum, { bin }) => sum + bin.count, 0);
    const words = (bar: Bar | undefined): string =>
      bar === undefined || bar.bin.count === 0 ? "" : formatShare(bar.bin.count / all);
    const zero = bars.find(({ bin }) => bin.to === 0);
    const above = bars.find(({ bin }) => bin.to === Number.POSITIVE_INFINITY);
    setText(this.#zero, words(zero));
    // Beside the threshold where that stands at the slot of zero.
    const line = placeOf(this.#axis, this.#threshold);
    this.#zero.style.left = `calc(${100 * (line < CROWDED ? line : SLOT)}% + 9px)`;
    setText(this.#above, words(above));
  }

  #setStops(stops: readonly number[]): void {
    this.#stops = stops;
    this.#axis = magnitudeAxis(stops);
    const label = (text: string, place: number): HTMLElement => {
      const node = element("span", { text });
      node.style.left = `${100 * place}%`;
      return node;
    };
    this.#ticks.replaceChildren(
      label("0", SLOT / 2),
      ...powersOn(this.#axis).map((power) =>
        label(formatThreshold(power), placeOf(this.#axis, power)),
      ),
    );
  }

  node(): HTMLElement {
    return this.#node;
  }
}

function sideOf({ bin }: Bar, threshold: number): Side {
  if (bin.to <= threshold) return "inactive";
  return bin.from >= threshold ? "active" : "unsure";
}

function outline({ from, to, height }: Bar): string {
  if (height === 0) return "";
  const x = (place: number): string => (place * WIDTH).toFixed(1);
  // What is there at all is to be seen.
  const top = (HEIGHT * (1 - Math.max(height, 0.015))).toFixed(1);
  return `M${x(from)} ${HEIGHT}V${top}H${x(to)}V${HEIGHT}Z`;
}
