/** Pixels counted: of death in every tile and part as much as there is, where it is. */

import { describe, expect, it } from "vitest";
import { Apportionment } from "../../src/canvas/apportion";
import { fitLayout, placeCells, scaledPlacement } from "../../src/canvas/cell_placement";
import {
  DEAD,
  EMPTY_LEVEL,
  levelOfShade,
  NOT_FINITE,
  POOLINGS,
  type Pooling,
  SHADES,
  SIGNALS,
} from "../../src/canvas/levels";
import { Pyramid } from "../../src/canvas/pooling";
import { GRID_LINE_FROM } from "../../src/canvas/raster";
import { UnitPainter } from "../../src/canvas/unit_painter";
import { type Layout, layoutUnits, tileCell } from "../../src/reading/layout";
import { type Placement, pixelExtent } from "../../src/ui/placement";
import { numbers } from "../helpers/random";

const VIEW = { width: 201, height: 130 };

type Pattern = (unit: number, layout: Layout, random: () => number) => boolean;

const PATTERNS: Readonly<Record<string, Pattern>> = {
  "here and there": (_, __, random) => random() < 0.28,
  seldom: (_, __, random) => random() < 0.002,
  "nearly everywhere": (_, __, random) => random() < 0.997,
  "one in the whole layer": (unit, { units }) => unit === Math.floor(units / 3),
  "every other row": (unit, { tileWidth }) => Math.floor(unit / tileWidth) % 2 === 0,
  "a board": (unit, { tileWidth }) => (unit + Math.floor(unit / tileWidth)) % 2 === 0,
  "one column": (unit, { tileWidth }) => unit % tileWidth === 1 % tileWidth,
  "the end": (unit, { units }) => unit > 0.9 * units,
  "more and more": (unit, { units }, random) => random() < unit / units,
  everywhere: () => true,
};

const SHAPES: readonly (readonly number[])[] = [
  [20_000],
  [30_011],
  [110, 190],
  [64, 18, 18],
  [12, 56, 56],
  [256, 8, 8],
  [200, 3, 1],
  [24, 5, 61],
];

function levelsOf(layout: Layout, pattern: Pattern, pooling: Pooling, seed: number): Uint8Array {
  const random = numbers(seed);
  return Uint8Array.from({ length: layout.units }, (_, unit) =>
    pattern(unit, layout, random) ? DEAD : levelOfShade(1 + Math.floor(random() * SHADES), pooling),
  );
}

function countOf(levels: ArrayLike<number>, level: number): number {
  let count = 0;
  for (let at = 0; at < levels.length; at++) if (levels[at] === level) count++;
  return count;
}

function painted(
  layout: Layout,
  levels: Uint8Array,
  pooling: Pooling,
  k: number,
  ratio: number,
): { painter: UnitPainter; at: Placement } {
  const css = placeCells(fitLayout(layout, VIEW), {
    k,
    x: (VIEW.width * (1 - k)) / 3,
    y: (VIEW.height * (1 - k)) / 2,
  });
  const at = scaledPlacement(css, ratio);
  const painter = new UnitPainter(Math.round(VIEW.width * ratio), Math.round(VIEW.height * ratio));
  const counts = { signals: [0, ...SIGNALS].map((_, level) => level && countOf(levels, level)) };
  painter.paint(new Pyramid(layout, levels, pooling), css, at, counts);
  return { painter, at };
}

/** Levels of the pixels of a tile, or null where it is not all in view. */
function pixelsOf(
  painter: UnitPainter,
  layout: Layout,
  at: Placement,
  tile: number,
): Uint8Array | null {
  const cell = tileCell(layout, tile);
  const x = pixelExtent(at.originX, at.scaleX, cell.x, layout.tileWidth);
  const y = pixelExtent(at.originY, at.scaleY, cell.y, layout.tileHeight);
  if (x.from < 0 || y.from < 0 || x.to > painter.width || y.to > painter.height) return null;
  const rows = Array.from({ length: y.to - y.from }, (_, row) => {
    const start = (y.from + row) * painter.width;
    return Array.from(painter.levels.subarray(start + x.from, start + x.to));
  });
  return Uint8Array.from(rows.flat().filter((level) => level !== EMPTY_LEVEL));
}

