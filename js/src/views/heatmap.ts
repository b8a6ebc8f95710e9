/** The units of the selected layer: heading, picture, controls, tooltip and legend. */

import { shareLevels } from "../core/colour";
import { formatBracket, formatInteger, formatShare, formatTolerance, plural } from "../core/format";
import { type LayerReading, totalUnits, type UnitsReading } from "../core/layers";
import { describeUnit, ownIndex } from "../core/layout";
import type { PictureHeatmap } from "../core/picture";
import type { UnitsSnapshot } from "../core/snapshot";
import { deadChannels, maskedNote, unitSummary } from "../core/unit_words";
import { element, setAttribute, setText } from "./dom";
import { Legend } from "./legend";
import { readLegend } from "./save_picture";
import { Tooltip, type TooltipText } from "./tooltip";
import { type Point, UnitCanvas } from "./unit_canvas";

/** A picture for a file is this much finer than its size on the page. */
const IMAGE_RATIO = 2;
const ZOOM_STEP = 1.6;
const PAN_STEP = 48;
const HINT_MS = 1800;
const KEYS =
  "Plus and minus zoom, arrows pan, 0 resets, Shift with arrows walks from unit to unit.";
const REST_HINT = "Click the picture, then scroll to zoom, drag to pan";

export type HeatmapState =
  | { readonly kind: "message"; readonly layer: string; readonly text: string }
  | {
      readonly kind: "units";
      readonly units: UnitsSnapshot;
      readonly reading: UnitsReading;
      readonly layer: LayerReading;
    };

function button(text: string, name: string): HTMLButtonElement {
  return element("button", {
    class: "iua-button iua-tool",
    text,
    title: name,
    attributes: { type: "button", "aria-label": name },
  });
}

