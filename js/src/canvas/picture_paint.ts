/** Paints the units in view on a canvas: colors, hatching, outlines of the selected, marks, rings. */

import type { Placement } from "../ui/placement";
import { scaledPlacement } from "./cell_placement";
import {
  buildPalette,
  type ColorMap,
  cssColor,
  packColor,
  type Rgb,
  type Signals,
  unpackColor,
} from "./color";
import { clearMarks, drawContour, markUnits } from "./contour";
import { NOT_FINITE, type Pooling } from "./levels";
import type { LoneUnit } from "./lone_units";
import { LEAST_MARK, labelTiles, numberUnits, signMarks } from "./unit_marks";
import { type Counts, UnitPainter } from "./unit_painter";
import type { UnitPlaces } from "./unit_places";
import { UnitRings } from "./unit_rings";

export interface Inks {
  readonly map: ColorMap;
  readonly signals: Signals;
  readonly text: string;
  readonly outline: Rgb;
  readonly halo: Rgb;
  readonly font: string;
}

export class PicturePaint {
  readonly #canvas: HTMLCanvasElement;
  readonly #rings = new UnitRings();
  #inks: Inks | null = null;
  #palette: Uint32Array | null = null;
  #paletteFor: Pooling | null = null;
  #painter: UnitPainter | null = null;
  #image: ImageData | null = null;
  #mask = new Uint8Array();

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
  }

  /** The canvas of the rings. */
  get rings(): HTMLCanvasElement {
    return this.#rings.node();
  }

  /** What is ringed: units of a kind that would else be overlooked. */
  get lone(): readonly LoneUnit[] {
    return this.#rings.lone;
  }

  /** The place of the ringed unit at a point in CSS pixels. */
  ringedAt(x: number, y: number, places: UnitPlaces, at: Placement): number | null {
    return this.#rings.placeAt(x, y, places, at);
  }

  setInks(inks: Inks): void {
    this.#inks = inks;
    this.#palette = null;
  }

  resize(width: number, height: number): void {
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#painter = null;
    this.#image = null;
  }

  /** Paint at a placement in CSS pixels, of which each has `ratio` pixels; false if it cannot. */
  paint(
    places: UnitPlaces,
    css: Placement,
    ratio: number,
    counts: Counts,
    selected: readonly number[],
  ): boolean {
    const { width, height } = this.#canvas;
    const context = this.#canvas.getContext("2d");
    const inks = this.#inks;
    if (inks === null || context === null) return false;
    if (this.#image === null) {
      this.#image = context.createImageData(width, height);
      this.#mask = new Uint8Array(0);
    }
    this.#painter ??= new UnitPainter(width, height);
    const painter = this.#painter;
    const palette = this.#paletteOf(inks, places.pyramid.pooling);
    const at = scaledPlacement(css, ratio);
    painter.paint(places.pyramid, css, at, counts);
    const pixels = new Uint32Array(this.#image.data.buffer);
    const drawn = painter.levels;
    for (let pixel = 0; pixel < pixels.length; pixel++) {
      pixels[pixel] = palette[drawn[pixel] as number] as number;
    }
    if ((counts.signals[NOT_FINITE] ?? 0) > 0)
      hatch(pixels, drawn, width, ratio, packColor(inks.signals.ground));
    if (selected.length > 0) {
      this.#outline(places.placesOf(selected), places, at, ratio, pixels, inks);
    }
    context.putImageData(this.#image, 0, 0);
    this.#mark(context, places, at, ratio, palette, inks);
    this.#rings.draw(painter, places, at, ratio, {
      palette,
      dark: cssColor(inks.outline),
      light: cssColor(inks.halo),
    });
    return true;
  }

  #paletteOf({ map, signals }: Inks, pooling: Pooling): Uint32Array {
    if (this.#palette === null || pooling !== this.#paletteFor) {
      this.#palette = buildPalette(map, signals, pooling);
      this.#paletteFor = pooling;
    }
    return this.#palette;
  }

  #outline(
    selected: readonly number[],
    { layout }: UnitPlaces,
    at: Placement,
    ratio: number,
    pixels: Uint32Array,
    { outline, halo }: Inks,
  ): void {
    const { width, height } = this.#canvas;
    if (this.#mask.length !== pixels.length) this.#mask = new Uint8Array(pixels.length);
    const least = Math.round(LEAST_MARK * ratio);
    const box = markUnits(layout, selected, at, width, height, least, this.#mask);
    if (box === null) return;
    const thick = Math.max(1, Math.round(1.5 * ratio));
    const colors = [packColor(outline), packColor(halo)] as const;
    drawContour(this.#mask, box, width, height, thick, ...colors, pixels);
    clearMarks(this.#mask, box, width);
  }

  #mark(
    context: CanvasRenderingContext2D,
    places: UnitPlaces,
    at: Placement,
    ratio: number,
    palette: Uint32Array,
    { font, text, signals }: Inks,
  ): void {
    const { layout, levels } = places;
    const marked = { layout, at, ratio, levels };
    labelTiles(context, marked, font, text);
    const inkOf = (level: number): string => inkOn(palette[level] as number);
    signMarks(context, marked, inkOf);
    const unitOf = (place: number): number => places.unitIn(place);
    const hatched = { level: NOT_FINITE, color: cssColor(signals.notFinite) };
    numberUnits(context, marked, font, unitOf, inkOf, hatched);
  }

  /** A copy of what is painted, rings and all. */
  copy(): HTMLCanvasElement {
    const { width, height } = this.#canvas;
    const both = document.createElement("canvas");
    both.width = width;
    both.height = height;
    const context = both.getContext("2d");
    if (context !== null) {
      context.drawImage(this.#canvas, 0, 0);
      this.#rings.drawOver(context);
    }
    return both;
  }
}

/** Not finite is a pattern, so that it is told apart without its color too. */
function hatch(
  pixels: Uint32Array,
  levels: Uint8Array,
  width: number,
  ratio: number,
  other: number,
): void {
  const step = Math.max(1, Math.round(2 * ratio));
  for (let pixel = 0; pixel < pixels.length; pixel++) {
    if (levels[pixel] !== NOT_FINITE) continue;
    const stripe = (pixel % width) + Math.floor(pixel / width);
    if (Math.floor(stripe / step) % 2 === 1) pixels[pixel] = other;
  }
}

/** Black or white, whichever is legible on a packed color. */
function inkOn(packed: number): string {
  const [red, green, blue] = unpackColor(packed);
  return 0.3 * red + 0.59 * green + 0.11 * blue > 140 ? "#11161d" : "#ffffff";
}
