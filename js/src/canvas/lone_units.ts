/** Finds lone units: of another kind than all around them, and too small to be seen. */

import { type Layout, unitAt } from "../reading/layout";
import type { Placement } from "../ui/placement";
import { EMPTY_LEVEL, LAST_SIGNAL } from "./levels";
import type { UnitPainter } from "./unit_painter";

/** What has a shade, and no signal. */
export const LIVE = LAST_SIGNAL + 1;
/** Signals in the order of their levels, and what is live. */
const KINDS = LIVE;

export interface LoneUnit {
  /** The level of its signal, or `LIVE`. */
  readonly kind: number;
  /** In the layout. */
  readonly place: number;
}

/** A neighborhood is a block and so many others on each side, of so many CSS pixels at first. */
const REACH = 2;
const BLOCK = 8;
/** What has this many CSS pixels in its neighborhood is seen without a mark. */
const SEEN_FROM = 4;
/** Where there are more, larger neighborhoods are looked at. */
export const LONE_MOST = 64;
/** Less of a pixel than this is rounding error of a sum. */
const NOTHING = 1e-3;

function kindOf(level: number): number {
  return Math.min(level, LIVE) - 1;
}

/** Of each kind, by block: how many pixels show it, and which holds most of it. */
class Blocks {
  readonly across: number;
  readonly down: number;
  readonly shown: Float64Array;
  readonly most: Float32Array;
  readonly pixel: Int32Array;

  constructor(across: number, down: number) {
    this.across = across;
    this.down = down;
    const length = KINDS * across * down;
    this.shown = new Float64Array(length);
    this.most = new Float32Array(length);
    this.pixel = new Int32Array(length);
  }

  note(at: number, pixel: number, part: number): void {
    if (part <= (this.most[at] as number)) return;
    this.most[at] = part;
    this.pixel[at] = pixel;
  }

  /** The same in blocks twice as wide and high. */
  doubled(): Blocks {
    const to = new Blocks(Math.ceil(this.across / 2), Math.ceil(this.down / 2));
    const area = this.across * this.down;
    for (let at = 0; at < this.shown.length; at++) {
      const kind = Math.floor(at / area);
      const y = Math.floor((at % area) / this.across) >> 1;
      const x = (at % this.across) >> 1;
      const into = kind * to.across * to.down + y * to.across + x;
      (to.shown[into] as number) += this.shown[at] as number;
      to.note(into, this.pixel[at] as number, this.most[at] as number);
    }
    return to;
  }

  shownAround(kind: number, x: number, y: number): number {
    let sum = 0;
    for (let row = Math.max(0, y - REACH); row <= Math.min(this.down - 1, y + REACH); row++) {
      const line = (kind * this.down + row) * this.across;
      for (let at = Math.max(0, x - REACH); at <= Math.min(this.across - 1, x + REACH); at++) {
        sum += this.shown[line + at] as number;
      }
    }
    return sum;
  }

  /** Pixels of a kind that is hardly shown around them, no two of them close. */
  lonely(kind: number, seenFrom: number): number[] {
    const found: number[] = [];
    for (let y = 0; y < this.down; y++) {
      for (let x = 0; x < this.across; x++) {
        const at = (kind * this.down + y) * this.across + x;
        if (this.most[at] === 0 || this.shownAround(kind, x, y) >= seenFrom) continue;
        found.push(at);
        (this.shown[at] as number) += seenFrom;
      }
    }
    for (const at of found) (this.shown[at] as number) -= seenFrom;
    return found.map((at) => this.pixel[at] as number);
  }
}

/** Block by block, so that what is counted stays at hand. */
function survey(painter: UnitPainter, size: number): Blocks {
  const { levels, width, height } = painter;
  const blocks = new Blocks(Math.ceil(width / size), Math.ceil(height / size));
  const { across, down } = blocks;
  const area = across * down;
  const shares = [...painter.shares];
  const none = (): number[] => Array<number>(KINDS).fill(0);
  for (let block = 0; block < area; block++) {
    const left = (block % across) * size;
    const top = Math.floor(block / across) * size;
    const right = Math.min(width, left + size);
    const bottom = Math.min(height, top + size);
    const shown = none();
    const most = none();
    const pixel = none();
    const note = (kind: number, at: number, part: number): void => {
      if (part <= NOTHING || part <= (most[kind] as number)) return;
      most[kind] = part;
      pixel[kind] = at;
    };
    for (let y = top; y < bottom; y++) {
      for (let at = y * width + left; at < y * width + right; at++) {
        const level = levels[at] as number;
        if (level === EMPTY_LEVEL) continue;
        const kind = kindOf(level);
        (shown[kind] as number)++;
        if ((most[kind] as number) < 1) {
          most[kind] = 1;
          pixel[kind] = at;
        }
        if (shares.length === 0) continue;
        let live = 1;
        for (let signal = 0; signal < shares.length; signal++) {
          const [of, parts] = shares[signal] as [number, Float32Array];
          const part = parts[at] as number;
          live -= part;
          note(of - 1, at, part);
        }
        note(LIVE - 1, at, live);
      }
    }
    for (let kind = 0; kind < KINDS; kind++) {
      const at = kind * area + block;
      blocks.shown[at] = shown[kind] as number;
      blocks.most[at] = most[kind] as number;
      blocks.pixel[at] = pixel[kind] as number;
    }
  }
  return blocks;
}

/** The unit of a kind that lies nearest to a pixel, among those under it. */
function unitUnder(
  layout: Layout,
  levels: Uint8Array,
  at: Placement,
  kind: number,
  x: number,
  y: number,
): number | null {
  const center = { x: (x + 0.5 - at.originX) / at.scaleX, y: (y + 0.5 - at.originY) / at.scaleY };
  const reach = { x: Math.ceil(1 / at.scaleX), y: Math.ceil(1 / at.scaleY) };
  let best: number | null = null;
  let nearest = Number.POSITIVE_INFINITY;
  for (let dy = -reach.y; dy <= reach.y; dy++) {
    for (let dx = -reach.x; dx <= reach.x; dx++) {
      const place = unitAt(layout, center.x + dx, center.y + dy);
      if (place === null || kindOf(levels[place] as number) !== kind) continue;
      const distance = dx * dx + dy * dy;
      if (distance < nearest) [best, nearest] = [place, distance];
    }
  }
  return best;
}

/** Units to be marked in what was painted last; `levels` are by place, `ratio` pixels a CSS pixel. */
export function loneUnits(
  painter: UnitPainter,
  layout: Layout,
  levels: Uint8Array,
  at: Placement,
  ratio: number,
): LoneUnit[] {
  const first = survey(painter, Math.max(1, Math.round(BLOCK * ratio)));
  const seenFrom = SEEN_FROM * ratio * ratio;
  const kinds = Array.from({ length: KINDS }, (_, index) => index);
  return kinds.flatMap((index) => {
    let blocks = first;
    let pixels = blocks.lonely(index, seenFrom);
    while (pixels.length > LONE_MOST) {
      blocks = blocks.doubled();
      pixels = blocks.lonely(index, seenFrom);
    }
    return pixels.flatMap((pixel) => {
      const x = pixel % painter.width;
      const y = Math.floor(pixel / painter.width);
      const place = unitUnder(layout, levels, at, index, x, y);
      return place === null ? [] : [{ kind: index + 1, place }];
    });
  });
}
