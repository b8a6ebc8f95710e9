/** Paints units into pixels: where they lie, as large a share of the pixels is dead as of the units. */

import type { Layout } from "../reading/layout";
import type { Placement } from "../ui/placement";
import { Apportionment } from "./apportion";
import { AreaShares, type TileBox } from "./area_shares";
import { showsTiles } from "./cell_placement";
import { DEAD, EMPTY_LEVEL, LAST_SIGNAL, levelOfShade, SHADES, SIGNALS } from "./levels";
import { settleOwn } from "./own_pixels";
import type { Pyramid } from "./pooling";
import { GRID_LINE_FROM, rasterize, rasterizeTiles } from "./raster";

export interface Counts {
  /** By level: how many units have it, of those that are signals. */
  readonly signals: readonly number[];
}

export class UnitPainter {
  readonly width: number;
  readonly height: number;
  /** One level a pixel, as last painted. */
  readonly levels: Uint8Array;
  /** By signal: what share of each pixel has it; empty where each shows its own unit. */
  readonly shares = new Map<number, Float32Array>();
  /** Whether there are units of more than one kind. */
  mixed = false;
  readonly #pixels = new Apportionment();
  readonly #tiles = new Apportionment();
  readonly #planes = new Map<number, Float32Array>();
  #left: Float32Array | null = null;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.levels = new Uint8Array(width * height);
  }

  /** Paint at a placement in CSS pixels, of which each has `ratio` pixels; `counts` are of units. */
  paint(pyramid: Pyramid, css: Placement, at: Placement, counts: Counts): void {
    const { layout } = pyramid;
    const patches = showsTiles(layout, css);
    const draw = patches ? rasterizeTiles : rasterize;
    draw(pyramid, at, this.width, this.height, this.levels);
    this.shares.clear();
    this.mixed = counts.signals.some((units) => units > 0);
    if (!this.mixed) return;
    const size = Math.min(at.scaleX, at.scaleY);
    if (size >= GRID_LINE_FROM) return;
    const shares = new AreaShares(layout, at, this.width, this.height);
    if (shares.boxes.length === 0) return;
    const units = pyramid.at(0).data;
    const darkest = levelOfShade(SHADES, pyramid.pooling);
    const ownPixels = size >= 1 && !patches;
    if (!ownPixels) this.#leaveShades(shares.boxes, darkest);
    for (const level of SIGNALS) {
      if ((counts.signals[level] ?? 0) === 0) continue;
      if (ownPixels) this.#settleOwn(level, shares, units, layout, darkest);
      else this.#paintShares(level, shares, units, layout);
    }
  }

  /** Units of some pixels each have them, but for a few at their edges. */
  #settleOwn(
    level: number,
    areas: AreaShares,
    units: Uint8Array,
    layout: Layout,
    darkest: number,
  ): void {
    const { boxes } = areas;
    const wanted = boxes.map((box) => (box.whole ? this.#pixelsFor(level, box, units, layout) : 0));
    const counts = this.#countOut(wanted, boxes);
    for (const [index, box] of boxes.entries()) {
      if (!box.whole) continue;
      settleOwn(level, counts[index] as number, box, areas, units, this.levels, darkest);
    }
  }

  /** How many pixels of a whole tile its units of a level are worth. */
  #pixelsFor(
    level: number,
    { tile, left, right, top, bottom }: TileBox,
    units: Uint8Array,
    { tileWidth, tileHeight }: Layout,
  ): number {
    const area = tileWidth * tileHeight;
    const own = units.subarray(tile * area, (tile + 1) * area);
    let number = 0;
    for (let unit = 0; unit < own.length; unit++) if (own[unit] === level) number++;
    let pixels = (right - left) * (bottom - top);
    if (own.length === area) return (number / area) * pixels;
    pixels = 0;
    for (let y = top; y < bottom; y++) {
      for (let at = y * this.width + left; at < y * this.width + right; at++) {
        if (this.levels[at] !== EMPTY_LEVEL) pixels++;
      }
    }
    return (number / own.length) * pixels;
  }

  /** Whole numbers of pixels for boxes, and so for all of them together. */
  #countOut(wanted: readonly number[], boxes: readonly TileBox[]): Int32Array {
    const across = boxes.filter(({ top }) => top === boxes[0]?.top).length;
    const down = Math.ceil(boxes.length / across);
    const values = new Float32Array(across * down);
    values.set(wanted);
    const total = Math.round(wanted.reduce((sum, part) => sum + part, 0));
    const counts = new Int32Array(values.length);
    this.#tiles.share(
      { values, offset: 0, stride: across, width: across, height: down },
      total,
      Number.POSITIVE_INFINITY,
      (index, count) => {
        counts[index] = count;
      },
    );
    return counts;
  }

  #sharesOf(level: number): Float32Array {
    const shares = this.#planes.get(level) ?? new Float32Array(this.levels.length);
    this.#planes.set(level, shares);
    this.shares.set(level, shares);
    return shares;
  }

  /** A pixel whose units have no shade takes the one beside it, until it is counted out. */
  #leaveShades(boxes: readonly TileBox[], darkest: number): void {
    const { levels, width } = this;
    for (const { left, right, top, bottom } of boxes) {
      let shade = darkest;
      for (let y = top; y < bottom; y++) {
        for (let at = y * width + left; at < y * width + right; at++) {
          const level = levels[at] as number;
          if (level > LAST_SIGNAL) shade = level;
          else if (level !== EMPTY_LEVEL) levels[at] = shade;
        }
      }
    }
  }

  /** Several units share a pixel: of those that hold some of a level as many as they are worth. */
  #paintShares(level: number, areas: AreaShares, units: Uint8Array, layout: Layout): void {
    const { levels, width } = this;
    const { boxes } = areas;
    const held = this.#sharesOf(level);
    const wanted = [...areas.of(level, units, held)];
    const shares = level === DEAD ? held : this.#leftOf(held);
    const last = boxes.length - 1;
    const { tile, whole } = boxes[last] as TileBox;
    if (whole && (tile + 1) * layout.tileWidth * layout.tileHeight > units.length) {
      const worth = this.#pixelsFor(level, boxes[last] as TileBox, units, layout);
      wanted[last] = this.#within(worth, shares, boxes[last] as TileBox);
    }
    for (const [index, count] of this.#countOut(wanted, boxes).entries()) {
      if (count === 0) continue;
      const { left, right, top, bottom } = boxes[index] as TileBox;
      const size = { width: right - left, height: bottom - top };
      const plane = { values: shares, offset: top * width + left, stride: width, ...size };
      this.#pixels.share(plane, count, 1, (pixel) => {
        levels[pixel] = level;
      });
    }
  }

  /** What is painted already is no pixel for another level. */
  #leftOf(shares: Float32Array): Float32Array {
    this.#left ??= new Float32Array(shares.length);
    for (let at = 0; at < shares.length; at++) {
      const taken = (this.levels[at] as number) <= LAST_SIGNAL;
      this.#left[at] = taken ? 0 : (shares[at] as number);
    }
    return this.#left;
  }

  /** At least the pixels that hold nothing else, at most those that hold some. */
  #within(count: number, shares: Float32Array, { left, right, top, bottom }: TileBox): number {
    let all = 0;
    let some = 0;
    for (let y = top; y < bottom; y++) {
      for (let at = y * this.width + left; at < y * this.width + right; at++) {
        if (this.levels[at] === EMPTY_LEVEL) shares[at] = 0;
        if ((shares[at] as number) > 0) some++;
        if ((shares[at] as number) > 0.999) all++;
      }
    }
    return Math.min(some, Math.max(all, count));
  }
}
