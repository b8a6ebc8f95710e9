/** The units of the selected layer: heading, picture, controls, card, list and legend. */

import { parseHex, type Rgb } from "../core/colour";
import { formatBracket, formatInteger, formatShare, formatTolerance, plural } from "../core/format";
import type { LayerReading, UnitsReading } from "../core/layers";
import { fromOwnIndex, layoutKind, ownIndex } from "../core/layout";
import type { Colouring } from "../core/levels";
import type { PictureHeatmap } from "../core/picture";
import type { UnitsSnapshot } from "../core/snapshot";
import type { Tolerances } from "../core/threshold";
import { orderUnits } from "../core/unit_order";
import { type ReadingSurvey, sameCounts, UnitFacts } from "../core/unit_picture";
import { MOST_SELECTED, toggled, united } from "../core/unit_selection";
import { deadChannels, maskedNote, unitSummary } from "../core/unit_words";
import { deadRule, probeWord, type UnitsInView, unitTitle } from "../core/units_in_view";
import type { Point, Size } from "../core/viewport";
import { element, setAttribute, setText } from "./dom";
import type { Click } from "./gestures";
import { FIRST_CHOICES, HeatmapTools, type PictureChoices } from "./heatmap_tools";
import { Legend } from "./legend";
import { readLegend } from "./save_picture";
import { SelectionRow } from "./selection_row";
import { Tooltip, type TooltipText } from "./tooltip";
import { UnitCanvas } from "./unit_canvas";
import { UnitCard } from "./unit_card";
import { UnitList } from "./unit_list";

/** A picture for a file is this much finer than its size on the page. */
const IMAGE_RATIO = 2;
const ZOOM_STEP = 1.6;
const PAN_STEP = 48;
const HINT_MS = 1800;
const KEYS =
  "Plus and minus zoom, arrows pan, 0 resets. Shift and arrows walk, Enter pins, Space selects, " +
  "Shift and Space selects up to here, Escape lets go. The list of units says the same.";
const MEAN_ABSENT = "Mean |x| of each unit was not sent: the layer is too large.";
const REST_HINT = "Click, then scroll to zoom · drag to pan · Shift-drag selects";

export type HeatmapState =
  | { readonly kind: "message"; readonly layer: string; readonly text: string }
  | {
      readonly kind: "units";
      readonly units: UnitsSnapshot;
      readonly reading: UnitsReading;
      readonly layer: LayerReading;
      readonly tolerances: Tolerances;
      readonly rtolStops: readonly number[];
      readonly colouring: Colouring;
      /** Indices in the layer's own order. */
      readonly selected: readonly number[];
    };

type UnitsState = Extract<HeatmapState, { kind: "units" }>;

export interface HeatmapOptions {
  readonly onTolerances: (changes: Partial<Tolerances>) => void;
  readonly onSettle: () => void;
  readonly onColouring: (colouring: Colouring) => void;
  /** Indices in the layer's own order, ascending. */
  readonly onSelect: (units: readonly number[]) => void;
}

