/** The keyboard in the heatmap: walks from unit to unit, pans, zooms, pins and selects. */

import type { UnitCanvas } from "../canvas/unit_canvas";
import type { Point } from "../canvas/viewport";
import type { PointedUnit } from "./pointed_unit";
import type { UnitChoice } from "./unit_choice";

export const ZOOM_STEP = 1.6;
const PAN_STEP = 48;
const MOVES: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
const HELP =
  "Plus and minus zoom, arrows pan, 0 resets. Shift and arrows walk, Enter pins, Space selects, " +
  "Shift and Space selects up to here, Escape lets go. The list of units says the same.";

interface HeatmapKeysActions {
  onPick(unit: number, adds: boolean): void;
  onRegion(corners: readonly [Point, Point]): void;
  onLetGo(): void;
}

export class HeatmapKeys {
  readonly #picture: UnitCanvas;
  readonly #choice: UnitChoice;
  readonly #pointed: PointedUnit;
  readonly #actions: HeatmapKeysActions;

  constructor(
    picture: UnitCanvas,
    choice: UnitChoice,
    pointed: PointedUnit,
    actions: HeatmapKeysActions,
    signal: AbortSignal,
  ) {
    this.#picture = picture;
    this.#choice = choice;
    this.#pointed = pointed;
    this.#actions = actions;
    const canvas = picture.node();
    canvas.setAttribute("aria-description", HELP);
    canvas.addEventListener("keydown", (event) => this.#key(event), { signal });
    const left = (): void => {
      pointed.cursor = null;
      pointed.show();
    };
    canvas.addEventListener("blur", left, { signal });
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = this.#picture;
    const move = MOVES[event.key];
    if (move !== undefined && event.shiftKey) this.#walk(move[0], move[1]);
    else if (move !== undefined) view.panBy(-move[0] * PAN_STEP, -move[1] * PAN_STEP);
    else if (event.key === "+" || event.key === "=") view.zoomBy(ZOOM_STEP);
    else if (event.key === "-" || event.key === "_") view.zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0") this.#picture.reset();
    else if (event.key === "Enter" && !event.shiftKey) this.#pick(false);
    else if (event.key === " " && event.shiftKey) this.#selectToCursor();
    else if (event.key === " ") this.#pick(true);
    else if (event.key !== "Escape" || !this.#letGo()) return;
    event.preventDefault();
    event.stopPropagation();
    this.#pointed.show();
  }

  #letGo(): boolean {
    if (this.#pointed.cursor === null && this.#choice.selected.length === 0) return false;
    this.#pointed.cursor = null;
    this.#actions.onLetGo();
    return true;
  }

  #walk(dx: number, dy: number): void {
    this.#pointed.cursor =
      this.#pointed.cursor === null
        ? (this.#choice.pinned ?? this.#picture.firstInView())
        : this.#picture.neighbor(this.#pointed.cursor, dx, dy);
    this.#picture.reveal(this.#pointed.cursor);
  }

  #pick(adds: boolean): void {
    if (this.#pointed.cursor === null) this.#walk(0, 0);
    if (this.#pointed.cursor !== null) this.#actions.onPick(this.#pointed.cursor, adds);
  }

  #selectToCursor(): void {
    const { anchor } = this.#choice;
    const from = anchor === null ? null : this.#picture.centerOf(anchor);
    const to = this.#pointed.cursor === null ? null : this.#picture.centerOf(this.#pointed.cursor);
    if (from !== null && to !== null) this.#actions.onRegion([from, to]);
    else this.#pick(true);
  }
}
