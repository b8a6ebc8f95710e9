/** The pane of the picture: heading, picture, legend and controls, and the unit pointed at. */

import { parseHex, type Rgb } from "../canvas/color";
import type { Click } from "../canvas/gestures";
import type { Coloring } from "../canvas/levels";
import { UnitCanvas } from "../canvas/unit_canvas";
import { orderUnits } from "../canvas/unit_order";
import { channelTip, type TipText, unitTip } from "../canvas/unit_tips";
import type { Point, Size } from "../canvas/viewport";
import type { PictureHeatmap } from "../picture/picture";
import { readLegend } from "../picture/save_picture";
import { formatBracket, formatInteger, formatTolerance } from "../reading/format";
import { layoutKind } from "../reading/layout";
import { MOST_SELECTED } from "../reading/unit_selection";
import { deadRule, probeWord, type UnitsInView } from "../reading/units_in_view";
import { element, setAttribute, setText } from "../ui/dom";
import { HeatmapHead } from "./heatmap_head";
import { HeatmapKeys, ZOOM_STEP } from "./heatmap_keys";
import { FIRST_CHOICES, HeatmapTools, type PictureChoices } from "./heatmap_tools";
import { Legend } from "./legend";
import { PictureHint } from "./picture_hint";
import { Tooltip } from "./tooltip";
import type { UnitChoice } from "./unit_choice";
import type { ReadingSurvey, UnitFacts } from "./unit_picture";

/** A picture for a file is this much finer than its size on the page. */
const IMAGE_RATIO = 2;
const MEAN_ABSENT = "Mean |x| of each unit was not sent: the layer is too large.";

/** The units on show, and what is known of them as a whole. */
export interface ShownUnits {
  readonly data: UnitsInView;
  readonly facts: UnitFacts;
  readonly survey: ReadingSurvey;
  readonly coloring: Coloring;
  /** The coloring asked for, which there may be nothing to color by. */
  readonly wanted: Coloring;
}

export interface HeatmapActions {
  onColoring(coloring: Coloring): void;
  onPick(unit: number, adds: boolean): void;
  /** Select these and no others. */
  onTake(units: readonly number[]): void;
  /** Select these, too, the first of `total`. */
  onRegion(units: readonly number[], total: number): void;
}

export class Heatmap {
  readonly #choice: UnitChoice;
  readonly #actions: HeatmapActions;
  readonly #picture: UnitCanvas;
  readonly #keys: HeatmapKeys;
  readonly #tools: HeatmapTools;
  readonly #head: HeatmapHead;
  readonly #hint: PictureHint;
  readonly #legend = new Legend();
  readonly #tooltip = new Tooltip();
  readonly #placeholder = element("p", { class: "iua-placeholder" });
  readonly #box: HTMLElement;
  readonly #node: HTMLElement;
  #shown: ShownUnits | null = null;
  #choices: PictureChoices = FIRST_CHOICES;
  #beforeClick: readonly number[] = [];
  #pointer: Point | null = null;
  /** The unit pointed at in a list. */
  #listed: number | null = null;
  /** Of the picture, as last laid out: to ask for it during a step would lay out the page. */
  #size: Size = { width: 0, height: 0 };
  #colored = false;