describe.each(SHAPES.map((shape) => shape.join(" × ")))("a layer of %s", (words) => {
  const shape = words.split(" × ").map(Number);
  const layout = layoutUnits(shape, VIEW.width / VIEW.height);
  const area = layout.tileWidth * layout.tileHeight;

  it.each(Object.keys(PATTERNS))("has in each tile as much death as units: %s", (name) => {
    const random = numbers(name.length + shape.length);
    const pooling = POOLINGS[Math.floor(random() * POOLINGS.length)] as Pooling;
    const levels = levelsOf(layout, PATTERNS[name] as Pattern, pooling, 7);
    let tiles = 0;
    for (const [k, ratio] of [
      [1, 1],
      [1, 1.5],
      [1 + 2 * random(), 1],
    ] as const) {
      const { painter, at } = painted(layout, levels, pooling, k, ratio);
      if (Math.min(at.scaleX, at.scaleY) >= GRID_LINE_FROM) continue;
      let sum = 0;
      for (let tile = 0; tile < layout.tiles; tile++) {
        const pixels = pixelsOf(painter, layout, at, tile);
        if (pixels === null) continue;
        tiles++;
        const units = levels.subarray(tile * area, (tile + 1) * area);
        const off = countOf(pixels, DEAD) - (countOf(units, DEAD) / units.length) * pixels.length;
        // Pixels under a last row that is cut short hold fewer units than the others.
        const bound = units.length === area ? 1.001 : layout.tileWidth * at.scaleX;
        expect(Math.abs(off), `tile ${tile} at ${k} × ${ratio}`).toBeLessThan(bound);
        sum += off;
      }
      if (k === 1 && layout.tiles > 1) expect(Math.abs(sum)).toBeLessThan(1.001);
    }
    expect(tiles).toBeGreaterThan(0);
  });

  it("shows each unit in its own pixels once they are large", () => {
    const levels = levelsOf(layout, PATTERNS["here and there"] as Pattern, "mean", 3);
    const { scaleX, scaleY } = fitLayout(layout, VIEW);
    const k = (1.1 * GRID_LINE_FROM) / Math.min(scaleX, scaleY);
    const { painter, at } = painted(layout, levels, "mean", Math.max(1, k), 1);
    const seen = new Set<number>();
    for (let unit = 0; unit < layout.units; unit++) {
      const { x, y } = tileCell(layout, Math.floor(unit / area));
      const entry = unit % area;
      const column = x + (entry % layout.tileWidth) + 0.5;
      const row = y + Math.floor(entry / layout.tileWidth) + 0.5;
      const px = Math.floor(at.originX + column * at.scaleX);
      const py = Math.floor(at.originY + row * at.scaleY);
      if (px < 0 || py < 0 || px >= painter.width || py >= painter.height) continue;
      expect(painter.levels[py * painter.width + px]).toBe(levels[unit]);
      seen.add(unit);
    }
    expect(seen.size).toBeGreaterThan(10);
  });
});

describe("a unit of some pixels", () => {
  it.each([1.3, 2.5, 3.7, 5.2])("shows them, but for a few at its edge, at %s pixels", (scale) => {
    const layout = layoutUnits([24, 16, 16], 1.6);
    const levels = levelsOf(layout, PATTERNS["here and there"] as Pattern, "mean", 5);
    const css = { originX: 3, originY: 4, scaleX: scale, scaleY: scale };
    const width = Math.ceil(layout.width * scale) + 8;
    const height = Math.ceil(layout.height * scale) + 8;
    const painter = new UnitPainter(width, height);
    const pyramid = new Pyramid(layout, levels, "mean");
    painter.paint(pyramid, css, css, { signals: [] });
    const own = painter.levels.slice();
    painter.paint(pyramid, css, css, { signals: [0, 1] });
    for (let tile = 0; tile < layout.tiles; tile++) {
      const pixels = pixelsOf(painter, layout, css, tile) as Uint8Array;
      const units = levels.subarray(256 * tile, 256 * (tile + 1));
      const off = countOf(pixels, DEAD) - (countOf(units, DEAD) / 256) * pixels.length;
      expect(Math.abs(off)).toBeLessThan(1.001);
    }
    const moved = own.filter((level, at) => (level === DEAD) !== (painter.levels[at] === DEAD));
    expect(moved.length).toBeLessThan(0.02 * own.length);
  });
});