export class Heatmap {
  readonly #picture: UnitCanvas;
  readonly #tooltip = new Tooltip();
  readonly #name = element("h3", { class: "iua-heatmap-name" });
  readonly #summary = element("span", { class: "iua-heatmap-summary" });
  readonly #note = element("p", { class: "iua-note iua-stops-note" });
  readonly #placeholder = element("p", { class: "iua-placeholder" });
  readonly #hint = element("span", { class: "iua-hint", text: REST_HINT });
  readonly #box: HTMLElement;
  readonly #tools: HTMLElement;
  readonly #node: HTMLElement;
  #units: UnitsSnapshot | null = null;
  #reading: UnitsReading | null = null;
  #layer: LayerReading | null = null;
  #pointer: Point | null = null;
  #cursor: number | null = null;
  #hintTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(signal: AbortSignal) {
    this.#picture = new UnitCanvas(
      { onPaint: () => this.#painted(), onWheelRefused: () => this.#wheelHint() },
      signal,
    );
    const canvas = this.#picture.node();
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-description", KEYS);
    this.#box = element("div", { class: "iua-canvas-box" }, canvas, this.#tooltip.node());
    const zoomOut = button("−", "zoom out");
    const zoomIn = button("+", "zoom in");
    const reset = button("Reset", "reset zoom");
    zoomOut.addEventListener("click", () => this.#picture.zoomBy(1 / ZOOM_STEP), { signal });
    zoomIn.addEventListener("click", () => this.#picture.zoomBy(ZOOM_STEP), { signal });
    reset.addEventListener("click", () => this.#picture.reset(), { signal });
    this.#tools = element("span", { class: "iua-tools" }, zoomOut, zoomIn, reset);
    this.#node = element(
      "section",
      { class: "iua-heatmap", attributes: { "aria-label": "units" } },
      element(
        "div",
        { class: "iua-heatmap-head" },
        element("div", { class: "iua-heatmap-title" }, this.#name, this.#summary),
        this.#tools,
      ),
      this.#note,
      this.#box,
      this.#placeholder,
      element(
        "div",
        { class: "iua-heatmap-foot" },
        new Legend().node(),
        element(
          "div",
          { class: "iua-hints" },
          element("span", { text: "lighter = active more often" }),
          this.#hint,
        ),
      ),
    );
    this.#listen(canvas, signal);
  }

  #listen(canvas: HTMLCanvasElement, signal: AbortSignal): void {
    const observer = new ResizeObserver(() => this.#resize());
    observer.observe(this.#box);
    window.addEventListener("resize", () => this.#resize(), { signal });
    signal.addEventListener(
      "abort",
      () => {
        observer.disconnect();
        clearTimeout(this.#hintTimer);
      },
      { once: true },
    );
    canvas.addEventListener(
      "pointermove",
      (event) => {
        this.#pointer = { x: event.offsetX, y: event.offsetY };
        this.#cursor = null;
        this.#point();
      },
      { signal },
    );
    canvas.addEventListener("pointerleave", () => this.#leave(), { signal });
    canvas.addEventListener(
      "blur",
      () => {
        this.#cursor = null;
        this.#point();
      },
      { signal },
    );
    canvas.addEventListener("keydown", (event) => this.#key(event), { signal });
  }

  #leave(): void {
    this.#pointer = null;
    this.#point();
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#box;
    if (clientWidth === 0 || clientHeight === 0) return;
    this.#picture.resize(clientWidth, clientHeight, window.devicePixelRatio || 1);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const move = moves[event.key];
    if (move !== undefined && event.shiftKey) this.#moveCursor(move[0], move[1]);
    else if (move !== undefined) this.#picture.panBy(-move[0] * PAN_STEP, -move[1] * PAN_STEP);
    else if (event.key === "+" || event.key === "=") this.#picture.zoomBy(ZOOM_STEP);
    else if (event.key === "-" || event.key === "_") this.#picture.zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0") this.#picture.reset();
    else if (event.key === "Escape" && this.#cursor !== null) this.#cursor = null;
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.#point();
  }

  #moveCursor(dx: number, dy: number): void {
    this.#cursor = this.#cursor === null ? 0 : this.#picture.neighbour(this.#cursor, dx, dy);
    this.#picture.reveal(this.#cursor);
  }

  #wheelHint(): void {
    setText(this.#hint, "Click the picture first, or hold Ctrl, to zoom with the wheel");
    this.#hint.classList.add("iua-hint-strong");
    clearTimeout(this.#hintTimer);
    this.#hintTimer = setTimeout(() => {
      this.#hint.classList.remove("iua-hint-strong");
      this.#painted();
    }, HINT_MS);
  }

  #painted(): void {
    if (!this.#hint.classList.contains("iua-hint-strong")) {
      setText(
        this.#hint,
        this.#picture.pooled() ? "Each pixel shows the most inactive of its units" : REST_HINT,
      );
    }
    this.#point();
  }

  /** Tooltip and outline for the unit under the pointer or the keyboard's cursor. */
  #point(): void {
    const unit =
      this.#cursor ?? (this.#pointer === null ? null : this.#picture.unitAt(this.#pointer));
    this.#picture.outline(unit);
    const text = unit === null ? null : this.#describe(unit);
    const at = this.#cursor === null ? this.#pointer : this.#picture.centreOf(this.#cursor);
    if (text === null || at === null) this.#tooltip.hide();
    else this.#tooltip.show(text, at.x, at.y, this.#box.clientWidth, this.#box.clientHeight);
  }

  #describe(unit: number): TooltipText | null {
    if (this.#units === null || this.#reading === null || unit >= this.#units.units) return null;
    const { unit: kind } = (this.#layer as LayerReading).meta;
    const { shape, probes, channel_axis: channelAxis } = this.#units;
    const lower = this.#reading.lower[unit] as number;
    const upper = this.#reading.upper[unit] as number;
    const lines: string[] = [];
    if (shape.length > 1)
      lines.push(`flat index ${formatInteger(ownIndex(shape, channelAxis, unit))}`);
    lines.push(
      `${formatBracket(lower, upper, formatInteger)} of ${plural(probes, kind === "token" ? "token" : "probe")} inactive`,
      formatBracket(lower / probes, upper / probes, formatShare),
    );
    const alarm =
      lower === probes
        ? `dead: inactive on every ${kind === "token" ? "token" : "probe"}`
        : upper === probes
          ? "may be dead: the threshold lies between stops"
          : null;
    const title = kind === "element" ? describeUnit(shape, unit) : `channel ${unit}`;
    return { title, lines, alarm };
  }

  update(state: HeatmapState): void {
    if (state.kind === "message") this.#showMessage(state.layer, state.text);
    else this.#showUnits(state.units, state.reading, state.layer);
  }

  #showMessage(layer: string, text: string): void {
    this.#units = null;
    this.#reading = null;
    this.#layer = null;
    this.#cursor = null;
    setText(this.#name, layer);
    this.#name.title = layer;
    setText(this.#summary, "");
    setText(this.#placeholder, text);
    this.#toggle(false);
    this.#note.hidden = true;
    for (const name of Object.keys(this.#picture.node().dataset)) {
      delete this.#picture.node().dataset[name];
    }
    this.#point();
  }

  #toggle(shown: boolean): void {
    this.#node.classList.toggle("iua-no-units", !shown);
    this.#placeholder.hidden = shown;
    this.#tools.hidden = !shown;
  }

  #showUnits(units: UnitsSnapshot, reading: UnitsReading, layer: LayerReading): void {
    const keepView = this.#units?.layer === units.layer;
    const changed =
      this.#units !== units ||
      this.#reading?.lowerColumn !== reading.lowerColumn ||
      this.#reading.lower.length !== reading.lower.length;
    if (!keepView) this.#cursor = null;
    this.#units = units;
    this.#reading = reading;
    this.#layer = layer;
    this.#toggle(true);
    this.#describeLayer(units, reading, layer);
    this.#resize();
    if (changed) {
      this.#picture.setUnits(units.shape, shareLevels(reading.lower, units.probes), keepView);
    }
    this.#point();
  }

  #describeLayer(units: UnitsSnapshot, reading: UnitsReading, layer: LayerReading): void {
    const lower = totalUnits(reading.lower, units.probes);
    const upper = reading.exact ? lower : totalUnits(reading.upper, units.probes);
    setText(this.#name, units.layer);
    this.#name.title = units.layer;
    const dead = formatBracket(lower.dead, upper.dead, formatInteger);
    const channels = deadChannels(layer);
    const parts = [unitSummary(layer.meta), `${dead} dead`, maskedNote(layer.meta)];
    if (channels !== "") parts.splice(2, 0, `${channels} dead`);
    setText(this.#summary, parts.filter((part) => part !== "").join(" · "));
    const missing = units.stops.length + 1 - units.columns.length;
    this.#note.hidden = missing === 0 || reading.exact;
    if (!this.#note.hidden) {
      const here = units.columns.filter((column) => column < units.stops.length).length;
      const at =
        reading.lowerColumn >= 0 && reading.lowerColumn < units.stops.length
          ? ` The picture shows ${formatTolerance(units.stops[reading.lowerColumn] as number)}.`
          : "";
      setText(
        this.#note,
        `This layer is large: ${here} of ${units.stops.length} stops are here.${at}`,
      );
    }
    const canvas = this.#picture.node();
    setAttribute(canvas, "aria-label", `heatmap of ${units.layer}`);
    setAttribute(canvas, "data-layer", units.layer);
    setAttribute(canvas, "data-units", String(units.units));
    setAttribute(canvas, "data-probes", String(units.probes));
    setAttribute(canvas, "data-dead", String(lower.dead));
    setAttribute(canvas, "data-inactive-sum", String(lower.inactive));
    setAttribute(canvas, "data-exact", String(reading.exact));
    setAttribute(canvas, "data-lower-column", String(reading.lowerColumn));
  }

  /** Read the theme's colours again. */
  recolour(): void {
    const style = getComputedStyle(this.#box);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    this.#picture.setColours(
      colour("--iua-picture-ground"),
      colour("--iua-dead"),
      colour("--iua-outline"),
    );
  }

  /** The picture as it stands, for a file. */
  picture(): PictureHeatmap | null {
    if (this.#units === null) return null;
    const canvas = this.#picture.node();
    return {
      name: this.#name.textContent ?? "",
      summary: this.#summary.textContent ?? "",
      image: this.#picture.image(IMAGE_RATIO),
      width: canvas.clientWidth,
      height: canvas.clientHeight,
      legend: readLegend(this.#node.querySelector(".iua-legend")),
    };
  }

  node(): HTMLElement {
    return this.#node;
  }
}