  constructor(choice: UnitChoice, actions: HeatmapActions, signal: AbortSignal) {
    this.#choice = choice;
    this.#actions = actions;
    this.#hint = new PictureHint(signal);
    this.#picture = new UnitCanvas(
      {
        onPaint: () => this.#painted(),
        onWheelRefused: () => this.#hint.wheelRefused(),
        onHover: (at) => this.#hover(at),
        onClick: (click) => this.#click(click),
        onDoubleClick: () => {
          actions.onTake(this.#beforeClick);
          this.#picture.showWhole();
        },
        onRegion: (corners) => this.#selectRegion(corners),
      },
      signal,
    );
    const canvas = this.#picture.node();
    canvas.setAttribute("role", "application");
    this.#keys = new HeatmapKeys(
      this.#picture,
      choice,
      {
        onPick: (unit, adds) => actions.onPick(unit, adds),
        onRegion: (corners) => this.#selectRegion(corners),
        onLetGo: () => actions.onTake([]),
        onMove: () => this.#point(),
      },
      signal,
    );
    this.#tools = new HeatmapTools(
      {
        onColoring: (coloring) => actions.onColoring(coloring),
        onChoices: (changes) => this.#choose(changes),
        onZoom: (way) => {
          if (way === "reset") this.#picture.reset();
          else this.#picture.zoomBy(way === "in" ? ZOOM_STEP : 1 / ZOOM_STEP);
        },
      },
      signal,
    );
    this.#head = new HeatmapHead(this.#tools.menuNode(), signal);
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
      this.#head.node(),
      this.#placeholder,
      this.#box,
      element(
        "div",
        { class: "iua-heatmap-foot" },
        this.#legend.node(),
        this.#tools.node(),
        this.#hint.node(),
      ),
    );
    this.#followSize(signal);
  }

  #choose(changes: Partial<PictureChoices>): void {
    this.#choices = { ...this.#choices, ...changes };
    if (changes.map !== undefined) this.recolor();
    this.#repaint(changes.across === undefined && changes.order === undefined);
  }

  #followSize(signal: AbortSignal): void {
    const observer = new ResizeObserver(() => this.#resize());
    observer.observe(this.#box);
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
    window.addEventListener("resize", () => this.#resize(), { signal });
    this.#followRatio(signal);
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
    if (!this.#colored) this.recolor();
    this.#size = { width: clientWidth, height: clientHeight };
    this.#picture.resize(clientWidth, clientHeight, window.devicePixelRatio || 1);
    this.#showTools();
  }

  #click({ at, adds, second }: Click): void {
    if (second) return;
    this.#beforeClick = this.#choice.selected;
    const unit = this.#picture.unitAt(at);
    this.#hover(at);
    if (unit !== null) this.#actions.onPick(unit, adds);
  }

  #selectRegion(corners: readonly [Point, Point]): void {
    const { units, total } = this.#picture.unitsBetween(corners, MOST_SELECTED);
    if (units.length > 0) this.#actions.onRegion(units, total);
  }

  #painted(): void {
    const grain = this.#picture.grain();
    setAttribute(this.#picture.node(), "data-grain", grain);
    const { pooling } = this.#choices;
    this.#hint.update(grain, pooling === "mean" ? "the mean" : `the ${pooling}`);
    this.#legend.ring(this.#picture.lone());
    this.#showTools();
    this.#point();
  }

  #hover(at: Point | null): void {
    this.#pointer = at;
    if (at !== null) this.#keys.cursor = null;
    this.#point();
  }

  /** Point at a unit from a list of them: its place is outlined. */
  pointFromList(unit: number | null): void {
    this.#listed = unit;
    this.#point();
  }

  /** Tooltip and outline for the unit under the pointer or the keyboard's cursor. */
  #point(): void {
    const { cursor } = this.#keys;
    const pointed = this.#pointer === null ? null : this.#picture.unitAt(this.#pointer);
    const unit = cursor ?? pointed ?? this.#listed;
    this.#picture.outline(unit);
    const text = unit === null || unit === this.#listed ? null : this.#describe(unit);
    const at = cursor === null ? this.#pointer : this.#picture.centerOf(cursor);
    if (text === null || at === null) this.#tooltip.hide();
    else this.#tooltip.show(text, at.x, at.y, this.#size.width, this.#size.height);
  }

  #describe(unit: number): TipText | null {
    const data = this.#shown?.data;
    if (data === undefined || unit >= data.units.units) return null;
    const pointer = this.#keys.cursor === null ? this.#pointer : null;
    if (pointer !== null && this.#picture.grain() === "channel") return channelTip(data, unit);
    return unitTip(data, unit, pointer === null ? null : this.#picture.sharedAt(pointer));
  }

  /** Say why there are no units to show. */
  showMessage(layer: string, text: string): void {
    this.#shown = null;
    this.#keys.cursor = null;
    this.#head.clear(layer);
    setText(this.#placeholder, text);
    this.#toggle(false);
    this.#hint.note("");
    this.#picture.select([]);
    for (const name of Object.keys(this.#picture.node().dataset)) {
      delete this.#picture.node().dataset[name];
    }
    this.#point();
  }

  #toggle(shown: boolean): void {
    this.#node.classList.toggle("iua-no-units", !shown);
    this.#placeholder.hidden = shown;
  }

  /** Show units: those of another layer from afar, the same ones where they are looked at. */
  show(
    shown: ShownUnits,
    same: { readonly sameLayer: boolean; readonly sameColors: boolean },
  ): void {
    this.#shown = shown;
    if (!same.sameLayer) {
      this.#keys.cursor = null;
      this.#listed = null;
      this.#choices = { ...this.#choices, across: null };
    }
    this.#toggle(true);
    this.#head.update(shown.data, shown.survey);
    this.#hint.note([stopsNote(shown.data), colorNote(shown)].join(" ").trim());
    this.#writeFigures(shown);
    if (!same.sameColors || !same.sameLayer) this.#repaint(same.sameLayer);
    this.#showTools();
    this.#point();
  }

  /** Outline what is selected. */
  showChoice(): void {
    const { selected, pinned } = this.#choice;
    this.#picture.select(selected);
    const canvas = this.#picture.node();
    setAttribute(canvas, "data-selected", String(selected.length));
    setAttribute(canvas, "data-pinned", pinned === null ? null : String(pinned));
  }

  /** Encode the units anew and show them. */
  #repaint(keepView: boolean): void {
    const shown = this.#shown;
    if (shown === null) return;
    const { data, facts, survey, coloring } = shown;
    const { reading, units } = data;
    const { pooling, across, order } = this.#choices;
    const range = facts.range(coloring, reading, data.dead.from);
    const sorted = order === "activity" && layoutKind(units.shape) === "grid";
    this.#picture.show(
      {
        layer: units.layer,
        shape: units.shape,
        levels: facts.levels(reading, coloring, data.dead, range, pooling),
        pooling,
        order: sorted ? orderUnits(reading.lower, true) : null,
        across,
        notFinite: facts.notFinite.length,
        dead: survey.dead,
      },
      keepView,
    );
    const probe = probeWord(data);
    const told = facts.notFinite.length > 0 ? `finite ${probe}` : probe;
    this.#legend.update({
      coloring,
      probes: units.probes,
      probe,
      range,
      deadRule: deadRule(data.tolerances.dead_at, told),
      dead: formatBracket(survey.dead, survey.deadUpper, formatInteger),
      notFinite: facts.notFinite.length,
    });
    setAttribute(this.#picture.node(), "data-coloring", coloring);
    this.#showTools();
  }

  #showTools(): void {
    if (this.#shown === null) return;
    const { shape, mean_abs } = this.#shown.data.units;
    this.#tools.update({
      kind: layoutKind(shape),
      coloring: this.#shown.coloring,
      choices: this.#choices,
      meanAbsent: mean_abs === null ? MEAN_ABSENT : null,
      across: this.#picture.across(),
    });
  }

  /** What is on show, in figures, where a script finds them. */
  #writeFigures({ data: { units, reading }, survey }: ShownUnits): void {
    const canvas = this.#picture.node();
    setAttribute(canvas, "aria-label", `heatmap of ${units.layer}`);
    const figures = {
      layer: units.layer,
      units: units.units,
      probes: units.probes,
      dead: survey.dead,
      "inactive-sum": survey.inactive,
      exact: reading.exact,
      "lower-column": reading.lowerColumn,
    };
    for (const [name, value] of Object.entries(figures)) {
      setAttribute(canvas, `data-${name}`, String(value));
    }
  }

  /** Bring a unit into view. */
  reveal(unit: number): void {
    this.#picture.reveal(unit);
  }

  /** Read the theme's colors again; a host may put the node into its page later than it says. */
  recolor(): void {
    this.#colored = this.#box.isConnected;
    const style = getComputedStyle(this.#box);
    const text = (name: string): string => style.getPropertyValue(name).trim();
    const rgb = (name: string, fallback: Rgb): Rgb =>
      /^#[0-9a-f]{6}$/i.test(text(name)) ? parseHex(text(name)) : fallback;
    const { map } = this.#choices;
    const signals = {
      ground: rgb("--iua-picture-ground", [228, 231, 236]),
      dead: rgb("--iua-dead", [232, 64, 42]),
      notFinite: rgb("--iua-not-finite", [168, 37, 195]),
    };
    this.#legend.recolor(map, signals);
    this.#picture.setInks({
      map,
      signals,
      text: text("--iua-picture-text"),
      outline: rgb("--iua-outline", [11, 19, 32]),
      halo: rgb("--iua-halo", [255, 255, 255]),
      font: text("--iua-font") || "sans-serif",
    });
  }

  /** The picture as it stands, for a file. */
  picture(): PictureHeatmap | null {
    if (this.#shown === null) return null;
    const canvas = this.#picture.node();
    return {
      name: this.#head.name,
      summary: this.#head.summary,
      image: this.#picture.image(IMAGE_RATIO),
      width: canvas.clientWidth,
      height: canvas.clientHeight,
      legend: readLegend(this.#node.querySelector(".iua-legend")),
    };
  }

  /** The names of all layers, from which the one in view must be told. */
  tellFrom(names: readonly string[]): void {
    this.#head.tellFrom(names);
  }

  node(): HTMLElement {
    return this.#node;
  }
}

function stopsNote({ units, reading }: UnitsInView): string {
  if (units.stops.length + 1 === units.columns.length || reading.exact) return "";
  const here = units.columns.filter((column) => column < units.stops.length).length;
  const at =
    reading.lowerColumn >= 0 && reading.lowerColumn < units.stops.length
      ? ` The picture shows ${formatTolerance(units.stops[reading.lowerColumn] as number)}.`
      : "";
  return `This layer is large: ${here} of ${units.stops.length} tolerances are on this page.${at}`;
}

function colorNote({ coloring, wanted }: ShownUnits): string {
  return wanted === coloring ? "" : `${MEAN_ABSENT} Inactive share is shown.`;
}