describe("a pixel", () => {
  const layout = layoutUnits([300, 420], 1.4);

  it("is dead only where dead units are, and always where all are", () => {
    const levels = levelsOf(layout, PATTERNS["here and there"] as Pattern, "mean", 5);
    for (let unit = 0; unit < layout.units; unit++) {
      const [x, y] = [unit % 420, Math.floor(unit / 420)];
      if (x < 100 && y < 80) levels[unit] = DEAD;
      if (x >= 300 && y >= 200) levels[unit] = 200;
    }
    const { painter } = painted(layout, levels, "mean", 1, 1);
    const shares = painter.shares.get(DEAD) as Float32Array;
    expect(countOf(painter.levels, DEAD)).toBeGreaterThan(5000);
    for (let at = 0; at < shares.length; at++) {
      if ((shares[at] as number) < 1e-6) expect(painter.levels[at]).not.toBe(DEAD);
      if ((shares[at] as number) > 1 - 1e-6) expect(painter.levels[at]).toBe(DEAD);
    }
  });

  it("is true in any part of the picture, not only in the whole", () => {
    const levels = levelsOf(layout, PATTERNS["more and more"] as Pattern, "mean", 5);
    const { painter, at } = painted(layout, levels, "mean", 1, 1);
    const { from: left } = pixelExtent(at.originX, at.scaleX, 0, layout.tileWidth);
    const { from: top } = pixelExtent(at.originY, at.scaleY, 0, layout.tileHeight);
    for (const size of [4, 16, 64]) {
      for (let y = top; y + size < painter.height; y += size) {
        for (let x = left; x + size < painter.width; x += size) {
          let share = 0;
          let dead = 0;
          for (let row = y; row < y + size; row++) {
            for (
              let pixel = row * painter.width + x;
              pixel < row * painter.width + x + size;
              pixel++
            ) {
              share += (painter.shares.get(DEAD) as Float32Array)[pixel] as number;
              if (painter.levels[pixel] === DEAD) dead++;
            }
          }
          expect(Math.abs(dead - share)).toBeLessThan(1.001);
        }
      }
    }
  });

  it("keeps its color while others change: a slider does not make the picture flicker", () => {
    const random = numbers(9);
    const levels = levelsOf(layout, PATTERNS["here and there"] as Pattern, "mean", 5);
    const before = painted(layout, levels, "mean", 1, 1).painter;
    const shares = (before.shares.get(DEAD) as Float32Array).slice();
    for (let change = 0; change < 200; change++) {
      levels[Math.floor(random() * layout.units)] = DEAD;
    }
    const after = painted(layout, levels, "mean", 1, 1).painter;
    let changed = 0;
    for (let at = 0; at < shares.length; at++) {
      const touched = shares[at] !== (after.shares.get(DEAD) as Float32Array)[at];
      if (!touched && before.levels[at] !== after.levels[at]) changed++;
    }
    expect(changed).toBeLessThan(200);
  });

  it("shows the mean of live units alone, so that death is not counted twice", () => {
    const light = levelOfShade(1, "mean");
    const levels = levelsOf(layout, PATTERNS["here and there"] as Pattern, "mean", 5);
    for (let unit = 0; unit < levels.length; unit++)
      if (levels[unit] !== DEAD) levels[unit] = light;
    const { painter } = painted(layout, levels, "mean", 1, 1);
    const there = new Set(painter.levels);
    expect([...there].sort((a, b) => a - b)).toEqual([EMPTY_LEVEL, DEAD, light]);
  });

  it.each(POOLINGS)("has the same death whatever else it shows: %s", (pooling) => {
    const levels = levelsOf(layout, PATTERNS["here and there"] as Pattern, pooling, 5);
    const mean = levelsOf(layout, PATTERNS["here and there"] as Pattern, "mean", 5);
    const of = (own: Uint8Array, rule: Pooling): boolean[] =>
      Array.from(painted(layout, own, rule, 1, 1).painter.levels, (level) => level === DEAD);
    expect(of(levels, pooling)).toEqual(of(mean, "mean"));
  });
});