export class Heatmap {
  readonly #options: HeatmapOptions;
  readonly #picture: UnitCanvas;
  readonly #tools: HeatmapTools;
  readonly #card: UnitCard;
  readonly #list: UnitList;
  readonly #selection: SelectionRow;
  readonly #legend = new Legend();
  readonly #tooltip = new Tooltip();
  readonly #name = element("h3", { class: "iua-heatmap-name" });
  readonly #summary = element("span", { class: "iua-heatmap-summary" });
  readonly #note = element("p", { class: "iua-note iua-stops-note" });
  readonly #placeholder = element("p", { class: "iua-placeholder" });
  readonly #hint = element("span", { class: "iua-hint", text: REST_HINT });
  readonly #box: HTMLElement;
  readonly #node: HTMLElement;
  #facts: UnitFacts | null = null;
  #data: UnitsInView | null = null;
  #survey: ReadingSurvey | null = null;
  #colouring: Colouring = "share";
  #choices: PictureChoices = FIRST_CHOICES;
  #order: Uint32Array | null = null;
  #own: readonly number[] = [];
  #selected: readonly number[] = [];
  #selectedSet: ReadonlySet<number> = new Set();
  #beforeClick: readonly number[] = [];
  #pinned: number | null = null;
  #anchor: number | null = null;
  #pointer: Point | null = null;
  #cursor: number | null = null;
  #listed: number | null = null;
  /** Of the picture, as last laid out: to ask for it during a step would lay out the page. */
  #size: Size = { width: 0, height: 0 };
  #coloured = false;
  #hintTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: HeatmapOptions, signal: AbortSignal) {
    this.#options = options;
    this.#picture = new UnitCanvas(
      {
        onPaint: () => this.#painted(),
        onWheelRefused: () => this.#wheelHint(),
        onHover: (at) => this.#hover(at),
        onClick: (click) => this.#click(click),
        onDoubleClick: () => {
          this.#select(this.#beforeClick);
          this.#picture.reset();
        },
        onRegion: (corners) => this.#selectRegion(corners),
      },
      signal,
    );
    const canvas = this.#picture.node();
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-description", KEYS);
    this.#tools = new HeatmapTools(
      {
        onColouring: options.onColouring,
        onChoices: (changes) => {
          this.#choices = { ...this.#choices, ...changes };
          if (changes.map !== undefined) this.recolour();
          this.#repaint(changes.across === undefined && changes.order === undefined);
        },
        onZoom: (way) => {
          if (way === "reset") this.#picture.reset();
          else this.#picture.zoomBy(way === "in" ? ZOOM_STEP : 1 / ZOOM_STEP);
        },
      },
      signal,
    );
    this.#card = new UnitCard(
      {
        onTolerances: options.onTolerances,
        onSettle: options.onSettle,
        onClose: () => this.#letGo(),
      },
      signal,
    );
    this.#list = new UnitList(
      {
        onPick: (unit, adds) => {
          this.#pick(unit, adds);
          this.#picture.reveal(unit);
        },
        onPoint: (unit) => {
          this.#listed = unit;
          this.#point();
        },
      },
      signal,
    );
    this.#selection = new SelectionRow(() => this.#letGo(), signal);
    this.#box = element(
      "div",
      { class: "iua-canvas-box" },
      canvas,
      ...this.#picture.overlays(),
      this.#tooltip.node(),
    );
    this.#node = element(
      "section",
      { class: "iua-heatmap", attributes: { "aria-label": "units" } },
      element(
        "div",
        { class: "iua-heatmap-head" },
        element("div", { class: "iua-heatmap-title" }, this.#name, this.#summary),
        this.#tools.zoomNode(),
      ),
      this.#tools.node(),
      this.#note,
      this.#placeholder,
      element(
        "div",
        { class: "iua-heatmap-body" },
        element(
          "div",
          { class: "iua-heatmap-main" },
          this.#box,
          element(
            "div",
            { class: "iua-heatmap-foot" },
            this.#legend.node(),
            element(
              "div",
              { class: "iua-hints" },
              element("span", { text: "lighter = more active" }),
              this.#hint,
            ),
          ),
        ),
        element(
          "div",
          { class: "iua-heatmap-side" },
          this.#selection.node(),
          this.#card.node(),
          this.#list.node(),
        ),
      ),
    );
    this.#listen(canvas, signal);
  }

  #listen(canvas: HTMLCanvasElement, signal: AbortSignal): void {
    const observer = new ResizeObserver(() => this.#resize());
    observer.observe(this.#box);
    window.addEventListener("resize", () => this.#resize(), { signal });
    this.#followRatio(signal);
    signal.addEventListener(
      "abort",
      () => {
        observer.disconnect();
        clearTimeout(this.#hintTimer);
      },
      { once: true },
    );
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

  /** A window moved to another screen changes its ratio without a change of size. */
  #followRatio(signal: AbortSignal): void {
    if (signal.aborted) return;
    matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`).addEventListener(
      "change",
      () => {
        this.#resize();
        this.#followRatio(signal);
      },
      { signal, once: true },
    );
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#box;
    if (clientWidth === 0 || clientHeight === 0) return;
    if (!this.#coloured) this.recolour();
    this.#size = { width: clientWidth, height: clientHeight };
    this.#picture.resize(clientWidth, clientHeight, window.devicePixelRatio || 1);
    this.#showTools();
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
    if (move !== undefined && event.shiftKey) this.#walk(move[0], move[1]);
    else if (move !== undefined) this.#picture.panBy(-move[0] * PAN_STEP, -move[1] * PAN_STEP);
    else if (event.key === "+" || event.key === "=") this.#picture.zoomBy(ZOOM_STEP);
    else if (event.key === "-" || event.key === "_") this.#picture.zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0") this.#picture.reset();
    else if (event.key === "Enter" && !event.shiftKey) this.#pickCursor(false);
    else if (event.key === " ") {
      if (event.shiftKey) this.#selectToCursor();
      else this.#pickCursor(true);
    } else if (event.key === "Escape" && (this.#cursor !== null || this.#selected.length > 0)) {
      this.#cursor = null;
      this.#letGo();
    } else return;
    event.preventDefault();
    event.stopPropagation();
    this.#point();
  }

  #walk(dx: number, dy: number): void {
    this.#cursor =
      this.#cursor === null
        ? (this.#pinned ?? this.#picture.firstInView())
        : this.#picture.neighbour(this.#cursor, dx, dy);
    this.#picture.reveal(this.#cursor);
  }

  #pickCursor(adds: boolean): void {
    if (this.#cursor === null) this.#walk(0, 0);
    if (this.#cursor !== null) this.#pick(this.#cursor, adds);
  }

  #selectToCursor(): void {
    const from = this.#anchor === null ? null : this.#picture.centreOf(this.#anchor);
    const to = this.#cursor === null ? null : this.#picture.centreOf(this.#cursor);
    if (from !== null && to !== null) this.#selectRegion([from, to]);
    else this.#pickCursor(true);
  }

  #click({ at, adds, second }: Click): void {
    if (second) return;
    this.#beforeClick = this.#selected;
    const unit = this.#picture.unitAt(at);
    this.#hover(at);
    if (unit !== null) this.#pick(unit, adds);
  }

  /** Pin a unit, or unpin it; or add it to the selection, or take it out. */
  #pick(unit: number, adds: boolean): void {
    this.#anchor = unit;
    if (adds) {
      const selected = toggled(this.#selected, unit);
      this.#select(selected);
      this.#pin(selected.includes(unit) ? unit : (selected[0] ?? null));
    } else if (this.#pinned === unit) this.#letGo();
    else this.#select([unit]);
  }

  #selectRegion(corners: readonly [Point, Point]): void {
    const { units, total } = this.#picture.unitsBetween(corners, MOST_SELECTED);
    if (units.length === 0) return;
    const all = united(this.#selected, units).slice(0, MOST_SELECTED);
    this.#select(all);
    this.#selection.tell(
      total > units.length
        ? `A selection holds ${formatInteger(MOST_SELECTED)} units at most: of ${formatInteger(total)} the first were taken.`
        : "",
    );
  }

  #letGo(): void {
    this.#select([]);
  }

  /** Tell the host at once, and show it before it answers. */
  #select(units: readonly number[]): void {
    const data = this.#data;
    if (data === null) return;
    const { shape, channel_axis: axis } = data.units;
    const own = units.map((unit) => ownIndex(shape, axis, unit));
    if (axis !== 0) own.sort((a, b) => a - b);
    this.#selection.tell("");
    this.#takeSelection(own, units);
    this.#showSelection();
    this.#options.onSelect(own);
  }

  #takeSelection(own: readonly number[], units: readonly number[]): void {
    this.#own = own;
    this.#selected = units;
    this.#selectedSet = new Set(units);
    if (units.length === 1) this.#pinned = units[0] as number;
    else if (this.#pinned !== null && !units.includes(this.#pinned)) this.#pinned = null;
    this.#picture.select(units);
  }

  #pin(unit: number | null): void {
    this.#pinned = unit;
    this.#showSelection();
  }

  #showSelection(): void {
    const data = this.#data;
    if (data === null) return;
    if (this.#pinned === null) this.#card.hide();
    else this.#card.update(data, this.#pinned);
    this.#selection.update(data, this.#selected);
    this.#list.update(data, this.#selectedSet);
    const canvas = this.#picture.node();
    setAttribute(canvas, "data-selected", String(this.#selected.length));
    setAttribute(canvas, "data-pinned", this.#pinned === null ? null : String(this.#pinned));
  }

  #wheelHint(): void {
    setText(this.#hint, "Click the picture or hold Ctrl to zoom with the wheel");
    this.#hint.classList.add("iua-hint-strong");
    clearTimeout(this.#hintTimer);
    this.#hintTimer = setTimeout(() => {
      this.#hint.classList.remove("iua-hint-strong");
      this.#painted();
    }, HINT_MS);
  }

  #painted(): void {
    const grain = this.#picture.grain();
    setAttribute(this.#picture.node(), "data-grain", grain);
    if (!this.#hint.classList.contains("iua-hint-strong")) {
      const { pooling } = this.#choices;
      const shown = pooling === "mean" ? "the mean" : `the ${pooling}`;
      const words = {
        unit: REST_HINT,
        pixel: `Each pixel shows ${shown} of its units`,
        channel: `Each tile is a channel: ${shown} of its units`,
      };
      setText(this.#hint, words[grain]);
    }
    this.#point();
  }

  #hover(at: Point | null): void {
    this.#pointer = at;
    if (at !== null) this.#cursor = null;
    this.#point();
  }

  /** Tooltip and outline for the unit under the pointer or the keyboard's cursor. */
  #point(): void {
    const pointed = this.#pointer === null ? null : this.#picture.unitAt(this.#pointer);
    const unit = this.#cursor ?? pointed ?? this.#listed;
    this.#picture.outline(unit);
    const text = unit === null || unit === this.#listed ? null : this.#describe(unit);
    const at = this.#cursor === null ? this.#pointer : this.#picture.centreOf(this.#cursor);
    if (text === null || at === null) this.#tooltip.hide();
    else this.#tooltip.show(text, at.x, at.y, this.#size.width, this.#size.height);
  }

  #describe(unit: number): TooltipText | null {
    const data = this.#data;
    if (data === null || unit >= data.units.units) return null;
    if (this.#cursor === null && this.#picture.grain() === "channel") {
      return this.#describeChannel(data, unit);
    }
    const { probes } = data.units;
    const lower = data.reading.lower[unit] as number;
    const upper = data.reading.upper[unit] as number;
    const { title, index, alarm } = unitTitle(data, unit);
    const lines = index === "" ? [] : [index];
    lines.push(
      `${formatBracket(lower, upper, formatInteger)} of ${plural(probes, probeWord(data))} inactive`,
      formatBracket(lower / probes, upper / probes, formatShare),
    );
    return { title, lines, alarm };
  }

  #describeChannel(data: UnitsInView, unit: number): TooltipText {
    const { shape, probes } = data.units;
    const area = shape.slice(1).reduce((all, size) => all * size, 1);
    const channel = Math.floor(unit / area);
    const counts = data.reading.lower.subarray(channel * area, (channel + 1) * area);
    let dead = 0;
    let sum = 0;
    for (const [place, count] of counts.entries()) {
      sum += count;
      if (count >= data.dead.fromOf(channel * area + place)) dead++;
    }
    return {
      title: `channel ${channel}`,
      lines: [plural(area, "unit"), `on average ${formatShare(sum / (area * probes))} inactive`],
      alarm: dead > 0 ? `${formatInteger(dead)} of them dead` : null,
    };
  }

  update(state: HeatmapState): void {
    if (state.kind === "message") this.#showMessage(state.layer, state.text);
    else this.#showUnits(state);
  }

  #showMessage(layer: string, text: string): void {
    this.#facts = null;
    this.#data = null;
    this.#survey = null;
    this.#cursor = null;
    this.#pinned = null;
    this.#takeSelection([], []);
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
  }

  #showUnits(state: UnitsState): void {
    const { units, reading, layer, tolerances, rtolStops } = state;
    const before = this.#data;
    const keepView = before?.units.layer === units.layer;
    if (this.#facts?.units !== units) this.#facts = new UnitFacts(units);
    const facts = this.#facts;
    const dead = facts.rule(tolerances.dead_share);
    const sameNumbers =
      before?.units === units &&
      sameCounts(before.reading, reading) &&
      before.dead.share === dead.share;
    const colouring = facts.possible(state.colouring);
    const sameColours = sameNumbers && colouring === this.#colouring;
    this.#data = {
      units,
      reading,
      layer,
      tolerances,
      rtolStops,
      dead,
      finite: facts.finite,
    };
    this.#colouring = colouring;
    if (!keepView) {
      this.#cursor = null;
      this.#pinned = null;
      this.#anchor = null;
      this.#listed = null;
      this.#choices = { ...this.#choices, across: null };
    }
    if (!sameNumbers || this.#survey === null) this.#survey = facts.survey(reading, dead);
    this.#toggle(true);
    this.#describeLayer(this.#data, this.#survey, state.colouring);
    if (!sameColours || !keepView) this.#repaint(keepView);
    this.#readSelection(state.selected);
    this.#showSelection();
    this.#showTools();
    this.#point();
  }

  #readSelection(own: readonly number[]): void {
    const data = this.#data;
    if (data === null) return;
    const same =
      own.length === this.#own.length && own.every((unit, index) => unit === this.#own[index]);
    if (same) return;
    const { shape, channel_axis: axis, units } = data.units;
    const inRange = own.filter((unit) => unit < units);
    const selected = inRange.map((unit) => fromOwnIndex(shape, axis, unit));
    if (axis !== 0) selected.sort((a, b) => a - b);
    this.#takeSelection(own, selected);
  }

  /** Encode the units anew and show them. */
  #repaint(keepView: boolean): void {
    const [data, facts, survey] = [this.#data, this.#facts, this.#survey];
    if (data === null || facts === null || survey === null) return;
    const { reading, units } = data;
    const { pooling, map, across, order } = this.#choices;
    const colouring = this.#colouring;
    const range = facts.range(colouring, reading, data.dead.from);
    const sorted = order === "activity" && layoutKind(units.shape) === "grid";
    this.#order = sorted ? orderUnits(reading.lower, true) : null;
    this.#picture.show(
      {
        shape: units.shape,
        levels: facts.levels(reading, colouring, data.dead, range, pooling),
        pooling,
        order: this.#order,
        across,
        notFinite: facts.notFinite,
        dead: survey.dead,
      },
      keepView,
    );
    const probe = probeWord(data);
    const told = facts.notFinite.length > 0 ? `finite ${probe}` : probe;
    this.#legend.update({
      colouring,
      map,
      probes: units.probes,
      probe,
      range,
      deadRule: deadRule(data.tolerances.dead_share, told),
      dead: formatBracket(survey.dead, survey.deadUpper, formatInteger),
      notFinite: facts.notFinite.length,
    });
    setAttribute(this.#picture.node(), "data-colouring", colouring);
    this.#showTools();
  }

  #showTools(): void {
    const data = this.#data;
    if (data === null) return;
    const { shape, mean_abs } = data.units;
    const kind = layoutKind(shape);
    this.#tools.update({
      kind,
      colouring: this.#colouring,
      choices: this.#choices,
      meanAbsent: mean_abs === null ? MEAN_ABSENT : null,
      across: this.#picture.across(),
    });
  }

  #describeLayer(data: UnitsInView, survey: ReadingSurvey, wanted: Colouring): void {
    const { units, reading, layer } = data;
    setText(this.#name, units.layer);
    this.#name.title = units.layer;
    const dead = formatBracket(survey.dead, survey.deadUpper, formatInteger);
    const channels = deadChannels(layer);
    const parts = [unitSummary(layer.meta), `${dead} dead`, maskedNote(layer.meta)];
    if (channels !== "") parts.splice(2, 0, `${channels} dead`);
    setText(this.#summary, parts.filter((part) => part !== "").join(" · "));
    setText(this.#note, [this.#stopsNote(data), this.#colourNote(wanted)].join(" ").trim());
    this.#note.hidden = this.#note.textContent === "";
    const canvas = this.#picture.node();
    setAttribute(canvas, "aria-label", `heatmap of ${units.layer}`);
    setAttribute(canvas, "data-layer", units.layer);
    setAttribute(canvas, "data-units", String(units.units));
    setAttribute(canvas, "data-probes", String(units.probes));
    setAttribute(canvas, "data-dead", String(survey.dead));
    setAttribute(canvas, "data-inactive-sum", String(survey.inactive));
    setAttribute(canvas, "data-exact", String(reading.exact));
    setAttribute(canvas, "data-lower-column", String(reading.lowerColumn));
  }

  #stopsNote({ units, reading }: UnitsInView): string {
    if (units.stops.length + 1 === units.columns.length || reading.exact) return "";
    const here = units.columns.filter((column) => column < units.stops.length).length;
    const at =
      reading.lowerColumn >= 0 && reading.lowerColumn < units.stops.length
        ? ` The picture shows ${formatTolerance(units.stops[reading.lowerColumn] as number)}.`
        : "";
    return `This layer is large: ${here} of ${units.stops.length} stops are here.${at}`;
  }

  #colourNote(wanted: Colouring): string {
    if (wanted === this.#colouring) return "";
    return `${MEAN_ABSENT} Inactive share is shown.`;
  }

  /** Read the theme's colours again; a host may put the node into its page later than it says. */
  recolour(): void {
    this.#coloured = this.#box.isConnected;
    const style = getComputedStyle(this.#box);
    const text = (name: string): string => style.getPropertyValue(name).trim();
    const rgb = (name: string, fallback: Rgb): Rgb =>
      /^#[0-9a-f]{6}$/i.test(text(name)) ? parseHex(text(name)) : fallback;
    this.#picture.setInks({
      map: this.#choices.map,
      signals: {
        ground: rgb("--iua-picture-ground", [228, 231, 236]),
        dead: rgb("--iua-dead", [232, 64, 42]),
        notFinite: rgb("--iua-not-finite", [168, 37, 195]),
      },
      text: text("--iua-picture-text"),
      outline: rgb("--iua-outline", [11, 19, 32]),
      halo: rgb("--iua-halo", [255, 255, 255]),
      font: text("--iua-font") || "sans-serif",
    });
  }

  /** The picture as it stands, for a file. */
  picture(): PictureHeatmap | null {
    if (this.#data === null) return null;
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
