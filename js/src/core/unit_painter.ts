/** Which level each pixel of a view has: of death as much as there is, where it is. */

import { Apportionment } from "./apportion";
import { AreaShares, type TileBox } from "./area_shares";
import { showsTiles } from "./cell_placement";
import type { Layout } from "./layout";
import { DEAD, EMPTY_LEVEL, levelOfShade, NOT_FINITE, SHADES } from "./levels";
import type { Placement } from "./placement";
import type { Pyramid } from "./pooling";
import { rasterise, rasteriseTiles } from "./raster";

/**
 * Cells narrower than this many pixels are counted out by area: wider ones show their own pixels,
 * of which some have a row or column more than others.
 */
export const OWN_PIXELS_FROM = 4;

export interface Counts {
  readonly dead: number;
  readonly notFinite: number;
}

export class UnitPainter {
  readonly width: number;
  readonly height: number;
  /** One level a pixel, as last painted. */
  readonly levels: Uint8Array;
  /** What share of each pixel is dead, or not finite; null where each shows its own unit. */
  dead: Float32Array | null = null;
  notFinite: Float32Array | null = null;
  readonly #pixels = new Apportionment();
  readonly #tiles = new Apportionment();
  #deadShares: Float32Array | null = null;
  #notFiniteShares: Float32Array | null = null;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.levels = new Uint8Array(width * height);
  }

  /** Paint at a placement in CSS pixels, of which each has `ratio` pixels; `counts` are of units. */
  paint(pyramid: Pyramid, css: Placement, at: Placement, counts: Counts): void {
    const { layout } = pyramid;
    const patches = showsTiles(layout, css);
    const draw = patches ? rasteriseTiles : rasterise;
    draw(pyramid, at, this.width, this.height, this.levels);
    this.dead = null;
    this.notFinite = null;
    if (counts.dead + counts.notFinite === 0) return;
    if (Math.min(at.scaleX, at.scaleY) >= OWN_PIXELS_FROM) return;
    const shares = new AreaShares(layout, at, this.width, this.height);
    if (shares.boxes.length === 0) return;
    const units = pyramid.at(0).data;
    this.#leaveShades(shares.boxes, levelOfShade(SHADES, pyramid.pooling));
    if (counts.dead > 0) {
      this.#deadShares ??= new Float32Array(this.levels.length);
      this.dead = this.#deadShares;
      this.#paintShares(DEAD, this.dead, shares, units, layout);
    }
    if (counts.notFinite > 0) {
      this.#notFiniteShares ??= new Float32Array(this.levels.length);
      this.notFinite = this.#notFiniteShares;
      this.#paintShares(NOT_FINITE, this.notFinite, shares, units, layout);
    }
  }

  /** A pixel whose units have no shade takes the one beside it, until it is counted out. */
  #leaveShades(boxes: readonly TileBox[], darkest: number): void {
    const { levels, width } = this;
    for (const { left, right, top, bottom } of boxes) {
      let shade = darkest;
      for (let y = top; y < bottom; y++) {
        for (let at = y * width + left; at < y * width + right; at++) {
          const level = levels[at] as number;
          if (level > NOT_FINITE) shade = level;
          else if (level !== EMPTY_LEVEL) levels[at] = shade;
        }
      }
    }
  }

  #paintShares(
    level: number,
    shares: Float32Array,
    areas: AreaShares,
    units: Uint8Array,
    layout: Layout,
  ): void {
    const { levels, width } = this;
    const { boxes } = areas;
    const sums = areas.of(level, units, shares);
    const across = boxes.filter(({ top }) => top === boxes[0]?.top).length;
    const down = Math.ceil(boxes.length / across);
    const wanted = new Float32Array(across * down);
    wanted.set(sums);
    const last = boxes.length - 1;
    const { tile, whole } = boxes[last] as TileBox;
    const area = layout.tileWidth * layout.tileHeight;
    if (whole && (tile + 1) * area > units.length) {
      wanted[last] = this.#wantedOfPart(level, shares, boxes[last] as TileBox, units);
    }
    if (level !== DEAD) this.#leaveOut(shares);
    const total = Math.round(wanted.reduce((sum, part) => sum + part, 0));
    const tiles = { values: wanted, offset: 0, stride: across, width: across, height: down };
    const paint = (pixel: number): void => {
      levels[pixel] = level;
    };
    this.#tiles.share(tiles, total, Number.POSITIVE_INFINITY, (index, count) => {
      const { left, right, top, bottom } = boxes[index] as TileBox;
      const size = { width: right - left, height: bottom - top };
      const plane = { values: shares, offset: top * width + left, stride: width, ...size };
      this.#pixels.share(plane, count, 1, paint);
    });
  }

  /** What is painted already is no pixel for another level. */
  #leaveOut(shares: Float32Array): void {
    for (let at = 0; at < shares.length; at++) {
      if ((this.levels[at] as number) <= NOT_FINITE) shares[at] = 0;
    }
  }

  /** How many pixels of a grid that is cut short: those under its end hold fewer units than others. */
  #wantedOfPart(
    level: number,
    shares: Float32Array,
    { left, right, top, bottom }: TileBox,
    units: Uint8Array,
  ): number {
    let pixels = 0;
    let all = 0;
    let some = 0;
    for (let y = top; y < bottom; y++) {
      for (let at = y * this.width + left; at < y * this.width + right; at++) {
        if (this.levels[at] === EMPTY_LEVEL) shares[at] = 0;
        else pixels++;
        if ((shares[at] as number) > 0) some++;
        if ((shares[at] as number) > 0.999) all++;
      }
    }
    let number = 0;
    for (let unit = 0; unit < units.length; unit++) if (units[unit] === level) number++;
    return Math.min(some, Math.max(all, (number / units.length) * pixels));
  }
}