describe("what is not finite", () => {
  it("is counted out like death, beside it", () => {
    const layout = layoutUnits([64, 30, 30], 1.5);
    const random = numbers(4);
    const levels = Uint8Array.from({ length: layout.units }, () => {
      const draw = random();
      return draw < 0.2 ? DEAD : draw < 0.35 ? NOT_FINITE : 99;
    });
    const { painter, at } = painted(layout, levels, "mean", 1, 1);
    for (let tile = 0; tile < layout.tiles; tile++) {
      const pixels = pixelsOf(painter, layout, at, tile) as Uint8Array;
      const units = levels.subarray(tile * 900, (tile + 1) * 900);
      const wanted = (level: number): number => (countOf(units, level) / 900) * pixels.length;
      expect(Math.abs(countOf(pixels, DEAD) - wanted(DEAD))).toBeLessThan(1.001);
      // A pixel that is painted dead is taken.
      expect(Math.abs(countOf(pixels, NOT_FINITE) - wanted(NOT_FINITE))).toBeLessThan(3);
    }
  });
});

describe("sharing out", () => {
  const apportionment = new Apportionment();

  function share(parts: readonly number[], width: number, total: number): number[] {
    const values = Float32Array.from(parts);
    const plane = { values, offset: 0, stride: width, width, height: values.length / width };
    const counts = parts.map(() => 0);
    apportionment.share(plane, total, 1, (index, count) => {
      counts[index] = count;
    });
    return counts;
  }

  function sum(numbers: readonly number[]): number {
    return numbers.reduce((total, number) => total + number, 0);
  }

  it("keeps nothing nothing, one one, and every quarter within one of what it should have", () => {
    const random = numbers(2);
    for (const [width, height] of [
      [1, 1],
      [7, 1],
      [64, 64],
      [33, 50],
    ] as const) {
      const parts = Array.from({ length: width * height }, () =>
        Math.min(1, Math.max(0, 3 * random() - 1)),
      );
      const counts = share(parts, width, Math.round(sum(parts)));
      expect(sum(counts)).toBe(Math.round(sum(parts)));
      const off = parts.map((part, at) => (counts[at] as number) - part);
      for (const [at, part] of parts.entries()) {
        if (part === 0 || part === 1) expect(off[at]).toBe(0);
      }
      for (let size = 2; size <= 32; size *= 2) {
        for (let y = 0; y < height; y += size) {
          for (let x = 0; x < width; x += size) {
            let all = 0;
            for (let row = y; row < Math.min(height, y + size); row++) {
              all += sum(off.slice(row * width + x, row * width + Math.min(width, x + size)));
            }
            expect(Math.abs(all)).toBeLessThan(1.001);
          }
        }
      }
    }
  });

  it("finds room for more than the parts ask for, and none where there is nothing", () => {
    const parts = [0.2, 0, 0.3, 0, 0, 0, 0.1, 1];
    expect(share(parts, 4, 3)).toEqual([1, 0, 1, 0, 0, 0, 0, 1]);
    expect(share(parts, 4, 0)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(sum(share(parts, 4, 9))).toBe(4);
    expect(share([0.4], 1, 1)).toEqual([1]);
  });
});
