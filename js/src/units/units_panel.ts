/** The pane of the picture: heading, picture, legend and controls, and the unit pointed at. */

import type { Click } from "../canvas/gestures";
import type { Coloring } from "../canvas/levels";
import { inksAt } from "../canvas/picture_inks";
import { UnitCanvas } from "../canvas/unit_canvas";
import type { Point } from "../canvas/viewport";
import type { PictureHeatmap } from "../picture/picture";
import { layoutKind } from "../reading/layout";
import { MOST_SELECTED } from "../reading/unit_selection";
import { element, setAttribute, setText } from "../ui/dom";
import { followPixelSize } from "../ui/pixel_size";
import { HeatmapHead } from "./heatmap_head";
import { HeatmapKeys, ZOOM_STEP } from "./heatmap_keys";
import { FIRST_CHOICES, HeatmapTools, type PictureChoices } from "./heatmap_tools";
import { Legend } from "./legend";
import { PictureHint } from "./picture_hint";
import {
  COUNTS_ABSENT,
  figuresOf,
  MEAN_ABSENT,
  noteOn,
  pictureAndLegend,
  type ShownUnits,
} from "./picture_model";
import { PointedUnit } from "./pointed_unit";
import type { UnitChoice } from "./unit_choice";

/** A picture for a file is this much finer than its size on the page. */
const IMAGE_RATIO = 2;

interface UnitsPanelActions {
  onColoring(coloring: Coloring): void;
  onPick(unit: number, adds: boolean): void;
  /** Select these and no others. */
  onTake(units: readonly number[]): void;
  /** Select these, too, the first of `total`. */
  onRegion(units: readonly number[], total: number): void;
}

export class UnitsPanel {
  readonly #choice: UnitChoice;
  readonly #actions: UnitsPanelActions;
  readonly #picture: UnitCanvas;
  readonly #pointed: PointedUnit;
  readonly #tools: HeatmapTools;
  readonly #head: HeatmapHead;
  readonly #hint: PictureHint;
  readonly #legend = new Legend();
  readonly #placeholder = element("p", { class: "iua-placeholder" });
  readonly #box: HTMLElement;
  readonly #node: HTMLElement;
  #shown: ShownUnits | null = null;
  #choices: PictureChoices = FIRST_CHOICES;
  #beforeClick: readonly number[] = [];
  #colored = false;

  constructor(choice: UnitChoice, actions: UnitsPanelActions, signal: AbortSignal) {
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
          this.#picture.view.showWhole();
        },
        onRegion: (corners) => this.#selectRegion(corners),
      },
      signal,
    );
    this.#pointed = new PointedUnit(this.#picture);
    const canvas = this.#picture.node();
    canvas.setAttribute("role", "application");
    new HeatmapKeys(
      this.#picture,
      choice,
      this.#pointed,
      {
        onPick: (unit, adds) => actions.onPick(unit, adds),
        onRegion: (corners) => this.#selectRegion(corners),
        onLetGo: () => actions.onTake([]),
      },
      signal,
    );
    this.#tools = new HeatmapTools(
      {
        onColoring: (coloring) => actions.onColoring(coloring),
        onChoices: (changes) => this.#choose(changes),
        onZoom: (way) => {
          if (way === "reset") this.#picture.reset();
          else this.#picture.view.zoomBy(way === "in" ? ZOOM_STEP : 1 / ZOOM_STEP);
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
      this.#pointed.node(),
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
    followPixelSize(this.#box, () => this.#resize(), signal);
  }

  // What the user does.

  #choose(changes: Partial<PictureChoices>): void {
    this.#choices = { ...this.#choices, ...changes };
    if (changes.map !== undefined) this.recolor();
    this.#repaint(changes.across === undefined && changes.order === undefined);
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

  #hover(at: Point | null): void {
    this.#pointed.pointer = at;
    if (at !== null) this.#pointed.cursor = null;
    this.#pointed.show();
  }

  // What is on show.

  /** Say why there are no units to show. */
  showMessage(layer: string, text: string): void {
    this.#shown = null;
    this.#pointed.data = null;
    this.#pointed.cursor = null;
    this.#head.clear(layer);
    setText(this.#placeholder, text);
    this.#toggle(false);
    this.#hint.note("");
    this.#picture.select([]);
    const { dataset } = this.#picture.node();
    for (const name of Object.keys(dataset)) delete dataset[name];
    this.#pointed.show();
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
    this.#pointed.data = shown.data;
    this.#pointed.coloring = shown.coloring;
    if (!same.sameLayer) {
      this.#pointed.cursor = null;
      this.#pointed.listed = null;
      this.#choices = { ...this.#choices, across: null };
    }
    this.#toggle(true);
    this.#head.update(shown.data, shown.survey);
    this.#hint.note(noteOn(shown));
    for (const [name, value] of Object.entries(figuresOf(shown))) {
      setAttribute(this.#picture.node(), name, value);
    }
    if (!same.sameColors || !same.sameLayer) this.#repaint(same.sameLayer);
    this.#showTools();
    this.#pointed.show();
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
    const { picture, legend } = pictureAndLegend(shown, this.#choices);
    this.#picture.show(picture, keepView);
    this.#legend.update(legend);
    setAttribute(this.#picture.node(), "data-coloring", shown.coloring);
    this.#showTools();
  }

  #painted(): void {
    const grain = this.#picture.grain();
    setAttribute(this.#picture.node(), "data-grain", grain);
    const { pooling } = this.#choices;
    this.#hint.update(grain, pooling === "mean" ? "the mean" : `the ${pooling}`);
    this.#legend.ring(this.#picture.lone());
    this.#showTools();
    this.#pointed.show();
  }

  #showTools(): void {
    if (this.#shown === null) return;
    const { shape, mean_abs, comparison, dead_from, evidence } = this.#shown.data.units;
    this.#tools.update({
      kind: layoutKind(shape),
      coloring: this.#shown.coloring,
      choices: this.#choices,
      meanAbsent: mean_abs === null ? MEAN_ABSENT : null,
      compared: comparison !== null,
      evidence: (name) => evidence.has(name),
      countsAbsent: dead_from === null ? null : COUNTS_ABSENT,
      across: this.#picture.view.across,
    });
  }

  /** Point at a unit from a list of them: its place is outlined. */
  pointFromList(unit: number | null): void {
    this.#pointed.listed = unit;
    this.#pointed.show();
  }

  /** Bring a unit into view. */
  reveal(unit: number): void {
    this.#picture.reveal(unit);
  }

  // Size and colors.

  #resize(): void {
    const { clientWidth: width, clientHeight: height } = this.#box;
    if (width === 0 || height === 0) return;
    if (!this.#colored) this.recolor();
    this.#pointed.size = { width, height };
    this.#picture.resize(width, height, window.devicePixelRatio || 1);
    this.#showTools();
  }

  /** Read the theme's colors again; a host may put the node into its page later than it says. */
  recolor(): void {
    this.#colored = this.#box.isConnected;
    const inks = inksAt(this.#box, this.#choices.map);
    this.#legend.recolor(inks.map, inks.signals);
    this.#picture.setInks(inks);
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
      legend: this.#legend.marks(),
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
