/** The places of units in a layout, by index or in an order; and the levels by place. */

import { type Cell, cellOf, foremostUnitIn, type Layout, unitAt, unitsIn } from "../reading/layout";
import { LAST_SIGNAL, LEVELS, type Pooling } from "./levels";
import { Pyramid } from "./pooling";
import { ranksOf } from "./unit_order";
import type { SharedPixel } from "./unit_tips";

/** Where several units share a place, the dead are pointed at first, then those not finite. */
function rankOf(level: number): number {
  return level > LAST_SIGNAL ? level : LEVELS + LAST_SIGNAL - level;
}

export class UnitPlaces {
  readonly layout: Layout;
  readonly pyramid: Pyramid;
  /** By place. */
  readonly levels: Uint8Array;
  readonly #order: Uint32Array | null;
  #ranks: Uint32Array | null = null;

  /** `levels` are by unit; `order` has the unit in each place, null where that is its index. */
  constructor(layout: Layout, levels: Uint8Array, order: Uint32Array | null, pooling: Pooling) {
    this.layout = layout;
    this.#order = order;
    this.levels = levels;
    if (order !== null) {
      this.levels = new Uint8Array(levels.length);
      for (let place = 0; place < order.length; place++) {
        this.levels[place] = levels[order[place] as number] as number;
      }
    }
    this.pyramid = new Pyramid(layout, this.levels, pooling);
  }

  unitIn(place: number): number {
    return this.#order?.[place] ?? place;
  }

  placeOf(unit: number): number {
    if (this.#order === null) return unit;
    this.#ranks ??= ranksOf(this.#order);
    return this.#ranks[unit] as number;
  }

  placesOf(units: readonly number[]): readonly number[] {
    return this.#order === null ? units : units.map((unit) => this.placeOf(unit));
  }

  cellOf(unit: number): Cell {
    return cellOf(this.layout, this.placeOf(unit));
  }

  /** The unit whose cell holds a point. */
  at({ x, y }: Cell): number | null {
    const place = unitAt(this.layout, x, y);
    return place === null ? null : this.unitIn(place);
  }

  /** The foremost unit of the channel that a point is in. */
  inChannelAt({ x, y }: Cell): number | null {
    const here = unitAt(this.layout, x, y);
    if (here === null) return null;
    const area = this.layout.tileWidth * this.layout.tileHeight;
    const first = Math.floor(here / area) * area;
    let best = first;
    const rank = (place: number): number => rankOf(this.levels[place] as number);
    for (let place = first; place < first + area; place++) {
      if (rank(place) > rank(best)) best = place;
    }
    return this.unitIn(best);
  }

  /** The foremost unit within a rectangle. */
  within(from: Cell, to: Cell): number | null {
    const place = foremostUnitIn(this.layout, this.levels, rankOf, from, to);
    return place === null ? null : this.unitIn(place);
  }

  /** How many units have their center within a rectangle, and which signals. */
  shared(from: Cell, to: Cell): SharedPixel {
    const center = (value: number): number => Math.ceil(value - 0.5);
    const { units } = unitsIn(
      this.layout,
      { x: center(from.x), y: center(from.y) },
      { x: center(to.x), y: center(to.y) },
      Number.POSITIVE_INFINITY,
    );
    const signals = Array<number>(LAST_SIGNAL + 1).fill(0);
    for (const place of units) {
      const level = this.levels[place] as number;
      if (level <= LAST_SIGNAL) (signals[level] as number)++;
    }
    return { units: units.length, signals };
  }

  /** The first `most` units within a rectangle, and how many there are. */
  between(from: Cell, to: Cell, most: number): { units: number[]; total: number } {
    const { units, total } = unitsIn(this.layout, from, to, most);
    return { units: units.map((place) => this.unitIn(place)), total };
  }

  /** The unit next to one in a direction, across gaps; itself at the edge. */
  neighbor(unit: number, dx: number, dy: number): number {
    const cell = this.cellOf(unit);
    const most = Math.max(this.layout.gap, this.layout.rowGap) + 1;
    for (let step = 1; step <= most; step++) {
      const found = this.at({ x: cell.x + dx * step + 0.5, y: cell.y + dy * step + 0.5 });
      if (found !== null) return found;
    }
    return unit;
  }
}
